"""The real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

from playwright.async_api import Browser, Playwright

from tests.support import debian_packages

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_ARGS = (
    "--no-sandbox",  # the tests may run as root in a container; they open our own pages only
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def executable() -> str:
    """The path of a Chromium; installed where root may, else the tests are skipped."""
    return debian_packages.executable("chromium", _NAMES)


async def launch(playwright: Playwright) -> Browser:
    """A running browser without windows."""
    return await playwright.chromium.launch(executable_path=executable(), args=_ARGS)
