"""A fault planted in a guard while one test runs: the test must fail, or it proves nothing.

The fault is a text of a source file and another in its place. Nothing is written: the file is
compiled with the other text, and the functions that have become others lend their code to the
living ones, so that everybody who holds them makes the mistake. A constant is replaced wherever it
is held. What was made of either before, such as a query that a module keeps, stays as it was.
"""

from __future__ import annotations

import ast
import copy
import importlib
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTICED = "noticed"
NOT_NOTICED = "not noticed"
NOT_RUN = "not run"
_OURS = ("lockstep.", "connectors.", "activities.", "tests.")


@dataclass(frozen=True, slots=True)
class Plant:
    """One guard without its effect.

    Args:
        attack: who would come to what, if the guard were not there.
        path: the guard's file.
        right: a text that is in it once.
        wrong: what is there instead.
        test: the test that must fail by it, as pytest names it; without its parameters, the first.
    """

    attack: str
    path: str
    right: str
    wrong: str
    test: str


class NothingPlantedError(AssertionError):
    """The table is out of date: its text is not there (once), or changes nothing that is alive."""


@contextmanager
def planted(plant: Plant) -> Iterator[None]:
    """Lockstep with this fault."""
    path = ROOT / plant.path
    source = path.read_text()
    if (times := source.count(plant.right)) != 1:
        raise NothingPlantedError(f"{plant.path} holds it {times} times: {plant.right}")
    module = importlib.import_module(plant.path.removesuffix(".py").replace("/", "."))
    wrong = source.replace(plant.right, plant.wrong)
    with ExitStack() as undo:
        changed = _lend_code(module, source, wrong, undo)
        if not changed and not _replace_constant(module, source, wrong, undo):
            raise NothingPlantedError(f"{plant.path}: {plant.wrong!r} changes nothing")
        yield


def _lend_code(module: ModuleType, source: str, wrong: str, undo: ExitStack) -> int:
    name = str(module.__file__)
    before = dict(_functions(compile(source, name, "exec", dont_inherit=True)))
    changed = 0
    for qualname, code in _functions(compile(wrong, name, "exec", dont_inherit=True)):
        if qualname not in before or _same(before[qualname], code):
            continue
        for function in _living(module, qualname):
            undo.callback(setattr, function, "__code__", function.__code__)
            function.__code__ = code
            changed += 1
    return changed


def _functions(code: CodeType) -> Iterator[tuple[str, CodeType]]:
    """Of a module and its classes; what is in a function comes with it."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            if inner.co_flags & 0x2:  # CO_NEWLOCALS: a function, not a class
                yield inner.co_qualname, inner
            else:
                yield from _functions(inner)


def _same(one: CodeType, other: CodeType) -> bool:
    """They do the same, wherever they stand in the file."""
    return (
        one.co_code == other.co_code
        and one.co_names == other.co_names
        and len(one.co_consts) == len(other.co_consts)
        and all(map(_same_constant, one.co_consts, other.co_consts))
    )


def _same_constant(one: object, other: object) -> bool:
    if isinstance(one, CodeType) and isinstance(other, CodeType):
        return _same(one, other)
    return (type(one), one) == (type(other), other)


def _living(module: ModuleType, qualname: str) -> Iterator[FunctionType]:
    held: Any = module
    for name in qualname.split("."):
        held = vars(held).get(name)
        if held is None:
            return
    for each in (held.fget, held.fset) if isinstance(held, property) else (held,):
        found = each
        while found is not None and (
            not isinstance(found, FunctionType) or hasattr(found, "__wrapped__")
        ):
            found = getattr(found, "__wrapped__", getattr(found, "__func__", None))
        if found is not None:
            yield found


def _replace_constant(module: ModuleType, source: str, wrong: str, undo: ExitStack) -> int:
    before = {ast.dump(node) for node in ast.parse(source).body}
    changed, path = 0, str(module.__file__)
    for node in ast.parse(wrong).body:
        if ast.dump(node) in before or not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        assert isinstance(target, ast.Name)
        assert node.value is not None
        made = eval(compile(ast.Expression(node.value), path, "eval"), dict(vars(module)))
        right = vars(module)[target.id]
        for holder in [held for name, held in sys.modules.items() if name.startswith(_OURS)]:
            for name in [name for name, held in vars(holder).items() if held is right]:
                undo.callback(setattr, holder, name, right)
                setattr(holder, name, made)
        changed += 1
    return changed


class Planting:
    """Runs each plant's test with its fault, and writes down how it ended."""

    def __init__(self, plants: Sequence[Plant], told: Path) -> None:
        self._plants = plants
        self._told = told
        self._of: dict[int, int] = {}
        self._ends: dict[int, str] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Each plant has an item of its own; those of one file follow each other."""
        found = list(items)
        items.clear()
        for number, plant in enumerate(self._plants):
            for one in self.tests_of(plant, found):
                item = copy.copy(one)
                item._initrequest()  # type: ignore[attr-defined]
                self._of[id(item)] = number
                items.append(item)
        order = {item.fspath: at for at, item in reversed(list(enumerate(found)))}
        items.sort(key=lambda item: order[item.fspath])

    def tests_of(self, plant: Plant, found: list[pytest.Item]) -> list[pytest.Item]:
        """The one that must notice it."""
        names = (one for one in found if plant.test in {one.nodeid, one.nodeid.partition("[")[0]})
        return list(itertools.islice(names, 1))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """The test itself runs with the fault; what it stands on was made without."""
        number = self._of[id(item)]
        self._ends[number] = NOT_NOTICED
        try:
            with planted(self._plants[number]):
                yield
        except BaseException as error:
            self._ends[number] = _end_of(error)
            raise

    def pytest_sessionfinish(self) -> None:
        """What each came to."""
        ends = {plant.attack: self._ends.get(at, NOT_RUN) for at, plant in enumerate(self._plants)}
        self._told.write_text(json.dumps(ends))


def _end_of(error: BaseException) -> str:
    """A fault that only breaks the program is noticed by anything, and so shows nothing."""
    if isinstance(error, NameError | AttributeError | SyntaxError | ImportError):
        return f"broken: {type(error).__name__}: {error}"
    if isinstance(error, NothingPlantedError):
        return f"not planted: {error}"
    return NOTICED


def run(plants: Sequence[Plant], told: Path) -> None:
    """Run every plant's test in this process, which does nothing else."""
    options = ["-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist", "--timeout=60", "-rN"]
    tests = list(dict.fromkeys(plant.test for plant in plants))
    pytest.main([*options, *tests], plugins=[Planting(plants, told)])
