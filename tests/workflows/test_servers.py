"""What is decided, cancelled, retried, paused or timed out is tried on the real server too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
KIND = frozenset(
    {"decide", "refusal", "rescinded", "gates", "steps", "unseen", "blind", "unwritable"}
    | {"Always", "Broken", "Hang", "Later", "Silent"}
)
"""Names that a test of this kind uses: what people do, and what goes wrong."""
MARKS = ("real_server", "needs_skipped_time")


def _tests(source: str) -> Iterator[ast.AsyncFunctionDef]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node


def _names(test: ast.AsyncFunctionDef) -> set[str]:
    nodes = [node for part in test.body for node in ast.walk(part)]
    found = {node.id for node in nodes if isinstance(node, ast.Name)}
    found |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return found | {node.arg for node in nodes if isinstance(node, ast.keyword) and node.arg}


def left_out(source: str) -> list[str]:
    """Tests of the kind that run on no real server, and give no reason for it."""
    if f"pytestmark = pytest.mark.{MARKS[0]}" in source:
        return []
    return [
        test.name
        for test in _tests(source)
        if _names(test) & KIND and "clinic" in {arg.arg for arg in test.args.args}
        if not any(mark in ast.unparse(row) for row in test.decorator_list for mark in MARKS)
    ]


def test_no_test_of_this_kind_is_left_to_the_stand_in() -> None:
    """Each runs on `temporal server start-dev` with the real codec, or says why it cannot."""
    found = {path.name: left_out(path.read_text()) for path in HERE.glob("test_*.py")}
    assert {name: tests for name, tests in found.items() if tests} == {}


def test_a_test_that_is_left_out_is_found() -> None:
    """The guard can fail: a decision, a fault and a retry without the mark are named."""
    source = """
async def test_a(clinic): await case.decide("okta", 1)
async def test_b(clinic): await clinic.open(steps={"okta": [Always(1)]})
@pytest.mark.real_server
async def test_c(clinic): await case.decide("okta", 1)
async def test_d(clinic): await clinic.open()
"""
    assert left_out(source) == ["test_a", "test_b"]


def test_only_few_need_time_that_is_skipped() -> None:
    """The way out stays the exception: three of a least warning time, one of a long pause."""
    marked = [
        test.name
        for path in HERE.glob("test_*.py")
        for test in _tests(path.read_text())
        if any("needs_skipped_time" in ast.unparse(row) for row in test.decorator_list)
    ]
    assert len(marked) <= 4, marked
