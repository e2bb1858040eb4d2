"""No test waits without a bound: what never comes is a failure, and not a run that never ends.

What an asynchronous test awaits is bounded by the test's own deadline (`tests/conftest.py`).
Blocking calls cannot be cancelled, and what closes a fixture comes after the deadline: both say
theirs.
"""

from __future__ import annotations

import ast
import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import bounded
from tests.support.children import child

TESTS = Path(__file__).parents[1]
OWNERS_OF_PROCESSES = {
    "support/children.py": "it kills what lasts too long",
    "support/identity_provider.py": "read by a thread that nobody waits for; ends with us",
    "e2e/processes.py": "output goes to a file; waited for by polling; ends with us",
    "connectors/aws/harness.py": "output goes to a file; one for the whole run, ended with a bound",
}
_RUNS = {"run", "call", "check_call", "check_output"}
_WAITS = {"wait", "communicate", "join", "result"}
_BOUNDS = {"timeout", "timeout_at"}
_CONTEXTS = {"fixture", "contextmanager", "asynccontextmanager"}
_CLOCKS = ("monotonic()", "perf_counter()", "deadline")


def unbounded(source: str) -> Iterator[str]:
    """Each wait without a bound, as `line: what`."""
    yield from _Waits().in_tree(ast.parse(source))


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


class _Waits:
    """A walk that knows where it is: inside of a coroutine, of a fixture, under a bound."""

    def in_tree(self, tree: ast.AST) -> Iterator[str]:
        for node in ast.iter_child_nodes(tree):
            yield from self.at(node, is_async=False, closes=False, is_bounded=False)

    def at(self, node: ast.AST, *, is_async: bool, closes: bool, is_bounded: bool) -> Iterator[str]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            is_async, is_bounded = isinstance(node, ast.AsyncFunctionDef), False
            decorators = getattr(node, "decorator_list", [])
            names = ast.unparse(ast.List(decorators, ast.Load()))
            closes = any(name in names for name in _CONTEXTS)
        if isinstance(node, ast.AsyncWith):
            is_bounded |= any(_called(item.context_expr) in _BOUNDS for item in node.items)
        if not is_bounded and (what := _problem(node, can_be_cancelled=is_async and not closes)):
            yield f"{node.lineno}: {what}"  # type: ignore[attr-defined] # calls and loops have one
        # What these are given is waited for elsewhere, or under their bound.
        under = is_bounded or _called(node) in {"wait_for", "create_task", "ensure_future"}
        for each in ast.iter_child_nodes(node):
            yield from self.at(each, is_async=is_async, closes=closes, is_bounded=under)


def _problem(node: ast.AST, *, can_be_cancelled: bool) -> str:
    match node:
        case ast.Call():
            return _problem_of_call(node, can_be_cancelled=can_be_cancelled)
        case ast.While() if not can_be_cancelled:
            text = ast.unparse(node)
            sleeps = any(_called(each) == "sleep" for each in ast.walk(node))
            if sleeps and not any(clock in text for clock in _CLOCKS):
                return f"while {ast.unparse(node.test)}"
    return ""


def _problem_of_call(node: ast.Call, *, can_be_cancelled: bool) -> str:
    called, text = _called(node), ast.unparse(node.func)
    has_bound = bool(node.args) or any(word.arg == "timeout" for word in node.keywords)
    if text.startswith("subprocess.") and called in _RUNS:
        return "" if any(word.arg == "timeout" for word in node.keywords) else text
    if called == "Popen":
        return "Popen (see tests/support/children.py)"
    is_method = isinstance(node.func, ast.Attribute)
    return text if is_method and called in _WAITS and not (has_bound or can_be_cancelled) else ""


def test_no_test_waits_without_a_bound():
    """Processes, threads, loops that sleep: in every file of the tests."""
    found = {
        file.relative_to(TESTS).as_posix(): list(unbounded(file.read_text()))
        for file in sorted(TESTS.rglob("*.py"))
    }
    for owner in OWNERS_OF_PROCESSES:
        found[owner] = [each for each in found[owner] if "Popen" not in each]

    assert {file: waits for file, waits in found.items() if waits} == {}


@pytest.mark.parametrize(
    "planted",
    [
        "def test_x():\n    subprocess.run(['x'])",
        "async def test_x():\n    subprocess.run(['x'], check=True)",
        "def test_x():\n    with subprocess.Popen(['x']) as p: pass",
        "def test_x(p):\n    p.wait()",
        "def test_x(p):\n    p.communicate()",
        "def test_x(thread):\n    thread.join()",
        "def test_x(future):\n    future.result()",
        "def test_x():\n    while True: time.sleep(1)",
        "@pytest.fixture\nasync def x(p):\n    yield\n    await p.wait()",
        "@asynccontextmanager\nasync def x(p):\n    yield\n    while not p.gone: await sleep(1)",
    ],
)
def test_a_wait_without_a_bound_is_noticed(planted):
    """The guard can fail, for each kind."""
    assert len(list(unbounded(planted))) == 1


@pytest.mark.parametrize(
    "fine",
    [
        "def test_x():\n    subprocess.run(['x'], timeout=5)",
        "def test_x(p):\n    p.wait(timeout=5)\n    ', '.join(p)",
        "def test_x():\n    while monotonic() < deadline: time.sleep(1)",
        "async def test_x(p):\n    await p.wait()",
        "@pytest.fixture\nasync def x(p):\n    yield\n    await wait_for(p.wait(), 5)",
        "@pytest.fixture\nasync def x(p):\n    async with timeout(5):\n        await p.wait()",
        "@pytest.fixture\nasync def x(p):\n    yield create_task(p.wait())",
    ],
)
def test_a_wait_with_a_bound_is_none(fine):
    """Nor does it cry where there is one."""
    assert list(unbounded(fine)) == []


async def test_an_asynchronous_test_ends_at_its_deadline():
    """Whatever it waits for."""
    with pytest.raises(TimeoutError):
        await bounded(asyncio.Event().wait, most_s=0.01)()


def test_a_child_that_lasts_too_long_ends():
    """And so does the reading of its output, which never says a word."""
    silent = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]
    with child(silent, stdout=-1, within_s=0.2) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b""
        assert process.wait(timeout=60) == -9
