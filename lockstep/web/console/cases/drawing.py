"""The drawn timeline of a case: where every bar and mark lies. The template only puts them down."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lockstep.control.cases.timeline import Event, Mark, Span, Told
from lockstep.control.score.questions import to_ms
from lockstep.domain.cases.outcomes import RevocationState
from lockstep.storage.records import RevocationRow
from lockstep.web.console.pages import duration

LEFT, RIGHT, LANE = 190, 1180, 42
TOP, BOTTOM = 34, 30
_SECOND = 1000
_STRAIGHT = 100
"""Milliseconds around the cutoff in which the axis is straight."""
_NEAREST = 62
"""Between two ticks, so that their labels do not touch."""
_SAME = 7
"""Marks of one kind that lie closer are drawn as one."""
_LONGEST_LABEL = 24
_TICKS: tuple[tuple[int, str], ...] = (
    (0, "cutoff"),
    (1_000, "+1 s"),
    (10_000, "+10 s"),
    (60_000, "+1 min"),
    (600_000, "+10 min"),
    (3_600_000, "+1 h"),
    (14_400_000, "+4 h"),
    (86_400_000, "+1 d"),
    (604_800_000, "+7 d"),
    (2_592_000_000, "+30 d"),
    (31_536_000_000, "+1 y"),
)
_ROWS = {
    Mark.ATTEMPT: -10,
    Mark.FAULT: -10,
    Mark.ASKED: -10,
    Mark.READ_BACK: 10,
    Mark.LOOK: 10,
    Mark.LOOK_FAILED: 10,
    Mark.RETURNED: 10,
    Mark.APPEARED: 10,
    Mark.REHIRED: 10,
    Mark.DOUBT: 10,
}
"""What is tried lies above the bar and what is seen below it: in a good case all is one moment."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Access stood, or may have. ``kind``: gone, open, unknown or late, by which it is drawn."""

    x: float
    width: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """One mark, or several of one kind that lie together."""

    x: float
    y: int
    mark: str
    title: str


@dataclass(frozen=True, slots=True)
class DrawnLane:
    """One system."""

    y: int
    label: str
    system: str
    state: str
    bars: tuple[Bar, ...]
    marks: tuple[Drawn, ...]
    due: float | None
    due_title: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """All of it; lengths in pixels of the drawing. ``now``: where the present lies, if in it."""

    width: int
    height: int
    left: int
    right: int
    ticks: tuple[tuple[float, str], ...]
    lanes: tuple[DrawnLane, ...]
    now: float | None


class _Axis:
    """Time after the cutoff, logarithmic: seconds and weeks are both to be seen."""

    def __init__(self, low: int, high: int) -> None:
        self._low = _fold(low)
        self._width = max(_fold(high) - self._low, 0.1)
        self.high = high
        self.low = low

    def x(self, at: int) -> float:
        inside = min(max(at, self.low), self.high)
        share = (_fold(inside) - self._low) / self._width
        return round(LEFT + share * (RIGHT - LEFT), 1)


def draw(
    rows: Sequence[RevocationRow],
    lanes: Mapping[str, Told],
    *,
    cutoff: datetime,
    now: datetime,
) -> Drawing:
    """Lay out the lanes of ``rows``, the most urgent first as they are given."""
    base, present = to_ms(cutoff), to_ms(now)
    axis = _axis(rows, lanes, base, present)
    ticks: list[tuple[float, str]] = []
    for at, label in _TICKS:
        if axis.low <= at <= axis.high and (not ticks or axis.x(at) - ticks[-1][0] >= _NEAREST):
            ticks.append((axis.x(at), label))
    drawn = tuple(
        _lane(
            row,
            lanes[row.system],
            axis=axis,
            base=base,
            present=present,
            y=TOP + number * LANE,
        )
        for number, row in enumerate(rows)
    )
    is_open = any(told.open_since is not None for told in lanes.values())
    return Drawing(
        width=RIGHT + 20,
        height=TOP + len(rows) * LANE + BOTTOM,
        left=LEFT,
        right=RIGHT,
        ticks=tuple(ticks),
        lanes=drawn,
        now=axis.x(present - base) if is_open and present > base else None,
    )


def _axis(
    rows: Sequence[RevocationRow], lanes: Mapping[str, Told], base: int, present: int
) -> _Axis:
    times = [event.at - base for told in lanes.values() for event in told.events]
    times += [to_ms(row.due_at) - base for row in rows]
    if any(told.open_since is not None for told in lanes.values()):
        times.append(present - base)
    return _Axis(min([0, *times]), max([10 * _SECOND, *times]) * 11 // 10)


def _lane(
    row: RevocationRow, told: Told, *, axis: _Axis, base: int, present: int, y: int
) -> DrawnLane:
    due = to_ms(row.due_at) - base
    label = row.system
    if len(label) > _LONGEST_LABEL:
        label = label[: _LONGEST_LABEL - 1] + "…"
    return DrawnLane(
        y=y,
        label=label,
        system=row.system,
        state=(row.outcome or row.state).replace("_", " "),
        bars=tuple(_bars(row, told, axis, base, present)),
        marks=tuple(_marks(told.events, axis, base)),
        due=axis.x(due),
        due_title=f"SLA of {row.system} ends {duration(due)} after the cutoff",
    )


def _bars(row: RevocationRow, told: Told, axis: _Axis, base: int, present: int) -> list[Bar]:
    bars = []
    due = to_ms(row.due_at)
    for span in told.spans:
        end = present if span.end is None else span.end
        if end <= span.start or row.state == RevocationState.STOPPED:
            continue
        is_open = span.end is None
        kind = ("open" if is_open else "gone") if span.seen else "unknown"
        parts = [(span.start, end, kind)]
        if span.start <= due < end:
            parts = [(span.start, due, parts[0][2]), (due, end, "late")]
        elif span.start > due:
            parts = [(span.start, end, "late")]
        for start, stop, kind in parts:
            x = axis.x(start - base)
            width = max(round(axis.x(stop - base) - x, 1), 1.5)
            title = _bar_title(span, duration(end - span.start))
            bars.append(Bar(x, width, kind, title))
    return bars


def _bar_title(span: Span, length: str) -> str:
    if not span.seen:
        verb = "stands" if span.end is None else "stood"
        return f"Open for {length}; not known whether access {verb}"
    return f"Access {'still stands' if span.end is None else 'stood'} for {length}"


def _marks(events: Sequence[Event], axis: _Axis, base: int) -> list[Drawn]:
    groups: list[tuple[float, Mark, list[Event]]] = []
    last: dict[Mark, int] = {}
    for event in events:
        x = axis.x(event.at - base)
        place = last.get(event.mark)
        if place is not None and x - groups[place][0] < _SAME:
            groups[place][2].append(event)
        else:
            last[event.mark] = len(groups)
            groups.append((x, event.mark, [event]))
    return [
        Drawn(x, _ROWS.get(mark, 0), mark.value, _title(found, base)) for x, mark, found in groups
    ]


def _title(events: Sequence[Event], base: int) -> str:
    first = events[0]
    detail = f" ({first.detail.replace('_', ' ')})" if first.detail else ""
    since = duration(first.at - base)
    if len(events) == 1:
        return f"{first.name}{detail}, {since} after the cutoff"
    return f"{first.name}, {len(events)} times, from {since} after the cutoff on"


def _fold(at: int) -> float:
    """Milliseconds on a logarithmic scale that is straight around 0."""
    return math.copysign(math.log10(1 + abs(at) / _STRAIGHT), at)
