"""Each store of a process is built once, in `Stores`, and the rule that says so can fail."""

from __future__ import annotations

import ast
import functools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STORAGE = ROOT / "lockstep" / "storage"
HOME = STORAGE / "stores.py"
PACKAGES = ("lockstep", "activities", "workflows", "connectors", "scripts", "bench")

PLANTED = (
    ("lockstep/control/people/bars.py", "lockstep.storage.ledger.append", "Ledger"),
    ("lockstep/cli/context.py", "lockstep.storage.people.acts", "ActsLog"),
    ("lockstep/storage/cases/cases.py", "lockstep.storage.ledger.append", "Ledger"),
    ("lockstep/web/app.py", "lockstep.storage.systems.revocations", "Revocations"),
    ("lockstep/worker.py", "lockstep.storage.intake.brakes", "Brakes"),
)


def _arguments(made: ast.ClassDef) -> Iterator[str]:
    for part in made.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            for one in (*part.args.args, *part.args.kwonlyargs):
                yield ast.unparse(one.annotation) if one.annotation else ""


@functools.cache
def stores() -> frozenset[str]:
    """Classes of storage that are built on connections or on another store, or inherit from one."""
    classes = [
        node
        for path in STORAGE.rglob("*.py")
        if path != HOME
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    ]
    found = {"AsyncEngine"}
    while True:
        more = {
            made.name
            for made in classes
            if found & {*_arguments(made), *(ast.unparse(base) for base in made.bases)}
        }
        if more <= found:
            return frozenset(found - {"AsyncEngine"})
        found |= more


def _known(file: Path, tree: ast.Module) -> set[str]:
    """Names by which a file can build a store; others have classes of the same names."""
    known = set()
    if STORAGE in file.parents:
        known = {node.name for node in tree.body if isinstance(node, ast.ClassDef)} & stores()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lockstep.storage"):
            known |= {one.asname or one.name for one in node.names if one.name in stores()}
    return known


def built(file: Path, text: str) -> list[str]:
    """Stores that a file builds; a store's own class may make more of itself."""
    tree = ast.parse(text)
    return sorted(_calls(tree, _known(file, tree)))


def _calls(tree: ast.AST, known: set[str], inside: str = "") -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call):
            by = node.func
            if isinstance(by, ast.Name) and by.id in known and by.id != inside:
                yield by.id
            if isinstance(by, ast.Attribute) and by.attr in stores():
                yield ast.unparse(by)
        within = node.name if isinstance(node, ast.ClassDef) else inside
        yield from _calls(node, known, within)


def test_stores_are_built_in_one_place() -> None:
    """Two ledgers of one process would commit by themselves what one commits together."""
    assert {"Ledger", "ActsLog", "Cases", "Revocations", "Brakes"} <= stores()
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    found = {path: built(path, path.read_text()) for path in files if path != HOME}
    assert {
        path.relative_to(ROOT).as_posix(): names for path, names in found.items() if names
    } == {}


@pytest.mark.parametrize(("file", "module", "name"), PLANTED)
def test_a_store_that_is_built_elsewhere_is_found(file: str, module: str, name: str) -> None:
    """The rule sees it in a function of any layer, by its name, another one or its module's."""
    text = (ROOT / file).read_text()
    spelled = {
        name: f"from {module} import {name}",
        f"other.{name}": f"import {module} as other",
        "Mine": f"from {module} import {name} as Mine",
    }
    for called, imported in spelled.items():
        planted = f"{text}\n\ndef made(engine):\n    {imported}\n    return {called}(engine)\n"
        assert built(ROOT / file, planted) == [called]


def test_use_cases_are_given_stores() -> None:
    """What takes connections would build stores of its own on them."""
    control = ROOT / "lockstep" / "control"
    naming = [path.name for path in control.rglob("*.py") if "AsyncEngine" in path.read_text()]
    assert naming == []


def test_each_store_is_built_in_one_line_there() -> None:
    """Whatever is asked first, acts, cases and revocations append to the same ledger."""
    calls = _calls(ast.parse(HOME.read_text()), set(stores()))
    counts = Counter(calls)
    assert counts["Ledger"] == 1
    assert {name: count for name, count in counts.items() if count > 1} == {}
