"""Windows of people at the console, which remember whatever the browser complains about."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Route,
    expect,
)

PHONE = (360, 740)
DESK = (1280, 900)
WALL = (3840, 2160)
COOKIE = "lockstep"
PATIENCE_MS = 30_000
"""How long anything in a page may take: machines are slow at times, and that is no fault."""
_LOADED = re.compile(r"Failed to load resource: the server responded with a status of (\d+)")


@dataclass
class Window:
    """One person's browser with one page, closed with the test.

    Args:
        expected: statuses that the test itself provokes.
    """

    context: BrowserContext
    page: Page
    origin: str
    complaints: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)
    scripts: list[Request] = field(default_factory=list)

    async def open(self, path: str) -> int:
        """Go to a page of ours; return its status."""
        self.scripts.clear()
        answer = await self.page.goto(self.origin + path, wait_until="load")
        assert answer is not None
        return answer.status

    async def settled(self) -> None:
        """Wait until no part of the page is still on its way.

        A live page asks for its parts once more as soon as it hears of changes.
        """
        if await self.page.locator("[data-live-state]").count():
            await self.live()
        for words in ("The score is being computed", "Being computed…"):
            await expect(self.page.get_by_text(words)).to_have_count(0)
        await expect(self.page.locator(".htmx-request")).to_have_count(0)

    async def live(self) -> None:
        """Wait until the page hears of changes."""
        await self.page.locator('[data-live-state][data-live="on"]').wait_for(timeout=PATIENCE_MS)

    async def text(self) -> str:
        """What a person reads in the page."""
        return await self.page.locator("main").inner_text()

    async def script_bytes(self) -> int:
        """How much script the page has loaded."""
        return sum([len(await (await r.response()).body()) for r in self.scripts])

    def hear(self, message: ConsoleMessage) -> None:
        """Keep errors and warnings of our pages; a violated content policy is one of them."""
        if message.type not in {"error", "warning"} or not self.page.url.startswith(self.origin):
            return
        status = _LOADED.match(message.text)
        if status is None or int(status[1]) not in self.expected:
            self.complaints.append(f"{urlsplit(self.page.url).path}: {message.text}")

    async def watch(self, route: Route) -> None:
        """Let requests to this machine pass; anything else is a complaint."""
        request = route.request
        if urlsplit(request.url).hostname not in {"127.0.0.1", None}:
            if request.frame.page.url.startswith(self.origin):
                self.complaints.append(f"loads from elsewhere: {request.url}")
            await route.abort()
            return
        await route.continue_()

    def note(self, request: Request) -> None:
        if request.resource_type == "script":
            self.scripts.append(request)


async def open_window(
    browser: Browser,
    origin: str,
    *,
    cookie: str = "",
    size: tuple[int, int] = DESK,
    theme: str = "light",
    script: str = "",
) -> Window:
    """A fresh browser profile. ``cookie``: of a session; ``script``: known to every page of it."""
    width, height = size
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=theme, locale="en-GB"
    )
    if script:
        await context.add_init_script(script)
    if cookie:
        await context.add_cookies(
            [{"name": COOKIE, "value": cookie, "url": origin, "httpOnly": True, "sameSite": "Lax"}]
        )
    page = await context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    made = Window(context, page, origin)
    await context.route("**/*", made.watch)
    page.on("console", made.hear)
    page.on("pageerror", lambda error: made.complaints.append(f"script: {error}"))
    page.on("request", made.note)
    page.on("dialog", lambda dialog: made.complaints.append(f"dialog: {dialog.message}"))
    return made
