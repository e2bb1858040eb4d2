"""What a machine can see of how well people can use a page."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Page

SERIOUS = {"serious", "critical"}
_OVERFLOW = """() => {
  const most = document.documentElement.clientWidth;
  const page = document.documentElement.scrollWidth;
  if (page <= most) return [];
  const right = (e) => Math.round(e.getBoundingClientRect().right);
  return [...document.querySelectorAll("body *")]
    .filter((e) => right(e) > most + 1 && !e.closest(".scroll, .top nav, pre, svg"))
    .slice(0, 5).map((e) => `${e.tagName}.${e.className} ${right(e)}`)
    .concat(`page ${page} > ${most}`);
}"""

_DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


async def barriers(page: Page) -> list[str]:
    """What axe finds that is serious or critical, with the place of each."""
    await page.evaluate(_DRAWN)  # a window that was resized has told the page by then
    found: dict[str, Any] = await page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{each['id']}: {node['target']} {node['any'][:1]} {node['html'][:160]}"
        for each in found["violations"]
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]


async def too_wide(page: Page) -> list[str]:
    """What makes the page scroll sideways; empty if nothing does."""
    found: list[str] = await page.evaluate(_OVERFLOW)
    return found
