"""Pauses of systems: who stopped our work on one, and until when."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.domain.cases.clocks import whole_ms
from lockstep.domain.rights import EVERYTHING, Scope, is_within
from lockstep.domain.systems.faults import Recovery
from lockstep.evidence.format.canonical import instant_text
from lockstep.evidence.ledger.entries import Actor, Entry, EntryKind
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.ledger.append import Append, append_all
from lockstep.storage.systems.holding import stands, touches
from lockstep.storage.systems.waking import wake
from lockstep.storage.tables.systems import pauses

MOST_EARLIER = 20


class AlreadyPausedError(RuntimeError):
    """The system is paused already."""


@dataclass(frozen=True, slots=True)
class Pause:
    """One pause. ``placed_by`` and ``ended_by`` are random user ids; "" where it ended by itself.

    ``name`` and ``reason`` are what a person wrote: personal, kept encrypted; "" for who may not
    know of them.

    Args:
        partners: whose cases it holds; None is everybody's.
        spares: kinds of leaver that it does not hold as long as ``agreed_by`` is "".
        own_keys, typed: who placed it, for comparing with whoever would agree.
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
    partners: frozenset[str] | None = None
    spares: frozenset[str] = frozenset()
    agreed_by: str = ""
    agreed_name: str = field(repr=False, default="")
    own_keys: frozenset[bytes] = field(repr=False, default=frozenset())
    typed: tuple[str, ...] = field(repr=False, default=())

    def stands_at(self, moment: datetime) -> bool:
        return self.ended_at is None and self.until > moment

    def is_of(self, scope: Scope) -> bool:
        """Whether somebody decides about it: it holds nobody whom they may not know of."""
        return is_within(self.partners, scope.partners)

    def told_to(self, scope: Scope) -> Pause:
        """As much of it as somebody may know: of others' neither who, nor why, nor for whom."""
        if self.is_of(scope):
            return self
        theirs = self.partners
        if theirs is not None and scope.partners is not None:
            theirs &= scope.partners
        return replace(self, name="", reason="", agreed_name="", partners=theirs)


@dataclass(frozen=True, slots=True)
class NewPause:
    """What somebody asks for; see `Pause`."""

    system: str
    until: datetime
    user_id: str
    name: str = field(repr=False)
    reason: str = field(repr=False)
    partners: frozenset[str] | None = None
    spares: frozenset[str] = frozenset()
    own_keys: frozenset[bytes] = field(repr=False, default=frozenset())
    typed: tuple[str, ...] = field(repr=False, default=())


class Pauses:
    """Every change explains itself in the ledger, in the same transaction.

    So does what an end of a pause brings about: whom the system held up is woken.
    """

    def __init__(self, engine: AsyncEngine, ring: Keyring, tenant: str) -> None:
        self._engine = engine
        self._ring = ring
        self._tenant = tenant

    async def place(self, new: NewPause) -> Pause:
        """Pause a system from now on.

        Raises:
            AlreadyPausedError: if it is paused for the same partners.
        """
        now = whole_ms(datetime.now(UTC))
        pause = Pause(
            pause_id="p" + base64.b32encode(secrets.token_bytes(8)).decode().lower()[:12],
            system=new.system,
            begins_at=now,
            until=whole_ms(new.until),
            placed_by=new.user_id,
            ended_at=None,
            ended_by="",
            name=new.name,
            reason=new.reason,
            partners=new.partners,
            spares=new.spares,
            own_keys=new.own_keys,
            typed=new.typed,
        )
        row = {
            "pause_id": pause.pause_id,
            "system": pause.system,
            "begins_at": pause.begins_at,
            "until": pause.until,
            "placed_by": pause.placed_by,
            "partners": sorted(pause.partners or ()),
            "spares": sorted(pause.spares),
            "private": self._seal(pause),
        }
        try:
            async with self._engine.begin() as connection:
                await self._end_expired(connection, now)
                await connection.execute(insert(pauses), row)
                entry = self._entry(EntryKind.SYSTEM_PAUSED, pause, now, new.user_id)
                await append_all(connection, [Append(entry)])
        except IntegrityError:
            raise AlreadyPausedError(new.system) from None
        return pause

    async def agree(self, pause: Pause, *, user_id: str, name: str) -> bool:
        """From now on it holds whom it spared; False where it is over, or somebody has agreed."""
        now = whole_ms(datetime.now(UTC))
        agreed = replace(pause, spares=frozenset(), agreed_by=user_id, agreed_name=name)
        statement = (
            update(pauses)
            .where(pauses.c.pause_id == pause.pause_id, pauses.c.spares != [], stands())
            .values(spares=[], agreed_by=user_id, agreed_at=now, private=self._seal(agreed))
        )
        async with self._engine.begin() as connection:
            if not (await connection.execute(statement)).rowcount:
                return False
            entry = self._entry(EntryKind.SYSTEM_PAUSED, agreed, now, user_id)
            await append_all(connection, [Append(entry)])
        return True

    async def resume(self, system: str, *, user_id: str, scope: Scope = EVERYTHING) -> list[Pause]:
        """End a system's pauses early, those that hold nobody outside of ``scope``; return them."""
        now = whole_ms(datetime.now(UTC))
        statement = (
            update(pauses)
            .where(pauses.c.system == system, pauses.c.ended_at.is_(None))
            .values(ended_at=now, ended_by=user_id)
            .returning(pauses)
        )
        if scope.partners is not None:
            theirs = pauses.c.partners.contained_by(sorted(scope.partners))
            statement = statement.where(theirs, func.cardinality(pauses.c.partners) > 0)
        async with self._engine.begin() as connection:
            await self._end_expired(connection, now)
            ended = [self._pause(row) for row in (await connection.execute(statement)).all()]
            entries = [self._entry(EntryKind.SYSTEM_RESUMED, one, now, user_id) for one in ended]
            await append_all(connection, [Append(entry) for entry in entries])
            if ended:
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

    async def standing(self, scope: Scope = EVERYTHING) -> dict[str, Pause]:
        """The pause that stands now and holds most, by system, as far as it touches ``scope``."""
        query = (
            select(pauses)
            .where(stands(), touches(scope))
            .order_by(func.cardinality(pauses.c.partners) == 0, pauses.c.until)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return {row.system: self._pause(row).told_to(scope) for row in rows}

    async def one(self, pause_id: str, scope: Scope) -> Pause | None:
        """One pause that ``scope`` decides about."""
        query = select(pauses).where(pauses.c.pause_id == pause_id)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        found = self._pause(row) if row is not None else None
        return found if found is not None and found.is_of(scope) else None

    async def of(self, system: str, scope: Scope = EVERYTHING) -> list[Pause]:
        """The newest pauses of a system, the last one first, as far as they touch ``scope``."""
        query = (
            select(pauses)
            .where(pauses.c.system == system, touches(scope))
            .order_by(pauses.c.begins_at.desc())
            .limit(MOST_EARLIER)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [self._pause(row).told_to(scope) for row in rows]

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
        key = f"{kind.value}:{pause.pause_id}"
        if kind is EntryKind.SYSTEM_PAUSED:
            data["until"] = instant_text(pause.until)
            if pause.partners is not None:
                data["partners"] = sorted(pause.partners)
            if pause.spares:
                data["spares"] = sorted(pause.spares)
            if pause.agreed_by:
                data["agreed"] = True
                key += ":agreed"
        return Entry(
            kind=kind,
            key=key,
            tenant=self._tenant,
            occurred_at=at,
            recorded_at=whole_ms(datetime.now(UTC)),
            system=pause.system,
            actor=Actor("person", user_id) if user_id else Actor(),
            data=data,
        )

    def _pause(self, row: Any) -> Pause:
        said: Mapping[str, Any] = json.loads(
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
            partners=frozenset(row.partners) or None,
            spares=frozenset(row.spares),
            agreed_by=row.agreed_by or "",
            agreed_name=said.get("agreed", ""),
            own_keys=frozenset(bytes.fromhex(key) for key in said.get("own_keys", ())),
            typed=tuple(said.get("typed", ())),
        )

    def _seal(self, pause: Pause) -> bytes:
        said = {
            "name": pause.name,
            "reason": pause.reason,
            "agreed": pause.agreed_name,
            "own_keys": sorted(index.hex() for index in pause.own_keys),
            "typed": list(pause.typed),
        }
        return self._ring.encrypt(json.dumps(said).encode(), context=_context(pause.pause_id))


def _context(pause_id: str) -> bytes:
    return f"pause\x00{pause_id}".encode()
