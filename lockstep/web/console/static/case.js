// The page of one case: countdowns, and a refresh that leaves alone what somebody is filling in.
"use strict";

(() => {
  const tick = () => {
    const now = Date.now();
    document.querySelectorAll("[data-until]").forEach((place) => {
      const s = Math.trunc((Date.parse(place.dataset.until) - now) / 1000);
      const [ahead, past] = place.dataset.words.split("|");
      const text = s >= 0 ? (ahead === "left" ? `${lockstep.span(s)} left` : `${ahead} ${lockstep.span(s)}`) : `${past} ${lockstep.span(-s)}`;
      if (place.textContent !== text) place.textContent = text;
      place.classList.toggle("over", s < 0 && past === "late by");
    });
  };
  tick();
  setInterval(tick, 1000);

  // A refresh keeps what is unfolded. A form that is open stays the very same element; if what it
  // is about has changed meanwhile, it says so.
  const part = document.getElementById("case-part");
  const homeless = document.getElementById("kept-acts");
  let kept = [];
  let focused = null;
  let left = 0;
  const isFilledIn = (old) => [...old.querySelectorAll("textarea, input:not([type=hidden])")].some((field) => (field.type === "checkbox" ? field.checked !== field.defaultChecked : field.value !== field.defaultValue));
  part?.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target !== part) return;
    kept = [...part.querySelectorAll("details[data-keep][open]"), ...(homeless?.querySelectorAll("details") ?? [])];
    focused = part.contains(document.activeElement) ? document.activeElement : null;
    left = part.querySelector(".timeline-scroll")?.scrollLeft ?? 0;
  });
  part?.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== part) return;
    kept.forEach((old) => {
      const fresh = part.querySelector(`#${CSS.escape(old.id)}`);
      if (!fresh) {
        // The act is not open any more. What was typed stays; who sends it is told who was faster.
        if (isFilledIn(old)) homeless.append(old);
        else if (old.contains(focused)) part.querySelector("h1")?.scrollIntoView({ block: "nearest" });
        return;
      }
      if (!old.querySelector("form") || (old.dataset.keep === "filled" && !isFilledIn(old))) {
        fresh.open = true;
        return;
      }
      const seen = fresh.querySelector("[data-seen]")?.dataset.seen;
      const note = old.querySelector("[data-stale]");
      if (note && seen !== old.querySelector("[data-seen]")?.dataset.seen) note.hidden = false;
      fresh.replaceWith(old);
    });
    if (homeless) homeless.hidden = !homeless.querySelector("details");
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
