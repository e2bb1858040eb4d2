"""Packs from a real database: complete, the same twice, on record, and never of a broken ledger."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from lockstep.control.export import Requester, new_export_id
from lockstep.control.export_making import Progress
from lockstep.control.export_order import Order, OrderError
from lockstep.domain.terminations import TerminationAction
from lockstep.evidence.entries import Entry, EntryKind
from lockstep.evidence.notes import Checkpoint, FileSigner, sign_note
from lockstep.evidence.pack.archive import PartFile
from lockstep.evidence.pack.entries_file import ExportError
from lockstep.storage.erasure import Erasure
from lockstep.storage.exports import Exports, ExportState
from lockstep.storage.inbox import Disposition
from lockstep.storage.ledger_keys import hand_over
from tests.storage.test_cases import opening
from tests.storage.test_sequencer_facts import play
from tests.support.casework import (
    EMAIL,
    NAME,
    SYSTEM,
    TENANT,
    WORKER,
    everything_stored,
    revised,
    termination,
)
from tests.support.endings import ASKED, LONG_AGO, receive, set_back, spells
from tests.support.exporting import Packing, Reader, verified
from tests.support.ledgers import ORIGIN, LedgerBook


@pytest.fixture
async def packing(engine, ring, database, tmp_path):
    """An installation, its policy adopted."""
    book = LedgerBook(database.app_url, database.superuser_url, tmp_path)
    made = Packing(engine, ring, book, tmp_path)
    await made.work.adopt()
    yield made
    book.close()


@pytest.fixture
async def some(packing):
    """Three leavers of two partners, one of them open, under a signed head."""
    await packing.revoked("W-1")
    await packing.revoked("W-2", partner="contoso")
    await packing.opened("W-3")
    await packing.seal()
    return packing


def files_left(packing: Packing) -> list[str]:
    """What lies in the folder beside the ledger's own head file."""
    return sorted(path.name for path in packing.folder.iterdir() if path.name != "ledger-head")


async def states(packing: Packing) -> list[str]:
    return [row.state for row in await Exports(packing.engine).newest()]


# --- what is in it ------------------------------------------------------------------------------


async def test_random_histories_verify(packing):
    """Late, open, waived, attested, rescinded, moved, not known: the verifier finds our figures."""
    chance = random.Random(7)
    for number in range(25):
        await play(packing.work, chance, f"W-{number}")
        if number in {8, 16}:
            await packing.seal()
    await packing.seal()
    pack = await packing.export(sample=5)
    report = verified(pack, packing)

    assert report.is_verified
    counts = pack.summary.counts
    cases = await packing.work.count("cases")
    assert counts["leavers"] + counts["not_in_population"] == cases == 25
    assert counts["leavers"] > 5 < counts["leaver_systems"]
    assert counts["samples"] == 5
    assert counts["leaves"] == await packing.work.count("ledger_leaves")


async def test_the_entries_are_the_ledgers_own_bytes(some):
    """Every one of them, in order."""
    pack = Reader((await some.export()).path)
    assert [line.encode() for line in pack.lines()] == some.book.bodies()


async def test_the_workbook_says_how_the_population_was_made(some):
    """Source, parameters, run time and counts; what was received adds up with the cases."""
    await receive(some.work, "evt-unreadable", refused="body: not JSON")
    await some.seal()
    pack = Reader((await some.export()).path)
    (some.folder / "book.xlsx").write_bytes(pack.files["population/population.xlsx"])
    book = openpyxl.load_workbook(some.folder / "book.xlsx")
    made = {row[0]: row[1] for row in book["IPE"].iter_rows(values_only=True)}

    assert book.sheetnames == [
        "IPE",
        "Leavers",
        "LeaverSystems",
        "Exceptions",
        "Systems in scope",
        "Policy versions",
        "Not in population",
    ]
    assert made["Source"] == f"ledger {ORIGIN}, tenant {TENANT}"
    assert (made["Leavers"], made["Cases"], made["- with an event on record"]) == ("3", "3", "3")
    assert (made["Events received"], made["- opened"], made["- refused"]) == ("4", "3", "1")
    assert made["- without an event on record"] == "0"
    rows = pack.rows("population/leavers.csv")
    in_book = [row[0] for row in book["Leavers"].iter_rows(min_row=2, values_only=True)]
    assert in_book == [row["case_id"] for row in rows]


async def test_a_case_that_nobody_reported_shows(some):
    """A case without an event breaks the reconciliation, and the pack says so."""
    await some.work.open(termination("W-9"))
    await some.seal()
    counts = (await some.export()).summary.counts
    assert (counts["cases_with_event"], counts["cases_without_event"]) == (3, 1)


async def test_the_period_is_whole_days_of_utc_and_includes_the_last(some):
    """A cutoff today is in a period that ends today, and not in one that ended yesterday."""
    today = datetime.now(UTC).date()
    [cutoff] = {row["effective_end_utc"][:10] for row in await _leavers(some)} or [str(today)]
    day = date.fromisoformat(cutoff)
    inside = await some.export(first=day, last=day)
    before = await some.export(first=day - timedelta(days=9), last=day - timedelta(days=1))

    assert inside.summary.counts["leavers"] == 3
    assert before.summary.counts["leavers"] == 0


async def _leavers(packing: Packing) -> list[dict[str, str]]:
    return Reader((await packing.export()).path).rows("population/leavers.csv")


async def test_a_partners_pack_shows_nobody_else(some):
    """Not a case id, not a subject, not a hash of a name; and still the whole tree."""
    pack = await some.export(partner="contoso", sample=3)
    verified(pack, some)
    reader = Reader(pack.path)
    [row] = reader.rows("population/leavers.csv")
    everything = b"".join(reader.files.values())

    assert row["partner"] == "contoso"
    assert b"northwind" not in everything
    for case in await _leavers(some):
        seen = case["case_id"].encode() in everything
        assert seen == (case["case_id"] == row["case_id"])
    assert pack.summary.counts["samples"] == 1


async def test_a_pack_of_one_case_tells_that_case_in_detail(some):
    """Its timeline and its entries, all of them, and no other case."""
    case = await some.opened("W-4")
    await some.prove(case, SYSTEM)
    await some.seal()
    pack = await some.export(case_id=case.case_id)
    verified(pack, some)
    reader = Reader(pack.path)
    told = reader.json(f"leavers/{case.case_id}/case.json")

    assert reader.files[f"leavers/{case.case_id}/timeline.pdf"].startswith(b"%PDF")
    assert [row["entry"] for row in told["entries"]] == await some.work.entries(case.case_id)
    assert {entry.get("case") for entry in reader.entries()} == {None, case.case_id}


async def test_a_case_that_does_not_count_can_be_shown_too(some):
    """Rescinded, taken back before we heard of it, still to come, or of nobody whom we know."""
    said = termination("W-back")
    back = await some.work.open(said, due=timedelta(days=2))
    await some.work.cases.rescind(back, revised(said, 2, action=TerminationAction.RESCINDED))
    [tomb] = await some.work.cases.open(
        [opening(termination("W-tomb"), tombstone=True)], some.work.policy
    )
    future = await some.work.open(termination("W-future"), due=timedelta(days=2))
    await some.seal()
    for case in (back, tomb, future):
        pack = await some.export(case_id=case.case_id)
        verified(pack, some)
        told = Reader(pack.path).json(f"leavers/{case.case_id}/case.json")
        assert told["not_in_population"] in {"rescinded", "future"}
        assert pack.summary.counts["leavers"] == 0


async def test_a_case_outside_the_period_or_the_ledger_is_refused(some):
    """Rather than a pack about nothing."""
    [case, *_] = await _leavers(some)
    for changes, says in (
        ({"case_id": "caaaaaaaaaaaa"}, "no case caaaaaaaaaaaa"),
        ({"case_id": case["case_id"], "last": date(2025, 1, 31)}, "nothing to do with"),
    ):
        with pytest.raises(ExportError, match=says):
            await some.export(first=date(2025, 1, 1), **{"last": date(2029, 1, 1), **changes})


async def test_anchors_receipts_are_in_the_pack(some):
    """A time stamp is told from text by what it is, whatever the anchor's name."""
    size = await some.seal()
    stamp = b"\x30\x82\x01\x00" + bytes(256)
    some.book.tamper(
        f"insert into anchorings (anchor, size, state, next_at, receipt) values"
        f" ('tsa', {size}, 'done', now(), '\\x{stamp.hex()}'),"
        f" ('git-main', {size}, 'done', now(), convert_to('0a1b2c', 'UTF8')),"
        f" ('late', {size}, 'pending', now(), null)"
    )
    files = Reader((await some.export()).path).files
    receipts = {name: data for name, data in files.items() if name.startswith("anchors/")}
    assert receipts == {"anchors/tsa.tsr": stamp, "anchors/git-main.txt": b"0a1b2c"}


# --- the same twice -----------------------------------------------------------------------------

_AGAIN = """
import asyncio, json, sys
from pathlib import Path
from lockstep.control.export import Exporter, Requester
from lockstep.control.export_making import Progress
from lockstep.control.export_order import Order
from lockstep.evidence.notes import FileSigner
from lockstep.storage.engine import create_engine
from lockstep.storage.keyring import Keyring

async def main():
    given = json.loads(sys.stdin.read())
    engine = create_engine(given["url"])
    exporter = Exporter(
        engine, Keyring.parse(given["ring"]), tenant="acme", origin="acme/lockstep-ledger",
        open_signer=lambda: FileSigner.parse(given["key"]),
    )
    order = Order.from_parameters(given["order"])
    pack = await exporter.export_to(Path(given["out"]), order, Requester(person="x"), Progress())
    print(pack.sha256)
    await engine.dispose()

asyncio.run(main())
"""


async def test_the_same_checkpoint_and_options_give_the_same_bytes(some, database, ring):
    """Again, later, in other processes with other hash seeds and in another time zone."""
    options = {"sample": 2, "partner": "northwind"}
    first = await some.export(**options)
    await some.revoked("W-8")
    await some.seal()
    order = some.order(checkpoint=first.summary.size, **options)
    digests = {first.sha256}
    for seed, zone in (("1", "UTC"), ("2", "Asia/Manila")):
        given = {
            "url": database.app_url,
            "ring": ring.to_text(),
            "key": some.book.signer.to_text(),
            "order": order.as_parameters(),
            "out": str(some.folder / f"again-{seed}.zip"),
        }
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", _AGAIN],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
        )
        assert done.returncode == 0, done.stderr
        digests.add(done.stdout.split()[-1])

    assert len(digests) == 1
    assert (await some.export(**options)).sha256 != first.sha256


async def test_nobody_chooses_the_default_sample(some):
    """The seed is the root of the tree, which nobody can foresee."""
    pack = await some.export(sample=1)
    assert pack.summary.scope.seed == pack.summary.root
    chosen = await some.export(sample=1, seed="2026-Q3")
    assert Reader(chosen.path).rows("population/sample.csv")[0]["seed"] == "2026-Q3"


async def test_a_period_is_exported_while_cases_run(some):
    """Two hundred cases run on, and a pack at the head from before has the same bytes."""
    before = await some.export(sample=2)

    async def run(number: int) -> None:
        case = await some.work.open(termination(f"W-busy-{number}"))
        await some.prove(case, SYSTEM)

    async with asyncio.TaskGroup() as group:
        cases = [group.create_task(run(number)) for number in range(200)]
        packs = [
            group.create_task(some.export(sample=2, checkpoint=before.summary.size))
            for _ in range(2)
        ]
    assert {pack.result().sha256 for pack in packs} == {before.sha256}
    assert all(case.done() for case in cases)
    assert await some.work.count("cases") == 203


# --- earlier heads ------------------------------------------------------------------------------


async def test_a_pack_proves_that_the_ledger_only_grew(some):
    """From a head that an auditor kept, in a full pack and in one that withholds."""
    old = Reader((await some.export()).path).files["ledger/checkpoint.txt"].decode()
    await some.revoked("W-5")
    await some.seal()
    for options in ({}, {"partner": "contoso"}):
        pack = await some.export(previous=old, **options)
        report = verified(pack, some, previous=old)
        assert "kept" in report.steps[5].sentence
        assert list(Reader(pack.path).json("ledger/consistency.json")) == [old.split("\n")[1]]


async def test_heads_of_earlier_days_are_in_the_pack(some):
    """The last of each day and the last before each bound; a withheld one with its proof."""
    for number, back in enumerate((40, 40, 3)):
        await some.opened(f"W-old-{number}", partner="other")
        size = await some.seal()
        some.book.tamper(
            f"update checkpoints set signed_at = signed_at - interval '{back} days'"
            f" where size = {size}"
        )
    sizes = [size for size, _, _ in some.book.heads()]
    await some.opened("W-now")
    await some.seal()
    pack = await some.export(partner="contoso")
    verified(pack, some)
    notes = Reader(pack.path).files["ledger/checkpoints.txt"].decode().split("---\n")

    assert [int(note.split("\n")[1]) for note in notes] == [sizes[0], *sizes[2:]]


async def test_a_head_that_does_not_fit_is_refused(some):
    """Forged, or of a history that was rewritten since: a finding, not a fault of ours."""
    forged = sign_note(Checkpoint(ORIGIN, 3, b"\1" * 32).body(), some.book.signer)
    with pytest.raises(ExportError, match="not a head of this ledger"):
        await some.export(previous=forged)
    assert files_left(some) == []


@pytest.mark.parametrize(
    ("note", "says"),
    [
        (lambda book: sign_note(Checkpoint("x/y", 3, b"\1" * 32).body(), book.signer), "another"),
        (lambda book: sign_note(Checkpoint(ORIGIN, 999, b"\1" * 32).body(), book.signer), "newer"),
        (lambda book: sign_note(Checkpoint(ORIGIN, 0, b"\1" * 32).body(), book.signer), "empty"),
        (lambda _: "hello", "no signed note"),
    ],
)
async def test_a_head_that_cannot_be_compared_is_said_so(some, note, says):
    """Before anything is read."""
    with pytest.raises(OrderError, match=says):
        await some.export(previous=note(some.book))


async def test_a_pack_from_before_a_hand_over_of_the_key_verifies(some):
    """By the old key, which an auditor still holds; a later pack by both."""
    old, new = some.book.signer, FileSigner.generate(ORIGIN)
    size = some.book.heads()[-1][0]
    some.book.append(hand_over(TENANT, old, new.verifier, datetime.now(UTC)))
    some.book.signer = new
    await some.seal()
    before = await some.export(checkpoint=size)
    verified(before, some, keys=[old.verifier])
    after = await some.export()
    for key in (old, new):
        verified(after, some, keys=[key.verifier])


async def test_another_key_than_the_ledgers_makes_no_pack(some):
    """It could not be verified by anybody."""
    some.book.signer = FileSigner.generate(ORIGIN)
    with pytest.raises(ExportError, match="not the key that the ledger is signed by"):
        await some.export()
    assert (files_left(some), await states(some)) == ([], ["failed"])


# --- a broken ledger ----------------------------------------------------------------------------

REWRITTEN = """
update ledger_entries e set body = other, leaf_hash = sha256('\\x00'::bytea || other)
  from (select id, convert_to(replace(convert_from(body, 'UTF8'), 'cebu', 'rome'), 'UTF8') as other
          from ledger_entries where kind = 'case:opened' order by id limit 1) changed
 where changed.id = e.id
"""
"""Changed by somebody who knows how entries are hashed."""


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("update ledger_entries set body = body || ' ' where id = 5", "is not what was hashed"),
        (REWRITTEN, "do not give the root"),
        ("delete from ledger_leaves where leaf_index = 5", "leaf 5"),
        ("delete from ledger_leaves where leaf_index > 5", "leaf 6"),
        ("update ledger_entries set kind = 'watch:look' where kind = 'case:opened'", "row says"),
    ],
)
async def test_a_broken_ledger_is_never_exported(some, harm, says):
    """The place is named; no file, no entry that claims an export."""
    some.book.tamper(harm)
    with pytest.raises((ExportError, RuntimeError), match=says):
        await some.export()

    assert files_left(some) == []
    [row] = await Exports(some.engine).newest()
    assert row.state == "failed"
    assert re.search(says, row.error)
    assert "evidence:exported" not in await _kinds(some)


async def test_an_entry_that_cannot_be_folded_is_named_with_what_to_do(some):
    """Its place, its case and the command; the verifier would refute a pack that shows it."""
    [case, *_] = [row for row in await _leavers(some) if row["partner"] == "northwind"]
    now = datetime.now(UTC)
    some.book.append(
        Entry(
            kind=EntryKind.REVOCATION_OUTCOME,
            key="bad",
            tenant=TENANT,
            occurred_at=now,
            recorded_at=now,
            case_id=case["case_id"],
            system=SYSTEM,
        )
    )
    await some.seal()
    place = some.book.order().index("bad")
    with pytest.raises(ExportError) as refused:
        await some.export()
    verified(await some.export(partner="contoso"), some)

    assert f"entry {place}: " in str(refused.value)
    assert f"(case {case['case_id']}, revocation:outcome)" in str(refused.value)
    for word in ("`lockstep ledger refold`", "newest release", "--partner"):
        assert word in str(refused.value)
    assert len(str(refused.value)) < 500  # so much of it stands in the list of exports


async def _kinds(packing: Packing) -> list[str]:
    rows = packing.book.ask("select kind from ledger_entries order by id")
    return [kind for (kind,) in rows]


async def test_a_ledger_without_a_head_or_a_metric_says_what_to_do(packing):
    """A fresh installation: one line, not a traceback."""
    with pytest.raises(OrderError, match="no signed head yet"):
        await packing.export()


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
    done = await Erasure(some.engine, some.work.ring).erase(await spells(some.work, gone), ASKED)
    assert done.spells
    later = revised(moved_said, 2, display_name="Somebody Else")
    await some.work.cases.amend(moved, later, moved.cutoff_at)
    pack = await some.export(identified=True, reason="sample")
    report = verified(pack, some)
    people = Reader(pack.path).rows("identified/people.csv")
    by_state = {row["case_id"]: row["state"] for row in people}

    assert (by_state[gone.case_id], by_state[moved.case_id]) == ("erased", "unconfirmed")
    assert sorted(by_state.values()) == ["disclosed"] * 3 + ["erased", "unconfirmed"]
    assert json.loads(people[0]["identity"])["display_name"] == NAME
    assert "3 " in report.steps[12].sentence
    assert (pack.people, pack.summary.counts["leavers"]) == (3, 5)


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
            while not self._stopped:
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
    assert "evidence:exported" not in await _kinds(some)


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
