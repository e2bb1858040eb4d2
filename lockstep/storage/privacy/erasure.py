"""Erasing people: their key is destroyed, the ledger that speaks of them stays verifiable."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Result, delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.domain.cases.clocks import whole_ms
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.keys import comparable
from lockstep.evidence.ledger.entries import Actor, Entry, EntryKind
from lockstep.storage.cases.spells import (
    Kept,
    Person,
    Spell,
    due_spells,
    judged,
    spells_of_number,
    spells_of_people,
)
from lockstep.storage.intake.inbox import Inbox
from lockstep.storage.intake.refused_events import erased_error
from lockstep.storage.keys.keyring import Keyring, KeyringError
from lockstep.storage.keys.subjects import Subject
from lockstep.storage.ledger.append import Append, append_all
from lockstep.storage.packs.orders import ExportState
from lockstep.storage.tables.case import cases, revocations
from lockstep.storage.tables.casework import artefacts, decisions
from lockstep.storage.tables.intake import inbox
from lockstep.storage.tables.leavers import case_keys, holds, subjects
from lockstep.storage.tables.outgoing import exports
from lockstep.storage.tables.sign_in import barred_keys

PAGE = 50
"""People that one transaction erases: one look through the inbox serves them all."""

_SWEEP = 500
_UNDER_WAY = (ExportState.PENDING.value, ExportState.RUNNING.value)
_WRITTEN = (ExportState.DONE.value, ExportState.EXPIRED.value)


class Ground(StrEnum):
    """Why somebody was erased, as the ledger tells it."""

    REQUEST = "request"
    RETENTION = "retention"


@dataclass(frozen=True, slots=True)
class Pack:
    """An identified pack that may name an erased person. ``file_name``: in our folder of packs."""

    export_id: str
    requested_at: datetime
    requested_by: str
    state: str
    file_name: str | None


@dataclass(frozen=True, slots=True)
class Inventory:
    """What is stored of some spells beside names and keys; ``packs``: all that may name them."""

    events: int
    decisions: int
    packs: tuple[Pack, ...]


@dataclass(frozen=True, slots=True)
class Erased:
    """What one erasure did.

    Args:
        spells: whose data were destroyed now.
        already: whose data had been destroyed before.
        kept: what keeps the data of the others, a line per person and reason.
        events: bodies of received events that were destroyed.
        packs: packs that may name one of them; those of ours are deleted next.
    """

    spells: tuple[Spell, ...] = ()
    already: tuple[Spell, ...] = ()
    kept: tuple[Kept, ...] = ()
    events: int = 0
    packs: tuple[Pack, ...] = ()


@dataclass(frozen=True, slots=True)
class Cause:
    """Why, by whom and under which number of our own somebody is erased; no free text."""

    ground: Ground
    actor: str = ""
    reference: str = ""


class Erasure:
    """Destroys personal data; never the ledger, never what a case was."""

    def __init__(self, engine: AsyncEngine, ring: Keyring, inbox: Inbox) -> None:
        self._engine = engine
        self._ring = ring
        self._inbox = inbox

    async def spells_of(
        self, *, subject_id: UUID | None = None, worker_index: bytes | None = None
    ) -> list[Spell]:
        """Oldest first: all spells of a subject's person, or of everybody who has a number.

        The latter may be several people: each source numbers its own.
        """
        async with self._engine.connect() as connection:
            if worker_index is not None:
                return await spells_of_number(connection, worker_index)
            query = select(cases.c.numbered_by, cases.c.worker_index).where(
                cases.c.subject_id == subject_id
            )
            rows = (await connection.execute(query)).all()
            return await spells_of_people(connection, [Person(*row) for row in rows])

    async def people(self, subject_ids: Sequence[UUID]) -> dict[UUID, Subject]:
        """The personal data of subjects; who was erased is left out."""
        query = select(subjects).where(subjects.c.subject_id.in_(subject_ids))
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return {
            row.subject_id: Subject.open(self._ring, row.subject_id, row.wrapped_key, row.private)
            for row in rows
            if row.wrapped_key is not None
        }

    async def due(self, before: datetime, *, after: str = "", limit: int = PAGE) -> list[Spell]:
        """Spells that ended before ``before`` and are not erased; by case id, after ``after``."""
        async with self._engine.connect() as connection:
            return await due_spells(connection, before, after=after, limit=limit)

    async def standing(self, spells: Sequence[Spell]) -> tuple[list[Spell], list[Kept]]:
        """Which of ``spells`` could be erased now, and what keeps the others; changes nothing."""
        async with self._engine.connect() as connection:
            return await judged(connection, spells)

    async def inventory(self, spells: Sequence[Spell]) -> Inventory:
        """Count what is stored about these spells."""
        ids = [spell.case_id for spell in spells]
        events = select(func.count()).where(inbox.c.case_id.in_(ids), inbox.c.body != b"")
        decided = select(func.count()).where(decisions.c.case_id.in_(ids))
        async with self._engine.connect() as connection:
            return Inventory(
                events=int(await connection.scalar(events) or 0),
                decisions=int(await connection.scalar(decided) or 0),
                packs=tuple(
                    pack
                    for pack in await _packs_naming(connection, spells)
                    if pack.state in _WRITTEN
                ),
            )

    async def erase(self, wanted: Sequence[Spell], cause: Cause) -> Erased:
        """Erase all of ``wanted`` whom nothing keeps; in one transaction, idempotent.

        A person is one: what stands about any spell keeps all of them.
        """
        async with self._engine.begin() as connection:
            free, kept = await judged(connection, wanted)
            if free:  # judge again, now that nobody can reopen or hold these any more
                people = sorted({spell.person for spell in free})
                await connection.execute(
                    _LOCK,
                    {
                        "names": [person.numbered_by for person in people],
                        "workers": [person.worker_index for person in people],
                    },
                )
                free, kept_now = await judged(connection, free)
                kept = [*kept, *kept_now]
            fresh = [spell for spell in free if spell.erased_at is None]
            already = tuple(spell for spell in free if spell.erased_at is not None)
            if not fresh:
                return Erased(already=already, kept=tuple(kept))
            return Erased(
                spells=tuple(fresh),
                already=already,
                kept=tuple(kept),
                events=await self._destroy(connection, fresh, cause),
                packs=tuple(await _condemn_packs(connection, fresh)),
            )

    async def sweep(self, before: datetime) -> int:
        """Destroy what is left over; return how many bodies of events.

        These are events about people who were erased before they arrived, and events that were
        refused before ``before``: they belong to no case, so no case's end erases them.
        """
        swept = 0
        for chosen in (_LATE_EVENTS, _REFUSED.where(inbox.c.received_at < before)):
            some = chosen.where(inbox.c.body != b"").limit(_SWEEP)
            emptied = (
                update(inbox)
                .where(inbox.c.id.in_(some), inbox.c.state.in_(("done", "refused")))
                .values(body=b"", error=erased_error())
            )
            while True:
                async with self._engine.begin() as connection:
                    done = _count(await connection.execute(emptied))
                swept += done
                if done < _SWEEP:
                    break
        return swept

    async def condemned(self) -> list[tuple[str, str]]:
        """Packs whose file is still to be deleted, as (export id, file name)."""
        query = select(exports.c.export_id, exports.c.file_name).where(
            exports.c.state == ExportState.EXPIRED.value, exports.c.file_name.is_not(None)
        )
        async with self._engine.connect() as connection:
            return [(row.export_id, row.file_name) for row in await connection.execute(query)]

    async def deleted(self, export_ids: Sequence[str]) -> None:
        """Record that the files of these packs are gone."""
        statement = (
            update(exports).where(exports.c.export_id.in_(export_ids)).values(file_name=None)
        )
        async with self._engine.begin() as connection:
            await connection.execute(statement)

    async def _destroy(
        self, connection: AsyncConnection, spells: Sequence[Spell], cause: Cause
    ) -> int:
        """Everything but packs; return how many bodies of events."""
        now = whole_ms(datetime.now(UTC))
        case_ids = [spell.case_id for spell in spells]
        subject_ids = [spell.subject_id for spell in spells]
        events = 0
        if cause.ground is Ground.REQUEST:  # needs the keys that are destroyed next
            events += await self._destroy_refused(connection, subject_ids)
        await connection.execute(
            update(subjects)
            .where(subjects.c.subject_id.in_(subject_ids))
            .values(wrapped_key=None, private=None, erased_at=now)
        )
        await connection.execute(
            update(revocations)
            .where(revocations.c.case_id.in_(case_ids))
            .values(private=None, candidates=None, picks=None)
        )
        await connection.execute(
            update(holds).where(holds.c.case_id.in_(case_ids)).values(private=b"")
        )
        for table in (case_keys, barred_keys, artefacts):
            await connection.execute(delete(table).where(table.c.case_id.in_(case_ids)))
        events += _count(
            await connection.execute(
                update(inbox)
                .where(
                    inbox.c.case_id.in_(case_ids),
                    inbox.c.state.in_(("done", "refused")),
                    inbox.c.body != b"",
                )
                .values(body=b"", error=erased_error())
            )
        )
        await append_all(connection, [Append(self._entry(spell, cause, now)) for spell in spells])
        return events

    def _entry(self, spell: Spell, cause: Cause, now: datetime) -> Entry:
        key = f"{spell.case_id}:{EntryKind.SUBJECT_ERASED.value}"
        actor = Actor()
        if cause.actor:
            # Not under the leaver's salt, which is gone: whoever has the keyring can check a name.
            actor = Actor("person", self._ring.blind_index("person", key, cause.actor).hex()[:32])
        return Entry(
            kind=EntryKind.SUBJECT_ERASED,
            key=key,
            tenant=spell.tenant,
            occurred_at=now,
            recorded_at=now,
            case_id=spell.case_id,
            subject=str(spell.subject_id),
            policy=spell.policy,
            actor=actor,
            data={
                "ground": cause.ground.value,
                **({"reference": cause.reference} if cause.reference else {}),
            },
        )

    async def _destroy_refused(
        self, connection: AsyncConnection, subject_ids: Sequence[UUID]
    ) -> int:
        """Refused events belong to no case: look into each for these people's own keys."""
        query = select(subjects).where(subjects.c.subject_id.in_(subject_ids))
        known: set[str] = set()
        for row in await connection.execute(query):
            try:
                subject = Subject.open(self._ring, row.subject_id, row.wrapped_key, row.private)
            except KeyringError:  # what cannot be read any more can still be destroyed
                continue
            known.update(
                comparable(key.kind, key.value)
                for key in subject.keys.keys
                if key.kind in {KeyKind.WORKER_ID, KeyKind.EMAIL}
            )
        found = [
            event.id
            async for event in self._inbox.refused(connection)
            if not known.isdisjoint(_people_in(event.body))
        ]
        await connection.execute(
            update(inbox).where(inbox.c.id.in_(found)).values(body=b"", error=erased_error())
        )
        return len(found)


def _people_in(body: bytes) -> set[str]:
    """Worker id and e-mails that an event names, however wrong it is otherwise."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return set()
    if isinstance(document, dict) and isinstance(document.get("event"), dict):
        document = document["event"]  # a person entered it here
    worker = document.get("worker") if isinstance(document, dict) else None
    if not isinstance(worker, dict):
        return set()
    emails = worker.get("emails")
    said = [(KeyKind.WORKER_ID, worker.get("id"))]
    said += [(KeyKind.EMAIL, value) for value in (emails if isinstance(emails, list) else ())]
    return {comparable(kind, value) for kind, value in said if isinstance(value, str)} - {""}


_LOCK = text(
    """
    select case_id from cases where (numbered_by, worker_index) in (
      select * from unnest(cast(:names as text[]), cast(:workers as bytea[]))
    ) order by case_id for update
    """
)
_FORGET_REASONS = text(
    """
    update exports set parameters = parameters - 'private'
     where parameters ->> 'case_id' = any(cast(:cases as text[])) and parameters ? 'private'
    """
)
"""Why a pack of one leaver alone was asked for is free text, and may well name that leaver."""
_LATE_EVENTS = (
    select(inbox.c.id)
    .join(cases, cases.c.case_id == inbox.c.case_id)
    .join(subjects, subjects.c.subject_id == cases.c.subject_id)
    .where(inbox.c.state.in_(("done", "refused")), subjects.c.erased_at.is_not(None))
)
_REFUSED = select(inbox.c.id).where(inbox.c.state == "refused")


async def _condemn_packs(connection: AsyncConnection, spells: Sequence[Spell]) -> list[Pack]:
    """Withdraw the packs that may name one of these people; return those that were written."""
    await connection.execute(_FORGET_REASONS, {"cases": [spell.case_id for spell in spells]})
    naming = await _packs_naming(connection, spells)
    if naming:
        ids = [row.export_id for row in naming]
        ours = update(exports).where(exports.c.export_id.in_(ids))
        await connection.execute(
            ours.where(exports.c.state == ExportState.DONE.value).values(
                state=ExportState.EXPIRED.value
            )
        )
        await connection.execute(  # one that is under way may have read a name already
            ours.where(exports.c.state.in_(_UNDER_WAY)).values(
                state=ExportState.CANCELLED.value,
                error="somebody in it was erased meanwhile: order it again",
                finished_at=func.now(),
                claimed_until=None,
            )
        )
    return [pack for pack in naming if pack.state in _WRITTEN]


async def _packs_naming(connection: AsyncConnection, spells: Sequence[Spell]) -> list[Pack]:
    columns = [exports.c[name] for name in Pack.__slots__]
    query = (
        select(*columns, exports.c.parameters)
        .where(exports.c.parameters["identified"].as_boolean())
        .order_by(exports.c.requested_at)
    )
    return [
        Pack(*row[:-1])
        for row in await connection.execute(query)
        if any(_may_name(row.parameters, spell) for spell in spells)
    ]


def _may_name(parameters: Mapping[str, Any], spell: Spell) -> bool:
    """Whether a pack of these parameters can hold this spell; in doubt it can."""
    case_id, partner = parameters.get("case_id"), parameters.get("partner")
    if case_id:
        return bool(case_id == spell.case_id)
    if partner and partner != spell.partner:
        return False
    day = spell.cutoff_at.astimezone(UTC).date().isoformat()
    return bool(parameters.get("first", day) <= day <= parameters.get("last", day))


def _count(result: Result[Any]) -> int:
    return int(result.rowcount)  # type: ignore[attr-defined] # a cursor's, by its statement
