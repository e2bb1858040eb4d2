"""What each vendor costs, as docs/connectors.md says it, is what is there."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from connectors.registry import PLACES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "connector_cost.py"))


def test_the_page_tells_what_the_vendors_cost(script: dict[str, Any]) -> None:
    """``python scripts/connector_cost.py --write`` rewrites the table."""
    page = script["PAGE"].read_text("utf-8")

    assert script["is_current"](script["table"](), page)
    assert script["page_with"](script["table"](), page).count(script["BEGIN"]) == 1


@pytest.mark.parametrize(
    ("row", "current"),
    [
        ("| `desk` | 1,090 | – |", True),
        ("| `desk` | 1,110 | – |", False),
        ("| `desk` | 1,000 | 10 |", False),
        ("| `clubs` | 1,000 | – |", False),
        ("", False),
    ],
)
def test_a_page_that_is_far_off_is_noticed(
    script: dict[str, Any], row: str, *, current: bool
) -> None:
    """A tenth is no news; more of it is, and so is another vendor."""
    page = script["page_with"](row, script["BEGIN"] + script["END"])

    assert script["is_current"]("| `desk` | 1,000 | – |", page) is current


def test_every_vendor_is_counted(script: dict[str, Any]) -> None:
    """A vendor's folder is one of the registry, and every vendor has a connector and tests."""
    costs = {kind: script["cost"](kind) for kind in script["vendors"]()}

    assert set(costs) == set(PLACES) - script["NO_VENDORS"]
    assert all(connector and tests for connector, _, tests in costs.values())


def test_only_a_vendors_own_files_are_counted(script: dict[str, Any], tmp_path: Path) -> None:
    """A name is whole: instants are not Instant."""
    for name, count in {
        "connectors/desk/spec.py": 3,
        "connectors/kit/__init__.py": 5,
        "connectors/desk/__init__.py": 0,
        "sandbox/desk.py": 7,
        "sandbox/desk_seed.py": 1,
        "sandbox/desks.py": 100,
        "tests/connectors/test_desk_health.py": 11,
        "tests/connectors/test_helpdesk.py": 100,
        "tests/connectors/desk/test_more.py": 2,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n" * count)

    assert script["vendors"](tmp_path) == ["desk"]
    assert script["cost"]("desk", tmp_path) == (3, 8, 13)
