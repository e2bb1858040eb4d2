"""The loop that has ordered packs made in the background, and deletes them after their time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from lockstep.control.packs.export import LEASE, Exporter, reason_of
from lockstep.control.packs.folder import LEFT_OVER, PacksFolder
from lockstep.control.packs.making import Progress
from lockstep.control.packs.order import Order, OrderError
from lockstep.control.packs.process import MakerDiedError, MakerWaitsError
from lockstep.evidence.pack.entries_file import ExportError
from lockstep.storage.engine.database import StorageError
from lockstep.storage.packs.orders import ExportRow, Exports, ExportState

log = structlog.get_logger("lockstep.export")

POLL = timedelta(seconds=2)
TIDY = timedelta(hours=1)
AGAIN = timedelta(seconds=30)
"""How soon an export is tried again that the database failed, or whose maker died."""
PATIENCE = LEFT_OVER
"""An order that nobody could carry out for so long is given up."""
MOST_DEATHS = 3
"""So many makers may die over one order."""

Make = Callable[[str], Awaitable[None]]
"""Makes the ordered pack of this id and puts its end on record."""


class PackMaking:
    """Makes ordered packs where it is called; a worker calls it in a process of its own."""

    def __init__(self, exporter: Exporter, exports: Exports, folder: PacksFolder) -> None:
        self._exporter = exporter
        self._exports = exports
        self._folder = folder

    async def make(self, export_id: str) -> None:
        """Make one pack that was ordered, unless it was withdrawn; say how it ended.

        Raises:
            SQLAlchemyError: if the database failed; nothing is said then.
        """
        row = await self._exports.get(export_id)
        if row is None or row.state != ExportState.PENDING:
            return
        try:
            await self._carry_out(row)
        except (ExportError, OrderError, StorageError, OSError) as error:
            log.warning("export_given_up", export_id=export_id)
            await self._exports.fail(export_id, reason_of(error))
        except SQLAlchemyError:
            raise
        except Exception as error:
            log.exception("export_failed", export_id=export_id)
            await self._exports.fail(export_id, reason_of(error))

    async def _carry_out(self, row: ExportRow) -> None:
        await asyncio.to_thread(self._folder.prepare)
        name = self._folder.name_of(row.export_id)
        await self._exporter.carry_out(
            row.export_id,
            Order.from_parameters(row.parameters),
            requested_by=row.requested_by,
            path=self._folder.path / name,
            progress=Progress(),
            file_name=name,
        )


class ExportJobs:
    """Takes up orders one at a time. Any number may run, where ``folder`` is the same place.

    Args:
        make: makes a pack; what it does not survive is noticed here.
        folder: where packs lie until they are fetched.
        keep: how long they lie there.
        look: how often it is looked whether the maker gives signs of life.
    """

    def __init__(
        self,
        make: Make,
        exports: Exports,
        *,
        folder: PacksFolder,
        keep: timedelta,
        poll: timedelta = POLL,
        look: timedelta = LEASE,
    ) -> None:
        self._make = make
        self._exports = exports
        self._folder = folder
        self._keep = keep
        self._poll = poll.total_seconds()
        self._look = look.total_seconds()
        self._deaths: Counter[str] = Counter()

    async def run(self) -> None:
        """Work until cancelled; an export under way is then given back."""
        tidied = -TIDY.total_seconds()
        while True:
            busy = False
            try:
                if time.monotonic() - tidied >= TIDY.total_seconds():
                    await self.tidy()
                    tidied = time.monotonic()
                busy = await self.step()
            except (SQLAlchemyError, OSError, MakerWaitsError) as error:
                log.warning("exports_wait", error=type(error).__name__)
            if not busy:
                await asyncio.sleep(self._poll)

    async def step(self) -> bool:
        """Have one order carried out; False if none waits."""
        row = await self._exports.claim(LEASE)
        if row is None:
            return False
        export_id = row.export_id
        log.info("export_taken", export_id=export_id)
        try:
            await self._made(export_id)
        except (SQLAlchemyError, MakerWaitsError, OSError):
            await self._exports.release(export_id, after=AGAIN)
            raise
        except asyncio.CancelledError:
            await asyncio.shield(self._give_back(export_id))
            raise
        except MakerDiedError as died:
            await self._bury(export_id, str(died))
        else:
            self._deaths.pop(export_id, None)
        return True

    async def tidy(self) -> None:
        """Delete packs after their time, and give up what nobody will finish."""
        await asyncio.to_thread(self._folder.prepare)
        for path in await asyncio.to_thread(self._folder.old_packs):
            row = await self._exports.get(path.stem)
            if row is None or row.file_name != path.name:  # whoever made it died before it said so
                await asyncio.to_thread(self._folder.unlink, [path.name])
        outlived = await self._exports.outlived(self._keep)
        await asyncio.to_thread(self._folder.unlink, [name for _, name in outlived])
        await self._exports.expire([export_id for export_id, _ in outlived])
        await self._exports.give_up(pending_for=PATIENCE)

    # --- makers -------------------------------------------------------------------------------

    async def _made(self, export_id: str) -> None:
        """Wait for the maker, as long as it gives signs of life; it is ended with us."""
        task = asyncio.ensure_future(self._make(export_id))
        try:
            while not (await asyncio.wait({task}, timeout=self._look))[0]:
                if await self._is_silent(export_id):
                    raise MakerDiedError("no sign of life")
            await task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task

    async def _is_silent(self, export_id: str) -> bool:
        """Whether the maker has not said for long that it lives. Clocks may differ by a minute."""
        try:
            row = await self._exports.get(export_id)
        except SQLAlchemyError:  # who cannot be asked is not taken for dead
            return False
        until = None if row is None else row.claimed_until
        return until is not None and until < datetime.now(UTC) - LEASE

    async def _bury(self, export_id: str, how: str) -> None:
        """After a maker's death: have it tried again, but not for ever."""
        await asyncio.to_thread(self._folder.drop_half, export_id)
        self._deaths[export_id] += 1
        count = self._deaths[export_id]
        log.error("export_maker_died", export_id=export_id, error=how, count=count)
        if count < MOST_DEATHS:
            await self._exports.release(export_id, after=AGAIN)
            return
        del self._deaths[export_id]
        await self._exports.fail(
            export_id,
            f"its process was ended {count} times ({how}): see the worker's log; it needs up to"
            " 500 MB of memory of its own. Then order it again",
        )

    async def _give_back(self, export_id: str) -> None:
        """The next worker need not wait for the lease to end."""
        with contextlib.suppress(OSError):
            await asyncio.to_thread(self._folder.drop_half, export_id)
        with contextlib.suppress(SQLAlchemyError):
            await self._exports.release(export_id, after=timedelta(0))
