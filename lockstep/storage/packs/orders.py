"""Ordered packs: who works on which, how far it is, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, and_, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.storage.tables.outgoing import exports

MOST_ROWS = 1000
_ERROR_LENGTH = 500


class ExportState(StrEnum):
    """How far an export is."""

    PENDING = "pending"
    """Ordered; whoever is free takes it, and again when that one dies."""
    RUNNING = "running"
    """Under way at a command line, which alone can finish it."""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """Its file was deleted after the time that packs are kept."""


_LIVE = (ExportState.PENDING.value, ExportState.RUNNING.value)


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One export as stored.

    Args:
        parameters: what was asked for; no personal data, but for what is encrypted in it.
        requested_by: ``token:NAME``, or ``person:`` and a commitment.
        file_name: in the folder of packs; None if the command line kept the file elsewhere.
        claimed_until: who works on it has said that it lives until then.
    """

    export_id: str
    parameters: Mapping[str, Any] = field(repr=False)
    requested_at: datetime
    requested_by: str
    state: str
    done_entries: int
    all_entries: int
    file_name: str | None
    sha256: str | None
    size_bytes: int | None
    finished_at: datetime | None
    error: str | None
    claimed_until: datetime | None


_COLUMNS = [exports.c[item.name] for item in fields(ExportRow)]


class Exports:
    """The table of exports."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def order(
        self,
        export_id: str,
        parameters: Mapping[str, Any],
        *,
        requested_by: str,
        at: datetime,
        running_for: timedelta | None = None,
    ) -> None:
        """Put an export on record; with ``running_for`` as one that the caller is working on."""
        state = ExportState.PENDING if running_for is None else ExportState.RUNNING
        until = None if running_for is None else func.now() + running_for
        statement = insert(exports).values(
            export_id=export_id,
            parameters=dict(parameters),
            requested_at=at,
            requested_by=requested_by,
            state=state.value,
            claimed_until=until,
        )
        async with self._engine.begin() as connection:
            await connection.execute(statement)

    async def claim(self, lease: timedelta) -> ExportRow | None:
        """Take the oldest pending export that nobody works on; others skip it for ``lease``."""
        free = or_(exports.c.claimed_until.is_(None), exports.c.claimed_until < func.now())
        oldest = (
            select(exports.c.export_id)
            .where(exports.c.state == ExportState.PENDING.value, free)
            .order_by(exports.c.requested_at, exports.c.export_id)
            .limit(1)
            .with_for_update(skip_locked=True)
            .cte("oldest")
        )
        statement = (
            update(exports)
            .where(exports.c.export_id == oldest.c.export_id)
            .values(claimed_until=func.now() + lease)
            .returning(*_COLUMNS)
        )
        async with self._engine.begin() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else _row(row)

    async def beat(self, export_id: str, *, done: int, total: int, lease: timedelta) -> None:
        """Say that one lives, and how many of the ledger's entries were read."""
        await self._change(
            export_id, done_entries=done, all_entries=total, claimed_until=func.now() + lease
        )

    async def finish(
        self,
        export_id: str,
        *,
        file_name: str | None,
        sha256: str,
        size_bytes: int,
        entries: int,
    ) -> bool:
        """Record that the file is there; False if the export was withdrawn meanwhile.

        One that another has finished stands: both have made the same bytes.
        """
        was_live = await self._change(
            export_id,
            state=ExportState.DONE.value,
            file_name=file_name,
            sha256=sha256,
            size_bytes=size_bytes,
            done_entries=entries,
            all_entries=entries,
            finished_at=func.now(),
            claimed_until=None,
        )
        if was_live:
            return True
        row = await self.get(export_id)
        return row is not None and row.state == ExportState.DONE

    async def fail(self, export_id: str, error: str) -> None:
        """Give an export up; the text says why and holds nothing personal."""
        await self._change(
            export_id,
            state=ExportState.FAILED.value,
            error=error[:_ERROR_LENGTH],
            finished_at=func.now(),
            claimed_until=None,
        )

    async def cancel(self, export_id: str) -> None:
        await self._change(
            export_id,
            state=ExportState.CANCELLED.value,
            finished_at=func.now(),
            claimed_until=None,
        )

    async def release(self, export_id: str, *, after: timedelta) -> None:
        """Give a claimed export back, to be taken up after a while."""
        await self._change(export_id, claimed_until=func.now() + after)

    async def get(self, export_id: str) -> ExportRow | None:
        query = select(*_COLUMNS).where(exports.c.export_id == export_id)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _row(row)

    async def newest(self, limit: int = 50) -> list[ExportRow]:
        """The newest first."""
        query = (
            select(*_COLUMNS)
            .order_by(exports.c.requested_at.desc(), exports.c.export_id)
            .limit(min(limit, MOST_ROWS))
        )
        async with self._engine.connect() as connection:
            return [_row(row) for row in (await connection.execute(query)).all()]

    async def waiting(self) -> int:
        """How many exports are neither finished nor given up."""
        query = select(func.count()).where(exports.c.state.in_(_LIVE))
        async with self._engine.connect() as connection:
            return int(await connection.scalar(query) or 0)

    async def give_up(self, *, pending_for: timedelta) -> None:
        """End what nobody will finish: a command line that was killed, an order gone stale."""
        silent = or_(exports.c.claimed_until.is_(None), exports.c.claimed_until < func.now())
        gone = and_(exports.c.state == ExportState.RUNNING.value, silent)
        stale = and_(
            exports.c.state == ExportState.PENDING.value,
            exports.c.requested_at < func.now() - pending_for,
            silent,
        )
        statement = (
            update(exports)
            .where(or_(gone, stale))
            .values(
                state=ExportState.FAILED.value,
                error="it was ended before it was complete: order it again",
                finished_at=func.now(),
                claimed_until=None,
            )
        )
        async with self._engine.begin() as connection:
            await connection.execute(statement)

    async def outlived(self, keep: timedelta) -> list[tuple[str, str]]:
        """Exports whose file has been kept long enough, as (id, file name)."""
        query = (
            select(exports.c.export_id, exports.c.file_name)
            .where(exports.c.state == ExportState.DONE.value, exports.c.file_name.is_not(None))
            .where(exports.c.finished_at < func.now() - keep)
            .limit(MOST_ROWS)
        )
        async with self._engine.connect() as connection:
            return [(row.export_id, row.file_name) for row in await connection.execute(query)]

    async def expire(self, export_ids: Sequence[str]) -> None:
        """Record that the files of these exports were deleted."""
        statement = (
            update(exports)
            .where(exports.c.export_id.in_(export_ids))
            .where(exports.c.state == ExportState.DONE.value)
            .values(state=ExportState.EXPIRED.value, file_name=None)
        )
        async with self._engine.begin() as connection:
            await connection.execute(statement)

    async def _change(self, export_id: str, **values: Any) -> bool:
        """Change an export that is under way; what is finished stays as it is: False."""
        statement = (
            update(exports)
            .where(exports.c.export_id == export_id, exports.c.state.in_(_LIVE))
            .values(**values)
            .returning(exports.c.export_id)
        )
        async with self._engine.begin() as connection:
            return await connection.scalar(statement) is not None


def _row(row: Row[Any]) -> ExportRow:
    return ExportRow(**row._mapping)  # noqa: SLF001 - public by documentation
