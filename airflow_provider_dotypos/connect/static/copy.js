// Copies a text field. The browser's newer clipboard works over TLS only, which many an Airflow doesn't have.
"use strict";
for (const button of document.querySelectorAll("button[data-copies]")) {
  const field = document.getElementById(button.dataset.copies);
  button.hidden = false;
  button.addEventListener("click", () => {
    field.select();
    button.nextElementSibling.textContent = document.execCommand("copy") ? "Copied" : "Selected: press Ctrl-C or ⌘C";
  });
}
