"""An installation that exports packs: cases, a sequencer, an exporter, and readers of packs."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import secrets
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.control.packs.export import Exporter, Pack, Requester
from lockstep.control.packs.making import Progress
from lockstep.control.packs.order import Order
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.cases.outcomes import reckon
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Account,
    Location,
    Observation,
    Proof,
    Search,
)
from lockstep.evidence.verify.check import verify_pack
from lockstep.evidence.verify.report import Report, Verdict
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.ledger.sequencer import heartbeat
from lockstep.storage.packs.orders import Exports
from lockstep.storage.records import CaseRow
from lockstep.storage.systems.revocations import Progress as Work
from lockstep.storage.systems.snapshots import Snapshot
from tests.support.casework import OTHER, SYSTEM, TENANT, Casework, termination
from tests.support.endings import receive
from tests.support.ledgers import ORIGIN, LedgerBook, settle

PERSON = Requester(person="os:olivia")
ACCOUNT = Account("00u1", "maria@example.com")
STOOD = Snapshot(
    (ACCOUNT,),
    {"00u1": (Access(AccessKind.SIGN_IN, "sign_in-1"), Access(AccessKind.TOKEN, "tok-1"))},
)
LOCATION = Location(
    (),
    (
        Search(KeyKind.WORKER_ID, "W-1", Proof.PROVED),
        Search(KeyKind.EMAIL, "maria@example.com", Proof.PROVED),
    ),
)


class Packing:
    """Everything from a termination to a pack, on one database."""

    def __init__(self, engine: AsyncEngine, ring: Keyring, book: LedgerBook, folder: Path) -> None:
        self.engine = engine
        self.work = Casework(engine, ring)
        self.book = book
        self.folder = folder
        self.exporter = Exporter(self.work.stores, origin=ORIGIN, open_signer=lambda: book.signer)
        self._count = 0

    async def revoked(self, worker: str, **changes: object) -> CaseRow:
        """A closed case: access is proved gone in both systems."""
        case = await self.opened(worker, **changes)
        for system in (SYSTEM, OTHER):
            await self.prove(case, system)
        await self.work.close(case.case_id, 1)
        return case

    async def opened(self, worker: str, **changes: object) -> CaseRow:
        """A case that an event of HR has opened."""
        due = changes.pop("due", timedelta(0))
        case = await self.work.open(termination(worker, **changes), due=due)
        await receive(self.work, f"evt-{case.case_id}", case_id=case.case_id)
        return case

    async def prove(self, case: CaseRow, system: str) -> None:
        """Attempt and outcome of one system."""
        item = await self.work.revocations.load(case.case_id, system, 1)
        await self.work.revocations.attempt(item, round_=1, attempt=1, work=Work(STOOD, LOCATION))
        after = [Observation("00u1", exists=True, standing=())]
        closing = reckon(
            before=STOOD.all_standing(), after=after, actions=(), confirmed_at=datetime.now(UTC)
        )
        await self.work.revocations.outcome(
            item,
            round_=1,
            attempt=1,
            closing=closing,
            work=Work(STOOD, LOCATION),
            exchanges=(),
            dropped=0,
        )

    async def seal(self) -> int:
        """Place every entry and sign a head over all of them; its size."""
        asked = f"test-{secrets.token_hex(8)}"
        self.book.append(heartbeat(TENANT, 0, datetime.now(UTC), asked=asked))
        sequencer = self.book.sequencer()  # a new one waits for nothing before it signs
        try:
            await asyncio.to_thread(settle, sequencer)
        finally:
            sequencer.close()
        [(size,)] = self.book.ask("select max(size) from checkpoints")
        return int(size)

    def order(self, **changes: object) -> Order:
        """This year and the next: whatever the clock says, the leavers of a test are in it."""
        year = datetime.now(UTC).year
        days = {"first": date(year - 1, 1, 1), "last": date(year + 1, 12, 31)}
        return Order(**{**days, **changes})

    async def export(self, *, by: Requester = PERSON, **changes: object) -> Pack:
        self._count += 1
        path = self.folder / f"pack-{self._count}.zip"
        return await self.exporter.export_to(path, self.order(**changes), by, Progress())


def verified(pack: Pack, packing: Packing, **options: object) -> Report:
    """The verifier's report; fails with the steps that failed."""
    keys = options.pop("keys", None) or [packing.book.signer.verifier]
    report = verify_pack(pack.path, keys=keys, **options)
    failed = [step for step in report.steps if step.verdict is Verdict.FAIL]
    assert not failed, failed
    return report


class Reader:
    """A pack as somebody reads it without any of our code."""

    def __init__(self, path: Path) -> None:
        with ZipFile(path) as archive:
            assert archive.testzip() is None
            self.names = archive.namelist()
            self.files = {name: archive.read(name) for name in self.names}

    def json(self, name: str) -> Any:
        return json.loads(self.files[name])

    def rows(self, name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.files[name].decode(), newline="")))

    def lines(self) -> list[str]:
        return self.files["ledger/entries.jsonl"].decode().splitlines()

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines() if line.startswith("{")]


def files_left(packing: Packing) -> list[str]:
    """What lies in the folder beside the ledger's own head file."""
    return sorted(path.name for path in packing.folder.iterdir() if path.name != "ledger-head")


async def states(packing: Packing) -> list[str]:
    """What became of the exports, the newest first."""
    return [row.state for row in await Exports(packing.engine).newest()]


async def leavers(packing: Packing) -> list[dict[str, str]]:
    """The population of a fresh pack."""
    return Reader((await packing.export()).path).rows("population/leavers.csv")


async def ledger_kinds(packing: Packing) -> list[str]:
    rows = packing.book.ask("select kind from ledger_entries order by id")
    return [kind for (kind,) in rows]
