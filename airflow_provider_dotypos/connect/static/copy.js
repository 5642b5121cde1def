// Copies a text field. Browsers give pages without TLS no clipboard of their own, so there the field is selected first.
"use strict";
for (const button of document.querySelectorAll("button[data-copies]")) {
  const field = document.getElementById(button.dataset.copies);
  button.hidden = false;
  button.addEventListener("click", async () => {
    field.select();
    let copied = true;
    if (navigator.clipboard) await navigator.clipboard.writeText(field.value).catch(() => { copied = false; });
    else copied = document.execCommand("copy");
    button.nextElementSibling.textContent = copied ? "Copied" : "It is selected: press Ctrl-C or ⌘C.";
  });
}
