"""Packages of npm that tests use: locked, and installed once for each state of the lock file."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_INSTALL_S = 300


def installed(name: str, home: Path) -> Path:
    """The folder with what ``home``'s lock file names; skips the test where npm is missing."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip(f"node and npm are needed for {name}: install them")
    lock = (home / "package-lock.json").read_bytes()
    cache = Path(sys.prefix) / "lockstep-peers"
    cache.mkdir(exist_ok=True)
    folder = cache / f"{name}-{hashlib.sha256(lock).hexdigest()[:16]}"
    with (cache / f"{name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for part in ("package.json", "package-lock.json"):
                shutil.copy(home / part, folder)
            subprocess.run(
                [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=folder,
                check=True,
                capture_output=True,
                timeout=_INSTALL_S,
            )
            (folder / "done").touch()
    return folder
