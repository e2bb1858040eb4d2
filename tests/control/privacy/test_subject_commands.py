"""`lockstep subject`, as a data protection officer uses it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import typer
from sqlalchemy import text
from structlog.testing import capture_logs
from typer.testing import CliRunner

from lockstep.cli.cases.case import case_app
from lockstep.cli.people.subject import subject_app
from tests.support.casework import EMAIL, NAME, Casework, termination
from tests.support.endings import LONG_DUE, closed, ended, exported, is_erased


@pytest.fixture
async def work(engine, ring) -> Casework:
    made = Casework(engine, ring)
    await made.adopt()
    return made


@pytest.fixture
def packs(tmp_path) -> Path:
    folder = tmp_path / "packs"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(database, ring, tmp_path) -> Path:
    (tmp_path / "keyring.json").write_text(ring.to_text())
    (tmp_path / "db").write_text(database.app_url)
    file = tmp_path / "lockstep.toml"
    file.write_text(
        'tenant = "acme"\nkeyring = "file:keyring.json"\ndata_dir = "."\n'
        '[database]\nmode = "external"\nurl = "file:db"\n'
        '[systems.badge]\nconnector = "manual"\n'
    )
    return file


LOCKSTEP = typer.Typer()
LOCKSTEP.add_typer(subject_app, name="subject")
LOCKSTEP.add_typer(case_app, name="case")


async def run(settings: Path, *args: str, answer: str = "") -> tuple[int, str, str]:
    """Run a command in a thread, for it has a loop of its own; its status, output and errors."""
    given = [*args, "--config", str(settings)]
    with capture_logs():  # without our set-up the log goes to standard output
        done = await asyncio.to_thread(CliRunner().invoke, LOCKSTEP, given, input=answer)
    return done.exit_code, done.stdout, done.stderr


async def test_the_commands_hold_release_and_erase(work, settings, packs):
    """As a data protection officer would: hold, refused, release, erase, see that it is done."""
    case = await ended(work)
    await exported(work, packs, "p1")
    one = case.case_id
    erase_it = ("subject", "erase", one, "--reference", "DSR-7")
    status, shown, _ = await run(settings, "subject", "show", one)
    assert (status, NAME in shown, EMAIL in shown) == (0, True, True)

    placed = await run(settings, "subject", "hold", one, "-r", "lawsuit 12", "--as", "counsel")
    assert placed[0] == 0
    status, _, errors = await run(settings, *erase_it, "--yes")
    assert (status, "legal hold stands" in errors) == (1, True)
    _, shown, _ = await run(settings, "case", "show", one)
    assert "by counsel: lawsuit 12" in shown
    _, shown, _ = await run(settings, "case", "show", one, "--json")
    assert json.loads(shown)["holds"][0]["reason"] == "lawsuit 12"

    assert (await run(settings, "subject", "release", one, "-r", "settled"))[0] == 0
    status, _, errors = await run(settings, *erase_it, answer="n\n")
    assert (status, "nothing was erased" in errors) == (1, True)
    status, shown, _ = await run(settings, *erase_it, "--json", "--yes")
    done = json.loads(shown)
    assert (status, done["erased"][0]["case_id"], done["deleted_packs"]) == (0, one, ["p1.zip"])
    assert list(packs.iterdir()) == []

    _, shown, _ = await run(settings, "subject", "show", one)
    assert "erased 20" in shown
    status, shown, _ = await run(settings, "case", "show", one, "--ledger")
    assert (status, "(erased)" in shown, '"reference":"DSR-7"' in shown) == (0, True, True)
    status, shown, _ = await run(settings, *erase_it, "--yes")
    assert (status, "was erased before" in shown) == (0, True)


async def test_erase_says_whom_before_it_asks(work, settings):
    """Nobody agrees to what cannot be undone before they have read whose data it is."""
    case = await ended(work)
    erase_it = ("--reference", "DSR-7")
    status, _, errors = await run(settings, "subject", "erase", case.case_id, *erase_it)
    assert (status, NAME in errors.partition("Erase?")[0]) == (1, True)
    status, _, errors = await run(settings, "subject", "erase", "%", *erase_it, answer="y\n")
    assert (status, "there is no case" in errors, "Erase?" in errors) == (1, True, False)
    running = await work.open(termination("W-open"))
    status, _, errors = await run(settings, "subject", "erase", running.case_id, *erase_it)
    assert (status, "is revoking" in errors, "Erase?" in errors) == (1, True, False)
    assert not await is_erased(work, case)


async def test_a_watch_that_was_ended_is_not_said_to_go_on(work, settings):
    """After a rehire only a look that had begun may still keep the data."""
    case = await closed(work)
    async with work.engine.begin() as connection:
        ends = text("update cases set unwatched_at = now() where case_id = :case_id")
        await connection.execute(ends, {"case_id": case.case_id})
    _, shown, _ = await run(settings, "subject", "show", case.case_id)
    _, _, errors = await run(
        settings, "subject", "erase", case.case_id, "--reference", "DSR-7", "--yes"
    )
    assert "watch ended" in shown
    assert "was ended, but a look" in " ".join(errors.split())
    for said in (shown, errors):
        assert "watched until" not in said
        assert "still watched" not in said


async def test_the_commands_refuse_in_one_line(work, settings):
    """A sentence as reference, nobody given, an empty reason: no traceback, a status above 0."""
    case = await ended(work)
    for args in (
        ("erase", case.case_id, "--reference", "she asked", "--yes"),
        ("erase", "--reference", "DSR-7", "--yes"),
        ("hold", case.case_id, "--reason", " "),
        ("release", case.case_id, "--reason", "x"),
        ("show", "--worker-id", "W-nobody"),
    ):
        status, shown, errors = await run(settings, "subject", *args)
        assert status in {1, 2}, args
        assert (shown, errors.startswith("error:")) == ("", True), errors
        assert "Traceback" not in errors
    assert not await is_erased(work, case)


async def test_the_retention_command_shows_and_does(work, settings):
    """A dry run names cases, never people, and changes nothing; the run erases."""
    case = await ended(work, ago=LONG_DUE)
    status, shown, _ = await run(settings, "subject", "retention", "--dry-run")
    assert (status, case.case_id in shown, NAME in shown) == (0, True, False)
    assert "personal data of 1 cases would be erased: kept for 730 days" in shown
    assert not await is_erased(work, case)

    _, shown, _ = await run(settings, "subject", "retention", "--dry-run", "--json")
    assert json.loads(shown)["cases"][0]["case_id"] == case.case_id
    status, shown, _ = await run(settings, "subject", "retention", "--json")
    assert (status, json.loads(shown)["erased"]) == (0, 1)
    assert await is_erased(work, case)
