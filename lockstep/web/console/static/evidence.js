// Copies the text of another element: <button data-copy="its-id" hidden>.
"use strict";

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue; // without TLS a browser offers none: the text can be selected
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    const said = button.parentElement.querySelector("[data-copied]");
    if (said) said.textContent = "Copied.";
  });
}
