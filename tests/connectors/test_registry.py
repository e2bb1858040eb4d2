"""The registry: explicit, and no vendor is loaded before it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from connectors.registry import MANIFESTS, PLACES

ROOT = Path(__file__).parents[2]
ASKS = """
import sys
from connectors.registry import MANIFESTS, PLACES
names = sorted(MANIFESTS)
{}
print(*sorted(kind for kind in PLACES if f"connectors.{{kind}}" in sys.modules))
"""


def loaded_after(line: str) -> list[str]:
    """The vendors that a fresh process has loaded after ``line``."""
    done = subprocess.run(
        [sys.executable, "-c", ASKS.format(line)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    return done.stdout.split()


def test_only_what_is_asked_for_is_loaded() -> None:
    """The names cost nothing; one vendor loads itself and no other."""
    assert loaded_after("'okta' in MANIFESTS, 'nothing' in MANIFESTS") == []
    assert loaded_after("MANIFESTS['kisi']") == ["kisi"]


@pytest.mark.parametrize("kind", sorted(PLACES))
def test_every_place_holds_its_vendor(kind: str) -> None:
    """The manifest says the name under which it is registered, and lives in the vendor's folder."""
    assert MANIFESTS[kind].kind == kind
    assert PLACES[kind].startswith(f"connectors.{kind}.")


def test_an_unknown_kind_is_none() -> None:
    """It is refused as a mapping does."""
    assert MANIFESTS.get("nothing") is None
    assert len(MANIFESTS) == len(list(MANIFESTS.values())) == len(PLACES)
