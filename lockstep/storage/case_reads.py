"""Reading a case and its leaver: as they are, or locked until the transaction ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import ARRAY, Text, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from lockstep.domain.outcomes import CaseStatus
from lockstep.domain.terminations import KnownCase
from lockstep.storage.keyring import Keyring
from lockstep.storage.records import CaseRow
from lockstep.storage.subjects import Subject
from lockstep.storage.tables.case import cases
from lockstep.storage.tables.leavers import subjects

_COLUMNS = [cases.c[item.name] for item in fields(CaseRow)]
_IDS = bindparam("ids", type_=ARRAY(Text))


class UnknownCaseError(LookupError):
    """No case has this id."""


class StaleCaseError(RuntimeError):
    """Another statement was applied since this one was judged: judge it again."""


def case_of(row: Mapping[Any, Any]) -> CaseRow:
    """A case from its row, as selected or as about to be inserted."""
    return CaseRow(**{item.name: row[item.name] for item in fields(CaseRow)})


async def read_cases(connection: AsyncConnection, ids: Sequence[str]) -> list[CaseRow | None]:
    """The cases with these ids, in this order; None where there is none."""
    query = select(*_COLUMNS).where(cases.c.case_id == func.any(_IDS))
    rows = (await connection.execute(query, {"ids": list(set(ids))})).mappings().all()
    found = {row["case_id"]: case_of(row) for row in rows}
    return [found.get(case_id) for case_id in ids]


async def latest_of_spells(
    connection: AsyncConnection, indexes: Sequence[bytes]
) -> dict[bytes, tuple[CaseRow, KnownCase]]:
    """The latest case of each spell that has one, and what judging HR's next word needs of it."""
    query = (
        select(cases.c.spell_index, *_COLUMNS)
        .where(cases.c.spell_index.in_(indexes))
        .order_by(cases.c.opened_at)
    )
    rows = (await connection.execute(query)).mappings().all()
    return {bytes(row["spell_index"]): _known(case_of(row)) for row in rows}


async def locked(connection: AsyncConnection, case_id: str) -> CaseRow:
    """A case, which nobody else changes before this transaction ends.

    Raises:
        UnknownCaseError: if there is none.
    """
    query = select(*_COLUMNS).where(cases.c.case_id == case_id).with_for_update()
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


def _known(case: CaseRow) -> tuple[CaseRow, KnownCase]:
    return case, KnownCase(
        revision=case.revision,
        last_event_id=case.last_event_id,
        is_rescinded=case.status == CaseStatus.RESCINDED,
        cutoff_passed=case.status != CaseStatus.SCHEDULED,
    )
