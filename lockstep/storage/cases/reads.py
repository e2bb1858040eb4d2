"""Reading a case and its leaver: as they are, or locked until the transaction ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Text, bindparam, func, select, text, true
from sqlalchemy.ext.asyncio import AsyncConnection

from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.intake.judging import KnownCase
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.keys.subjects import Subject
from lockstep.storage.records import CaseRow
from lockstep.storage.tables.case import cases
from lockstep.storage.tables.leavers import subjects

COLUMNS = [cases.c[item.name] for item in fields(CaseRow)]
_IDS = bindparam("ids", type_=ARRAY(Text))


class UnknownCaseError(LookupError):
    """No case has this id."""


class StaleCaseError(RuntimeError):
    """Another statement was applied since this one was judged: judge it again."""


def case_of(row: Mapping[Any, Any]) -> CaseRow:
    """A case from its row, as selected or as about to be inserted."""
    return CaseRow(**{item.name: row[item.name] for item in fields(CaseRow)})


async def clock(connection: AsyncConnection) -> datetime:
    """The database's time, the one clock that all workers share."""
    now: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    return now


async def read_cases(connection: AsyncConnection, ids: Sequence[str]) -> list[CaseRow | None]:
    """The cases with these ids, in this order; None where there is none."""
    query = select(*COLUMNS).where(cases.c.case_id == func.any(_IDS))
    rows = (await connection.execute(query, {"ids": list(set(ids))})).mappings().all()
    found = {row["case_id"]: case_of(row) for row in rows}
    return [found.get(case_id) for case_id in ids]


async def cases_of_spells(
    connection: AsyncConnection, indexes: Sequence[bytes]
) -> dict[bytes, list[CaseRow]]:
    """The cases under each identity index that has any, of all sources, the oldest first."""
    query = (
        select(cases.c.identity_index, *COLUMNS)
        .where(cases.c.identity_index.in_(indexes))
        .order_by(cases.c.opened_at)
    )
    found: dict[bytes, list[CaseRow]] = {}
    for row in (await connection.execute(query)).mappings():
        found.setdefault(bytes(row["identity_index"]), []).append(case_of(row))
    return found


async def numbered_by_whom(
    connection: AsyncConnection, indexes: Sequence[bytes], *, sealed: bool
) -> dict[bytes, list[str]]:
    """The sources under whose number workers are known, by worker index; the oldest first.

    Without ``sealed``, by cases that have begun: that one is to come shows to nobody.
    """
    query = (
        select(cases.c.worker_index, cases.c.numbered_by)
        .where(
            cases.c.worker_index.in_(indexes), true() if sealed else cases.c.begun_at.is_not(None)
        )
        .group_by(cases.c.worker_index, cases.c.numbered_by)
        .order_by(func.min(cases.c.opened_at))
    )
    found: dict[bytes, list[str]] = {}
    for row in await connection.execute(query):
        found.setdefault(bytes(row.worker_index), []).append(row.numbered_by)
    return found


_HOLD_SPELLS = text(
    # The order of an array is the order of its locks: two that open the same spells would deadlock.
    "select pg_advisory_xact_lock(number) from unnest(cast(:numbers as bigint[])) as number"
)
_OPENED_BY_PEER = text(
    """
    select distinct asked.case_id
    from unnest(
      cast(:ids as text[]), cast(:indexes as bytea[]),
      cast(:employments as integer[]), cast(:sources as text[])
    ) as asked(case_id, identity_index, employment, source)
    join cases c
      on c.identity_index = asked.identity_index
     and c.employment = asked.employment
     and c.numbered_by = asked.source
    where c.status <> :rescinded
    """
)


async def taken_by_peers(
    connection: AsyncConnection,
    rows: Sequence[Mapping[str, Any]],
    peers: Mapping[str, Sequence[str]],
) -> set[str]:
    """Ids of rows whose spell a source that numbers the same people has opened; in their order.

    Until the transaction ends nobody else opens these spells: of two such sources that report one
    leaver in the same instant, no unique index could tell.
    """
    asked = []
    for row in rows:
        others = [name for name in peers.get(row["case_id"], ()) if name != row["numbered_by"]]
        if others:
            asked.append((row, others))
    if not asked:
        return set()
    numbers = [int.from_bytes(bytes(row["identity_index"])[:8], signed=True) for row, _ in asked]
    await connection.execute(_HOLD_SPELLS, {"numbers": sorted(numbers)})
    found = await connection.execute(
        _OPENED_BY_PEER,
        {
            "ids": [row["case_id"] for row, others in asked for _ in others],
            "indexes": [row["identity_index"] for row, others in asked for _ in others],
            "employments": [row["employment"] for row, others in asked for _ in others],
            "sources": [name for _, others in asked for name in others],
            "rescinded": CaseStatus.RESCINDED.value,
        },
    )
    return set(found.scalars())


async def locked(connection: AsyncConnection, case_id: str) -> CaseRow:
    """A case, which nobody else changes before this transaction ends.

    Raises:
        UnknownCaseError: if there is none.
    """
    query = select(*COLUMNS).where(cases.c.case_id == case_id).with_for_update()
    row = (await connection.execute(query)).mappings().one_or_none()
    if row is None:
        raise UnknownCaseError(f"no case {case_id}")
    return case_of(row)


async def as_judged(connection: AsyncConnection, case: CaseRow) -> CaseRow:
    """Lock a case that was judged without a lock: order of delivery must not matter.

    Raises:
        StaleCaseError: if the case is no longer as ``case`` shows it.
    """
    current = await locked(connection, case.case_id)
    if (current.revision, current.last_event_id) != (case.revision, case.last_event_id):
        raise StaleCaseError(f"case {case.case_id} was changed meanwhile")
    return current


async def subject_of(
    connection: AsyncConnection, case: CaseRow, *, ring: Keyring
) -> Subject | None:
    """The leaver's personal data; None once erased."""
    query = select(subjects).where(subjects.c.subject_id == case.subject_id)
    row = (await connection.execute(query)).one()
    if row.wrapped_key is None:
        return None
    return Subject.open(ring, case.subject_id, row.wrapped_key, row.private)


def as_known(case: CaseRow) -> KnownCase:
    """What judging HR's next word needs of a case."""
    return KnownCase(
        revision=case.revision,
        last_event_id=case.last_event_id,
        is_rescinded=case.status == CaseStatus.RESCINDED,
        cutoff_passed=case.status != CaseStatus.SCHEDULED,
        cutoff_at=case.cutoff_at,
        closed_at=case.closed_at if case.status == CaseStatus.CLOSED else None,
        is_rehired=case.unwatched_at is not None,
        employment=case.employment,
    )
