// What pages need beyond htmx: no inline script is allowed, so everything hangs on data attributes.
"use strict";

const lockstep = {
  // A number of seconds in the words that the server uses.
  span(s) {
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
  },
  // A colour of the theme, by its variable.
  colour: (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim(),
  // Pixels of so many times the page's own text: a chart grows with it, on a wall too.
  rem: (times) => Math.round(times * parseFloat(getComputedStyle(document.documentElement).fontSize)),
  // What the axes of all charts have in common.
  axis(size, space) {
    return {
      stroke: lockstep.colour("--quiet"),
      grid: { stroke: lockstep.colour("--line"), width: 1 },
      ticks: { stroke: lockstep.colour("--line") },
      font: `${lockstep.rem(0.8)}px system-ui, sans-serif`,
      size: lockstep.rem(size),
      space: lockstep.rem(space),
    };
  },
};

// Refused changes (409, 422, ...) bring a part of a page that says why: show it.
document.addEventListener("htmx:beforeSwap", (event) => {
  const status = event.detail.xhr.status;
  if (status >= 400 && event.detail.xhr.getResponseHeader("content-type")?.startsWith("text/html")) {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
});

// Paper cannot be unfolded: everything is, while a page is printed.
(() => {
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("main details:not([open], .no-print, .act, .filters, .views)")];
    opened.forEach((fold) => { fold.open = true; });
  });
  addEventListener("afterprint", () => {
    opened.forEach((fold) => { fold.open = false; });
    opened = [];
  });
})();

// A refresh keeps what was unfolded, and the place of whoever goes by keys.
(() => {
  let folds = [];
  let place = "";
  const placeOf = (element) => {
    if (element?.id) return `#${CSS.escape(element.id)}`;
    if (element?.matches("details[id] > summary")) return `#${CSS.escape(element.parentElement.id)} > summary`;
    return element?.matches("a[href]") ? `a[href="${CSS.escape(element.getAttribute("href"))}"]` : "";
  };
  document.addEventListener("htmx:beforeSwap", (event) => {
    const target = event.detail.target;
    folds = [...target.querySelectorAll("details[id][open]:not([data-keep])")].map((fold) => fold.id);
    place = target.contains(document.activeElement) ? placeOf(document.activeElement) : "";
  });
  document.addEventListener("htmx:afterSwap", () => {
    folds.forEach((id) => { const fold = document.getElementById(id); if (fold) fold.open = true; });
    if (place && document.activeElement === document.body) document.querySelector(place)?.focus({ preventScroll: true });
    folds = [];
    place = "";
  });
})();

// Whoever presses is let finish: a refresh between press and release would take away what is being
// clicked, and with it the click. What was held back is asked for again.
(() => {
  const LONGEST_MS = 2000;
  const held = new Set();
  let timer = 0;
  const release = () => {
    clearTimeout(timer);
    timer = 0;
    setTimeout(() => { // the click comes right behind the release
      const parts = [...held].filter((part) => part.isConnected);
      held.clear();
      parts.forEach((part) => htmx.trigger(part, "sse:systems"));
    });
  };
  const press = () => {
    clearTimeout(timer);
    timer = setTimeout(release, LONGEST_MS);
  };
  addEventListener("pointerdown", press, true);
  addEventListener("keydown", (event) => { if (event.key === " ") press(); }, true);
  ["pointerup", "pointercancel", "keyup"].forEach((name) => addEventListener(name, () => { if (timer) release(); }, true));
  document.addEventListener("htmx:beforeSwap", (event) => {
    const part = event.detail.requestConfig.elt;
    if (!timer || !part.matches('[hx-trigger*="every "]')) return;
    event.detail.shouldSwap = false;
    held.add(part);
  });
})();

// What scrolls within itself must scroll by keys too, and say what it is.
(() => {
  const reach = () => {
    document.querySelectorAll(".scroll:not([tabindex])").forEach((place) => {
      if (place.scrollWidth <= place.clientWidth && place.scrollHeight <= place.clientHeight) return;
      place.tabIndex = 0;
      const caption = place.querySelector("caption")?.textContent.trim();
      if (!caption) return;
      place.setAttribute("role", "region");
      place.setAttribute("aria-label", caption);
    });
  };
  reach();
  addEventListener("resize", reach);
  document.addEventListener("toggle", reach, true);
  document.addEventListener("htmx:afterSettle", reach);
})();
