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
  const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
  const chart = new uPlot(
    {
      width: place.clientWidth || 600,
      height: 240,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: { y: { range: [low, max] } },
      axes: [{ ...axis, values: (_, splits) => splits.map(dayOf) }, axis],
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
  new ResizeObserver(() => {
    if (place.clientWidth) chart.setSize({ width: place.clientWidth, height: 240 });
  }).observe(place);
}

function prepare(root) {
  if (typeof uPlot === "undefined") return;
  for (const place of root.querySelectorAll("[data-trend]:not(.drawn)")) drawTrend(place);
}

document.addEventListener("htmx:load", (event) => prepare(event.detail.elt.parentElement ?? document));
prepare(document);

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
