"""What the page on security says that the dishonest can and cannot do: a test tries each line."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TITLE = "## What the dishonest can and cannot do"
WHO = [
    *("A partner", "An HR user", "An operator", "An administrator", "The database's owner"),
    "A system, and a program of your own",
]


def section() -> str:
    page = (ROOT / "docs" / "security.md").read_text()
    return page.partition(TITLE)[2].partition("\n## ")[0]


def rows_of(text: str) -> dict[str, list[list[str]]]:
    """The lines of each table, by who it is about."""
    tables = {}
    for part in text.split("\n### ")[1:]:
        lines = [line for line in part.splitlines() if line.startswith("|")]
        tables[part.splitlines()[0]] = [
            [cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]
        ]
    return tables


def names_of_tests() -> set[str]:
    """Every test of the repository, by name."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, kinds) and node.name.startswith("test_")
    }


def unproved(text: str, known: set[str]) -> list[str]:
    """Lines that name no test, or one that is not there, or that say neither can nor cannot."""
    wrong = []
    for who, rows in rows_of(text).items():
        for what, noticed, tests in rows:
            named = re.findall(r"`([a-z0-9_]+)`", tests)
            says = what.startswith(("can ", "can, ", "cannot ", "cannot, "))
            if not (says and noticed and named and set(named) <= known):
                wrong.append(f"{who}: {what} ({', '.join(set(named) - known)})")
    return wrong


@pytest.fixture(scope="module")
def known() -> set[str]:
    return names_of_tests()


def test_there_is_a_table_for_each_of_them():
    """With lines of both kinds."""
    tables = rows_of(section())

    assert list(tables) == WHO
    for rows in tables.values():
        words = {row[0].split(maxsplit=1)[0].rstrip(",") for row in rows}
        assert words == {"can", "cannot"}


def test_every_line_names_a_test_that_is_there(known):
    """A test that is renamed or removed takes the claim with it, or is named anew."""
    assert unproved(section(), known) == []


@pytest.mark.parametrize(
    "line",
    [
        "| cannot fly | gravity | |",
        "| cannot fly | gravity | `test_that_nobody_wrote` |",
        "| cannot fly | | `test_every_line_names_a_test_that_is_there` |",
        "| flies | seldom | `test_every_line_names_a_test_that_is_there` |",
    ],
)
def test_a_line_without_proof_is_noticed(known, line):
    """The guard can fail."""
    planted = section().rstrip() + f"\n{line}\n"

    assert len(unproved(planted, known)) == 1
