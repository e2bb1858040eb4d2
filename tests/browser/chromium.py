"""The real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.async_api import Browser, Playwright

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
_INSTALL_S = 280


def executable() -> str:
    """The path of a Chromium; installed where root may, else the tests are skipped."""
    found = _found()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        with (Path(sys.prefix) / "chromium.lock").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            found = _found() or _install()
    if found is None:
        pytest.skip("Chromium is needed for tests in a browser: apt install chromium")
    return found


async def launch(playwright: Playwright) -> Browser:
    """A running browser without windows."""
    return await playwright.chromium.launch(executable_path=executable(), args=_ARGS)


def _found() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


def _install() -> str | None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for argv in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"],
    ):
        subprocess.run(argv, check=True, capture_output=True, timeout=_INSTALL_S, env=env)
    return _found()
