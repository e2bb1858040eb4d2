"""Programs that tests need and Debian has."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

_INSTALL_S = 280


def executable(package: str, names: Sequence[str]) -> str:
    """The path of a program; installed where root may, else the test is skipped.

    In continuous integration a skipped test fails (tests/conftest.py).
    """
    found = _found(names)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        with (Path(sys.prefix) / f"{package}.lock").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            found = _found(names) or _install(package, names)
    if found is None:
        pytest.skip(f"{package} is needed for this test: apt install {package}")
    return found


def has(package: str, file: Path) -> None:
    """That a package without a program of its own is there, by one of its files."""
    if not file.exists() and os.geteuid() == 0 and shutil.which("apt-get"):
        with (Path(sys.prefix) / f"{package}.lock").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            _install(package, [])
    if not file.exists():
        pytest.skip(f"{package} is needed for this test: apt install {package}")


def _found(names: Sequence[str]) -> str | None:
    where = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    return next((path for name in names if (path := shutil.which(name, path=where))), None)


def _install(package: str, names: Sequence[str]) -> str | None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for argv in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package],
    ):
        subprocess.run(argv, check=True, capture_output=True, timeout=_INSTALL_S, env=env)
    return _found(names)
