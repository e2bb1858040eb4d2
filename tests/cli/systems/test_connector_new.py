"""`lockstep connector new`: what it writes is clean, red for the right reason, and soon green."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.registry import PLACES
from lockstep.cli.systems.scaffold import FILES, LINES

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
PARTS = ("connectors", "sandbox", "lockstep", "tests/connectors", "tests/support")
SUITE = ("tests/connectors/test_conformance.py", "tests/connectors/test_conformance_law.py")
WRITTEN = ("connectors/desk", "sandbox/vendors/desk", "tests/connectors/desk")


class Repository:
    """A copy of what a new connector touches."""

    def __init__(self, home: Path) -> None:
        self.home = home
        for part in PARTS:
            shutil.copytree(ROOT / part, home / part, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "tests/__init__.py", "tests/conftest.py"):
            if (ROOT / name).exists():
                shutil.copy(ROOT / name, home / name)

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BIN / words[0], *words[1:]],
            cwd=self.home, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    def new(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("lockstep", "connector", "new", *words)

    def files(self) -> dict[str, str]:
        return {str(path): path.read_text() for part in WRITTEN
                for path in (self.home / part).rglob("*.py")}  # fmt: skip

    def register(self, told: str) -> None:
        """Add the lines that the command asked for, each to its table."""
        for place in LINES:
            (line,) = re.findall(rf"^  {re.escape(place)}:  (.*)$", told, re.MULTILINE)
            table = self.home / place
            text = table.read_text()
            assert "\n}\n" in text
            table.write_text(text.replace("\n}\n", f"\n    {line}\n}}\n", 1))

    def suite(self, *more: str) -> subprocess.CompletedProcess[str]:
        return self.run(
            "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *SUITE, *more
        )  # fmt: skip


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("repository"))


def test_from_new_to_green_by_the_example_on_the_page(repository: Repository):
    """New, three lines, red with the reason, the page's example filled in, green."""
    made = repository.new("desk", "--title", "Desk")
    assert made.returncode == 0, made.stderr
    assert len(repository.files()) == len(FILES)
    repository.register(made.stdout)
    tidy = repository.run("ruff", "format", "--check", *WRITTEN)
    clean = repository.run("ruff", "check", *WRITTEN)
    typed = repository.run("mypy", "-p", "connectors.desk", "-p", "sandbox.vendors.desk")
    assert (tidy.returncode, clean.returncode) == (0, 0), tidy.stdout + clean.stdout
    assert typed.returncode == 0, typed.stdout

    red = repository.suite("-k", "desk and (finds_the_person or healthy or credential_is_healthy)")
    assert red.returncode == 1, red.stdout
    assert "fill-in" in red.stdout or "404" in red.stdout

    page = (ROOT / "docs" / "connectors.md").read_text()
    (example,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (repository.home / "connectors/desk/spec.py").write_text(f'"""Desk."""\n\n{example}')
    green = repository.suite("-k", "desk", "tests/connectors/desk")
    assert green.returncode == 0, green.stdout[-3000:]
    assert " skipped" not in green.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((next(iter(PLACES)),), "there is such a connector already"),
        (("manual",), "there is such a connector already"),
        (("Desk",), "small letters"),
        (("class",), "small letters"),
        (("../desk",), "small letters"),
        (("other", "--into", "docs"), "run it in a copy of the repository"),
    ],
)
def test_what_cannot_be_begun_is_said(repository: Repository, words, says):
    """A name that is taken or none, and a folder that is no repository; nothing is written."""
    done = repository.new(*words)

    assert done.returncode == 2
    assert says in done.stderr


def test_nothing_is_overwritten(tmp_path: Path):
    """One file that is there keeps all others from being written."""
    place = tmp_path / "connectors"
    (place / "shelf").mkdir(parents=True)
    (place / "registry.py").touch()
    (place / "shelf" / "spec.py").write_text("mine")
    done = subprocess.run(
        [BIN / "lockstep", "connector", "new", "shelf", "--into", tmp_path],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert done.returncode == 2
    assert "connectors/shelf/spec.py: is there already: nothing was written" in done.stderr
    assert (place / "shelf" / "spec.py").read_text() == "mine"
    assert not (tmp_path / "sandbox").exists()
