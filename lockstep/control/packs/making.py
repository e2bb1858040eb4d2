"""How a pack is made: from the ledger's leaves and the database into a file."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import lockstep
from lockstep.control.packs.order import Order
from lockstep.evidence.format.notes import Signer
from lockstep.evidence.pack.archive import PartFile
from lockstep.evidence.pack.entries_file import ExportError
from lockstep.evidence.pack.layout import OCSF_VERSIONS
from lockstep.evidence.pack.model import PackScope, PackSummary
from lockstep.evidence.pack.reading import Basis, LedgerRead, LedgerReader, SignedHead
from lockstep.evidence.pack.reconcile import Reconciliation
from lockstep.evidence.pack.writer import Outside, PackWriter
from lockstep.storage.ledger.checkpoints import Leaf, StoredCheckpoint, leaves
from lockstep.storage.packs.actors import acting
from lockstep.storage.packs.reads import (
    coming_cases,
    earlier_heads,
    entries_of,
    hand_overs,
    hr_events,
    moved_partners,
    receipts,
    snapshot,
)
from lockstep.storage.privacy.identity import disclose
from lockstep.storage.stores import Stores

_BATCH = 2000
_CASES = 100

P = ParamSpec("P")
Result = TypeVar("Result")


class ExportStopped(Exception):  # noqa: N818 - somebody's wish, not a fault
    """The work was told to stop."""


@dataclass(slots=True)
class Progress:
    """How far an export is; shared between the loop and the thread that works.

    Args:
        done: entries of the ledger that were read.
        total: entries that there are to read.
        stage: what is being done, for people.
    """

    done: int = 0
    total: int = 0
    stage: str = "waiting"
    _stopped: bool = field(default=False, repr=False)

    def stop(self) -> None:
        self._stopped = True

    def tick(self) -> None:
        """Called often by the work; raises `ExportStopped`."""
        if self._stopped:
            raise ExportStopped


class PackMaker:
    """Reads, computes and writes; hashing, folding, drawing and packing run in a thread.

    ``open_signer`` reads the ledger's key anew for each pack, because it may have been handed over.
    """

    def __init__(
        self,
        stores: Stores,
        *,
        origin: str,
        open_signer: Callable[[], Signer],
    ) -> None:
        self._engine = stores.engine
        self._ring = stores.ring
        self._tenant = stores.tenant
        self._origin = origin
        self._open_signer = open_signer

    async def make(
        self,
        order: Order,
        head: StoredCheckpoint,
        part: PartFile,
        progress: Progress,
        *,
        run_by: str = "",
    ) -> tuple[PackSummary, int]:
        """Write the pack into ``part``; what it claims, and how many leavers it names.

        ``run_by``: who asked for it; it stands in a pack that names people, and in no other.

        Raises:
            ExportError: if the ledger cannot be exported, or has not what is asked for.
        """
        basis = await self._basis(order, head, part.path.parent, progress, run_by)
        progress.total = head.size
        reader = LedgerReader(basis)
        try:
            read = await self._read(reader, head.size, progress)
            progress.stage = "computing"
            writer = PackWriter(read, basis)
            try:
                wanted = await in_thread(progress, writer.survey)
                await self._tell(writer, wanted, head.size, progress)
                people = await self._name(writer, wanted, head, progress)
                outside = await self._outside(writer, basis)
                signer = await in_thread(progress, self._signer, read, outside)
                progress.stage = "packing"
                summary = await in_thread(progress, writer.write, part.file, outside, signer)
            finally:
                writer.close()
        finally:
            reader.close()
        return summary, people

    async def _basis(
        self,
        order: Order,
        head: StoredCheckpoint,
        folder: Path,
        progress: Progress,
        run_by: str,
    ) -> Basis:
        scope = PackScope(
            tenant=self._tenant,
            origin=self._origin,
            as_of=_milliseconds(head.signed_at),
            start=_milliseconds(order.start),
            end=_milliseconds(order.end),
            partner=order.partner or None,
            case_id=order.case_id or None,
            sample_n=order.sample,
            seed=order.seed,
            identified=order.identified,
            ocsf=OCSF_VERSIONS[order.ocsf],
            # Whoever asked for a case may see it, and sees no other.
            coming=order.coming or bool(order.case_id),
            run_by=run_by if order.identified else "",
        )
        asked = order.previous_head()
        async with self._engine.connect() as connection:
            earlier = await earlier_heads(connection, head.size, [order.start, order.end])
            coming = frozenset() if scope.coming else await coming_cases(connection)
            moved = await moved_partners(connection, head.size) if scope.partner else {}
        return Basis(
            scope=scope,
            head=SignedHead(head.size, head.root, head.note),
            earlier=[SignedHead(row.size, row.root, row.note) for row in earlier],
            previous=None if asked is None else SignedHead(asked.size, asked.root, order.previous),
            tool_version=lockstep.__version__,
            folder=folder,
            tick=progress.tick,
            coming=coming,
            moved=moved,
        )

    async def _read(self, reader: LedgerReader, size: int, progress: Progress) -> LedgerRead:
        progress.stage = "reading"
        batch: list[Leaf] = []
        async for leaf in leaves(self._engine, 0, size):
            batch.append(leaf)
            if len(batch) == _BATCH:
                await in_thread(progress, reader.add, batch)
                progress.done = reader.leaves
                batch = []
        await in_thread(progress, reader.add, batch)
        progress.done = reader.leaves
        return await in_thread(progress, reader.finish)

    async def _tell(
        self, writer: PackWriter, wanted: Sequence[str], size: int, progress: Progress
    ) -> None:
        """Give the writer each wanted case with its entries, a few at a time."""
        progress.stage = "drawing"
        for at in range(0, len(wanted), _CASES):
            some = wanted[at : at + _CASES]
            told = [case_id for case_id in some if writer.needs_entries(case_id)]
            entries = await entries_of(self._engine, told, size) if told else {}

            def add(ids: Sequence[str] = some, found: Any = entries) -> None:
                for case_id in ids:
                    writer.add_case(case_id, found.get(case_id, ()))

            await in_thread(progress, add)

    async def _name(
        self, writer: PackWriter, wanted: Sequence[str], head: StoredCheckpoint, progress: Progress
    ) -> int:
        """Say who leavers and actors are, where that was asked for; how many leavers are named."""
        if writer.people is None:
            return 0
        async for person in disclose(self._engine, self._ring, wanted):
            progress.tick()
            writer.people.add(person)
        async for act in acting(self._engine, self._ring, wanted, until=head.signed_at):
            progress.tick()
            writer.people.add_act(act)
        return writer.people.named

    async def _outside(self, writer: PackWriter, basis: Basis) -> Outside:
        """What changes while cases run, in one consistent look."""
        scope = basis.scope
        is_full = scope.partner is None and scope.case_id is None
        events = Reconciliation(writer.cases, is_full=is_full, coming=scope.coming)
        async with snapshot(self._engine) as connection:
            found = hr_events(
                connection,
                start=_instant(scope.start),
                end=_instant(scope.end),
                as_of=_instant(scope.as_of),
            )
            async for row in found:
                events.add(
                    case_id=row.case_id,
                    source=row.source,
                    state=row.state,
                    verdict=row.verdict,
                    count=row.count,
                )
            answers = await receipts(connection, basis.head.size)
            raw = await hand_overs(connection)
        chain = [json.loads(body)["data"] for body in raw]
        return Outside(
            receipts=answers,
            hand_overs=[{name: row[name] for name in ("from", "to", "signature")} for row in chain],
            events=events,
        )

    def _signer(self, read: LedgerRead, outside: Outside) -> Signer:
        """The key in force; any other would make a pack that nobody can verify."""
        try:
            signer = self._open_signer()
        except ValueError as error:  # says which setting, quotes no key
            raise ExportError(str(error)) from None
        chain = [row["to"] for row in outside.hand_overs] or list(read.history.keys[:1])
        if chain and signer.verifier.to_text() != chain[-1]:
            raise ExportError("ledger.key is not the key that the ledger is signed by: restore it")
        return signer


async def in_thread(
    progress: Progress, work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs
) -> Result:
    """Run ``work`` in a thread. When we are cancelled it is told to stop, and waited for.

    Otherwise it would go on with files that are closed.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        progress.stop()
        with contextlib.suppress(Exception):
            await task
        raise


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _instant(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
