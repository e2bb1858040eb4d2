"""Evidence packs: order one, make it, put it on record, hand it out.

A pack is made at a signed head of the ledger. What it says comes from the leaves below that head;
reading them blocks nobody and is blocked by nobody.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from lockstep.control.packs.making import PackMaker, Progress, in_thread
from lockstep.control.packs.order import Order, OrderError
from lockstep.domain.cases.clocks import whole_ms
from lockstep.domain.rights import Scope
from lockstep.evidence.format.notes import Checkpoint, Signer
from lockstep.evidence.ledger.entries import Actor, Entry, EntryKind
from lockstep.evidence.pack.archive import PartFile
from lockstep.evidence.pack.entries_file import ExportError
from lockstep.evidence.pack.model import PackSummary
from lockstep.storage.board.known import UnknownNameError
from lockstep.storage.engine.database import StorageError
from lockstep.storage.keys.keyring import KeyringError
from lockstep.storage.ledger.append import Append
from lockstep.storage.ledger.checkpoints import StoredCheckpoint
from lockstep.storage.stores import Stores

log = structlog.get_logger("lockstep.export")

LEASE = timedelta(seconds=60)
"""An export whose maker died is taken up again after this long."""

BEAT = timedelta(seconds=1)
"""How often one who works says so, and how far it is."""

MOST_WAITING = 20
"""Orders that may wait at once: each is hours of work at worst."""


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks: a person by name, or a token of a machine by its name."""

    person: str = field(default="", repr=False)
    token: str = ""


@dataclass(frozen=True, slots=True)
class Pack:
    """A finished pack.

    Args:
        path: where it lies.
        sha256: of the file, in hex.
        people: how many leavers it names.
    """

    export_id: str
    path: Path
    sha256: str
    size_bytes: int
    people: int
    summary: PackSummary


class Exporter:
    """The use case, for command line, API and jobs. ``open_signer``: see `PackMaker`."""

    def __init__(
        self,
        stores: Stores,
        *,
        origin: str,
        open_signer: Callable[[], Signer],
    ) -> None:
        self._known = stores.known
        self._ring = stores.ring
        self._tenant = stores.tenant
        self._origin = origin
        self._maker = PackMaker(stores, origin=origin, open_signer=open_signer)
        self._ledger = stores.ledger
        self._checkpoints = stores.checkpoints
        self._exports = stores.exports

    async def check_partner(self, order: Order) -> None:
        """Whether anything names the partner that is asked for; raises `OrderError`."""
        try:
            await self._known.check(Scope(None, sealed=order.coming), partner=order.partner)
        except UnknownNameError as error:
            raise OrderError(str(error)) from None

    async def order(
        self, order: Order, by: Requester, *, running_for: timedelta | None = None
    ) -> tuple[str, Order]:
        """Put an export on record, its checkpoint and seed settled; its id, and what is settled.

        Raises:
            OrderError: if there is no such checkpoint, or too many exports wait.
        """
        head = await self._head(order.checkpoint)
        asked = order.previous_head()
        if asked is not None:
            _check_previous(asked, self._origin, head.size)
        if order.start > head.signed_at:
            raise OrderError("the period begins after the checkpoint was signed: nothing is known")
        if running_for is None and await self._exports.waiting() >= MOST_WAITING:
            raise OrderError(f"{MOST_WAITING} exports wait already: order again later")
        seed = order.seed or (head.root.hex() if order.sample else "")
        settled = replace(order, checkpoint=head.size, seed=seed)
        export_id = new_export_id()
        parameters = {**settled.as_parameters(), "private": self._private(export_id, order, by)}
        await self._exports.order(
            export_id,
            parameters,
            requested_by=self._commitment(export_id, by),
            at=datetime.now(UTC),
            running_for=running_for,
        )
        return export_id, settled

    async def export_to(self, path: Path, order: Order, by: Requester, progress: Progress) -> Pack:
        """Make a pack here and now. Whoever cancels this leaves nothing behind.

        Raises:
            OrderError: for what cannot be asked for.
            ExportError: if the pack cannot be made.
            OSError: if it cannot be written.
        """
        export_id, settled = await self.order(order, by, running_for=LEASE)
        try:
            return await self.carry_out(
                export_id,
                settled,
                requested_by=self._commitment(export_id, by),
                path=path,
                progress=progress,
                file_name=None,
            )
        except (ExportError, StorageError, OSError, SQLAlchemyError) as error:
            with contextlib.suppress(SQLAlchemyError):  # it may be what failed
                await self._exports.fail(export_id, reason_of(error))
            raise
        except asyncio.CancelledError:
            with contextlib.suppress(SQLAlchemyError):
                await asyncio.shield(self._exports.cancel(export_id))
            raise

    async def carry_out(
        self,
        export_id: str,
        order: Order,
        *,
        requested_by: str,
        path: Path,
        progress: Progress,
        file_name: str | None,
    ) -> Pack:
        """Make the pack, put it on record in the ledger, then give it its name.

        Raises:
            ExportError: if it cannot be made.
            OSError: if it cannot be written.
        """
        part = await asyncio.to_thread(PartFile, path)
        try:
            async with self._alive(export_id, progress):
                head = await self._head(order.checkpoint)
                run_by = await self._run_by(export_id)
                summary, people = await self._maker.make(order, head, part, progress, run_by=run_by)
                sha256, size_bytes = await in_thread(progress, part.seal)
                await self._record(
                    export_id, order, requested_by, summary, people=people, sha256=sha256
                )
            part.publish()
            try:
                stands = await self._exports.finish(
                    export_id,
                    file_name=file_name,
                    sha256=sha256,
                    size_bytes=size_bytes,
                    entries=summary.size,
                )
            except asyncio.CancelledError:
                path.unlink(missing_ok=True)  # noqa: ASYNC240 - at once, or not at all
                raise
            if not stands:
                await asyncio.to_thread(path.unlink, missing_ok=True)
                raise ExportError("the export was withdrawn meanwhile: somebody in it was erased")
        finally:
            part.discard()
        log.info("pack_exported", export_id=export_id, count=summary.counts["leavers"])
        return Pack(export_id, path, sha256, size_bytes, people, summary)

    def who(self, export_id: str, parameters: Mapping[str, Any]) -> dict[str, str]:
        """Who ordered an export and why, as far as the keyring opens it."""
        try:
            raw = self._ring.decrypt(
                base64.b64decode(parameters["private"]), context=_context(export_id)
            )
        except (KeyringError, KeyError, ValueError):
            return {}
        return dict(json.loads(raw))

    async def _run_by(self, export_id: str) -> str:
        row = await self._exports.get(export_id)
        if row is None:
            return ""
        kind, _, name = row.requested_by.partition(":")
        said = self.who(export_id, row.parameters)
        return said.get("person") or (f"token {name}" if kind == "token" else "")

    async def _head(self, size: int | None) -> StoredCheckpoint:
        if size is None:
            head = await self._checkpoints.latest()
            if head is None:
                raise OrderError(
                    "the ledger has no signed head yet: a running worker signs one in a moment"
                )
            return head
        head = await self._checkpoints.at(size)
        if head is None:
            raise OrderError(f"checkpoint: no head of exactly {size} entries was signed")
        return head

    # --- record -----------------------------------------------------------------------------------

    async def _record(
        self,
        export_id: str,
        order: Order,
        requested_by: str,
        summary: PackSummary,
        *,
        people: int,
        sha256: str,
    ) -> None:
        """Say in the ledger what is about to be handed out; it comes after the pack's head."""
        now = whole_ms(datetime.now(UTC))
        kind, _, ref = requested_by.partition(":")
        data: dict[str, object] = {
            "export": export_id,
            "checkpoint": summary.size,
            "parameters_sha256": order.digest(),
            "pack_sha256": sha256,
            "identified": order.identified,
            "counts": dict(summary.counts),
        }
        if order.identified:
            data["people"] = people
        entry = Entry(
            kind=EntryKind.EVIDENCE_EXPORTED,
            key=f"{EntryKind.EVIDENCE_EXPORTED.value}:{export_id}",
            tenant=self._tenant,
            occurred_at=now,
            recorded_at=now,
            actor=Actor(kind, ref),
            data=data,
        )
        await self._ledger.append(Append(entry))

    def _commitment(self, export_id: str, by: Requester) -> str:
        if by.token:
            return f"token:{by.token}"
        # Whoever has the keyring can check a name; nobody can read one.
        key = f"{EntryKind.EVIDENCE_EXPORTED.value}:{export_id}"
        return f"person:{self._ring.blind_index('person', key, by.person).hex()[:32]}"

    def _private(self, export_id: str, order: Order, by: Requester) -> str:
        said = {"person": by.person, "reason": order.reason}
        cipher = self._ring.encrypt(json.dumps(said).encode(), context=_context(export_id))
        return base64.b64encode(cipher).decode()

    @contextlib.asynccontextmanager
    async def _alive(self, export_id: str, progress: Progress) -> AsyncIterator[None]:
        """Keep telling that this export is being worked on, and how far it is."""

        async def beat() -> None:
            while True:
                try:
                    await self._exports.beat(
                        export_id, done=progress.done, total=progress.total, lease=LEASE
                    )
                except SQLAlchemyError as error:  # the work itself will meet it too, or not
                    log.warning("export_beat_failed", error=type(error).__name__)
                await asyncio.sleep(BEAT.total_seconds())

        task = asyncio.create_task(beat())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def reason_of(error: Exception) -> str:
    """Why a pack was not made, for the list of exports; of a database's error only its kind."""
    match error:
        case ExportError() | OrderError() | StorageError():
            return str(error)
        case OSError():
            return f"the pack cannot be written: {error.strerror or type(error).__name__}"
        case SQLAlchemyError():
            return "the database failed"
        case _:
            return f"a fault of Lockstep: {type(error).__name__}"


def new_export_id() -> str:
    """A random id: ``e`` and 12 characters, 60 bits."""
    return "e" + base64.b32encode(secrets.token_bytes(8)).decode().lower()[:12]


def _check_previous(asked: Checkpoint, origin: str, size: int) -> None:
    if asked.origin != origin:
        raise OrderError("previous: this checkpoint is of another ledger")
    if asked.size > size:
        raise OrderError("previous: this checkpoint is newer than the one the pack is made at")


def _context(export_id: str) -> bytes:
    return f"export\x00{export_id}".encode()
