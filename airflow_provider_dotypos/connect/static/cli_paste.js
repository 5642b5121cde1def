// Signs the form as it is submitted: HMAC-SHA256 over the decimal timestamp, in lower-case hex. The client secret isn't
// sent: its field has no name, and is emptied.
"use strict";
const form = document.getElementById("connect");
const secret = document.getElementById("secret");

function complain(text) {
  const problem = document.getElementById("problem");
  problem.textContent = text;
  problem.hidden = false;
}

async function sign(key, text) {
  const encoder = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", encoder.encode(key), algorithm, false, ["sign"]);
  const signature = new Uint8Array(await crypto.subtle.sign("HMAC", imported, encoder.encode(text)));
  return Array.from(signature, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!globalThis.crypto?.subtle) {
    complain("This browser can't sign on a page opened from a file. Use Chrome, Chromium or Edge.");
    return;
  }
  const timestamp = String(Math.floor(Date.now() / 1000));
  form.elements.timestamp.value = timestamp;
  form.elements.signature.value = await sign(secret.value.trim(), timestamp);
  secret.value = "";
  form.submit();
});
