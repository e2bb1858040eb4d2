// The trend as a chart that answers to the pointer, in place of the drawing that paper gets.
"use strict";

function dayOf(seconds) {
  return new Date(seconds * 1000).toISOString().slice(5, 10);
}

// Nothing finer than a day: a date stands at one place of the axis.
const DAYS = [1, 2, 5, 7, 14, 28, 56, 112].map((days) => days * 86400);

function drawTrend(place) {
  const { times, values, target, max } = JSON.parse(place.dataset.trend);
  const known = values.filter((value) => value !== null);
  const low = Math.max(0, Math.floor(Math.min(target, ...known) - 0.5));
  const height = lockstep.rem(16);
  const axis = lockstep.axis(3.2, 4);
  const chart = new uPlot(
    {
      width: place.clientWidth || 600,
      height,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: { y: { range: [low, max] } },
      axes: [{ ...axis, incrs: DAYS, values: (_, splits) => splits.map(dayOf) }, { ...axis, space: lockstep.rem(2) }],
      series: [
        { label: "Day (UTC)", value: "{YYYY}-{MM}-{DD}" },
        { label: "Score", stroke: lockstep.colour("--accent"), width: 2, points: { show: known.length < 40 } },
        { label: "Target", stroke: lockstep.colour("--good"), dash: [6, 4], points: { show: false } },
      ],
    },
    [times, values, times.map(() => target)],
    place,
  );
  place.classList.add("drawn");
  const follow = new ResizeObserver(() => {
    if (place.clientWidth) chart.setSize({ width: place.clientWidth, height });
  });
  follow.observe(place);
  drawings.set(place, () => { follow.disconnect(); chart.destroy(); });
}

const drawings = new Map();

function prepare(root) {
  if (typeof uPlot === "undefined") return;
  for (const place of root.querySelectorAll("[data-trend]:not(.drawn)")) drawTrend(place);
}

document.addEventListener("htmx:load", (event) => prepare(event.detail.elt.parentElement ?? document));
prepare(document);

// Colours and letters are drawn, not styled: another theme or size of letters means another drawing.
const again = () => {
  drawings.forEach((end, place) => { end(); place.classList.remove("drawn"); });
  drawings.clear();
  prepare(document);
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
matchMedia("(min-width: 2200px)").addEventListener("change", again);
matchMedia("(min-width: 3000px)").addEventListener("change", again);

// How old the figures are goes on while the page stands open.
const OLD_S = 60;
setInterval(() => {
  for (const note of document.querySelectorAll("[data-age]")) {
    const s = Math.max(0, Math.trunc((Date.now() - Date.parse(note.dataset.age)) / 1000));
    note.querySelector("[data-age-text]").textContent = `${lockstep.span(s)} ago`;
    note.querySelector("[data-age-old]").hidden = s <= OLD_S;
    note.classList.toggle("warn", s > OLD_S);
  }
}, 5000);

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
