// The brake: countdowns, and a refresh that does not disturb whoever is deciding.
"use strict";

(() => {
  const place = document.getElementById("brake");
  const tick = () => {
    place.querySelectorAll("[data-cutoff]").forEach((part) => {
      const s = Math.trunc((Date.parse(part.dataset.cutoff) - Date.now()) / 1000);
      const text = s >= 0 ? `in ${lockstep.span(s)}` : `passed ${lockstep.span(-s)} ago`;
      if (part.textContent !== text) part.textContent = text;
    });
  };
  tick();
  setInterval(tick, 1000);

  // Whoever ticks an event means the ticked ones.
  place.addEventListener("change", (event) => {
    if (event.target.name !== "pick") return;
    const only = event.target.form.querySelector('input[name="which"][value="chosen"]');
    if (event.target.checked) only.checked = true;
  });

  const isBusy = () =>
    place.querySelector('input[name="pick"]:checked') ||
    [...place.querySelectorAll('input[name="reason"]')].some((input) => input.value) ||
    place.contains(document.activeElement);
  const unfolded = new Map();
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.target === place && isBusy()) event.preventDefault();
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target !== place) return;
    if (isBusy()) event.detail.shouldSwap = false;
    place.querySelectorAll("details.held").forEach((part) => unfolded.set(part.id, part.open));
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== place) return;
    place.querySelectorAll("details.held").forEach((part) => {
      if (unfolded.has(part.id)) part.open = unfolded.get(part.id);
    });
    tick();
  });
})();
