"""`lockstep evidence verify` as a person runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from lockstep.cli.packs.verify import verify
from lockstep.evidence.pack import layout
from lockstep.evidence.verify.check import PLAN
from lockstep.evidence.verify.report import NOT_CHECKED_BY_THIS
from tests.evidence.ledgers import Book, story
from tests.evidence.packs import make_pack
from tests.evidence.verdicts import put

app = typer.Typer()
app.command()(verify)


@pytest.fixture(scope="module")
def book() -> Book:
    return story()


@pytest.fixture
def pack(book: Book, tmp_path: Path) -> Path:
    path = tmp_path / "pack.zip"
    path.write_bytes(make_pack(book))
    return path


def run(*arguments: str | Path) -> tuple[int, str]:
    """Exit code and output; lines are as wide as a pipe's, so words may be on two of them."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, " ".join(result.output.split())


def test_it_shows_steps_level_and_limits(book: Book, pack: Path) -> None:
    """Everything that a reader needs, in the order of the steps."""
    code, output = run(pack, "--key", book.signer.verifier.to_text())
    assert code == 0
    assert all(plan.title in output for plan in PLAN)
    assert "VERIFIED, UNANCHORED" in output
    assert all(sentence[:30] in output for sentence in NOT_CHECKED_BY_THIS)


def test_it_gives_json(book: Book, pack: Path, tmp_path: Path) -> None:
    """One document on standard output, with keys and checkpoints from files."""
    (tmp_path / "key").write_text(book.signer.verifier.to_text())
    (tmp_path / "kept").write_text(book.checkpoint(9))
    code, output = run(pack, "--key", tmp_path / "key", "--previous", tmp_path / "kept", "--json")
    assert code == 0
    assert json.loads(output)["verified"] is True


def test_it_refutes_with_one(book: Book, tmp_path: Path) -> None:
    """Names out of a hostile pack are printed as text, not as markup."""
    path = tmp_path / "pack.zip"
    path.write_bytes(make_pack(book, tamper=put(layout.README, b"x")))
    code, output = run(path, "--key", book.signer.verifier.to_text())
    assert code == 1
    assert "FAIL" in output
    assert "README.md was changed" in output
    assert "REFUTED" in output


@pytest.mark.parametrize("key", ["a+b+c", "[bold]no/such/file[/]"])
def test_unusable_input_ends_with_two(pack: Path, key: str) -> None:
    """One line on standard error."""
    code, output = run(pack, "--key", key)
    assert code == 2
    assert output.startswith("error:")
