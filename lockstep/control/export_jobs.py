"""The loop that makes ordered packs in the background, and deletes them after their time."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from lockstep.control.export import LEASE, Exporter, reason_of
from lockstep.control.export_making import Progress
from lockstep.control.export_order import Order, OrderError
from lockstep.evidence.pack.entries_file import ExportError
from lockstep.storage.engine import StorageError
from lockstep.storage.exports import ExportRow, Exports

log = structlog.get_logger("lockstep.export")

POLL = timedelta(seconds=2)
TIDY = timedelta(hours=1)
AGAIN = timedelta(seconds=30)
"""How soon an export is tried again that the database failed."""
PATIENCE = timedelta(hours=24)
"""An order that nobody could carry out for so long is given up."""


class ExportJobs:
    """Takes up orders one at a time. Any number may run, where ``folder`` is the same place.

    Args:
        folder: where packs lie until they are fetched; only our own user may read it.
        keep: how long they lie there.
    """

    def __init__(
        self,
        exporter: Exporter,
        exports: Exports,
        *,
        folder: Path,
        keep: timedelta,
        poll: timedelta = POLL,
    ) -> None:
        self._exporter = exporter
        self._exports = exports
        self._folder = folder
        self._keep = keep
        self._poll = poll.total_seconds()

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
            except (SQLAlchemyError, OSError) as error:
                log.warning("exports_wait", error=type(error).__name__)
            if not busy:
                await asyncio.sleep(self._poll)

    async def step(self) -> bool:
        """Carry out one order; False if none waits."""
        row = await self._exports.claim(LEASE)
        if row is None:
            return False
        log.info("export_taken", export_id=row.export_id)
        try:
            await self._carry_out(row)
        except SQLAlchemyError:
            await self._exports.release(row.export_id, after=AGAIN)
            raise
        except asyncio.CancelledError:
            with contextlib.suppress(SQLAlchemyError):
                await asyncio.shield(self._exports.release(row.export_id, after=timedelta(0)))
            raise
        except (ExportError, OrderError, StorageError, OSError) as error:
            log.warning("export_given_up", export_id=row.export_id)
            await self._exports.fail(row.export_id, reason_of(error))
        except Exception as error:
            log.exception("export_failed", export_id=row.export_id)
            await self._exports.fail(row.export_id, reason_of(error))
        return True

    async def tidy(self) -> None:
        """Delete packs after their time, and give up what nobody will finish."""
        await asyncio.to_thread(self._prepare)
        for path in await asyncio.to_thread(self._old_packs):
            row = await self._exports.get(path.stem)
            if row is None or row.file_name != path.name:  # whoever made it died before it said so
                await asyncio.to_thread(self._unlink, [path.name])
        outlived = await self._exports.outlived(self._keep)
        await asyncio.to_thread(self._unlink, [name for _, name in outlived])
        await self._exports.expire([export_id for export_id, _ in outlived])
        await self._exports.give_up(pending_for=PATIENCE)

    async def _carry_out(self, row: ExportRow) -> None:
        await asyncio.to_thread(self._prepare)
        name = f"{row.export_id}.zip"
        await self._exporter.carry_out(
            row.export_id,
            Order.from_parameters(row.parameters),
            requested_by=row.requested_by,
            path=self._folder / name,
            progress=Progress(),
            file_name=name,
        )

    def _prepare(self) -> None:
        """Make the folder, and clear away what a killed process left."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in self._old(".*.part"):
            if part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            else:
                part.unlink(missing_ok=True)

    def _old_packs(self) -> list[Path]:
        return self._old("*.zip")

    def _old(self, pattern: str) -> list[Path]:
        """What lies here longer than any export takes."""
        before = time.time() - PATIENCE.total_seconds()
        found = []
        for path in self._folder.glob(pattern):
            with contextlib.suppress(FileNotFoundError):  # another tidies too
                if path.stat().st_mtime < before:
                    found.append(path)
        return found

    def _unlink(self, names: Sequence[str]) -> None:
        for name in names:
            if Path(name).name == name:  # never outside the folder
                (self._folder / name).unlink(missing_ok=True)
