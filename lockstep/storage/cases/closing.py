"""Closing cases: only where the database itself says that every required system is settled.

What a workflow believes may have been told by somebody else: an answer to our activity, a history
that was restored. So the rows are asked in the transaction that writes the closing entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import ARRAY, Integer, Text, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.contracts.payloads import StillOpen
from lockstep.domain.cases.clocks import whole_ms
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.evidence.ledger.entries import EntryKind
from lockstep.storage.cases.entries import case_entry
from lockstep.storage.cases.reads import COLUMNS, UnknownCaseError, case_of
from lockstep.storage.cases.writes import CLOSE, RESOLVE
from lockstep.storage.ledger.append import Append, Change, append_all
from lockstep.storage.records import CaseRow
from lockstep.storage.tables.case import cases

_IDS = bindparam("ids", type_=ARRAY(Text))
_LOCKED = select(*COLUMNS).where(cases.c.case_id == _IDS.any_()).order_by(cases.c.case_id)
_OPEN = text(
    """
    select r.case_id, r.system, greatest(r.opening, coalesce(v.opening, 1)) as opening,
           r.state = 'settled' and r.opening >= coalesce(v.opening, 1) as unsearched
      from revocations r join cases c on c.case_id = r.case_id
      left join unnest(:v_case, :v_system, :v_opening) as v(case_id, system, opening)
        on v.case_id = r.case_id and v.system = r.system
     where r.case_id = any(:ids) and r.required
       and (r.state <> 'settled' or r.opening < coalesce(v.opening, 1)
            or (r.key_edition < c.key_edition
                and r.outcome in ('revoked', 'already_absent', 'not_found')))
     order by r.case_id, r.system
    """
).bindparams(
    bindparam("ids", type_=ARRAY(Text)),
    bindparam("v_case", type_=ARRAY(Text)),
    bindparam("v_system", type_=ARRAY(Text)),
    bindparam("v_opening", type_=ARRAY(Integer)),
)


@dataclass(frozen=True, slots=True)
class Closing:
    """Somebody takes a case for done. ``asked`` and ``openings`` as in `CloseInput`."""

    case_id: str
    number: int
    asked: int = 1
    openings: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Closed:
    """When it was closed, or what keeps it open; None and nothing: it has not begun."""

    at: datetime | None = None
    open: tuple[StillOpen, ...] = ()


async def close_many(engine: AsyncEngine, asked: Sequence[Closing]) -> list[Closed | None]:
    """Close what is done, in one transaction; the same closing asked twice closes once.

    None where there is no such case.
    """
    ids = [one.case_id for one in asked]
    async with engine.begin() as connection:
        rows = await connection.execute(_LOCKED.with_for_update(), {"ids": ids})
        found = {row["case_id"]: case_of(row) for row in rows.mappings()}
        due = {
            one.case_id: one
            for one in asked
            if one.case_id in found and _is_due(found[one.case_id], one)
        }
        still_open = await _still_open(connection, list(due.values()))
        now = whole_ms(datetime.now(UTC))
        begun = {CaseStatus.REVOKING, CaseStatus.CLOSED}
        closing = [
            one
            for one in due.values()
            if one.case_id not in still_open and found[one.case_id].status in begun
        ]
        entries = [_closing(found[one.case_id], one, now) for one in closing]
        entries += [
            _refused(found[one.case_id], one, still_open[one.case_id], now)
            for one in due.values()
            if one.case_id in still_open
        ]
        await append_all(connection, entries)
    closed = {one.case_id for one in closing}
    return [
        _told(found.get(one.case_id), now if one.case_id in closed else None, still_open)
        for one in asked
    ]


def of_closed(closed: Closed | None, case_id: str) -> Closed:
    """It; raises `UnknownCaseError` where there is no such case."""
    if closed is None:
        raise UnknownCaseError(f"no case {case_id}")
    return closed


def _is_due(case: CaseRow, asked: Closing) -> bool:
    return case.closings < asked.number or case.closed_at is None


def _told(
    case: CaseRow | None, at: datetime | None, still_open: Mapping[str, tuple[StillOpen, ...]]
) -> Closed | None:
    if case is None:
        return None
    if at is None and case.case_id not in still_open:
        return Closed(case.closed_at)
    return Closed(at, still_open.get(case.case_id, ()))


async def _still_open(
    connection: AsyncConnection, due: Sequence[Closing]
) -> dict[str, tuple[StillOpen, ...]]:
    later = [(one.case_id, name, number) for one in due for name, number in one.openings.items()]
    rows = await connection.execute(
        _OPEN,
        {
            "ids": [one.case_id for one in due],
            "v_case": [case_id for case_id, _, _ in later],
            "v_system": [name for _, name, _ in later],
            "v_opening": [number for _, _, number in later],
        },
    )
    found: dict[str, tuple[StillOpen, ...]] = {}
    for row in rows:
        one = StillOpen(row.system, row.opening, row.unsearched)
        found[row.case_id] = (*found.get(row.case_id, ()), one)
    return found


def _closing(case: CaseRow, asked: Closing, now: datetime) -> Append:
    data = {"closing": asked.number}
    entry = case_entry(case, EntryKind.CASE_CLOSED, asked.number, data=data, now=now)
    values = {"k_case": case.case_id, "n_closing": asked.number, "n_at": now}
    return Append(
        entry,
        (Change(CLOSE, values), Change(RESOLVE, {"k_case": case.case_id, "n_at": now})),
    )


def _refused(
    case: CaseRow, asked: Closing, still_open: Sequence[StillOpen], now: datetime
) -> Append:
    rows = [
        {
            "system": one.system,
            "opening": one.opening,
            "why": "unsearched" if one.unsearched else "open",
        }
        for one in still_open
    ]
    number = f"{asked.number}:{asked.asked}"
    data = {"closing": asked.number, "open": rows}
    return Append(case_entry(case, EntryKind.CASE_CLOSE_REFUSED, number, data=data, now=now))
