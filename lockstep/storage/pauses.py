"""Pauses of systems: who stopped our work on one, and until when."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.domain.clocks import whole_ms
from lockstep.domain.faults import Recovery
from lockstep.evidence.canonical import instant_text
from lockstep.evidence.entries import Actor, Entry, EntryKind
from lockstep.storage.keyring import Keyring
from lockstep.storage.ledger import Append, append_all
from lockstep.storage.tables.systems import pauses
from lockstep.storage.waking import wake

MOST_EARLIER = 20


class AlreadyPausedError(RuntimeError):
    """The system is paused already."""


@dataclass(frozen=True, slots=True)
class Pause:
    """One pause. ``placed_by`` and ``ended_by`` are random user ids; "" where it ended by itself.

    ``name`` and ``reason`` are what a person wrote: personal, kept encrypted.
    """

    pause_id: str
    system: str
    begins_at: datetime
    until: datetime
    placed_by: str
    ended_at: datetime | None
    ended_by: str
    name: str = field(repr=False)
    reason: str = field(repr=False)

    def stands_at(self, moment: datetime) -> bool:
        return self.ended_at is None and self.until > moment


class Pauses:
    """Every change explains itself in the ledger, in the same transaction.

    So does what an end of a pause brings about: whom the system held up is woken.
    """

    def __init__(self, engine: AsyncEngine, ring: Keyring, tenant: str) -> None:
        self._engine = engine
        self._ring = ring
        self._tenant = tenant

    async def place(
        self, system: str, *, until: datetime, user_id: str, name: str, reason: str
    ) -> Pause:
        """Pause a system from now on.

        Raises:
            AlreadyPausedError: if it is paused.
        """
        now = whole_ms(datetime.now(UTC))
        pause = Pause(
            pause_id="p" + base64.b32encode(secrets.token_bytes(8)).decode().lower()[:12],
            system=system,
            begins_at=now,
            until=whole_ms(until),
            placed_by=user_id,
            ended_at=None,
            ended_by="",
            name=name,
            reason=reason,
        )
        row = {
            "pause_id": pause.pause_id,
            "system": system,
            "begins_at": pause.begins_at,
            "until": pause.until,
            "placed_by": user_id,
            "private": self._seal(pause),
        }
        try:
            async with self._engine.begin() as connection:
                await self._end_expired(connection, now)
                await connection.execute(insert(pauses), row)
                entry = self._entry(EntryKind.SYSTEM_PAUSED, pause, now, user_id)
                await append_all(connection, [Append(entry)])
        except IntegrityError:
            raise AlreadyPausedError(system) from None
        return pause

    async def resume(self, system: str, *, user_id: str) -> Pause | None:
        """End a system's pause early; None if it is not paused."""
        now = whole_ms(datetime.now(UTC))
        async with self._engine.begin() as connection:
            await self._end_expired(connection, now)
            statement = (
                update(pauses)
                .where(pauses.c.system == system, pauses.c.ended_at.is_(None))
                .values(ended_at=now, ended_by=user_id)
                .returning(pauses)
            )
            row = (await connection.execute(statement)).one_or_none()
            if row is None:
                return None
            ended = self._pause(row)
            entry = self._entry(EntryKind.SYSTEM_RESUMED, ended, now, user_id)
            await append_all(connection, [Append(entry)])
            await wake(connection, system, Recovery.RESUMED, now)
        return ended

    async def end_expired(self) -> list[Pause]:
        """Put on record that pauses have ended by themselves; return them."""
        now = whole_ms(datetime.now(UTC))
        due = select(pauses.c.pause_id).where(pauses.c.ended_at.is_(None), pauses.c.until <= now)
        async with self._engine.connect() as connection:
            if not (await connection.execute(due.limit(1))).all():
                return []
        async with self._engine.begin() as connection:
            return await self._end_expired(connection, now)

    async def standing(self) -> dict[str, Pause]:
        """Pauses that stand now, by system."""
        now = datetime.now(UTC)
        query = select(pauses).where(pauses.c.ended_at.is_(None), pauses.c.until > now)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return {row.system: self._pause(row) for row in rows}

    async def of(self, system: str) -> list[Pause]:
        """The newest pauses of a system, the last one first."""
        query = (
            select(pauses)
            .where(pauses.c.system == system)
            .order_by(pauses.c.begins_at.desc())
            .limit(MOST_EARLIER)
        )
        async with self._engine.connect() as connection:
            return [self._pause(row) for row in (await connection.execute(query)).all()]

    async def _end_expired(self, connection: AsyncConnection, now: datetime) -> list[Pause]:
        statement = (
            update(pauses)
            .where(pauses.c.ended_at.is_(None), pauses.c.until <= now)
            .values(ended_at=pauses.c.until)
            .returning(pauses)
        )
        ended = [self._pause(row) for row in (await connection.execute(statement)).all()]
        entries = [self._entry(EntryKind.SYSTEM_RESUMED, row, row.until, "") for row in ended]
        await append_all(connection, [Append(entry) for entry in entries])
        for pause in ended:
            await wake(connection, pause.system, Recovery.RESUMED, now)
        return ended

    def _entry(self, kind: EntryKind, pause: Pause, at: datetime, user_id: str) -> Entry:
        data: dict[str, object] = {"pause": pause.pause_id}
        if kind is EntryKind.SYSTEM_PAUSED:
            data["until"] = instant_text(pause.until)
        return Entry(
            kind=kind,
            key=f"{kind.value}:{pause.pause_id}",
            tenant=self._tenant,
            occurred_at=at,
            recorded_at=whole_ms(datetime.now(UTC)),
            system=pause.system,
            actor=Actor("person", user_id) if user_id else Actor(),
            data=data,
        )

    def _pause(self, row: Any) -> Pause:
        said: Mapping[str, str] = json.loads(
            self._ring.decrypt(bytes(row.private), context=_context(row.pause_id))
        )
        return Pause(
            row.pause_id,
            row.system,
            row.begins_at,
            row.until,
            row.placed_by,
            row.ended_at,
            row.ended_by or "",
            said["name"],
            said["reason"],
        )

    def _seal(self, pause: Pause) -> bytes:
        said = json.dumps({"name": pause.name, "reason": pause.reason}).encode()
        return self._ring.encrypt(said, context=_context(pause.pause_id))


def _context(pause_id: str) -> bytes:
    return f"pause\x00{pause_id}".encode()
