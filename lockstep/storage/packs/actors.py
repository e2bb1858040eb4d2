"""Who did what to some cases, by name: for a pack that names people."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.storage.cases.acts import ActKind, ActState
from lockstep.storage.keys.keyring import Keyring, KeyringError
from lockstep.storage.keys.subjects import Subject
from lockstep.storage.tables.case import cases
from lockstep.storage.tables.casework import acts, decisions
from lockstep.storage.tables.leavers import subjects

BATCH = 200
_DECISIONS = frozenset({ActKind.RETRY.value, ActKind.ATTEST.value, ActKind.WAIVE.value})
"""Acts that stand among the decisions too."""


@dataclass(frozen=True, slots=True)
class Acting:
    """One thing that somebody did to a case.

    Args:
        decision: the id of a decision, as the entry's ``data`` has it; "" for other acts.
        by, second_person: as they were recorded.
    """

    case_id: str
    at: datetime
    what: str
    system: str
    decision: str
    by: str = field(repr=False)
    second_person: str = field(repr=False)


async def acting(
    engine: AsyncEngine, ring: Keyring, case_ids: Iterable[str], *, until: datetime
) -> AsyncIterator[Acting]:
    """What people did to ``case_ids`` up to ``until``, case by case and in the order of time.

    Of whoever was erased nothing is known any more: the names went with the leaver's key.
    """
    for batch in _batches(case_ids):
        async with engine.connect() as connection:
            keys = await _keys(connection, ring, batch)
            found = await _decisions(connection, keys, until) + await _acts(connection, keys, until)
        of_case: dict[str, list[Acting]] = {}
        for one in sorted(found, key=lambda one: (one.at, one.what, one.system, one.decision)):
            of_case.setdefault(one.case_id, []).append(one)
        for case_id in batch:
            for one in of_case.get(case_id, ()):
                yield one


async def _keys(
    connection: AsyncConnection, ring: Keyring, batch: Sequence[str]
) -> dict[str, Subject]:
    query = (
        select(cases.c.case_id, cases.c.subject_id, subjects.c.wrapped_key, subjects.c.private)
        .join(subjects, subjects.c.subject_id == cases.c.subject_id)
        .where(cases.c.case_id.in_(batch), subjects.c.wrapped_key.is_not(None))
    )
    rows = (await connection.execute(query)).all()
    return {
        row.case_id: Subject.open(ring, row.subject_id, row.wrapped_key, row.private)
        for row in rows
    }


async def _decisions(
    connection: AsyncConnection, keys: dict[str, Subject], until: datetime
) -> list[Acting]:
    query = select(decisions).where(
        decisions.c.case_id.in_(sorted(keys)), decisions.c.decided_at <= until
    )
    found = []
    for row in (await connection.execute(query)).all():
        said: Any = keys[row.case_id].decrypt(row.private, context=row.decision_id)
        found.append(
            Acting(
                row.case_id,
                row.decided_at,
                row.kind.removeprefix("case:"),
                row.system,
                row.decision_id,
                said.get("actor", ""),
                said.get("second_person", ""),
            )
        )
    return found


async def _acts(
    connection: AsyncConnection, keys: dict[str, Subject], until: datetime
) -> list[Acting]:
    query = select(acts).where(
        acts.c.case_id.in_(sorted(keys)),
        acts.c.acted_at <= until,
        acts.c.state != ActState.REFUSED.value,
        acts.c.kind.not_in(sorted(_DECISIONS)),
    )
    found = []
    for row in (await connection.execute(query)).all():
        try:
            said: Any = keys[row.case_id].decrypt(row.private, context=row.act_id)
        except KeyringError:  # written under a key that was destroyed meanwhile
            said = {}
        by = f"{said.get('name', '')} ({row.user_id})".strip()
        found.append(Acting(row.case_id, row.acted_at, row.kind, row.system, "", by, ""))
    return found


def _batches(case_ids: Iterable[str]) -> Iterator[Sequence[str]]:
    waiting = iter(case_ids)
    while batch := list(islice(waiting, BATCH)):
        yield batch
