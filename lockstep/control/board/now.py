"""The cases that need somebody, as people see them: in pages and by API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lockstep.control.board.filters import ME, FilterError, Filters
from lockstep.control.cases.wording import reason_of, suggestion_of
from lockstep.control.runtime.clock_watch import clock_lines
from lockstep.domain.cases.outcomes import CaseStatus, RevocationState
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import Permission, Principal
from lockstep.storage.board.filter import NOBODY, BoardState, Place
from lockstep.storage.board.known import UnknownNameError
from lockstep.storage.board.now import (
    BoardCase,
    BoardReads,
    Standstill,
    Suggestions,
    Waiting,
    is_open,
)
from lockstep.storage.cases.doubts import Doubt
from lockstep.storage.intake.brake_rows import HeldWait
from lockstep.storage.people.requests import RequestRow
from lockstep.storage.records import CaseRow, RevocationRow
from lockstep.storage.runtime.stalled import Stalled, StalledCase
from lockstep.storage.runtime.sweeping import Swept
from lockstep.storage.stores import Stores
from lockstep.storage.systems.outages import Outage

PAGE = 50


@dataclass(frozen=True, slots=True)
class Door:
    """One system of a case, told to people.

    Args:
        detail: the vendor's own words, "" without a fault.
        paused_until: the system's maintenance; its clock runs on.
    """

    row: RevocationRow
    reason: str
    suggestion: str
    detail: str
    is_late: bool
    is_near: bool
    is_back: bool
    waiting: Waiting | None
    paused_until: datetime | None

    @property
    def needs_somebody(self) -> bool:
        person = self.row.state == RevocationState.NEEDS_PERSON
        return person or self.is_late or self.is_near or self.is_back or self.waiting is not None

    @property
    def is_stuck(self) -> bool:
        """Worth a line of its own: it needs somebody, or something went wrong."""
        return self.needs_somebody or bool(self.row.fault) or self.paused_until is not None

    @property
    def pick(self) -> str:
        """How forms name it."""
        return f"{self.row.case_id}/{self.row.system}"


@dataclass(frozen=True, slots=True)
class Line:
    """A case in a list.

    Args:
        leaver: "" for whoever sees no names.
        doors: those of its systems that are open, the most urgent first.
        stalled: why its workflow cannot go on, None where nothing says so.
        goes_on_known: whether that says anything: somebody has looked within a minute.
        taken_by, assigned_to: name and user id of whoever has taken it, or "".
    """

    case: CaseRow
    leaver: str = field(repr=False)
    worker_id: str = field(repr=False)
    due_at: datetime | None
    systems: tuple[Door, ...]
    doors: tuple[Door, ...]
    back: tuple[str, ...]
    waiting: tuple[Waiting, ...]
    taken_by: str = field(repr=False)
    assigned_to: str
    is_mine: bool
    stalled: StalledCase | None
    goes_on_known: bool

    @property
    def stuck(self) -> tuple[Door, ...]:
        return tuple(door for door in self.doors if door.is_stuck)

    @property
    def under_way(self) -> int:
        """Open systems about which there is nothing to say."""
        return len(self.doors) - len(self.stuck)

    @property
    def is_late(self) -> bool:
        return any(door.is_late for door in self.doors)

    @property
    def is_near(self) -> bool:
        return not self.is_late and any(door.is_near for door in self.doors)

    @property
    def needs_person(self) -> bool:
        return any(door.row.state == RevocationState.NEEDS_PERSON for door in self.doors)

    @property
    def is_running(self) -> bool:
        return self.case.status == CaseStatus.REVOKING

    @property
    def is_sealed(self) -> bool:
        """A coming dismissal, which only few may know of."""
        coming = self.case.status in {CaseStatus.SCHEDULED, CaseStatus.RESCINDED}
        return coming and self.case.kind == TerminationKind.INVOLUNTARY

    @property
    def problems(self) -> tuple[tuple[str, str, str], ...]:
        """What a rehearsal found: system, what is wrong, what mends it."""
        return tuple(
            (door.row.system, problem["summary"], problem["fix"])
            for door in self.systems
            for problem in door.row.rehearsal_problems or ()
        )


@dataclass(frozen=True, slots=True)
class BoardPage:
    """One page of a list; ``more`` is where the next begins.

    Args:
        counts: cases of each state.
        held: people who wait at a brake: no case is open for them, and their clocks run.
        stalled: cases whose workflow cannot go on, whatever the filters.
        doubts: settled systems in which a person has to pick accounts, whatever the filters.
        outages: systems whose own fault holds up many leavers, whatever the filters.
        asked: what waits for a second person about cases that have closed.
        swept: what the comparison of cases with workflows found, whatever the filters.
        clocks: what is to be told of clocks that differ.
    """

    lines: tuple[Line, ...]
    counts: Mapping[BoardState, int]
    more: Place | None
    standstill: Standstill
    held: HeldWait
    stalled: Stalled
    doubts: tuple[Doubt, ...] = ()
    outages: tuple[Outage, ...] = ()
    asked: tuple[RequestRow, ...] = ()
    swept: Swept = field(default_factory=Swept)
    clocks: tuple[str, ...] = ()

    def people(self, state: BoardState) -> int:
        """Cases of a state, and with those that are late whoever waits at a brake as late."""
        late = state in {BoardState.LATE, BoardState.NEED}
        return self.counts[state] + (self.held.past_cutoff if late else 0)


@dataclass(frozen=True, slots=True)
class Choices:
    """What the filters may be set to. ``assignees``: names by user id."""

    partners: tuple[str, ...]
    sites: tuple[str, ...]
    assignees: Mapping[str, str] = field(repr=False)


class Board:
    """Lists of cases, within what whoever asks may know of."""

    def __init__(
        self,
        stores: Stores,
    ) -> None:
        self.known = stores.known
        self._stores = stores

    async def page(
        self, me: Principal, filters: Filters, *, after: Place | None = None, limit: int = PAGE
    ) -> BoardPage:
        """One page of what ``filters`` leave, and the counts of every state under the same.

        Raises:
            FilterError: where nothing is left, because nothing has the name of a filter.
        """
        wanted = filters.wanted(me, self._stores.ring, self._stores.tenant)
        reads = self._reads(me)
        listing = await reads.listing(wanted, after=after, limit=limit)
        counts = await reads.counts(wanted)
        standstill = await self._standstill(me, reads)
        stalled = await self._stores.stalled.read(me.scope)
        lines = await self._lines(me, listing.rows, standstill, stalled)
        held = await reads.held(wanted)
        if after is None and not listing.rows:
            await self._check_names(me, filters)
        doubts = tuple(await self._stores.doubts.standing(me.scope))
        swept = await self._stores.sweeps.read(me.scope)
        clocks = tuple(clock_lines(await self._stores.clocks.read()))
        outages = tuple(await self._stores.outages.standing(me.scope))
        asked = tuple(await self._stores.requests.about_closed(me.scope))
        return BoardPage(
            lines=tuple(lines),
            counts=counts,
            more=listing.more,
            standstill=standstill,
            held=held,
            stalled=stalled,
            doubts=doubts,
            outages=outages,
            asked=asked,
            swept=swept,
            clocks=clocks,
        )

    async def one(self, me: Principal, case_id: str) -> Line | None:
        """One case by its whole id; None if there is none, or it is not ``me``'s to see."""
        reads = self._reads(me)
        found = await reads.one(case_id)
        if found is None:
            return None
        standstill = await self._standstill(me, reads)
        stalled = await self._stores.stalled.read(me.scope)
        [line] = await self._lines(me, [found], standstill, stalled)
        return line

    async def choices(self, me: Principal) -> Choices:
        """What the filters may be set to."""
        found: Suggestions = await self._reads(me).suggestions()
        names = await self._stores.users.names(found.assignees) if found.assignees else {}
        return Choices(found.partners, found.sites, names)

    async def is_empty(self, me: Principal) -> bool:
        """Whether there is no case at all that ``me`` may see."""
        return await self._reads(me).is_empty()

    async def _check_names(self, me: Principal, filters: Filters) -> None:
        given = {name: getattr(filters, name) for name in ("partner", "site", "system")}
        try:
            await self.known.check(me.scope, **given)
            if filters.assignee not in {"", ME, NOBODY}:
                await self.known.check_assignee(filters.assignee)
        except UnknownNameError as error:
            raise FilterError(str(error)) from None

    def _reads(self, me: Principal) -> BoardReads:
        return self._stores.board(me.scope, named=me.sees_names)

    async def _standstill(self, me: Principal, reads: BoardReads) -> Standstill:
        if not me.may(Permission.SEE_SYSTEMS):
            return Standstill((), ())
        return await reads.standstill()

    async def _lines(
        self,
        me: Principal,
        rows: Iterable[BoardCase],
        standstill: Standstill,
        stalled: Stalled,
    ) -> list[Line]:
        rows = list(rows)
        people = {row.assigned_to for row in rows if row.assigned_to}
        names = await self._stores.users.names(people) if people else {}
        now = datetime.now(UTC)
        return [
            _line(me, row, names, standstill=standstill, stalled=stalled, now=now) for row in rows
        ]


def _line(
    me: Principal,
    found: BoardCase,
    names: Mapping[str, str],
    *,
    standstill: Standstill,
    stalled: Stalled,
    now: datetime,
) -> Line:
    view = found.view
    systems = tuple(_door(found, row, standstill, now) for row in view.revocations)
    doors = [door for door in systems if is_open(door.row)]
    return Line(
        case=view.case,
        leaver=view.leaver,
        worker_id=view.worker_id,
        due_at=found.due_at,
        systems=systems,
        doors=tuple(sorted(doors, key=lambda door: (not door.needs_somebody, door.row.due_at))),
        back=found.back,
        waiting=found.waiting,
        taken_by=names.get(found.assigned_to, "somebody") if found.assigned_to else "",
        assigned_to=found.assigned_to,
        is_mine=bool(found.assigned_to) and found.assigned_to == me.user_id,
        stalled=stalled.of(view.case.case_id),
        goes_on_known=stalled.is_known,
    )


def _door(found: BoardCase, row: RevocationRow, standstill: Standstill, now: datetime) -> Door:
    case = found.view.case
    running = case.status == CaseStatus.REVOKING and is_open(row)
    return Door(
        row=row,
        reason=reason_of(row, case),
        suggestion=suggestion_of(row),
        detail=(row.fault_text or "") if row.fault else "",
        is_late=running and row.due_at <= now,
        is_near=running and row.warn_at <= now < row.due_at,
        is_back=row.system in found.back,
        waiting=next((item for item in found.waiting if item.system == row.system), None),
        paused_until=standstill.paused_until(case, row.system),
    )
