// The chart of faults. Drawn again whenever htmx has brought new figures.
"use strict";

(() => {
  const COLOURS = ["--bad", "--accent", "--warn", "--good", "--quiet"];
  const DASHES = [[], [6, 4], [2, 3], [10, 4, 2, 4]];
  const drawings = new Map();

  const draw = (place) => {
    const given = JSON.parse(place.dataset.faults);
    const series = given.rows.map((row, i) => ({
      label: row.name,
      stroke: lockstep.colour(COLOURS[i % COLOURS.length]),
      // Not by colour alone.
      dash: DASHES[i % DASHES.length],
      width: 2,
      points: { show: true, size: 4 },
    }));
    const axis = lockstep.axis(3.4, 3.5);
    // 24 hours, and the day where one begins: never the browser's own habits.
    const hour = (s) => {
      const text = new Date(s * 1000).toISOString();
      return text.slice(11, 16) === "00:00" ? `${text.slice(11, 16)}\n${text.slice(5, 10)}` : text.slice(11, 16);
    };
    const chart = new uPlot(
      {
        width: Math.max(200, place.clientWidth),
        height: lockstep.rem(15),
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
        scales: { y: { range: (_, __, most) => [0, Math.max(4, most)] } },
        axes: [{ ...axis, values: (_, splits) => splits.map(hour) }, { ...axis, space: lockstep.rem(2), incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000] }],
        series: [{ label: "Hour (UTC)", value: (_, s) => (s == null ? "–" : new Date(s * 1000).toISOString().slice(0, 16).replace("T", " ")) }, ...series],
      },
      [given.hours, ...given.rows.map((row) => row.counts)],
      place,
    );
    drawings.set(place, chart);
  };
  const all = () => {
    drawings.forEach((chart, place) => {
      if (place.isConnected && place.childElementCount) return;
      chart.destroy();
      drawings.delete(place);
    });
    document.querySelectorAll("[data-faults]").forEach((place) => {
      if (!drawings.has(place)) draw(place);
    });
  };
  const again = () => {
    drawings.forEach((chart) => chart.destroy());
    drawings.clear();
    all();
  };
  all();
  document.addEventListener("htmx:afterSwap", all);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  let waits = 0;
  addEventListener("resize", () => { clearTimeout(waits); waits = setTimeout(again, 200); });
})();
