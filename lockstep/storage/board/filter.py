"""Which cases a list of the page `Now` shows, and in which order; as conditions of queries."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    text,
    true,
    tuple_,
)
from sqlalchemy import case as sql_case
from sqlalchemy.sql.selectable import LateralFromClause

from lockstep.domain.cases.outcomes import CaseStatus, RevocationState
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.evidence.ledger.fold import ACCOUNT_IN_DOUBT
from lockstep.storage.tables.case import cases, findings, revocations
from lockstep.storage.tables.casework import assignments, requests
from lockstep.storage.tables.leavers import case_keys


class BoardState(StrEnum):
    """Which cases a list shows; a case may be in several."""

    NEED = "need"
    """Somebody should look: any of the next five."""
    PERSON = "person"
    LATE = "late"
    """A system is past its SLA."""
    NEAR = "near"
    """A system is past its warning time, and none past its SLA."""
    BACK = "back"
    """A later look found access: it came back, or no look had seen it before."""
    SECOND = "second"
    """Something asked for waits for a second person."""
    REVOKING = "revoking"
    """Under way, whether or not it needs anybody."""
    SCHEDULED = "scheduled"
    CLOSED_TODAY = "closed_today"
    """Closed since midnight UTC."""
    CLOSED = "closed"
    RESCINDED = "rescinded"
    ANY = "any"


class Due(StrEnum):
    """When the first open system of a case is due."""

    OVERDUE = "overdue"
    HOUR = "hour"
    TODAY = "today"
    """Until the end of the day in UTC, overdue ones included."""


class Order(StrEnum):
    """How a list is sorted."""

    URGENT = "urgent"
    """First due, then by tier and kind."""
    CUTOFF = "cutoff"
    """First cutoff first."""
    CLOSED = "closed"
    """Last closed first."""
    NEWEST = "newest"
    """Last opened first."""


RUNNING = frozenset(
    {
        BoardState.NEED,
        BoardState.PERSON,
        BoardState.LATE,
        BoardState.NEAR,
        BoardState.BACK,
        BoardState.SECOND,
        BoardState.REVOKING,
    }
)
ASKED_ABOUT = frozenset({BoardState.NEED, BoardState.SECOND})
"""States that a coming case may be in too."""
_ORDERS = {
    **dict.fromkeys(RUNNING, Order.URGENT),
    BoardState.SCHEDULED: Order.CUTOFF,
    BoardState.CLOSED_TODAY: Order.CLOSED,
    BoardState.CLOSED: Order.CLOSED,
}
NOBODY = "nobody"
"""As an assignee: cases that nobody has taken."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list is narrowed to; "" and None narrow nothing.

    Args:
        case_id, key_indexes: what was searched for, as the beginning of an id and as blind indexes
            of keys; a case that either of them finds fits.
    """

    state: BoardState = BoardState.NEED
    partner: str = ""
    site: str = ""
    system: str = ""
    kind: str = ""
    due: Due | None = None
    assignee: str = ""
    case_id: str = ""
    key_indexes: frozenset[bytes] = field(default=frozenset(), repr=False)

    @property
    def order(self) -> Order:
        return _ORDERS.get(self.state, Order.NEWEST)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of a list ends: the sort key of its last case."""

    at: datetime
    tier: str
    rank: int
    case_id: str


def doors_of(system: str) -> LateralFromClause:
    """What is open of one case; of ``system`` alone if that is given.

    Lateral: a look-up per case under way costs the same whatever a million rows of closed ones
    make the planner believe.
    """
    query = select(
        func.min(revocations.c.due_at).label("due_at"),
        func.min(revocations.c.warn_at).label("warn_at"),
        func.min(revocations.c.tier).label("tier"),
        func.coalesce(
            func.bool_or(revocations.c.state == RevocationState.NEEDS_PERSON.value), False
        ).label("person"),
    ).where(
        revocations.c.case_id == cases.c.case_id,
        revocations.c.state.not_in([RevocationState.SETTLED.value, RevocationState.STOPPED.value]),
    )
    if system:
        query = query.where(revocations.c.system == system)
    return query.lateral("doors")


def sort_key(
    order: Order, doors: LateralFromClause
) -> tuple[ColumnElement[datetime], ColumnElement[str], ColumnElement[int]]:
    kind: ColumnElement[int] = sql_case(
        (cases.c.kind == TerminationKind.INVOLUNTARY.value, literal(0)), else_=literal(1)
    )
    tier = func.coalesce(doors.c.tier, literal(""))
    match order:
        case Order.URGENT:
            return func.coalesce(doors.c.due_at, cases.c.cutoff_at), tier, kind
        case Order.CUTOFF:
            return cases.c.cutoff_at, tier, kind
        case Order.CLOSED:
            return cases.c.closed_at, tier, kind
        case Order.NEWEST:
            return cases.c.opened_at, tier, kind


def beyond(order: Order, key: tuple[Any, ...], place: Place) -> ColumnElement[bool]:
    at, tier, rank, case_id = key
    if order in {Order.URGENT, Order.CUTOFF}:
        return tuple_(at, tier, rank, case_id) > (place.at, place.tier, place.rank, place.case_id)
    return tuple_(at, case_id) < (place.at, place.case_id)


def conditions(wanted: Wanted, doors: LateralFromClause) -> list[ColumnElement[bool]]:
    """Every filter but the state."""
    equal = {name: getattr(wanted, name) for name in ("partner", "site", "kind")}
    found = [cases.c[name] == value for name, value in equal.items() if value]
    if wanted.system:
        has = (revocations.c.case_id == cases.c.case_id) & (revocations.c.system == wanted.system)
        found.append(exists().where(has))
    if wanted.due is not None:
        found.append(_due(wanted.due, doors))
    if wanted.assignee:
        found.append(_assigned(wanted.assignee))
    either = _searched(wanted)
    return [*found, or_(*either)] if either else found


def _searched(wanted: Wanted) -> list[ColumnElement[bool]]:
    """What was searched for is the beginning of a case's id, or a key of its leaver."""
    found = []
    if wanted.case_id:
        found.append(cases.c.case_id.startswith(wanted.case_id, autoescape=True))
    if wanted.key_indexes:
        fits = case_keys.c.key_index.in_(sorted(wanted.key_indexes))
        found.append(cases.c.case_id.in_(select(case_keys.c.case_id).where(fits)))
    return found


def in_state(state: BoardState, doors: LateralFromClause, system: str) -> ColumnElement[bool]:
    """Whether a case is in ``state``; with a system, because of that system."""
    if state is BoardState.ANY:
        return true()
    if state is BoardState.CLOSED_TODAY:
        return and_(cases.c.status == CaseStatus.CLOSED.value, cases.c.closed_at >= _today())
    if state not in RUNNING:
        return cases.c.status == state.value
    late = doors.c.due_at <= func.now()
    near = and_(doors.c.warn_at <= func.now(), doors.c.due_at > func.now())
    back, second = _is_back(system), _has_request(system)
    because = {
        BoardState.NEED: or_(doors.c.person, late, near, back, second),
        BoardState.PERSON: doors.c.person,
        BoardState.LATE: late,
        BoardState.NEAR: near,
        BoardState.BACK: back,
        BoardState.SECOND: second,
        BoardState.REVOKING: doors.c.due_at.is_not(None) if system else true(),
    }
    under_way = cases.c.status == CaseStatus.REVOKING.value
    if state not in ASKED_ABOUT or system:
        return and_(under_way, because[state])
    # What is not about systems comes first, so that only these cases' systems are looked at.
    coming = coming_asked(system)
    return and_(_UNBEGUN_OR_OPEN, or_(under_way, coming), or_(coming, because[state]))


_UNBEGUN_OR_OPEN = cases.c.status.in_([CaseStatus.REVOKING.value, CaseStatus.SCHEDULED.value])


def coming_asked(system: str) -> ColumnElement[bool]:
    """Has not begun, and a second person is asked whether its dates shall change."""
    if system:
        return false()
    asked = select(requests.c.case_id).where(*undecided())
    return and_(cases.c.status == CaseStatus.SCHEDULED.value, cases.c.case_id.in_(asked))


def _due(due: Due, doors: LateralFromClause) -> ColumnElement[bool]:
    until = {
        Due.OVERDUE: func.now(),
        Due.HOUR: func.now() + text("interval '1 hour'"),
        Due.TODAY: _today() + text("interval '1 day'"),
    }
    return doors.c.due_at <= until[due]


def _assigned(assignee: str) -> ColumnElement[bool]:
    taken = exists().where(assignments.c.case_id == cases.c.case_id)
    if assignee == NOBODY:
        return not_(taken)
    return taken.where(assignments.c.user_id == assignee)


def _today() -> ColumnElement[datetime]:
    return func.date_trunc("day", func.now(), text("'UTC'"))


def _is_back(system: str) -> ColumnElement[bool]:
    query = exists().where(
        findings.c.case_id == cases.c.case_id,
        findings.c.resolved_at.is_(None),
        findings.c.kind != ACCOUNT_IN_DOUBT,
    )
    return query.where(findings.c.system == system) if system else query


def _has_request(system: str) -> ColumnElement[bool]:
    query = exists().where(requests.c.case_id == cases.c.case_id, *undecided())
    return query.where(requests.c.system == system) if system else query


def undecided() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    # Literal, as in the partial index: a parameter could not be matched with its predicate.
    return requests.c.state == text("'pending'"), requests.c.expires_at > func.now()
