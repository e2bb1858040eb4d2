"""`lockstep evidence export` and `list`, as somebody uses them who prepares an audit."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from structlog.testing import capture_logs
from typer.testing import CliRunner

from lockstep.cli.packs.evidence import evidence_app
from lockstep.storage.packs.orders import Exports
from tests.support.casework import NAME
from tests.support.children import IN_BACKGROUND
from tests.support.exporting import Packing, Reader, verified
from tests.support.ledgers import LedgerBook

YEAR = datetime.now(UTC).year
PERIOD = ("--from", f"{YEAR - 1}-01-01", "--to", f"{YEAR + 1}-01-01")

LOCKSTEP = typer.Typer()
LOCKSTEP.add_typer(evidence_app, name="evidence")


@pytest.fixture
async def packing(engine, ring, database, tmp_path, monkeypatch):
    """A settings file, and three leavers under a signed head."""
    book = LedgerBook(database.app_url, database.superuser_url, tmp_path)
    (tmp_path / "keyring.json").write_text(ring.to_text())
    (tmp_path / "ledger.key").write_text(book.signer.to_text())
    (tmp_path / "db").write_text(database.app_url)
    (tmp_path / "lockstep.toml").write_text(
        'tenant = "acme"\nkeyring = "file:keyring.json"\ndata_dir = "."\n'
        '[database]\nmode = "external"\nurl = "file:db"\n'
        '[ledger]\nkey = "file:ledger.key"\n'
        '[systems.badge]\nconnector = "manual"\n'
    )
    made = Packing(engine, ring, book, tmp_path)
    await made.work.adopt()
    for worker in ("W-1", "W-2"):
        await made.revoked(worker)
    await made.revoked("W-3", partner="contoso")
    await made.seal()
    monkeypatch.chdir(tmp_path)
    yield made
    book.close()


async def run(*args: str) -> tuple[int, str, str]:
    """Run a command in a thread, for it has a loop of its own; its status, output and errors."""
    with capture_logs():  # without our set-up the log goes to standard output
        done = await asyncio.to_thread(CliRunner().invoke, LOCKSTEP, ["evidence", *args])
    return done.exit_code, done.stdout, done.stderr


def at(packing: Packing, name: str) -> object:
    return type("PackAt", (), {"path": packing.folder / name})()


async def test_a_period_becomes_a_file_that_verifies(packing):
    """Named after the period, with what to do next."""
    status, shown, errors = await run("export", *PERIOD, "--sample", "2")
    name = f"lockstep-evidence-acme-{YEAR - 1}-01-01-{YEAR + 1}-01-01.zip"

    assert (status, errors) == (0, "")
    assert f"lockstep evidence verify {name} --key VKEY" in shown
    assert "3 leavers in 6 systems together, 0 not counted, 2 shown in detail" in shown
    verified(at(packing, name), packing)


async def test_a_script_reads_what_was_made(packing):
    """One JSON document on standard output."""
    out = packing.folder / "x.zip"
    status, shown, _ = await run(
        "export", *PERIOD, "--partner", "contoso", "--out", str(out), "--json"
    )
    told = json.loads(shown)

    assert status == 0
    assert (told["counts"]["leavers"], told["people"], told["file"]) == (1, 0, str(out))
    assert out.stat().st_size == told["size_bytes"]
    assert out.stat().st_mode & 0o077 == 0


async def test_one_case_is_found_by_the_beginning_of_its_id(packing):
    """As in every other command."""
    [(case_id,)] = packing.book.ask("select case_id from cases order by case_id limit 1")
    status, _, _ = await run("export", *PERIOD, "--case", case_id[:9], "--out", "one.zip")
    assert status == 0
    reader = Reader(packing.folder / "one.zip")
    assert f"leavers/{case_id}/timeline.pdf" in reader.files


async def test_a_kept_checkpoint_is_continued(packing):
    """Given as the file that an earlier pack holds."""
    await run("export", *PERIOD, "--out", "old.zip")
    kept = packing.folder / "checkpoint.txt"
    kept.write_bytes(Reader(packing.folder / "old.zip").files["ledger/checkpoint.txt"])
    await packing.revoked("W-9")
    await packing.seal()
    status, _, _ = await run("export", *PERIOD, "--previous", str(kept), "--out", "new.zip")
    assert status == 0
    verified(at(packing, "new.zip"), packing, previous=kept.read_text())


async def test_names_are_given_with_a_reason_and_a_warning(packing):
    """And the list shows who asked for them, and why."""
    status, shown, _ = await run(
        "export", *PERIOD, "--identified", "-r", "sample of the auditor", "-o", "named.zip"
    )
    assert (status, "It names 3 people." in shown) == (0, True)
    assert NAME.encode() in Reader(packing.folder / "named.zip").files["identified/people.csv"]
    status, shown, _ = await run("list", "--json")
    [row] = json.loads(shown)
    assert (row["state"], row["reason"]) == ("done", "sample of the auditor")
    assert row["requested_by"].startswith("os:")
    assert "private" not in row["parameters"]


async def test_the_list_shows_what_became_of_each(packing):
    """For people; and says what to do while there is none."""
    assert "No packs yet" in (await run("list"))[1]
    await run("export", *PERIOD, "--partner", "contoso")
    _, shown, _ = await run("list")
    assert re.search(r"e[a-z2-7]{12} +done .*contoso +no +\d+ of \d+", shown)


@pytest.mark.parametrize(
    ("args", "status", "says"),
    [
        (("--from", "2026-10-01", "--to", "2026-09-01"), 2, "ends before it begins"),
        (("--from", "soon", "--to", "2026-09-01"), 2, "soon"),
        ((*PERIOD, "--identified"), 2, "needs a reason"),
        ((*PERIOD, "--partner", "nonsense"), 2, "partner: none has this name; there are contoso"),
        ((*PERIOD, "--sample", "5000"), 2, "from 0 to 1000"),
        ((*PERIOD, "--seed", "x"), 2, "a seed needs a sample"),
        ((*PERIOD, "--ocsf", "2"), 2, "one of 1.8, 1.9"),
        ((*PERIOD, "--checkpoint", "3"), 2, "no head of exactly 3"),
        ((*PERIOD, "--out", "lockstep.toml"), 2, "exists already"),
        ((*PERIOD, "--out", "no/such/folder/x.zip"), 2, "is no folder"),
        ((*PERIOD, "--previous", "keyring.json"), 2, "no signed note"),
        ((*PERIOD, "--case", "c0zzz"), 1, "there is no case"),
        ((*PERIOD, "--case", "c"), 1, "too short for a case"),
    ],
)
async def test_bad_input_is_one_clear_line(packing, args, status, says):
    """No traceback, no file, no half order on the list."""
    before = sorted(path.name for path in packing.folder.iterdir())
    code, shown, errors = await run("export", *args)

    assert (code, shown) == (status, "")
    assert says in errors
    assert "Traceback" not in errors
    assert sorted(path.name for path in packing.folder.iterdir()) == before


async def test_a_damaged_ledger_ends_with_a_line_and_no_file(packing):
    """Status 1: the input was right, the answer is no."""
    packing.book.tamper("update ledger_entries set body = body || ' ' where id = 5")
    status, shown, errors = await run("export", *PERIOD, "--out", "x.zip")
    assert (status, shown) == (1, "")
    assert "is not what was hashed" in errors
    assert not (packing.folder / "x.zip").exists()


@pytest.mark.parametrize("start", [(), IN_BACKGROUND], ids=["in front", "in the background"])
async def test_interrupting_leaves_nothing(packing, start):
    """Ctrl-C in the middle: no file of any name, and the list says that it was cancelled."""
    before = sorted(path.name for path in packing.folder.iterdir())
    command = "from lockstep.cli.packs.evidence import evidence_app; evidence_app()"
    with packing.book.link(superuser=True) as link, link.transaction():
        link.execute(
            "lock table anchorings in access exclusive mode"
        )  # it comes to this, and waits
        process = await asyncio.create_subprocess_exec(
            *(*start, sys.executable, "-c", command),
            *("export", *PERIOD, "--out", "x.zip"),
            cwd=packing.folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        waiting = "select from pg_locks where not granted and relation = 'anchorings'::regclass"
        async with asyncio.timeout(60):
            while not packing.book.ask(waiting):  # noqa: ASYNC110 - another process comes to it
                await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = await asyncio.wait_for(process.communicate(), 60)

    assert process.returncode == 130
    assert b"Traceback" not in errors
    assert sorted(path.name for path in packing.folder.iterdir()) == before
    [row] = await Exports(packing.engine).newest()
    assert row.state == "cancelled"
