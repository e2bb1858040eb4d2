"""What every connector's own run pays for before its first test."""

from __future__ import annotations

import subprocess
import sys

import pytest

_HEAVY = ("sqlalchemy", "psycopg", "temporalio", "lockstep.cli", "lockstep.control")
_LOADED = "import sys, {module}; print(*(one for one in {heavy} if one in sys.modules))"


def loaded_by(module: str) -> str:
    told = subprocess.run(
        [sys.executable, "-c", _LOADED.format(module=module, heavy=_HEAVY)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return told.stdout.strip()


@pytest.mark.parametrize("module", ["tests.conftest", "tests.connectors.test_conformance"])
def test_a_connectors_tests_load_no_server(module: str) -> None:
    """Database, Temporal and commands are loaded by the tests that use them."""
    assert not loaded_by(module)


def test_the_look_can_fail() -> None:
    """What loads one of them is seen."""
    assert "sqlalchemy" in loaded_by("lockstep.storage.engine.database")
