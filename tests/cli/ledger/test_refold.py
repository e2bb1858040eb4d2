"""`lockstep ledger refold`, as operations use it after an upgrade."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from lockstep.cli.main import app
from lockstep.evidence.ledger.entries import Entry, EntryKind
from lockstep.storage.keys.keyring import Keyring
from tests.cli.ledger.test_ledger import SETTINGS
from tests.support.casework import Casework
from tests.support.ledgers import LedgerBook, settle


@pytest.fixture
def home(tmp_path, database) -> Path:
    Keyring.generate().save(tmp_path / "keyring.json")
    (tmp_path / "db").write_text(database.app_url)
    (tmp_path / "lockstep.toml").write_text(SETTINGS)
    return tmp_path


@pytest.fixture
async def book(home, engine, ring, database):
    """A ledger of one case, which nobody goes on with."""
    made = LedgerBook(database.app_url, database.superuser_url, home)
    work = Casework(engine, ring)
    await work.adopt()
    await work.open()
    seal(made)
    yield made
    made.close()


def seal(book: LedgerBook) -> None:
    sequencer = book.sequencer()
    settle(sequencer)
    sequencer.close()


async def run(home: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    given = ["ledger", "refold", *arguments, "--config", str(home / "lockstep.toml")]
    with capture_logs():
        done = await asyncio.to_thread(CliRunner().invoke, app, given)
    return done.exit_code, done.stdout, done.stderr


async def test_facts_that_were_lost_are_folded_again(home, book):
    """Once; the second run has nothing to do, and says so."""
    book.tamper("delete from case_facts")
    first, second = await run(home), await run(home)

    assert (first[0], second[0]) == (0, 0)
    assert "1 of 1 cases were stored otherwise: corrected" in first[1]
    assert "0 of 1 cases were stored otherwise" in second[1]
    assert len(book.ask("select case_id from case_facts")) == 1


async def test_an_entry_that_cannot_be_folded_is_named(home, book):
    """With its place, its case and what to do; the exit code tells a script."""
    [(case_id,)] = book.ask("select case_id from case_facts")
    now = datetime.now(UTC)
    book.append(
        Entry(EntryKind.CASE_AMENDED, "bad", "acme", now, now, case_id=case_id, data={"x": 1})
    )
    seal(book)
    code, said, _ = await run(home)
    code_too, for_script, _ = await run(home, "--json")
    told = json.loads(for_script)
    place = book.order().index("bad")

    assert (code, code_too) == (1, 1)
    assert f"entry {place}: it does not say what its kind must say" in said
    assert f"(case {case_id}, case:amended)" in said
    assert "docs/operations.md" in said
    assert told["rewritten"] == 0
    assert told["unfolded"] == [
        {
            "leaf": place,
            "case_id": case_id,
            "kind": "case:amended",
            "says": f"entry {place}: it does not say what its kind must say",
        }
    ]


async def test_a_hole_in_the_ledger_ends_with_one_line(home, book):
    """And names the command that looks closer."""
    book.tamper("delete from ledger_leaves where leaf_index = 1")
    code, _, error = await run(home)
    assert code == 1
    assert "entry 1 of the ledger is missing: run `lockstep ledger verify`" in error
