// Takes the theme chosen in Airflow's UI, which has the same origin. Without a choice the system's applies (style.css).
"use strict";
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  console.info("Storage is blocked: the system's theme applies.");
}
