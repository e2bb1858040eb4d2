"""Legal holds: while one stands on a case, its leaver's personal data are not erased."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.domain.cases.clocks import whole_ms
from lockstep.evidence.format.canonical import reference
from lockstep.evidence.ledger.entries import Actor, Entry, EntryKind
from lockstep.storage.cases.entries import case_entry
from lockstep.storage.cases.reads import UnknownCaseError
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.keys.subjects import Subject
from lockstep.storage.ledger.append import Append, Change, append_all
from lockstep.storage.tables.case import cases
from lockstep.storage.tables.leavers import holds, subjects

_PLACE = insert(holds)
_RELEASE = (
    update(holds)
    .where(holds.c.hold_id == bindparam("k_hold"), holds.c.released_at.is_(None))
    .values(released_at=bindparam("n_at"), private=bindparam("n_private"))
)


class UnknownHoldError(LookupError):
    """No such hold stands on the case."""


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold. ``released_at`` is None while it stands; texts are "" once the leaver is erased.

    Args:
        placed_by: who asked for it, and ``reason`` why.
        released_by: who ended it, and ``release_reason`` why.
    """

    hold_id: str
    case_id: str
    placed_at: datetime
    released_at: datetime | None
    placed_by: str = field(default="", repr=False)
    reason: str = field(default="", repr=False)
    released_by: str = field(default="", repr=False)
    release_reason: str = field(default="", repr=False)


class Holds:
    """Places, releases and reads holds; each change explains itself in the ledger."""

    def __init__(self, engine: AsyncEngine, ring: Keyring) -> None:
        self._engine = engine
        self._ring = ring

    async def place(self, case_id: str, *, actor: str, reason: str) -> str:
        """Keep a case's personal data until released; return the hold's id.

        Raises:
            UnknownCaseError: if there is no such case.
            SubjectErasedError: if there is nothing left to keep.
        """
        now = whole_ms(datetime.now(UTC))
        hold_id = "h" + secrets.token_hex(8)
        async with self._engine.begin() as connection:
            case, subject = await self._locked(connection, case_id)
            row = {
                "hold_id": hold_id,
                "case_id": case_id,
                "placed_at": now,
                "released_at": None,
                "private": subject.encrypt({"actor": actor, "reason": reason}, context=hold_id),
            }
            entry = _entry(EntryKind.HOLD_PLACED, hold_id, case, subject, actor=actor, now=now)
            await append_all(connection, [Append(entry, (Change(_PLACE, row),))])
        return hold_id

    async def release(self, case_id: str, hold_id: str, *, actor: str, reason: str) -> None:
        """End one hold.

        Raises:
            UnknownHoldError: if it does not stand on this case.
            UnknownCaseError: if there is no such case.
        """
        now = whole_ms(datetime.now(UTC))
        async with self._engine.begin() as connection:
            case, subject = await self._locked(connection, case_id)
            standing = select(holds.c.private).where(
                holds.c.hold_id == hold_id,
                holds.c.case_id == case_id,
                holds.c.released_at.is_(None),
            )
            private = await connection.scalar(standing)
            if private is None:
                raise UnknownHoldError(f"no hold {hold_id} stands on case {case_id}")
            told = subject.decrypt(private, context=hold_id)
            told.update(released_by=actor, release_reason=reason)
            values = {
                "k_hold": hold_id,
                "n_at": now,
                "n_private": subject.encrypt(told, context=hold_id),
            }
            entry = _entry(EntryKind.HOLD_RELEASED, hold_id, case, subject, actor=actor, now=now)
            await append_all(connection, [Append(entry, (Change(_RELEASE, values),))])

    async def of(self, case_ids: Sequence[str]) -> list[Hold]:
        """All holds that these cases have or had, oldest first."""
        query = (
            select(
                *(holds.c[name] for name in ("hold_id", "case_id", "placed_at", "released_at")),
                holds.c.private.label("told"),
                subjects.c.subject_id,
                subjects.c.wrapped_key,
                subjects.c.private,
            )
            .join(cases, cases.c.case_id == holds.c.case_id)
            .join(subjects, subjects.c.subject_id == cases.c.subject_id)
            .where(holds.c.case_id.in_(case_ids))
            .order_by(holds.c.placed_at, holds.c.hold_id)
        )
        async with self._engine.connect() as connection:
            return [self._hold(row) for row in (await connection.execute(query)).all()]

    def _hold(self, row: Any) -> Hold:
        told: dict[str, object] = {}
        if row.wrapped_key is not None:
            subject = Subject.open(self._ring, row.subject_id, row.wrapped_key, row.private)
            told = subject.decrypt(row.told, context=row.hold_id)
        return Hold(
            hold_id=row.hold_id,
            case_id=row.case_id,
            placed_at=row.placed_at,
            released_at=row.released_at,
            placed_by=str(told.get("actor", "")),
            reason=str(told.get("reason", "")),
            released_by=str(told.get("released_by", "")),
            release_reason=str(told.get("release_reason", "")),
        )

    async def _locked(self, connection: AsyncConnection, case_id: str) -> tuple[Any, Subject]:
        """The case, under the lock that an erasure takes too, and its leaver."""
        query = (
            select(cases.c.case_id, cases.c.tenant, cases.c.policy, cases.c.subject_id)
            .where(cases.c.case_id == case_id)
            .with_for_update()
        )
        case = (await connection.execute(query)).one_or_none()
        if case is None:
            raise UnknownCaseError(f"no case {case_id}")
        return case, await self._subject(connection, case.subject_id)

    async def _subject(self, connection: AsyncConnection, subject_id: UUID) -> Subject:
        query = select(subjects).where(subjects.c.subject_id == subject_id)
        row = (await connection.execute(query)).one()
        return Subject.open(self._ring, subject_id, row.wrapped_key, row.private)


def _entry(
    kind: EntryKind, hold_id: str, case: Any, subject: Subject, *, actor: str, now: datetime
) -> Entry:
    who = Actor("person", reference(subject.salt, "person", actor))
    return case_entry(case, kind, hold_id, data={"hold": hold_id}, now=now, actor=who)
