"""Homes for whole installations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.homes import server_home


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with server_home() as folder:
        yield folder
