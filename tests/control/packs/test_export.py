"""Packs from a real database: complete, and the same twice."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from datetime import date, timedelta

import openpyxl
import pytest

from lockstep.control.ledger.anchoring import outgoing, publish
from lockstep.domain.cases.terminations import TerminationAction
from lockstep.evidence.pack.entries_file import ExportError
from lockstep.evidence.verify.check import verify_pack
from lockstep.evidence.verify.heads.heads import WitnessKey
from lockstep.evidence.verify.report import Level
from lockstep.storage.ledger.checkpoints import Checkpoints
from lockstep.storage.ledger.proofs import Proofs
from tests.connectors.anchors.peers import HttpPeer, SimulatedWitness, build
from tests.storage.cases.test_cases import opening
from tests.storage.ledger.test_sequencer_facts import play
from tests.support.casework import (
    SYSTEM,
    TENANT,
    revised,
    termination,
)
from tests.support.endings import receive
from tests.support.exporting import Reader, leavers, verified
from tests.support.ledgers import ORIGIN

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
    ends = [date.fromisoformat(row["effective_end_utc"][:10]) for row in await leavers(some)]
    first, last = min(ends), max(ends)  # two days if midnight came in between
    inside = await some.export(first=first, last=last)
    before = await some.export(first=first - timedelta(days=9), last=first - timedelta(days=1))

    assert inside.summary.counts["leavers"] == 3
    assert before.summary.counts["leavers"] == 0


async def test_a_partners_pack_shows_nobody_else(some):
    """Not a case id, not a subject, not a hash of a name; and still the whole tree."""
    pack = await some.export(partner="contoso", sample=3)
    verified(pack, some)
    reader = Reader(pack.path)
    [row] = reader.rows("population/leavers.csv")
    everything = b"".join(reader.files.values())

    assert row["partner"] == "contoso"
    assert b"northwind" not in everything
    for case in await leavers(some):
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


async def test_a_case_outside_the_period_is_shown_and_counted_nowhere(some):
    """Whoever asks for a case is shown it; that the period is another one stands in its file."""
    [case, *_] = await leavers(some)
    pack = await some.export(
        case_id=case["case_id"], first=date(2025, 1, 1), last=date(2025, 1, 31)
    )
    verified(pack, some)
    told = Reader(pack.path).json(f"leavers/{case['case_id']}/case.json")

    assert told["not_in_population"] == "outside_period"
    counts = {
        name: pack.summary.counts[name] for name in ("leavers", "not_in_population", "samples")
    }
    assert counts == {"leavers": 0, "not_in_population": 0, "samples": 1}


async def test_a_case_that_the_ledger_does_not_have_is_refused(some):
    """Rather than a pack about nobody."""
    await leavers(some)
    with pytest.raises(ExportError, match="no case caaaaaaaaaaaa"):
        await some.export(case_id="caaaaaaaaaaaa")


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


async def test_a_witness_makes_a_pack_witnessed(some, tmp_path):
    """From the asking, with proofs out of the database, to the verdict of a stranger."""
    witness = SimulatedWitness(log=some.book.signer.verifier)
    store = Checkpoints(some.engine)
    with HttpPeer(witness.answer) as peer:
        settings = {"witnesses": [f"{witness.key} {peer.url}"], "needed": 1}
        anchor = build("witness", settings, home=tmp_path)
        for _ in range(2):
            size = await some.seal()
            head = outgoing(await store.at(size), Proofs(some.engine, at_once=2))
            receipt = await publish(anchor, head)
            await some.seal()
        await anchor.aclose()
    some.book.tamper(
        f"insert into anchorings (anchor, size, state, next_at, receipt) values"
        f" ('w', {size}, 'done', now(), '\\x{receipt.hex()}')"
    )
    pack = await some.export(checkpoint=size)
    report = verify_pack(
        pack.path, keys=some.book.trusted(), witnesses=[WitnessKey.parse(witness.key)]
    )

    assert report.is_verified
    assert report.level is Level.WITNESSED
    assert "cosigned by SIMULATOR.example/not-a-witness" in report.steps[6].details[0]


# --- the same twice -----------------------------------------------------------------------------

_AGAIN = """
import asyncio, json, sys
from pathlib import Path
from lockstep.control.packs.export import Exporter, Requester
from lockstep.control.packs.making import Progress
from lockstep.control.packs.order import Order
from lockstep.evidence.format.notes import FileSigner
from lockstep.storage.engine.database import create_engine
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.stores import Stores

async def main():
    given = json.loads(sys.stdin.read())
    engine = create_engine(given["url"])
    exporter = Exporter(
        Stores(engine, Keyring.parse(given["ring"]), tenant="acme"), origin="acme/lockstep-ledger",
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
    few = asyncio.Semaphore(5)  # else most would wait for a connection, which has its bound

    async def run(number: int) -> None:
        async with few:
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
