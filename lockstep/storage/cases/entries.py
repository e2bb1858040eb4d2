"""Entries about a whole case, appended with what a person said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from lockstep.domain.cases.clocks import whole_ms
from lockstep.evidence.format.canonical import reference
from lockstep.evidence.ledger.entries import Actor, Entry, EntryKind
from lockstep.storage.cases.rows import Said, spoken
from lockstep.storage.keys.subjects import Subject
from lockstep.storage.ledger.append import Append, Change, append_all
from lockstep.storage.records import CaseRow


def case_entry(
    case: CaseRow,
    kind: EntryKind,
    number: object,
    *,
    data: Mapping[str, object],
    now: datetime,
    actor: Actor | None = None,
) -> Entry:
    """An entry about a whole case; ``number`` tells several of one kind apart."""
    return Entry(
        kind=kind,
        key=":".join(str(part) for part in (case.case_id, kind.value, number) if part != ""),
        tenant=case.tenant,
        occurred_at=now,
        recorded_at=now,
        case_id=case.case_id,
        subject=str(case.subject_id),
        policy=case.policy,
        actor=actor or Actor(),
        data=data,
    )


async def say(
    connection: AsyncConnection,
    case: CaseRow,
    kind: EntryKind,
    number: object,
    data: Mapping[str, object],
    *,
    subject: Subject | None = None,
    said: Said | None = None,
    now: datetime | None = None,
    at: datetime | None = None,
) -> None:
    """Append an entry about the whole case and, with it, what a person said.

    ``at``: when it happened, where that was before ``now``.
    """
    now = now or whole_ms(datetime.now(UTC))
    changes: tuple[Change, ...] = ()
    actor = Actor()
    if said is not None and subject is None:
        actor = Actor("person")  # the key that kept who it was is destroyed
    elif said is not None and subject is not None:
        actor = Actor("person", reference(subject.salt, "person", said.actor))
        changes = (spoken(case.case_id, kind, str(number), said=said, subject=subject),)
        if said.second:
            second = reference(subject.salt, "person", said.second)
            data = {**data, "second_person": second}
    entry = case_entry(case, kind, number, data=data, now=now, actor=actor)
    if at is not None:
        entry = replace(entry, occurred_at=min(whole_ms(at), now))
    await append_all(connection, [Append(entry, changes)])
