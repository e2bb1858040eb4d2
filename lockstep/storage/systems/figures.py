"""How each system does: settled, waiting, faults, looks; of what somebody may know only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    LargeBinary,
    Select,
    and_,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.domain.cases.outcomes import CaseStatus, Outcome, RevocationState
from lockstep.domain.rights import Scope
from lockstep.evidence.ledger.fold import ACCOUNT_IN_DOUBT
from lockstep.storage.people.visibility import visible
from lockstep.storage.tables.case import cases, findings, revocations
from lockstep.storage.tables.ledger import ledger_entries

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
FAULTS_FOR = timedelta(hours=48)
MOST_FAULTS = 50_000
"""Of an outage the newest so many are drawn."""
MOST_WAITING = 50

_BY_US = (Outcome.REVOKED.value, Outcome.ALREADY_ABSENT.value, Outcome.NOT_FOUND.value)
_OPEN = (
    RevocationState.SCHEDULED.value,
    RevocationState.REVOKING.value,
    RevocationState.RETRYING.value,
    RevocationState.NEEDS_PERSON.value,
)


@dataclass(frozen=True, slots=True)
class Settled:
    """What came to an end within a while.

    Args:
        by_us: settled by the connector, with a read-back.
        by_people: attested or waived.
        median_ms: from our first attempt to the vendor's acceptance; None without any.
        p95_ms: of the same.
    """

    by_us: int = 0
    by_people: int = 0
    median_ms: int | None = None
    p95_ms: int | None = None

    @property
    def count(self) -> int:
        return self.by_us + self.by_people


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is open now, of cases that have begun. ``revoking``: or about to be tried first."""

    revoking: int = 0
    retrying: int = 0
    needs_person: int = 0
    overdue: int = 0
    first_due_at: datetime | None = None

    @property
    def count(self) -> int:
        return self.revoking + self.retrying + self.needs_person


@dataclass(frozen=True, slots=True)
class Figures:
    """One system's figures."""

    day: Settled = Settled()
    week: Settled = Settled()
    waiting: Waiting = Waiting()
    faults_of_day: int = 0


@dataclass(frozen=True, slots=True)
class Looks:
    """Read-backs after closing, of the last seven days."""

    made: int
    failed: int
    returned: int


@dataclass(frozen=True, slots=True)
class FaultHour:
    """How many faults of a category came in the hour that begins at ``hour`` (UTC)."""

    hour: datetime
    category: str
    count: int


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """One open revocation of a system."""

    case_id: str
    partner: str
    kind: str
    state: str
    due_at: datetime
    fault: str | None


class SystemFigures:
    """Reads only."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def all(self, scope: Scope, *, now: datetime) -> Mapping[str, Figures]:
        """Every system's figures, by name; one that has none is left out."""
        async with self._engine.connect() as connection:
            settled = (await connection.execute(_settled(scope, now))).all()
            waiting = (await connection.execute(_waiting(scope, now))).all()
            faults = (await connection.execute(_fault_counts(scope, now))).all()
        ended = {row.system: row for row in settled}
        open_now = {row.system: row for row in waiting}
        failed = {row.system: row.count for row in faults}
        return {
            system: Figures(
                day=_settled_of(ended.get(system), "day"),
                week=_settled_of(ended.get(system), "week"),
                waiting=_waiting_of(open_now.get(system)),
                faults_of_day=failed.get(system, 0),
            )
            for system in {*ended, *open_now, *failed}
        }

    async def waiting(self, system: str, scope: Scope) -> list[WaitingRow]:
        """Open revocations of a system, the earliest due first; `MOST_WAITING` at most."""
        query = (
            select(
                revocations.c.case_id,
                cases.c.partner,
                cases.c.kind,
                revocations.c.state,
                revocations.c.due_at,
                revocations.c.fault,
            )
            .select_from(_OF_CASES)
            .where(revocations.c.system == system, _is_open(), visible(scope))
            .order_by(revocations.c.due_at, revocations.c.case_id)
            .limit(MOST_WAITING)
        )
        async with self._engine.connect() as connection:
            return [WaitingRow(*row) for row in (await connection.execute(query)).all()]

    async def faults(self, system: str, scope: Scope, *, now: datetime) -> list[FaultHour]:
        """Faults by hour and category since 48 hours, the oldest first."""
        newest = (
            _troubles(scope, "revocation:fault", since=now - FAULTS_FOR)
            .add_columns(ledger_entries.c.body)
            .where(ledger_entries.c.system == system)
            .order_by(ledger_entries.c.recorded_at.desc())
            .limit(MOST_FAULTS)
            .subquery()
        )
        hour = func.date_trunc("hour", newest.c.recorded_at, "UTC").label("hour")
        category = _data(newest.c.body)["category"].astext.label("category")
        query = select(hour, category, func.count()).group_by(hour, category).order_by(hour)
        async with self._engine.connect() as connection:
            return [FaultHour(*row) for row in (await connection.execute(query)).all()]

    async def looks(self, system: str, scope: Scope, *, now: datetime) -> Looks:
        """How the looks after closing went."""
        newest = (
            _troubles(scope, "watch:look", since=now - WEEK)
            .add_columns(ledger_entries.c.body)
            .where(ledger_entries.c.system == system)
            .order_by(ledger_entries.c.recorded_at.desc())
            .limit(MOST_FAULTS)
            .subquery()
        )
        failed = func.count().filter(_data(newest.c.body).has_key("category"))
        came_back = (
            select(func.count())
            .select_from(findings.join(cases, cases.c.case_id == findings.c.case_id))
            .where(findings.c.system == system, findings.c.raised_at > now - WEEK, visible(scope))
            .where(findings.c.kind != ACCOUNT_IN_DOUBT)
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(func.count(), failed).select_from(newest))).one()
            returned = await connection.scalar(came_back) or 0
        return Looks(made=row[0] - row[1] + returned, failed=row[1], returned=returned)


_OF_CASES: FromClause = revocations.join(cases, cases.c.case_id == revocations.c.case_id)


def _is_open() -> ColumnElement[bool]:
    return and_(
        revocations.c.state.in_(_OPEN),
        cases.c.status.in_([CaseStatus.REVOKING.value, CaseStatus.CLOSED.value]),
    )


def _settled(scope: Scope, now: datetime) -> Select[Any]:
    door = revocations.c
    ended = [door.confirmed_at > now - WEEK, door.state == literal_column("'settled'")]
    spent = func.extract("epoch", door.accepted_at - door.first_attempt_at) * 1000
    was_accepted = and_(door.accepted_at.is_not(None), door.first_attempt_at.is_not(None))
    columns: list[ColumnElement[Any]] = [door.system]
    for name, since in (("day", now - DAY), ("week", now - WEEK)):
        recent = door.confirmed_at > since
        by_us = door.outcome.in_(_BY_US)
        columns += [
            func.count().filter(recent, by_us).label(f"{name}_by_us"),
            func.count().filter(recent, ~by_us).label(f"{name}_by_people"),
        ]
        for part, share in (("median", 0.5), ("p95", 0.95)):
            rank = func.percentile_cont(share).within_group(spent)
            columns.append(rank.filter(recent, was_accepted).label(f"{name}_{part}"))
    query = select(*columns).select_from(_OF_CASES).where(*ended, visible(scope))
    return query.group_by(door.system)


def _waiting(scope: Scope, now: datetime) -> Select[Any]:
    door = revocations.c
    states = [func.count().filter(door.state == state).label(state) for state in _OPEN]
    return (
        select(
            door.system,
            *states,
            func.count().filter(door.due_at < now).label("overdue"),
            func.min(door.due_at).label("first_due_at"),
        )
        .select_from(_OF_CASES)
        .where(_is_open(), visible(scope))
        .group_by(door.system)
    )


def _fault_counts(scope: Scope, now: datetime) -> Select[Any]:
    newest = (
        _troubles(scope, "revocation:fault", since=now - DAY)
        .add_columns(ledger_entries.c.system)
        .limit(MOST_FAULTS)
        .subquery()
    )
    return select(newest.c.system, func.count().label("count")).group_by(newest.c.system)


def _troubles(scope: Scope, kind: str, *, since: datetime) -> Select[Any]:
    """Entries of one kind that the index of troubles finds: its predicate needs a literal."""
    return (
        select(ledger_entries.c.recorded_at)
        .select_from(ledger_entries.join(cases, cases.c.case_id == ledger_entries.c.case_id))
        .where(
            ledger_entries.c.kind == literal_column(f"'{kind}'"),
            ledger_entries.c.recorded_at > since,
            visible(scope),
        )
    )


def _data(body: ColumnElement[Any]) -> Any:
    text = func.convert_from(cast(body, LargeBinary), "UTF8")
    return cast(text, JSONB)["data"]


def _settled_of(row: Any, name: str) -> Settled:
    if row is None:
        return Settled()
    by_us, by_people, median, p95 = (
        getattr(row, f"{name}_{part}") for part in ("by_us", "by_people", "median", "p95")
    )
    return Settled(
        by_us,
        by_people,
        None if median is None else round(median),
        None if p95 is None else round(p95),
    )


def _waiting_of(row: Any) -> Waiting:
    if row is None:
        return Waiting()
    return Waiting(
        row.scheduled + row.revoking,
        row.retrying,
        row.needs_person,
        row.overdue,
        row.first_due_at,
    )
