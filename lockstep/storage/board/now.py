"""What the page `Now` reads: cases by urgency, counts per state, and what stands about each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, exists, func, select, text, true
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.cases.outcomes import CaseStatus, RevocationState
from lockstep.domain.intake.brakes import Channel
from lockstep.domain.rights import Scope
from lockstep.evidence.ledger.fold import ACCOUNT_IN_DOUBT
from lockstep.storage.board.filter import (
    ASKED_ABOUT,
    RUNNING,
    BoardState,
    Due,
    Order,
    Place,
    Wanted,
    beyond,
    coming_asked,
    conditions,
    doors_of,
    in_state,
    sort_key,
    undecided,
)
from lockstep.storage.intake.brake_rows import HeldWait, visible_held
from lockstep.storage.intake.brakes import waiting_query
from lockstep.storage.intake.refused_events import TroubledEvents, troubled_events
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.keys.subjects import Subject
from lockstep.storage.ledger.state import not_in_order_since
from lockstep.storage.people.visibility import visible
from lockstep.storage.records import CaseRow, CaseView, RevocationRow
from lockstep.storage.systems.holding import stands, touches
from lockstep.storage.tables.case import cases, findings, revocations
from lockstep.storage.tables.casework import assignments, requests
from lockstep.storage.tables.intake import brakes, held_events
from lockstep.storage.tables.leavers import subjects
from lockstep.storage.tables.systems import pauses

MOST_ROWS = 200
_SUGGESTED = 2000
"""Partners and sites are suggested from so many of the newest cases."""
_CASE = [cases.c[item.name] for item in fields(CaseRow)]
_REVOCATION = [revocations.c[item.name] for item in fields(RevocationRow)]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something asked for that a second person has not decided yet."""

    system: str
    kind: str
    asked_by: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class BoardCase:
    """A case with all that a list says about it. ``due_at``: of its first open system."""

    view: CaseView
    due_at: datetime | None
    back: tuple[str, ...]
    """Systems where access came back."""
    waiting: tuple[Waiting, ...]
    assigned_to: str
    """User id of whoever has taken it, or ""."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list; ``more`` is where the next one begins."""

    rows: tuple[BoardCase, ...]
    more: Place | None


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What filters may be set to, of what may be seen."""

    partners: tuple[str, ...]
    sites: tuple[str, ...]
    assignees: tuple[str, ...]


MOST_REFUSED = 20


@dataclass(frozen=True, slots=True)
class Standing:
    """A pause that stands. ``partners``: whose cases it holds, of those that may be known of.

    ``spares``: kinds of leaver that it does not hold; ``is_agreed``: by two people.
    """

    system: str
    until: datetime
    partners: frozenset[str]
    spares: frozenset[str]
    is_agreed: bool = False

    def holds(self, case: CaseRow) -> bool:
        """Whether it holds up this case in its system."""
        theirs = not self.partners or case.partner in self.partners
        return theirs and case.kind not in self.spares


@dataclass(frozen=True, slots=True)
class Standstill:
    """What holds up more than one case: pauses, and sources whose brake is on.

    ``events``: those of HR that were not carried out, and so are in no case, or not in full.
    ``not_in_order_since``: the ledger's entries have waited for their places since then, for too
    long; None while they get them.
    """

    pauses: tuple[Standing, ...]
    braked: tuple[str, ...]
    events: TroubledEvents = field(default_factory=TroubledEvents)
    not_in_order_since: datetime | None = None

    @property
    def paused(self) -> dict[str, datetime]:
        """Until when each system is, for some or for all; pauses come the shortest first."""
        return {one.system: one.until for one in self.pauses}

    def paused_until(self, case: CaseRow, system: str) -> datetime | None:
        """Until when a case is held up in a system; None where it is not."""
        ends = [one.until for one in self.pauses if one.system == system and one.holds(case)]
        return max(ends, default=None)


class BoardReads:
    """Reads only, and only what ``scope`` may know of. ``named``: whether leavers are named."""

    def __init__(self, engine: AsyncEngine, ring: Keyring, scope: Scope, *, named: bool) -> None:
        self._engine = engine
        self._ring = ring
        self._scope = scope
        self._named = named

    async def listing(
        self, wanted: Wanted, *, after: Place | None = None, limit: int = 50
    ) -> Listing:
        """One page; the next begins after ``more``."""
        limit = min(limit, MOST_ROWS)
        doors = doors_of(wanted.system)
        at, tier, rank = sort_key(wanted.order, doors)
        query = (
            select(cases.c.case_id, at.label("at"), tier.label("tier"), rank.label("rank"))
            .select_from(cases.join(doors, true()))
            .where(visible(self._scope), *conditions(wanted, doors))
            .where(in_state(wanted.state, doors, wanted.system))
        )
        key = (at, tier, rank, cases.c.case_id)
        if wanted.order in {Order.URGENT, Order.CUTOFF}:
            query = query.order_by(*key)
        else:
            query = query.order_by(at.desc(), cases.c.case_id.desc())
        if after is not None:
            query = query.where(beyond(wanted.order, key, after))
        async with self._engine.connect() as connection:
            found = (await connection.execute(query.limit(limit + 1))).all()
            shown = found[:limit]
            rows = await self._rows(connection, [row.case_id for row in shown])
        last = shown[-1] if len(found) > limit else None
        more = Place(last.at, last.tier, last.rank, last.case_id) if last else None
        return Listing(tuple(rows), more)

    async def counts(self, wanted: Wanted) -> dict[BoardState, int]:
        """How many cases each state has, under the other filters of ``wanted``."""
        doors = doors_of(wanted.system)
        filters = [visible(self._scope), *conditions(wanted, doors)]
        joined = cases.join(doors, true())
        running = (
            select(
                *(
                    func.count().filter(in_state(state, doors, wanted.system)).label(state.value)
                    for state in sorted(RUNNING)
                )
            )
            .select_from(joined)
            .where(*filters, cases.c.status == CaseStatus.REVOKING.value)
        )
        # What is not under way is counted without a look at its systems, unless that was asked for.
        others = joined if wanted.due is not None else cases
        found: dict[BoardState, int] = {}
        async with self._engine.connect() as connection:
            row = (await connection.execute(running)).mappings().one()
            found.update({BoardState(name): count for name, count in row.items()})
            for state in (BoardState.SCHEDULED, BoardState.CLOSED_TODAY):
                query = select(func.count()).select_from(others)
                query = query.where(*filters, in_state(state, doors, wanted.system))
                found[state] = int(await connection.scalar(query) or 0)
            query = select(func.count()).select_from(others)
            query = query.where(*filters, coming_asked(wanted.system))
            coming = int(await connection.scalar(query) or 0)
        return found | {state: found[state] + coming for state in ASKED_ABOUT}

    async def held(self, wanted: Wanted) -> HeldWait:
        """Who waits at a brake and has no case yet, under the filters that an event can answer."""
        if wanted.site or wanted.system or wanted.assignee or wanted.due in {Due.HOUR, Due.TODAY}:
            return HeldWait()
        narrowed = [visible_held(self._scope)]
        if wanted.partner:
            narrowed.append(held_events.c.partner == wanted.partner)
        if wanted.kind:
            narrowed.append(held_events.c.kind == wanted.kind)
        if wanted.due is Due.OVERDUE:
            narrowed.append(held_events.c.cutoff_at <= func.now())
        if wanted.case_id or wanted.key_indexes:
            narrowed.append(held_events.c.key_indexes.overlap(sorted(wanted.key_indexes)))
        async with self._engine.connect() as connection:
            return HeldWait(*(await connection.execute(waiting_query(*narrowed))).one())

    async def one(self, case_id: str) -> BoardCase | None:
        """One case by its whole id."""
        query = select(cases.c.case_id).where(visible(self._scope), cases.c.case_id == case_id)
        async with self._engine.connect() as connection:
            ids = list((await connection.scalars(query)).all())
            rows = await self._rows(connection, ids)
        return next(iter(rows), None)

    async def is_empty(self) -> bool:
        """Whether there is no case at all to see."""
        query = select(cases.c.case_id).where(visible(self._scope)).limit(1)
        async with self._engine.connect() as connection:
            return await connection.scalar(query) is None

    async def suggestions(self) -> Suggestions:
        """Partners and sites of the newest cases, and who has taken cases under way."""
        newest = (
            select(cases.c.partner, cases.c.site)
            .where(visible(self._scope))
            .order_by(cases.c.opened_at.desc())
            .limit(_SUGGESTED)
            .subquery()
        )
        takers = (
            select(assignments.c.user_id)
            .distinct()
            .join(cases, cases.c.case_id == assignments.c.case_id)
            .where(visible(self._scope), cases.c.status == CaseStatus.REVOKING.value)
            .limit(MOST_ROWS)
        )
        async with self._engine.connect() as connection:
            places = (await connection.execute(select(newest).distinct())).all()
            people = (await connection.scalars(takers)).all()
        return Suggestions(
            partners=tuple(sorted({row.partner for row in places if row.partner})),
            sites=tuple(sorted({row.site for row in places if row.site})),
            assignees=tuple(sorted(people)),
        )

    async def standstill(self) -> Standstill:
        """Pauses that stand, and brakes that hold something to see; neither belongs to a case."""
        paused = (
            select(
                pauses.c.system,
                pauses.c.until,
                pauses.c.partners,
                pauses.c.spares,
                pauses.c.agreed_by,
            )
            .where(stands(), touches(self._scope))
            .order_by(pauses.c.until)
        )
        holds = (held_events.c.brake_id == brakes.c.brake_id) & visible_held(self._scope)
        braked = select(brakes.c.source).where(
            brakes.c.state == text("'on'"), exists().where(holds)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(paused)).all()
            sources = (await connection.scalars(braked.order_by(brakes.c.source))).all()
            events = TroubledEvents()
            if self._scope.partners is None:  # nobody knows which partner they are of
                events = await troubled_events(connection, limit=MOST_REFUSED)
            since = await not_in_order_since(connection)
        standing = tuple(
            Standing(system, until, frozenset(partners), frozenset(spares), bool(agreed_by))
            for system, until, partners, spares, agreed_by in rows
        )
        braking = dict.fromkeys(Channel.read(stored).source for stored in sources)
        return Standstill(standing, tuple(braking), events, since)

    async def _rows(self, connection: AsyncConnection, ids: Sequence[str]) -> list[BoardCase]:
        """All about these cases, in their order."""
        if not ids:
            return []
        found = {
            row["case_id"]: CaseRow(**row)
            for row in (
                await connection.execute(select(*_CASE).where(cases.c.case_id.in_(ids)))
            ).mappings()
        }
        doors: dict[str, list[RevocationRow]] = defaultdict(list)
        query = select(*_REVOCATION).where(revocations.c.case_id.in_(ids))
        for row in (await connection.execute(query)).mappings():
            doors[row["case_id"]].append(RevocationRow(**row))
        names = await self._names(connection, list(found.values()))
        back, waiting, taken = await _about(connection, ids)
        return [
            BoardCase(
                view=CaseView(
                    found[case_id], tuple(sorted(doors[case_id], key=_urgency)), *names[case_id]
                ),
                due_at=min((row.due_at for row in doors[case_id] if is_open(row)), default=None),
                back=tuple(sorted(set(back[case_id]))),
                waiting=tuple(waiting[case_id]),
                assigned_to=taken.get(case_id, ""),
            )
            for case_id in ids
            if case_id in found
        ]

    async def _names(
        self, connection: AsyncConnection, rows: Sequence[CaseRow]
    ) -> dict[str, tuple[str, str]]:
        """Leaver and worker id by case; nothing is even decrypted for whoever sees no names."""
        if not self._named:
            return {row.case_id: ("", "") for row in rows}
        query = select(subjects).where(subjects.c.subject_id.in_([row.subject_id for row in rows]))
        people = {row.subject_id: row for row in (await connection.execute(query)).all()}
        return {row.case_id: self._name(people[row.subject_id]) for row in rows}

    def _name(self, row: Any) -> tuple[str, str]:
        if row.wrapped_key is None:
            return "(erased)", ""
        subject = Subject.open(self._ring, row.subject_id, row.wrapped_key, row.private)
        worker = next(iter(subject.keys.of_kind(KeyKind.WORKER_ID)), "")
        return subject.display_name or worker, worker


def is_open(row: RevocationRow) -> bool:
    """Whether something is still to be done."""
    return row.state not in {RevocationState.SETTLED, RevocationState.STOPPED}


def _urgency(row: RevocationRow) -> tuple[bool, datetime, str]:
    return not is_open(row), row.due_at, row.system


async def _about(
    connection: AsyncConnection, ids: Sequence[str]
) -> tuple[dict[str, list[str]], dict[str, list[Waiting]], dict[str, str]]:
    """By case: systems where access came back, what waits for a second person, who took it."""
    back: dict[str, list[str]] = defaultdict(list)
    query: Select[Any] = select(findings.c.case_id, findings.c.system).where(
        findings.c.case_id.in_(ids),
        findings.c.resolved_at.is_(None),
        findings.c.kind != ACCOUNT_IN_DOUBT,
    )
    for row in await connection.execute(query):
        back[row.case_id].append(row.system)
    waiting: dict[str, list[Waiting]] = defaultdict(list)
    query = select(requests).where(requests.c.case_id.in_(ids), *undecided())
    for row in await connection.execute(query.order_by(requests.c.asked_at)):
        waiting[row.case_id].append(
            Waiting(row.system, row.kind, row.asked_by, row.expires_at.astimezone(UTC))
        )
    query = select(assignments).where(assignments.c.case_id.in_(ids))
    taken = {row.case_id: row.user_id for row in await connection.execute(query)}
    return back, waiting, taken
