// The list of cases: countdowns, keys, and picks that survive a refresh.
"use strict";

(() => {
  const board = document.getElementById("board");
  const open = () => [...board.querySelectorAll("[data-open]")];
  const boxes = (place) => [...place.querySelectorAll('input[name="pick"]')];

  // Countdowns: the same words as the server's.
  const tick = () => {
    const now = Date.now();
    let turned = false;
    board.querySelectorAll("[data-due]").forEach((place) => {
      const s = Math.trunc((Date.parse(place.dataset.due) - now) / 1000);
      const text = s >= 0 ? `due in ${lockstep.span(s)}` : `late by ${lockstep.span(-s)}`;
      if (place.textContent !== text) place.textContent = text;
      if (s < 0 && !place.classList.contains("over")) {
        place.classList.add("over");
        turned = true;
      }
    });
    if (turned) document.body.dispatchEvent(new CustomEvent("due"));
  };
  tick();
  setInterval(tick, 1000);

  // Picks.
  const count = () => {
    const picked = boxes(board).filter((box) => box.checked).length;
    const place = board.querySelector("[data-picked-count]");
    const text = picked ? `${picked} ${picked === 1 ? "system" : "systems"} selected` : "Tick systems to act on several at once.";
    if (place && place.textContent !== text) place.textContent = text;
    board.querySelectorAll(".bulk-bar").forEach((bar) => bar.toggleAttribute("data-picked", picked > 0));
    board.querySelectorAll("[data-needs-picks]").forEach((button) => { button.disabled = !picked; });
    board.querySelectorAll("[data-pick-all]").forEach((all) => {
      const its = boxes(all.closest("[data-case]"));
      const on = its.filter((box) => box.checked).length;
      all.hidden = false;
      all.checked = on > 0 && on === its.length;
      all.indeterminate = on > 0 && on < its.length;
    });
  };
  const pickAll = (item, on) => { boxes(item).forEach((box) => { box.checked = on; }); count(); };
  board.addEventListener("change", (event) => {
    if (event.target.matches("[data-pick-all]")) pickAll(event.target.closest("[data-case]"), event.target.checked);
    else count();
  });
  count();

  // A refresh keeps picks and focus; console.js keeps what was unfolded.
  let kept = null;
  const bars = () => [...board.querySelectorAll(".bulk-bar button")];
  const idOf = (element) => {
    const item = element?.closest?.("[data-case]");
    if (!item || !board.contains(item)) return null;
    const all = [...item.querySelectorAll("a, input, summary")];
    return { id: item.id, value: element.value, tag: element.tagName, place: all.indexOf(element) };
  };
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target !== board) return;
    kept = {
      picks: new Set(boxes(board).filter((box) => box.checked).map((box) => box.value)),
      focus: idOf(document.activeElement),
      button: bars().indexOf(document.activeElement),
    };
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== board || !kept) return;
    boxes(board).forEach((box) => { box.checked = kept.picks.has(box.value); });
    const item = kept.focus && document.getElementById(kept.focus.id);
    if (item) {
      const same = [...item.querySelectorAll("a, input, summary")];
      const box = same.find((element) => element.name === "pick" && element.value === kept.focus.value);
      const place = same[kept.focus.place];
      (box ?? (place?.tagName === kept.focus.tag ? place : item.querySelector("[data-open]")))?.focus({ preventScroll: true });
    }
    tick();
    count();
    bars()[kept.button]?.focus({ preventScroll: true });
    kept = null;
  });

  // Keys.
  document.addEventListener("click", (event) => {
    const id = event.target.closest("[data-opens]")?.dataset.opens;
    if (id) document.getElementById(id).showModal();
  });
  const move = (step) => {
    const all = open();
    if (!all.length) return;
    const here = all.indexOf(document.activeElement?.closest?.("[data-case]")?.querySelector("[data-open]"));
    const next = here < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, here + step));
    all[next].focus();
    all[next].scrollIntoView({ block: "nearest" });
  };
  const KEYS = {
    j: () => move(1),
    k: () => move(-1),
    x: () => {
      const item = document.activeElement?.closest?.("[data-case]");
      if (item) pickAll(item, !boxes(item).every((box) => box.checked));
    },
    "/": () => document.getElementById("search").focus(),
    "?": () => document.getElementById("keys").showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || document.querySelector("dialog[open]")) return;
    if (event.target.matches('textarea, select, [contenteditable], input:not([type="checkbox"])')) return;
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
})();
