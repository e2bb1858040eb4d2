"""What the page `Case` shows, made from what is kept about the case; no rule is made here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lockstep.control.cases.casework import position, standing_of
from lockstep.control.cases.dates import assigned_at, dates_seen
from lockstep.control.cases.picking import bar_to_pick, pick_seen
from lockstep.control.cases.prolonging import Prolonging, prolongings
from lockstep.control.cases.timeline import EntryLine, Mark, Told, entry_line, told
from lockstep.control.cases.wording import (
    WAS_REVOKED,
    contained_words,
    is_sought,
    looked_words,
    reason_of,
    searched_words,
    status_of,
    suggestion_of,
)
from lockstep.control.people.pairs import Pairs
from lockstep.control.score.questions import to_moment, to_ms
from lockstep.domain.cases.clocks import CaseTimes, SystemClock, case_times, time_to_revocation
from lockstep.domain.cases.decisions import DecisionKind, bar_to
from lockstep.domain.cases.outcomes import CaseStatus, RevocationState
from lockstep.domain.counting import counted
from lockstep.domain.rights import Principal
from lockstep.evidence.ledger.fold import ACCOUNT_IN_DOUBT
from lockstep.storage.board.file import CaseFile, FindingRow, Held, PlacedEntry, Stood
from lockstep.storage.cases.candidates import Candidate
from lockstep.storage.records import RevocationRow
from lockstep.web.console.cases.drawing import Drawing, draw
from lockstep.web.console.cases.people import AskedView, HistoryLine, asked_view, history_of, who

SHOWN_ENTRIES = 50
SHOWN_EVENTS = 300
_FOUND = frozenset({Mark.RETURNED, Mark.APPEARED})


@dataclass(frozen=True, slots=True)
class SystemView:
    """One system of the case.

    Args:
        seen: what its forms carry.
        stood: what stood when it was first looked at, by kind.
        refs: the vendor's ids of these, for whoever sees names.
        residuals: what still runs down, and until when; None where nobody has stated it.
        sent: an act that got no answer yet.
        doubts: how many accounts are in doubt; `candidates` shows them, and those that were set
            aside, to whoever sees names.
        doubt_since: when a later look found them, in a system that is settled.
        pick_seen: what the form carries that says whose they are.
    """

    row: RevocationRow
    told: Told
    reason: str
    suggestion: str
    detail: str
    seen: str
    is_late: bool
    time_ms: int | None
    back: FindingRow | None
    held: Held | None
    stood: Mapping[str, int]
    refs: tuple[tuple[str, str], ...] = field(repr=False)
    accounts: tuple[str, ...] = field(repr=False)
    residuals: tuple[tuple[str, datetime | None], ...]
    asked: AskedView | None
    sent: HistoryLine | None
    needs_second: bool
    contained: str
    looked: str
    searched: str
    doubts: int
    candidates: tuple[Candidate, ...] = field(repr=False)
    doubt_since: datetime | None
    pick_seen: str
    pick_in_pairs: bool
    can_pick: bool
    can_decide: bool
    can_retry: bool
    can_waive: bool

    @property
    def faults(self) -> int:
        return sum(event.mark is Mark.FAULT for event in self.told.events)

    @property
    def is_settled(self) -> bool:
        return self.row.state == RevocationState.SETTLED

    @property
    def reopened(self) -> str:
        """Why it was opened more than once; "" where it was not."""
        if self.row.opening <= 1:
            return ""
        marks = [event.mark for event in self.told.events]
        came_back, appeared = marks.count(Mark.RETURNED), marks.count(Mark.APPEARED)
        parts = [
            "no system knew this leaver at first"
            if self.row.opening - 1 > came_back + appeared
            else "",
            "access was found where none had been" if appeared else "",
            f"access came back {counted(came_back, 'time')}" if came_back else "",
        ]
        return f"{counted(self.row.opening, 'time')}: {', '.join(part for part in parts if part)}"

    @property
    def back_words(self) -> str:
        """What a finding that stands says."""
        last = next((e.mark for e in reversed(self.told.events) if e.mark in _FOUND), None)
        return "found where none had been" if last is Mark.APPEARED else "seen to be back"


@dataclass(frozen=True, slots=True)
class EventRow:
    """One mark of the drawing as a row of a table; ``since_ms``: after the cutoff."""

    system: str
    at: datetime
    since_ms: int
    name: str
    detail: str
    leaf: int | None


@dataclass(frozen=True, slots=True)
class CaseSheet:
    """Everything that the page shows.

    Args:
        named: whether people's data are shown.
        asked_dates: what waits for a second person about the case as a whole.
        prolong_in_pairs: whether a later cutoff, and calling the case off, need one.
        withdraw_in_pairs: whether withdrawing a key needs one.
    """

    file: CaseFile = field(repr=False)
    named: bool
    status: str
    times: CaseTimes
    local_cutoff: str
    due_at: datetime | None
    is_late: bool
    systems: tuple[SystemView, ...]
    asked: tuple[AskedView, ...]
    asked_dates: AskedView | None
    prolong_in_pairs: bool
    withdraw_in_pairs: bool
    history: tuple[HistoryLine, ...]
    assigned_to: str = field(repr=False)
    assigned_seen: str
    dates_seen: str
    drawing: Drawing
    events: tuple[EventRow, ...]
    entries: tuple[EntryLine, ...]
    prolonged: tuple[Prolonging, ...]
    all_entries: int
    unplaced: int


def sheet(
    found: CaseFile,
    entries: Sequence[PlacedEntry],
    me: Principal,
    *,
    users: Mapping[str, str],
    pairs: Pairs,
    own: frozenset[str],
    revealed: bool = False,
) -> CaseSheet:
    """The whole page.

    ``users``: names of colleagues by id. ``own``: ids of what ``me`` asked for. ``revealed``:
    names, for this once.
    """
    case, now = found.view.case, datetime.now(UTC)
    named = me.sees_names or revealed
    rows = sorted(found.view.revocations, key=_urgency)
    lanes = told(
        [(entry.leaf, entry.body) for entry in entries],
        [row.system for row in rows],
        cutoff=to_ms(case.cutoff_at),
    )
    asked = tuple(
        asked_view(found, row, users, own=own, named=named, now=now) for row in found.requests
    )
    history = history_of(found, users, named=named)
    systems = tuple(
        _system(
            found,
            row,
            lane=lanes[row.system],
            asked=asked,
            history=history,
            pairs=pairs,
            named=named,
            now=now,
        )
        for row in rows
    )
    open_rows = [row for row in rows if row.state != RevocationState.SETTLED]
    due_at = min((row.due_at for row in open_rows), default=None)
    return CaseSheet(
        file=found,
        named=named,
        status=status_of(found.view),
        times=_times(found, now),
        local_cutoff=_local(case.cutoff_at, case.zone),
        due_at=due_at if case.status == CaseStatus.REVOKING else None,
        is_late=any(system.is_late for system in systems),
        systems=systems,
        asked=asked,
        asked_dates=next((one for one in asked if not one.row.system and one.waits), None),
        prolong_in_pairs=pairs.need_second_to_prolong(case.kind),
        withdraw_in_pairs=pairs.need_second_to_withdraw(case.kind, begun=case.begun_at is not None),
        history=history,
        assigned_to=who(found.assigned[0], users, named=named) if found.assigned else "",
        assigned_seen=assigned_at(found),
        dates_seen=dates_seen(found),
        drawing=draw(rows, lanes, cutoff=case.cutoff_at, now=now),
        events=_events(rows, lanes, to_ms(case.cutoff_at)),
        entries=tuple(
            entry_line(entry.id, entry.leaf, entry.body, entry.leaf_hash)
            for entry in list(reversed(entries))[:SHOWN_ENTRIES]
        ),
        prolonged=tuple(prolongings(entry.body for entry in entries)),
        all_entries=len(entries),
        unplaced=sum(entry.leaf is None for entry in entries),
    )


def _events(
    rows: Sequence[RevocationRow], lanes: Mapping[str, Told], cutoff: int
) -> tuple[EventRow, ...]:
    """The drawing in words: the last events of all systems, by system."""
    order = {row.system: place for place, row in enumerate(rows)}
    found = [(system, one) for system in order for one in lanes[system].events]
    newest = sorted(found, key=lambda pair: pair[1].at)[-SHOWN_EVENTS:]
    return tuple(
        EventRow(system, to_moment(one.at), one.at - cutoff, one.name, one.detail, one.leaf)
        for system, one in sorted(newest, key=lambda pair: order[pair[0]])
    )


def _system(
    found: CaseFile,
    row: RevocationRow,
    *,
    lane: Told,
    asked: Sequence[AskedView],
    history: Sequence[HistoryLine],
    pairs: Pairs,
    named: bool,
    now: datetime,
) -> SystemView:
    case = found.view.case
    stood = found.stood.get(row.system, Stood())
    counts: dict[str, int] = {}
    for kind, _ in stood.access:
        counts[kind] = counts.get(kind, 0) + 1
    begun = case.status in {CaseStatus.REVOKING, CaseStatus.CLOSED}
    standing = standing_of(row, case.status)
    is_open = row.state not in {RevocationState.SETTLED, RevocationState.STOPPED}
    waits = next((item for item in asked if item.row.system == row.system and item.waits), None)
    sent = next((line for line in history if line.system == row.system and line.is_sent), None)
    off = row.revoked_at
    known = found.subject is not None
    return SystemView(
        row=row,
        told=lane,
        reason=reason_of(row, case),
        suggestion=suggestion_of(row),
        detail=(row.fault_text or "") if row.fault and is_open else "",
        seen=position(found, row.system),
        is_late=begun and is_open and row.due_at <= now,
        time_ms=time_to_revocation(case.cutoff_at, off)
        if off and row.outcome in WAS_REVOKED
        else None,
        looked=looked_words(row),
        back=_back(found, row.system),
        held=found.paused.get(row.system),
        stood=counts,
        refs=stood.access if named else (),
        accounts=stood.accounts if named else (),
        residuals=tuple(
            (what, until)
            for what, end in lane.residuals
            if (until := to_moment(end) if end is not None else None) is None or until > now
        ),
        asked=waits,
        sent=sent,
        needs_second=pairs.need_second(DecisionKind.ATTEST, row.tier, has_artefact=False),
        searched=searched_words(lane.searches, lane.listed) if is_sought(row) else "",
        contained=contained_words(row, lane.unread),
        doubts=sum(one.in_doubt for one in found.candidates.get(row.system, ())),
        candidates=found.candidates.get(row.system, ()) if named else (),
        doubt_since=_doubt_since(found, row),
        pick_seen=pick_seen(found, row.system),
        pick_in_pairs=pairs.need_second(DecisionKind.PICK, row.tier, has_artefact=False),
        can_pick=known and bar_to_pick(found, row) is None,
        can_decide=known and bar_to(DecisionKind.ATTEST, standing, now=now) is None,
        can_retry=known and bar_to(DecisionKind.RETRY, standing, now=now) is None,
        can_waive=known and bar_to(DecisionKind.WAIVE, standing, now=now) is None,
    )


def _back(found: CaseFile, system: str) -> FindingRow | None:
    return next((one for one in _standing(found, system) if one.kind != ACCOUNT_IN_DOUBT), None)


def _doubt_since(found: CaseFile, row: RevocationRow) -> datetime | None:
    doubts = [one.raised_at for one in _standing(found, row.system) if one.kind == ACCOUNT_IN_DOUBT]
    return min(doubts, default=None)


def _standing(found: CaseFile, system: str) -> list[FindingRow]:
    return [one for one in found.findings if one.system == system and one.resolved_at is None]


def _times(found: CaseFile, now: datetime) -> CaseTimes:
    case = found.view.case
    return case_times(
        recorded_at=case.recorded_at,
        cutoff=case.cutoff_at,
        now=now,
        systems=[
            SystemClock(row.system, row.required, row.accounts, row.revoked_at)
            for row in found.view.revocations
        ],
    )


def _local(moment: datetime, zone: str) -> str:
    try:
        local = moment.astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ""
    return local.strftime("%Y-%m-%d %H:%M")


def _urgency(row: RevocationRow) -> tuple[bool, datetime, str]:
    return row.state == RevocationState.SETTLED, row.due_at, row.system
