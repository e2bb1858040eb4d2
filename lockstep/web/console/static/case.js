// The page of one case: countdowns, and a refresh that leaves alone what somebody is filling in.
"use strict";

(() => {
  const span = (s) => {
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
  };
  const tick = () => {
    const now = Date.now();
    document.querySelectorAll("[data-until]").forEach((place) => {
      const s = Math.trunc((Date.parse(place.dataset.until) - now) / 1000);
      const [ahead, past] = place.dataset.words.split("|");
      const text = s >= 0 ? (ahead === "left" ? `${span(s)} left` : `${ahead} ${span(s)}`) : `${past} ${span(-s)}`;
      if (place.textContent !== text) place.textContent = text;
      place.classList.toggle("over", s < 0 && past === "late by");
    });
  };
  tick();
  setInterval(tick, 1000);

  // A refresh keeps what is unfolded. A form that is open stays the very same element; if what it
  // is about has changed meanwhile, it says so.
  const part = document.getElementById("case-part");
  let kept = [];
  let focused = null;
  let left = 0;
  part?.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target !== part) return;
    kept = [...part.querySelectorAll("details[data-keep][open]")];
    focused = part.contains(document.activeElement) ? document.activeElement : null;
    left = part.querySelector(".timeline-scroll")?.scrollLeft ?? 0;
  });
  part?.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== part) return;
    kept.forEach((old) => {
      const fresh = document.getElementById(old.id);
      if (!fresh) {
        if (old.contains(focused)) part.querySelector("h1")?.scrollIntoView({ block: "nearest" });
        return;
      }
      if (!old.querySelector("form")) {
        fresh.open = true;
        return;
      }
      const seen = fresh.querySelector("[data-seen]")?.dataset.seen;
      const note = old.querySelector("[data-stale]");
      if (note && seen !== old.querySelector("[data-seen]")?.dataset.seen) note.hidden = false;
      fresh.replaceWith(old);
    });
    const scroll = part.querySelector(".timeline-scroll");
    if (scroll) scroll.scrollLeft = left;
    if (focused?.isConnected) focused.focus({ preventScroll: true });
    else if (focused?.id) document.getElementById(focused.id)?.focus({ preventScroll: true });
    kept = [];
    tick();
  });
  // Unfolding a form leads into it; one that comes unfolded does not draw the page down to it.
  part?.addEventListener("click", (event) => {
    const form = event.target.closest("summary")?.parentElement;
    if (form?.matches(".act")) setTimeout(() => form.open && form.querySelector("select, textarea, input:not([type=hidden])")?.focus());
  });
})();
