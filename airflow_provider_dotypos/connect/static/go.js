// Submits the signed form at once, except after Back or a reload: then the person presses the button. The page is made
// again before its signature expires, so the button always works.
"use strict";
const form = document.getElementById("signed");
const [arrival] = performance.getEntriesByType("navigation");

addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
setTimeout(() => location.reload(), Number(form.dataset.life) * 1000);
if (arrival.type === "navigate") form.submit();
