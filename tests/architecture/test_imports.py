"""Imports point down the house, and the rules that say so can fail."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
PACKAGES = tuple(RULES["root_packages"])

FORBIDDEN = (
    ("lockstep/domain/cases/clocks.py", "lockstep.contracts.names"),
    ("lockstep/contracts/names.py", "lockstep.storage.tables"),
    ("lockstep/evidence/format/canonical.py", "sqlalchemy"),
    ("connectors/base.py", "lockstep.storage.tables"),
    ("connectors/http.py", "temporalio"),
    ("lockstep/storage/tables/schema.py", "connectors.base"),
    ("lockstep/storage/intake/inbox.py", "lockstep.control.intake.events"),
    ("workflows/door.py", "httpx"),
    ("workflows/door.py", "activities.record"),
    ("activities/record.py", "lockstep.settings"),
    ("lockstep/control/intake/dispatch.py", "lockstep.settings"),
    ("lockstep/control/intake/dispatch.py", "lockstep.worker"),
    ("lockstep/control/intake/dispatch.py", "migrations"),
    ("lockstep/control/intake/dispatch.py", "lockstep.logging"),
    ("lockstep/control/intake/places.py", "lockstep.control.cases.desk"),
    ("lockstep/control/people/pairs.py", "lockstep.control.requests.following"),
    ("lockstep/storage/ledger/append.py", "lockstep.storage.score.scores"),
    ("lockstep/storage/keys/keyring.py", "lockstep.storage.people.users"),
    ("lockstep/evidence/format/plain.py", "lockstep.evidence.ledger.entries"),
    ("lockstep/evidence/pack/layout.py", "lockstep.evidence.verify.check"),
    ("lockstep/web/hooks/routes.py", "lockstep.settings"),
    ("lockstep/web/app.py", "lockstep.worker"),
    ("lockstep/worker.py", "sandbox"),
    ("sandbox/kit/clock.py", "lockstep.domain.cases.clocks"),
)


def _lint(home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=home,
        env={**os.environ, "COLUMNS": "300"},  # no report is wrapped
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the linter says of a copy in which every forbidden import is planted."""
    home = tmp_path_factory.mktemp("house")
    shutil.copy(ROOT / "pyproject.toml", home)
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, home / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for file, module in FORBIDDEN:
        with (home / file).open("a") as text:
            text.write(f"\nimport {module}\n")
    done = _lint(home)
    assert done.returncode == 1, done.stderr
    return done.stdout


def test_the_house_keeps_its_rules() -> None:
    """`lint-imports` passes on the tree as it is."""
    done = _lint(ROOT)
    assert done.returncode == 0, done.stdout
    assert " 0 broken" in done.stdout


@pytest.mark.parametrize("name", [row["name"] for row in RULES["contracts"]])
def test_every_rule_can_fail(planted: str, name: str) -> None:
    """A rule that no forbidden import breaks would guard nothing."""
    assert f"{name} BROKEN" in planted


@pytest.mark.parametrize(("file", "module"), FORBIDDEN)
def test_each_forbidden_import_is_found(planted: str, file: str, module: str) -> None:
    """The report names the importing module and what it imports."""
    importer = file.removesuffix(".py").replace("/", ".")
    assert f"{importer} -> {module}" in planted


def test_every_part_of_the_house_has_its_floor() -> None:
    """A new package or module below `lockstep` must be given a place before it is used."""
    floors = " ".join(RULES["contracts"][0]["layers"])
    parts = {
        f"lockstep.{path.stem}"
        for path in (ROOT / "lockstep").iterdir()
        if path.name not in {"__init__.py", "__pycache__"}
        and (path.suffix == ".py" or any(path.glob("*.py")))
    }
    assert parts
    assert {part for part in parts if part not in floors} == set()


MOST_FILES = 20
_MANY = ("tests/", "docs/", "migrations/versions/", "lockstep/web/console/templates/")
"""Where many files of one kind lie side by side, and nobody has to know them all."""


def test_no_folder_is_a_hall() -> None:
    """A folder with more files than one can keep in mind is split by subject."""
    counts: dict[str, int] = {}
    for path in ROOT.rglob("*.py"):
        folder = f"{path.parent.relative_to(ROOT).as_posix()}/"
        if not folder.startswith((".", *_MANY)):
            counts[folder] = counts.get(folder, 0) + 1
    assert len(counts) > len(PACKAGES)
    assert {folder: count for folder, count in counts.items() if count > MOST_FILES} == {}


def _imports(folder: str) -> Iterator[tuple[str, str]]:
    """Each file below ``folder`` with each module that it imports, wherever the import stands."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import():
                    names = [alias.name for alias in node.names]
                case ast.ImportFrom():
                    assert not node.level, f"{path.name}: a relative import"
                    names = [node.module or ""]
                case _:
                    continue
            yield from ((str(path.relative_to(ROOT)), name) for name in names)


ALLOWED = {
    # IDNA is a table of Unicode's; no workflow loads the module that needs it.
    "lockstep/domain": ("lockstep.domain", "idna"),
    "lockstep/contracts": ("lockstep.contracts", "lockstep.domain", "temporalio"),
    "workflows": (
        "lockstep.contracts",
        "lockstep.domain",
        "workflows",
        "temporalio.common",
        "temporalio.exceptions",
    ),
    "migrations": ("alembic", "sqlalchemy", "lockstep.storage.tables"),
}


@pytest.mark.parametrize("folder", ALLOWED)
def test_a_pure_folder_imports_nothing_else(folder: str) -> None:
    """Beside the standard library, only what is listed: the domain stands on nothing."""
    strangers = [
        (file, name)
        for file, name in _imports(folder)
        if name.split(".")[0] not in sys.stdlib_module_names
        and not any(name == own or name.startswith(f"{own}.") for own in ALLOWED[folder])
        and (file, name) != ("workflows/case.py", "temporalio")
    ]
    assert strangers == []


NO_CLOCK = {"random", "secrets", "uuid", "os", "io", "socket", "subprocess", "pathlib", "time"}


@pytest.mark.parametrize("folder", ["workflows", "lockstep/domain", "lockstep/contracts"])
def test_what_replays_reads_no_clock_file_or_chance(folder: str) -> None:
    """The same inputs give the same commands: no module that could answer differently."""
    found = {(file, name) for file, name in _imports(folder) if name.split(".")[0] in NO_CLOCK}
    assert found == set()


LOADED = """
import sys
import workflows.case
print("\\n".join(sorted(sys.modules)))
"""
IO = (
    "activities",
    "alembic",
    "boto3",
    "botocore",
    "connectors",
    "cryptography",
    "httpx",
    "lockstep.control",
    "lockstep.evidence",
    "lockstep.settings",
    "lockstep.storage",
    "psycopg",
    "pydantic",
    "sqlalchemy",
    "structlog",
)


def test_importing_a_workflow_loads_no_io() -> None:
    """In a fresh interpreter, not even indirectly: every case's sandbox would load it again."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    modules = done.stdout.split()
    assert "lockstep.contracts.stubs" in modules
    loaded = {
        name for name in modules if any(name == bad or name.startswith(f"{bad}.") for bad in IO)
    }
    assert loaded == set()
