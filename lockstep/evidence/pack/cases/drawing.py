"""The drawn timeline: one lane per system, from the cutoff to the read-back.

Everything that colour says is also said by a pattern, a mark or a word, for a print without
colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lockstep.evidence.format.plain import instant_text
from lockstep.evidence.pack.print.lettering import fitted
from lockstep.evidence.pack.print.sheet import (
    BAD,
    BOTTOM,
    FAIR,
    GOOD,
    GREY,
    INK,
    LEFT,
    PALE,
    RIGHT,
    WHITE,
    Colour,
    Sheet,
)

_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
_STEPS = (
    *(100, 200, 500, _SECOND, 2 * _SECOND, 5 * _SECOND, 10 * _SECOND, 15 * _SECOND, 30 * _SECOND),
    *(_MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE),
    *(_HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR),
    *(_DAY, 2 * _DAY, 5 * _DAY, 10 * _DAY, 30 * _DAY, 60 * _DAY, 180 * _DAY, 365 * _DAY),
)
_MOST_TICKS = 8
_SHORTEST = 500
"""Milliseconds: the least that an axis spans, so that a case without time has one."""

_PLOT_LEFT, _PLOT_RIGHT = LEFT + 158, RIGHT - 150
_TALLEST, _FLATTEST = 46.0, 21.0
_AXIS_HEIGHT, _LEGEND_HEIGHT = 30.0, 26.0
_BAR = 5.0
"""Half the height of a bar."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One system. All times in milliseconds from the cutoff; they can be negative.

    Args:
        off: R, or None while access is not proved gone.
        seen: V, the read-back, or None.
        due: when the time allowed ends.
        is_open: whether access may still stand at the instant of looking.
        by_person: whether a person's word, and no read-back, settled it.
        stood: whether access stood there, as far as anybody saw or said; else no bar says so.
    """

    name: str
    detail: str
    verdict: str
    note: str
    off: int | None
    seen: int | None
    due: int
    attempt: int | None = None
    faults: tuple[int, ...] = ()
    returned: tuple[int, ...] = ()
    decided: tuple[int, ...] = ()
    is_late: bool = False
    is_open: bool = False
    by_person: bool = False
    stood: bool = True
    marks: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        single = (self.off, self.seen, self.attempt)
        several = (*self.faults, *self.returned, *self.decided)
        known = (*(at for at in single if at is not None), *several)
        object.__setattr__(self, "marks", known)


@dataclass(frozen=True, slots=True)
class Axis:
    """From the cutoff (0) to ``end``, with a tick every ``step``; milliseconds."""

    end: int
    step: int

    def ticks(self) -> Iterator[int]:
        return iter(range(0, self.end + 1, self.step))

    def x(self, at: int) -> float:
        """Where ``at`` lies on the page; what is outside is drawn at the edge."""
        inside = min(max(at, 0), self.end)
        return float(_PLOT_LEFT + (_PLOT_RIGHT - _PLOT_LEFT) * inside / self.end)

    def label(self, at: int) -> str:
        """``at`` in the largest unit that shows this axis' steps as short numbers."""
        if at == 0:
            return "E"
        units = ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (_SECOND, "s"))
        size, unit = next(((s, u) for s, u in units if self.step >= s), (_SECOND, "s"))
        whole, rest = divmod(at, size)
        return f"+{whole}.{rest * 10 // size} {unit}" if rest else f"+{whole} {unit}"


def axis_for(lanes: Sequence[Lane], *, until: int) -> Axis:
    """An axis that the data fill; open lanes reach ``until``, milliseconds from the cutoff.

    Deadlines far beyond the last event are left out, or a case of seconds would be a dot on an
    axis of hours; the lane then says that its deadline lies further right.
    """
    marks = [at for lane in lanes for at in lane.marks]
    if any(lane.is_open for lane in lanes):
        marks.append(until)
    dues = [lane.due for lane in lanes]
    last = max([_SHORTEST, *(marks or dues)])
    dues = [due for due in dues if due <= 2 * last]
    end = max([last, *dues])
    end += end // 20
    step = next((step for step in _STEPS if end <= step * _MOST_TICKS), end // _MOST_TICKS)
    return Axis(end, step)


def draw_timeline(sheet: Sheet, lanes: Sequence[Lane], *, cutoff: int, until: int) -> None:
    """Draw all lanes, on as many pages as they need; every page has its own axis and legend."""
    axis = axis_for(lanes, until=until)
    rest = list(lanes)
    while rest:
        room = sheet.y - BOTTOM - _AXIS_HEIGHT - _LEGEND_HEIGHT
        fits = int(room // _FLATTEST)
        if fits < min(len(rest), 3):
            sheet.next_page()
            continue
        now, rest = rest[:fits], rest[fits:]
        height = min(_TALLEST, room / len(now))
        _draw_axis(sheet, axis, cutoff=cutoff, height=height * len(now))
        if any(lane.is_open for lane in now):
            _draw_as_of(sheet, axis.x(until), height * len(now))
        for lane in now:
            _draw_lane(sheet, axis, lane, height=height, until=until)
        _draw_legend(sheet)
        if rest:
            sheet.next_page()


def _draw_axis(sheet: Sheet, axis: Axis, *, cutoff: int, height: float) -> None:
    sheet.y -= _AXIS_HEIGHT
    low = sheet.y - height
    sheet.text(LEFT, sheet.y + 15, "System", size=7.5, bold=True)
    sheet.text(RIGHT, sheet.y + 15, "Result", size=7.5, bold=True, right=True)
    sheet.text(LEFT, sheet.y + 5, "time since the cutoff, and UTC", size=6.2, colour=GREY)
    clocks = -1e9
    for tick in axis.ticks():
        x = axis.x(tick)
        sheet.line(x, sheet.y, x, low, colour=INK if tick == 0 else PALE, width=0.5)
        sheet.text(x, sheet.y + 15, axis.label(tick), size=7, bold=tick == 0, middle=True)
        if x - clocks > 52:  # noqa: PLR2004 - points: the width of a date
            sheet.text(x, sheet.y + 5, _clock(cutoff + tick, axis.step), size=6.2, middle=True)
            clocks = x
    sheet.line(_PLOT_LEFT, sheet.y, _PLOT_RIGHT, sheet.y, width=0.8)


def _clock(at: int, step: int) -> str:
    """The wall clock under a tick, as fine as the axis needs it."""
    text = instant_text(at)
    if step >= _DAY:
        return text[:10]
    if step >= _MINUTE:
        return f"{text[5:10]} {text[11:16]}"
    return text[11:19] if step >= _SECOND else text[11:21]


def _draw_as_of(sheet: Sheet, x: float, height: float) -> None:
    sheet.line(x, sheet.y, x, sheet.y - height, colour=INK, width=0.8, dash=(1, 2))
    sheet.text(x, sheet.y + 22.5, "as of", size=6.2, bold=True, middle=True)


def _draw_lane(sheet: Sheet, axis: Axis, lane: Lane, *, height: float, until: int) -> None:
    top, middle = sheet.y, sheet.y - height / 2
    room = _PLOT_LEFT - LEFT - 12
    sheet.text(LEFT + 2, middle + 2, fitted(lane.name, room, 8, bold=True), size=8, bold=True)
    sheet.text(LEFT + 2, middle - 7, fitted(lane.detail, room, 6.2), size=6.2, colour=GREY)
    colour = BAD if lane.is_late else FAIR if lane.is_open else INK
    verdict = fitted(lane.verdict, 122, 7.5, bold=True)
    sheet.text(RIGHT - 2, middle + 2, verdict, size=7.5, bold=True, colour=colour, right=True)
    sheet.text(RIGHT - 2, middle - 7, fitted(lane.note, 122, 6.2), size=6.2, right=True)
    end = until if lane.is_open else lane.off
    if end is not None and (lane.stood or lane.is_open):
        _draw_bar(sheet, axis, lane, end, middle)
    _draw_deadline(sheet, axis, lane, top=top, height=height)
    _draw_marks(sheet, axis, lane, middle)
    sheet.y -= height
    sheet.line(LEFT, sheet.y, RIGHT, sheet.y, colour=PALE, width=0.3)


def _draw_bar(sheet: Sheet, axis: Axis, lane: Lane, end: int, middle: float) -> None:
    """From E to R: full within the time allowed, hatched beyond it, an outline while open."""
    left, right = axis.x(0), axis.x(end)
    turn = min(right, axis.x(lane.due)) if lane.is_late else right
    width = max(turn - left, 1.5)
    colour = FAIR if lane.is_open else GOOD
    fill = WHITE if lane.is_open or lane.by_person else colour
    sheet.box(left, middle - _BAR, width, 2 * _BAR, fill=fill, stroke=colour)
    if lane.by_person:
        sheet.hatch(left, middle - _BAR, width, 2 * _BAR, colour=colour, step=2.5, slope=0)
    if right > turn:
        sheet.box(turn, middle - _BAR, right - turn, 2 * _BAR, fill=WHITE, stroke=BAD)
        sheet.hatch(turn, middle - _BAR, right - turn, 2 * _BAR, colour=BAD)
    if lane.is_open:
        _draw_arrow(sheet, right, middle, BAD if lane.is_late else FAIR)


def _draw_arrow(sheet: Sheet, x: float, middle: float, colour: Colour) -> None:
    tip = ((x, middle + 7), (x + 9, middle), (x, middle - 7))
    sheet.shape(tip, fill=colour)
    sheet.text(x + 11, middle - 2.2, "open", size=6.5, bold=True, colour=colour)


def _draw_deadline(sheet: Sheet, axis: Axis, lane: Lane, *, top: float, height: float) -> None:
    if 0 <= lane.due <= axis.end:
        x = axis.x(lane.due)
        sheet.line(x, top - 1.5, x, top - height + 1.5, colour=BAD, width=1.1, dash=(3, 1.5))
        return
    middle = top - height / 2
    for shift in (0.0, 3.5):  # further right than the axis goes
        x = _PLOT_RIGHT + 17 + shift
        sheet.line(x - 2.5, middle + 3, x, middle, colour=BAD, width=0.9)
        sheet.line(x, middle, x - 2.5, middle - 3, colour=BAD, width=0.9)


def _draw_marks(sheet: Sheet, axis: Axis, lane: Lane, middle: float) -> None:
    upper, lower = middle + _BAR + 3, middle - _BAR - 3
    if lane.attempt is not None:
        _attempt_mark(sheet, axis.x(lane.attempt), middle)
    for at in lane.faults:
        _fault_mark(sheet, axis.x(at), upper)
    for at in lane.decided:
        _person_mark(sheet, axis.x(at), upper)
    for at in lane.returned:
        _returned_mark(sheet, axis.x(at), upper)
    if lane.seen is not None:
        _seen_mark(sheet, axis.x(lane.seen), lower)
    if lane.off is not None and lane.stood:
        _off_mark(sheet, axis.x(lane.off), middle, early=lane.off < 0)


def _attempt_mark(sheet: Sheet, x: float, middle: float) -> None:
    sheet.line(x, middle + _BAR + 4, x, middle - _BAR, width=1.2)


def _fault_mark(sheet: Sheet, x: float, y: float) -> None:
    for rise in (-2.2, 2.2):
        sheet.line(x - 2.2, y - rise, x + 2.2, y + rise, colour=BAD, width=0.9)


def _person_mark(sheet: Sheet, x: float, y: float) -> None:
    sheet.box(x - 2.4, y - 2.4, 4.8, 4.8, fill=INK)


def _returned_mark(sheet: Sheet, x: float, y: float) -> None:
    sheet.shape(((x - 3.6, y - 2.6), (x + 3.6, y - 2.6), (x, y + 3.8)), fill=BAD)


def _seen_mark(sheet: Sheet, x: float, y: float) -> None:
    sheet.shape(((x, y + 3.4), (x + 3.4, y), (x, y - 3.4), (x - 3.4, y)), fill=WHITE, stroke=INK)


def _off_mark(sheet: Sheet, x: float, y: float, *, early: bool = False) -> None:
    sheet.dot(x, y, 3.8, fill=INK, stroke=WHITE)
    if early:  # before the cutoff, where the axis does not go
        sheet.shape(((x - 10, y), (x - 5, y + 3), (x - 5, y - 3)), fill=INK)


def _draw_legend(sheet: Sheet) -> None:
    y = sheet.y - 12
    x = LEFT + 2
    sheet.line(x + 4, y + 6, x + 4, y - 3, width=1.2)
    x = _said(sheet, x + 10, y, "first try")
    _fault_mark(sheet, x + 3, y + 2)
    x = _said(sheet, x + 9, y, "fault")
    _person_mark(sheet, x + 3, y + 2)
    x = _said(sheet, x + 9, y, "person decides")
    _returned_mark(sheet, x + 3, y + 2)
    x = _said(sheet, x + 10, y, "access returned")
    _off_mark(sheet, x + 3, y + 2)
    x = _said(sheet, x + 10, y, "R: access off")
    _seen_mark(sheet, x + 3, y + 2)
    x = _said(sheet, x + 10, y, "V: read-back")
    sheet.line(x + 3, y + 7, x + 3, y - 3, colour=BAD, width=1.1, dash=(3, 1.5))
    x = _said(sheet, x + 8, y, "SLA ends (» later)")
    for fill, hatch, colour, text in (
        (GOOD, 0, GOOD, "within the SLA"),
        (WHITE, 1, BAD, "beyond it"),
        (WHITE, 2, GOOD, "a person's word"),
        (WHITE, 0, FAIR, "open"),
    ):
        sheet.box(x, y - 1, 16, 6, fill=fill, stroke=colour)
        if hatch:
            slope, step = ((1.0, 3.5), (0.0, 2.5))[hatch - 1]
            sheet.hatch(x, y - 1, 16, 6, colour=colour, slope=slope, step=step)
        x = _said(sheet, x + 20, y, text)
    sheet.y -= _LEGEND_HEIGHT


def _said(sheet: Sheet, x: float, y: float, text: str) -> float:
    """Write a word of the legend; where the next mark may begin."""
    sheet.text(x, y, text, size=6.4, colour=GREY)
    return x + 3.75 * len(text) + 9
