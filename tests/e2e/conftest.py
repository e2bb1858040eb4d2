"""Homes for whole installations."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A folder with a path short enough for sockets, which PostgreSQL's user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="lk-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
