"""One installation and one browser for all tests here; windows that must stay without complaint."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright, expect

from tests.browser import chromium, scenes
from tests.browser import stage as stages
from tests.browser.scenes import Scene
from tests.browser.stage import Stage
from tests.browser.windows import COOKIE, PATIENCE_MS, Window, open_window
from tests.support import node_packages
from tests.support.homes import server_home

ASSETS = Path(__file__).parent / "assets"
OpenWindow = Callable[..., Awaitable[Window]]


@pytest.fixture(scope="session")
def browser_home() -> Iterator[Path]:
    with server_home() as folder:
        yield folder


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium, running."""
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        launched = await chromium.launch(playwright)
        yield launched
        await launched.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core, as a script."""
    folder = node_packages.installed("axe", ASSETS)
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.fixture(scope="session")
async def stage(browser: Browser, browser_home: Path) -> AsyncIterator[Stage]:
    """A running installation; the browser comes first, because it may have to be installed."""
    made = await stages.begin(browser_home)
    yield made
    await stages.end(made)


@pytest.fixture
async def window(browser: Browser, stage: Stage) -> AsyncIterator[OpenWindow]:
    """Opens windows. None may have complained when the test ends."""
    made: list[Window] = []

    async def open_one(origin: str = "", **options: object) -> Window:
        made.append(await open_window(browser, origin or stage.origin, **options))
        return made[-1]

    yield open_one
    for each in made:
        await each.context.close()
    assert [line for each in made for line in each.complaints] == []


@pytest.fixture(scope="session")
async def administrator(browser: Browser, stage: Stage) -> str:
    """The cookie of whoever used the link that `lockstep up` printed."""
    window = await open_window(browser, stage.origin)
    await window.page.goto(stage.link())
    await window.page.get_by_role("button").click()
    await window.page.wait_for_url("**/console/")
    [cookie] = await window.context.cookies()
    await window.context.close()
    assert cookie["name"] == COOKIE
    assert window.complaints == []
    return cookie["value"]


@pytest.fixture(scope="session")
async def scene(stage: Stage) -> Scene:
    """Something on every page: a stuck case, a closed one, held events."""
    return await scenes.play(stage)
