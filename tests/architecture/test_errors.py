"""What an error means is state on it, and each way in makes an answer of it in one place."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import lockstep
from lockstep.cli.context import run
from lockstep.domain.errors import Kind, LockstepError
from lockstep.settings import SettingsError
from lockstep.storage.board.known import UnknownNameError
from lockstep.web.api.auth import problem_of

ROOT = Path(__file__).parents[2]
API = ROOT / "lockstep" / "web" / "api"
OF_WHOEVER_RUNS_IT = {Kind.SETTINGS, Kind.UNFIT}
OF_THE_ROUTE = {("cases.py", "NotThereError"), ("prometheus.py", "BusyError")}
"""The first has a word of its own, the second tells the rest without it."""


def _errors(root: type[LockstepError] = LockstepError) -> Iterator[type[LockstepError]]:
    for one in root.__subclasses__():
        yield one
        yield from _errors(one)


@pytest.fixture(scope="module", autouse=True)
def _all_are_known() -> None:
    for package in ("control", "storage", "settings", "embedded"):
        for found in pkgutil.walk_packages([f"{ROOT}/lockstep/{package}"], f"lockstep.{package}."):
            importlib.import_module(found.name)
    assert lockstep.__version__


def caught(text: str) -> set[str]:
    """Errors of ours that a file catches by name."""
    ours = {error.__name__ for error in _errors()}
    handlers = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ExceptHandler)]
    named = [ast.walk(one.type) for one in handlers if one.type is not None]
    return {node.id for nodes in named for node in nodes if isinstance(node, ast.Name)} & ours


def read(text: str) -> list[str]:
    """Where a file looks for something in the text of an error that it has caught."""
    found = []
    for handler in ast.walk(ast.parse(text)):
        if not isinstance(handler, ast.ExceptHandler) or not handler.name:
            continue
        said = {f"str({handler.name})", f"{handler.name}.args[0]", f"{handler.name}.problems"}
        for node in ast.walk(handler):
            parts = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                parts = [node.func.value] if node.func.attr in _SEARCHES else []
            found += [ast.unparse(node) for part in parts if ast.unparse(part) in said]
    return found


_SEARCHES = {"startswith", "endswith", "find", "partition", "rpartition", "split", "index"}


def test_every_error_has_its_answer() -> None:
    """The API knows each kind; what is for whoever runs Lockstep is no answer."""
    assert len(list(_errors())) >= 15
    for error in _errors():
        made = error.__new__(error)
        setattr(made, "problems", [])  # noqa: B010 - what only some have
        if error.kind in OF_WHOEVER_RUNS_IT:
            with pytest.raises(error):
                problem_of(made)
        else:
            assert problem_of(made).error == error.kind.value


def test_routes_leave_errors_to_the_one_place() -> None:
    """No route translates an error of ours, but those that say so above."""
    found = {(path.name, name) for path in API.glob("*.py") for name in caught(path.read_text())}
    assert found == OF_THE_ROUTE


def test_a_route_that_translates_by_itself_is_found() -> None:
    """Under one name or several."""
    planted = (
        "try:\n    pass\nexcept (ValueError, ConflictError) as error:\n    raise Problem(409)\n"
    )
    assert caught((API / "acts.py").read_text() + planted) == {"ConflictError"}


def test_nobody_reads_what_an_error_says() -> None:
    """Its kind and its fields decide, not its words."""
    files = [path for part in ("lockstep", "activities") for path in (ROOT / part).rglob("*.py")]
    found = {path.name: lines for path in files if (lines := read(path.read_text()))}
    assert found == {}


@pytest.mark.parametrize(
    "test",
    [
        'error.problems == ["x"]',
        '"faster" in str(error)',
        'str(error) == "x"',
        'str(error).startswith("no ")',
    ],
)
def test_reading_an_error_is_found(test: str) -> None:
    """However it is looked for."""
    planted = f"try:\n    pass\nexcept ValueError as error:\n    done = {test}\n"
    assert read(planted) == [test.replace('"', "'")]


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (SettingsError(["tenant: is missing"]), 2, "tenant: is missing"),
        (UnknownNameError("partner: none has this name"), 2, "--partner: none has this name"),
        (LockstepError("it is paused"), 1, "it is paused"),
    ],
)
def test_the_command_line_tells_each_in_a_line(
    error: LockstepError, code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the code that scripts know: 2 where the same command fails until it is mended."""

    async def work() -> None:
        raise error

    with pytest.raises(typer.Exit) as ended:
        run(work())
    assert ended.value.exit_code == code
    assert capsys.readouterr().err == f"error: {text}\n"
