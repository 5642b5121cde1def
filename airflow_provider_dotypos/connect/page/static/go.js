// Submits the signed form at once. Whoever comes back to this page (Back, a reload) is left to press the button; the
// page is made anew before its signature is too old, so the button is always good.
"use strict";
const form = document.getElementById("signed");
const [arrival] = performance.getEntriesByType("navigation");

addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
setTimeout(() => location.reload(), Number(form.dataset.life) * 1000);
if (arrival.type === "navigate") form.submit();
