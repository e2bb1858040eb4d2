"""Orders of packs: on record, names only when asked for, stopped without a trace."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import time
from datetime import date
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from lockstep.contracts.payloads import Decision, DecisionInput
from lockstep.control.packs.export import Requester, new_export_id
from lockstep.control.packs.making import Progress
from lockstep.control.packs.order import Order, OrderError
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.terminations import TerminationAction
from lockstep.evidence.pack.archive import PartFile
from lockstep.evidence.pack.entries_file import ExportError
from lockstep.storage.intake.inbox import Disposition
from lockstep.storage.packs.orders import Exports, ExportState
from tests.support.casework import (
    EMAIL,
    NAME,
    OTHER,
    SYSTEM,
    WORKER,
    everything_stored,
    revised,
    termination,
)
from tests.support.endings import ASKED, LONG_AGO, receive, set_back, spells
from tests.support.exporting import Reader, files_left, ledger_kinds, states, verified

# --- on record ----------------------------------------------------------------------------------


async def test_an_export_is_on_record_before_the_file_has_its_name(some, monkeypatch):
    """Who takes the file away cannot do so without a trace."""
    seen = []
    real = PartFile.publish

    def publish(part: PartFile) -> None:
        rows = some.book.ask("select body from ledger_entries where kind = 'evidence:exported'")
        seen.append((part.path.exists(), [json.loads(bytes(body)) for (body,) in rows]))
        real(part)

    monkeypatch.setattr(PartFile, "publish", publish)
    pack = await some.export(identified=True, reason="Auditor asked for Maria's case")
    [(existed, [entry])] = seen

    assert not existed
    assert entry["data"] == {
        "export": pack.export_id,
        "checkpoint": pack.summary.size,
        "parameters_sha256": entry["data"]["parameters_sha256"],
        "pack_sha256": pack.sha256,
        "identified": True,
        "counts": dict(pack.summary.counts),
        "people": 3,
    }
    assert re.fullmatch(r"[0-9a-f]{64}", entry["data"]["parameters_sha256"])
    assert entry["actor"]["type"] == "person"
    assert re.fullmatch(r"[0-9a-f]{32}", entry["actor"]["ref"])


async def test_nothing_personal_of_an_export_is_stored_in_clear(some, database):
    """Neither who asked nor why, in any table; with the keyring both can be read."""
    pack = await some.export(
        by=Requester(person="os:olivia"), identified=True, reason="Maria's lawyer asked"
    )
    stored = b"".join(everything_stored(database.superuser_url).values())
    for secret in (b"olivia", b"lawyer", NAME.encode(), EMAIL.encode()):
        assert secret not in stored
    [row] = await Exports(some.engine).newest()
    assert some.exporter.who(row.export_id, row.parameters) == {
        "person": "os:olivia",
        "reason": "Maria's lawyer asked",
    }
    assert row.export_id == pack.export_id


async def test_a_token_is_on_record_by_its_name(some):
    """A machine has nothing to hide."""
    await some.export(by=Requester(token="auditor"))
    [row] = some.book.ask("select body from ledger_entries where kind = 'evidence:exported'")
    assert json.loads(bytes(row[0]))["actor"] == {"type": "token", "ref": "auditor"}


# --- names --------------------------------------------------------------------------------------


async def test_a_pack_names_people_only_when_asked(some):
    """By default not a name, not an address, not a worker id in any file."""
    everything = b"".join(Reader((await some.export(sample=3)).path).files.values())
    for secret in (NAME, EMAIL, "W-1", WORKER):
        assert secret.encode() not in everything


async def test_named_people_are_confirmed_by_the_ledger(some):
    """An erased one is listed as erased; one whom HR corrected later is not named."""
    gone = await some.revoked("W-gone")
    moved_said = termination("W-moved", action=TerminationAction.TERMINATED)
    moved = await some.work.open(moved_said)
    await some.seal()
    await set_back(some.work, gone.case_id, LONG_AGO)
    done = await some.work.stores.erasure.erase(await spells(some.work, gone), ASKED)
    assert done.spells
    later = revised(moved_said, 2, display_name="Somebody Else")
    await some.work.cases.amend(moved, later, moved.cutoff_at)
    pack = await some.export(identified=True, reason="sample")
    report = verified(pack, some)
    people = Reader(pack.path).rows("identified/people.csv")
    by_state = {row["case_id"]: row["state"] for row in people}

    assert (by_state[gone.case_id], by_state[moved.case_id]) == ("erased", "unconfirmed")
    assert sorted(by_state.values()) == ["disclosed"] * 3 + ["erased", "unconfirmed"]
    assert people[0]["name"] == NAME
    assert "{" not in "".join(people[0].values()), "cells that people can read"
    proofs = Reader(pack.path).rows("identified/commitments.csv")
    assert json.loads(proofs[0]["identity"])["display_name"] == NAME
    assert "3 " in report.steps[12].sentence
    assert (pack.people, pack.summary.counts["leavers"]) == (3, 5)


async def test_who_did_what_and_who_asked_stands_in_a_pack_with_names(some):
    """By name, up to the head; a pack without names has neither."""
    case = await some.opened("W-attested")
    said = {"decision_id": "d1", "actor": "Olga Ops", "second_person": "Sam", "reason": "seen"}
    given = Decision(kind=DecisionKind.ATTEST, system=SYSTEM, **said)
    await some.work.cases.decide(DecisionInput(case.case_id, 1, given))
    await some.seal()
    late = Decision(kind=DecisionKind.RETRY, system=OTHER, **{**said, "decision_id": "d2"})
    await some.work.cases.decide(DecisionInput(case.case_id, 1, late))
    options = {"identified": True, "reason": "sample"}
    pack, again = await some.export(**options), await some.export(**options)
    verified(pack, some)
    files = Reader(pack.path).files

    assert pack.sha256 == again.sha256
    [row] = Reader(pack.path).rows("identified/actors.csv")
    assert (row["case_id"], row["what"], row["system"]) == (case.case_id, "attest", SYSTEM)
    assert (row["by"], row["second_person"], row["decision"]) == ("Olga Ops", "Sam", "d1")
    assert b'"decision":"d1"' in files["ledger/entries.jsonl"]
    book = openpyxl.load_workbook(io.BytesIO(files["population/population.xlsx"]))
    assert {r[0]: r[1] for r in book["IPE"].iter_rows(values_only=True)}["Run by"] == "os:olivia"
    plain = Reader((await some.export()).path)
    assert not [name for name in plain.names if name.startswith("identified/")]
    book = openpyxl.load_workbook(io.BytesIO(plain.files["population/population.xlsx"]))
    made = {r[0]: r[1] for r in book["IPE"].iter_rows(values_only=True)}
    assert made["Run by"] == "not named in a pack without names"


async def test_a_pack_of_somebody_who_is_erased_meanwhile_is_withdrawn(some, monkeypatch):
    """The file does not outlive the person's data."""
    real = Exports.finish

    async def finish(exports: Exports, export_id: str, **values: object) -> bool:
        await exports.cancel(export_id)  # as an erasure does, at the last moment
        return await real(exports, export_id, **values)

    monkeypatch.setattr(Exports, "finish", finish)
    with pytest.raises(ExportError, match="withdrawn"):
        await some.export(identified=True, reason="sample")
    assert (files_left(some), await states(some)) == ([], ["cancelled"])


# --- orders and stopping ------------------------------------------------------------------------

DAY = date(2026, 7, 1)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"first": date(2026, 10, 2)}, "ends before it begins"),
        ({"first": date(1999, 1, 1)}, "no ledger is so old"),
        ({"last": date(9999, 12, 31)}, "too far ahead"),
        ({"first": date(2010, 1, 1)}, "longer than ten years"),
        ({"partner": "x", "case_id": "c1"}, "not both"),
        ({"sample": 3, "case_id": "c1"}, "not both"),
        ({"partner": "x" * 201}, "partner: too long"),
        ({"case_id": "c1; drop"}, "no case id"),
        ({"sample": -1}, "from 0 to 1000"),
        ({"sample": 1001}, "from 0 to 1000"),
        ({"seed": "s"}, "needs a sample"),
        ({"seed": "s\n", "sample": 1}, "printable"),
        ({"identified": True, "reason": " "}, "needs a reason"),
        ({"reason": "x" * 501}, "500 characters"),
        ({"ocsf": "2.0"}, "one of 1.8, 1.9"),
        ({"checkpoint": 0}, "signed head"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(changes, says):
    """In one line that says what to change."""
    with pytest.raises(OrderError, match=says) as refused:
        Order(**{"first": DAY, "last": date(2026, 9, 30), **changes})
    assert "\n" not in str(refused.value)


def test_an_order_survives_storage():
    """Parameters read back give the same order, and the same digest in the ledger."""
    order = Order(DAY, date(2026, 9, 30), "contoso", sample=3, seed="s", checkpoint=7)
    stored = json.loads(json.dumps(order.as_parameters()))
    again = Order.from_parameters({**stored, "private": "x"})
    assert (again, again.digest()) == (order, order.digest())
    named = Order(DAY, DAY, identified=True, reason="secret reason")
    assert "secret" not in json.dumps(named.as_parameters())
    assert Order.from_parameters(named.as_parameters()).digest() == named.digest()


async def test_a_checkpoint_that_was_never_signed_is_refused(some):
    """Only a signed head can be the basis of a pack."""
    with pytest.raises(OrderError, match="no head of exactly 4 entries"):
        await some.export(checkpoint=4)
    with pytest.raises(OrderError, match="after the checkpoint"):
        await some.export(first=date(2099, 1, 1), last=date(2099, 1, 2))
    assert await states(some) == []


class Halting(Progress):
    """Says when the work has come to its ``at``-th tick, and holds it there."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at
        self.ticks = 0
        self.reached = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def tick(self) -> None:
        self.ticks += 1
        if self.ticks == self.at:
            self._loop.call_soon_threadsafe(self.reached.set)
            deadline = time.monotonic() + 60
            while not self._stopped and time.monotonic() < deadline:
                os.sched_yield()
        super().tick()


@pytest.mark.parametrize("at", [1, 4, 8, 20])
async def test_an_export_that_is_cancelled_leaves_nothing(some, at):
    """Wherever it was: no file, no entry, and the list says that it was cancelled."""
    progress = Halting(at)
    order = some.order(sample=2)
    path = some.folder / "pack.zip"
    task = asyncio.create_task(
        some.exporter.export_to(path, order, Requester(person="x"), progress)
    )
    await progress.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (files_left(some), await states(some)) == ([], ["cancelled"])
    assert "evidence:exported" not in await ledger_kinds(some)


async def test_a_full_disk_is_told_and_leaves_nothing(some):
    """The row says why; a device that takes nothing stands for the disk."""
    with pytest.raises(OSError, match="No such file"):
        await some.exporter.export_to(
            Path("/nowhere/pack.zip"), some.order(), Requester(person="x"), Progress()
        )
    [row] = await Exports(some.engine).newest()
    told = "the pack cannot be written: No such file or directory"
    assert (row.state, row.error) == (ExportState.FAILED, told)


async def test_progress_is_told_in_entries(some):
    """From the first to the last, for the bar and for the row."""
    progress = Progress()
    pack = await some.exporter.export_to(
        some.folder / "pack.zip", some.order(), Requester(person="x"), progress
    )
    [row] = await Exports(some.engine).newest()
    size = pack.summary.size
    assert (progress.done, progress.total) == (size, size)
    assert (row.done_entries, row.all_entries, row.state) == (size, size, "done")


def test_export_ids_are_random_and_readable():
    """Thirteen characters that people can read out."""
    made = {new_export_id() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"e[a-z2-7]{12}", each) for each in made)


async def test_a_database_that_fails_leaves_no_file(some):
    """The pack is not handed out unless the ledger could take its entry."""
    some.book.tamper("revoke insert on ledger_entries from lockstep_app")
    with pytest.raises(SQLAlchemyError, match="permission denied"):
        await some.export()
    [row] = await Exports(some.engine).newest()
    assert (files_left(some), row.state, row.error) == ([], "failed", "the database failed")


async def test_an_event_that_is_read_later_changes_no_pack_of_an_older_head(some, engine):
    """What had arrived at the head and was still unread is told as waiting, for ever."""
    await receive(some.work, "evt-late")
    await some.seal()
    before = await some.export()
    async with engine.connect() as connection:
        query = text("select id from inbox where dedupe_key = 'evt-late'")
        number = await connection.scalar(query)
    case = await some.work.open(termination("W-late"))
    await some.work.inbox.finish([Disposition(number, "done", case.case_id, "open")])
    again = await some.export(checkpoint=before.summary.size)

    assert before.summary.counts["hr_waiting"] == 1
    assert before.path.read_bytes() == again.path.read_bytes()
