"""What a machine can see of how well people can use a page."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Page

from tests.browser.windows import DESK, PHONE, WALL

VIEWS = (("light", DESK), ("dark", PHONE), ("dark", WALL))
"""Themes and sizes in which every page is looked at."""
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


async def barriers(page: Page, *, colours: bool = True) -> list[str]:
    """What axe finds that is serious or critical, with the place of each."""
    await page.wait_for_load_state("load")
    await page.evaluate(_DRAWN)  # a window that was resized has told the page by then
    options = {"resultTypes": ["violations"], "rules": {"color-contrast": {"enabled": colours}}}
    found: dict[str, Any] = await page.evaluate("(options) => axe.run(options)", options)
    return [
        f"{each['id']}: {node['target']} {node['any'][:1]} {node['html'][:160]}"
        for each in found["violations"]
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]


async def too_wide(page: Page) -> list[str]:
    """What makes the page scroll sideways; empty if nothing does."""
    await page.wait_for_load_state("load")  # a page behind a link may not have its styles yet
    found: list[str] = await page.evaluate(_OVERFLOW)
    return found


async def complaints(page: Page) -> list[str]:
    """Barriers, and what is too wide, in every view; axe must be known to the page."""
    found = []
    themes = set()
    for theme, (width, height) in VIEWS:
        await page.emulate_media(color_scheme=theme)
        await page.set_viewport_size({"width": width, "height": height})
        seen = await barriers(page, colours=theme not in themes) + await too_wide(page)
        found += [f"{theme} {width}: {each}" for each in seen]
        themes.add(theme)
    return found
