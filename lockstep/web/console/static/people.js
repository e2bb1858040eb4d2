// The trend as a chart that answers to the pointer, in place of the drawing that paper gets.
"use strict";

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function dayOf(seconds) {
  return new Date(seconds * 1000).toISOString().slice(5, 10);
}

function drawTrend(place) {
  const { times, values, target, max } = JSON.parse(place.dataset.trend);
  const known = values.filter((value) => value !== null);
  const low = Math.max(0, Math.floor(Math.min(target, ...known) - 0.5));
  // As large as the page's own text, on a wall too.
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  const height = Math.round(16 * rem);
  const axis = {
    stroke: colour("--quiet"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { stroke: colour("--line") },
    font: `${Math.round(0.8 * rem)}px system-ui, sans-serif`,
    size: Math.round(3.2 * rem),
    space: Math.round(4 * rem),
  };
  const chart = new uPlot(
    {
      width: place.clientWidth || 600,
      height,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: { y: { range: [low, max] } },
      axes: [{ ...axis, values: (_, splits) => splits.map(dayOf) }, { ...axis, space: 2 * rem }],
      series: [
        { label: "Day (UTC)", value: "{YYYY}-{MM}-{DD}" },
        { label: "Score", stroke: colour("--accent"), width: 2, points: { show: known.length < 40 } },
        { label: "Target", stroke: colour("--good"), dash: [6, 4], points: { show: false } },
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

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
