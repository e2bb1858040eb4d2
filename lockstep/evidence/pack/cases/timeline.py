"""One leaver on two pages: when each door closed, drawn, and the figures and digests behind it.

Written from the ledger's entries and the results that the verifier recomputes; nothing here is
personal data. What is too long for two pages goes on overleaf, it is never cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from lockstep.evidence.pack.cases.drawing import Lane, draw_timeline
from lockstep.evidence.pack.cases.story import CaseStory, Leaf, told
from lockstep.evidence.pack.cases.tables import draw_tables
from lockstep.evidence.pack.model import CaseLine
from lockstep.evidence.pack.print.clock_text import duration_text, local_text, utc_text
from lockstep.evidence.pack.print.lettering import fitted, wrapped
from lockstep.evidence.pack.print.sheet import (
    BAD,
    FAIR,
    GOOD,
    GREY,
    LEFT,
    RIGHT,
    TOP,
    WHITE,
    Colour,
    Sheet,
)
from lockstep.scorecard.counting import CALLED_OFF
from lockstep.scorecard.metric import CaseResult, ItemResult
from lockstep.scorecard.numbers import decimal_text

_HOUR_MS = 3_600_000
_TENTH = Fraction(1, 10)
_LINES_ON_TOP = 2
"""Of a long name on the first page; all of it stands on the second."""

_VERDICTS: dict[str, tuple[str, Colour]] = {
    "overdue": ("OPEN AND OVERDUE", BAD),
    "pending": ("OPEN, NOT YET DUE", FAIR),
    "rescinded": ("RESCINDED BEFORE IT BEGAN", GREY),
    "no_access": ("NO ACCESS FOUND", GREY),
    "untouched": ("NOTHING WAS LEFT TO TAKE", GREY),
    "called_off": ("CALLED OFF TOO LATE", BAD),
    "future": ("CUTOFF STILL TO COME", GREY),
}

_KINDS = {"involuntary": "involuntary", "voluntary": "voluntary", "contract_end": "end of contract"}


@dataclass(frozen=True, slots=True)
class _Case:
    """Everything that one document is drawn from. ``as_of`` in milliseconds since the epoch."""

    line: CaseLine
    story: CaseStory
    as_of: int
    tenant: str


def timeline_pdf(line: CaseLine, entries: Sequence[Leaf], *, as_of: int, tenant: str) -> bytes:
    """Draw one leaver's case as a PDF; the same arguments give the same bytes.

    ``entries`` are the case's, in the order of the ledger; ``as_of`` is the instant of the
    checkpoint, in milliseconds since the epoch.
    """
    case = _Case(line, told(entries), as_of, tenant)
    facts = line.facts
    sheet = Sheet(
        f"Access revocation timeline {facts.case_id}",
        header=f"Access revocation timeline · case {facts.case_id}",
        footer=f"{tenant} · case {facts.case_id} · as of {utc_text(as_of)} UTC · pseudonymous",
    )
    _draw_title(sheet, case)
    _draw_top(sheet, case)
    draw_timeline(
        sheet,
        [_lane(case, item) for item in line.result.items],
        cutoff=facts.cutoff_at,
        until=as_of - facts.cutoff_at,
    )
    if not line.result.items:
        sheet.paragraph("No system was in scope when HR took this termination back.", size=9)
    sheet.next_page()
    _draw_long_names(sheet, case)
    draw_tables(sheet, line, case.story)
    return sheet.finish()


# --- first page ---------------------------------------------------------------------------------


def _draw_title(sheet: Sheet, case: _Case) -> None:
    sheet.text(LEFT, TOP - 14, "Access revocation timeline", size=16, bold=True)
    sheet.text(RIGHT, TOP - 7, "Lockstep evidence pack", size=8.5, bold=True, right=True)
    sheet.text(
        RIGHT, TOP - 18, f"as of {utc_text(case.as_of)} UTC", size=7.5, colour=GREY, right=True
    )
    sheet.line(LEFT, TOP - 24, RIGHT, TOP - 24, width=1.2)
    sheet.y = TOP - 30


def _draw_top(sheet: Sheet, case: _Case) -> None:
    """Who, when and how it went, side by side."""
    top = sheet.y
    bottoms = (_draw_identity(sheet, case, top), _draw_clocks(sheet, case, top))
    sheet.y = min(*bottoms, _draw_verdict(sheet, case, top)) - 4


def _identity(case: _Case) -> list[tuple[str, str]]:
    facts = case.line.facts
    return [
        ("Tenant", case.tenant),
        ("Case", facts.case_id),
        ("Leaver", facts.subject),
        ("Kind of leaver", _KINDS.get(facts.kind, facts.kind)),
        ("Partner", facts.partner or "none"),
        ("Site", facts.site or "none"),
        ("HR source", facts.source),
        ("Policy", f"{facts.policy[:16]}…"),
    ]


def _draw_identity(sheet: Sheet, case: _Case, top: float) -> float:
    y = top
    for name, value in _identity(case):
        lines = wrapped(value, 176, 7.5)
        if len(lines) > _LINES_ON_TOP:
            lines = [*lines[: _LINES_ON_TOP - 1], lines[_LINES_ON_TOP - 1][:24] + "… (overleaf)"]
        sheet.text(LEFT, y - 9.5, name, size=7, colour=GREY)
        for line in lines:
            y -= 9.5
            sheet.text(LEFT + 62, y, line, size=7.5, bold=name == "Case")
    return y


def _draw_clocks(sheet: Sheet, case: _Case, top: float) -> float:
    facts = case.line.facts
    x, local, utc = 286.0, 368.0, 482.0
    zone = fitted(f"local ({facts.zone})", 100, 7)
    sheet.text(x, top - 9.5, "Clocks", size=7.5, bold=True)
    sheet.text(local, top - 9.5, zone, size=7, colour=GREY)
    sheet.text(utc, top - 9.5, "UTC", size=7, colour=GREY)
    y = top - 10.5
    for letter, name, at in _clocks(case):
        y -= 10.5
        sheet.text(x, y, letter, size=7.5, bold=True)
        sheet.text(x + 12, y, name, size=7.5)
        shown = "not yet" if at is None else local_text(at, facts.zone) or "zone unknown"
        sheet.text(local, y, shown, size=7)
        sheet.text(utc, y, "" if at is None else utc_text(at), size=7)
    return y


def _clocks(case: _Case) -> list[tuple[str, str, int | None]]:
    facts = case.line.facts
    rows: list[tuple[str, str, int | None]] = [
        ("N", "HR recorded it", facts.recorded_at),
        ("E", "cutoff", facts.cutoff_at),
        ("D", "we heard of it", facts.received_at),
        ("", "revocation began", facts.begun_at),
        ("", "case closed", facts.closed_at),
    ]
    if facts.shown_cutoff_at != facts.cutoff_at:  # a later cutoff that does not count
        rows.insert(2, ("", "working cutoff", facts.shown_cutoff_at))
    return rows


def _draw_verdict(sheet: Sheet, case: _Case, top: float) -> float:
    left, width = 592.0, RIGHT - 592.0
    words, colour = _verdict(case)
    sheet.box(left, top - 22, width, 20, fill=colour)
    sheet.text(left + width / 2, top - 15.5, words, size=9.5, bold=True, colour=WHITE, middle=True)
    y = top - 24
    for name, value in _figures(case):
        y -= 10.8
        sheet.text(left, y, name, size=7, colour=GREY)
        sheet.text(RIGHT, y, value, size=8, bold=True, right=True)
    return y


def _verdict(case: _Case) -> tuple[str, Colour]:
    result = case.line.result
    if result.state == "done":
        return ("LATE", BAD) if result.within_sla is False else ("WITHIN THE SLA", GOOD)
    return _VERDICTS[result.state]


def _figures(case: _Case) -> list[tuple[str, str]]:
    result = case.line.result
    if result.state in {"rescinded", "future"}:
        return [("Counts in the score", "no"), ("HR lag (N after E)", _or_none(result.hr_lag_ms))]
    time, used = duration_text(result.ttr_ms), _percent(result)
    worked = duration_text(result.operational_ms)
    return [
        ("Time to revocation", _censored(time, is_open=result.is_open)),
        ("Part of the SLA used", _censored(used, is_open=result.is_open)),
        ("Late by", _or_none(result.late_ms)),
        ("HR lag (N after E)", _or_none(result.hr_lag_ms)),
        ("Operational time", _censored(worked, is_open=result.is_open)),
        ("Exposure", _exposure(result)),
        ("Open systems", str(result.open_items)),
        ("Weakest evidence", f"grade {result.grade}" if result.grade else "none yet"),
    ]


def _or_none(duration: int) -> str:
    return duration_text(duration) if duration else "none"


def _percent(result: CaseResult) -> str:
    """The part of the SLA, to a tenth; what is less does not look like nothing."""
    percent = result.ratio * 100
    return f"{decimal_text(percent, 1)} %" if percent >= _TENTH or not percent else "under 0.1 %"


def _censored(text: str, *, is_open: bool) -> str:
    """What still grows is a lower bound."""
    return f"≥ {text} (open)" if is_open else text


def _exposure(result: CaseResult) -> str:
    """Hours with three decimals, cut; what is less does not look like nothing."""
    thousandths = result.exposure_ms * 1000 // _HOUR_MS
    if result.exposure_ms and not thousandths:
        return "under 0.001 account-hours"
    return f"{thousandths // 1000}.{thousandths % 1000:03} account-hours"


def _lane(case: _Case, item: ItemResult) -> Lane:
    facts, cutoff = item.facts, case.line.facts.cutoff_at
    story = case.story.of(item.system)
    verdict, note = _lane_verdict(case, item)
    required = "" if facts.required else " · optional"
    if facts.waived_until is not None:
        required += f" · waived to {duration_text(item.sla_ms)}"
    tier = facts.tier if facts.tier == "manual" else f"tier {facts.tier}"
    return Lane(
        name=item.system,
        detail=f"{facts.category} · {tier} · SLA {duration_text(facts.sla_ms)}{required}",
        verdict=verdict,
        note=note,
        off=_since(facts.off_at, cutoff),
        seen=_since(facts.read_back_at, cutoff),
        due=item.due_at - cutoff,
        attempt=_since(facts.first_attempt_at, cutoff),
        faults=tuple(at - cutoff for at, _ in story.faults),
        returned=tuple(at - cutoff for at in story.returned),
        decided=tuple(at - cutoff for at in story.decided),
        is_late=item.late_ms > 0,
        by_person=facts.outcome in {"attested", CALLED_OFF},
        stood=facts.outcome not in _NOTHING_STOOD,
        is_open=item.is_open and case.line.result.state in {"overdue", "pending"},
    )


_NOTHING_STOOD = {"not_found": "nobody found", "already_absent": "no access stood"}
"""Outcomes that tell of no access: there was nobody, or nothing was left to be closed."""


def _since(at: int | None, cutoff: int) -> int | None:
    return None if at is None else at - cutoff


def _lane_verdict(case: _Case, item: ItemResult) -> tuple[str, str]:
    facts, state = item.facts, case.line.result.state
    if state == "rescinded":
        return "stopped", "HR took it back"
    if state == "future":
        return "scheduled", "cutoff still to come"
    outcome = facts.outcome.replace("_", " ")
    accounts = f" · {facts.accounts} account{'' if facts.accounts == 1 else 's'}"
    if facts.first_attempt_at is None:
        accounts = ""  # no machine has looked
    if item.is_open:
        word = "OVERDUE" if item.late_ms else "open"
        left = item.due_at - case.as_of
        note = (
            f"by {duration_text(item.late_ms)}" if item.late_ms else f"{duration_text(left)} left"
        )
        return f"{word}, {outcome}" if outcome else word, note + accounts
    return _ended_verdict(case, item, accounts)


def _ended_verdict(case: _Case, item: ItemResult, accounts: str) -> tuple[str, str]:
    facts = item.facts
    grade = f"grade {facts.grade}" if facts.grade else "no grade"
    note = f"{facts.outcome.replace('_', ' ')} · {grade}{accounts}"
    if item.late_ms:
        return f"LATE by {duration_text(item.late_ms)}", note
    if facts.outcome == CALLED_OFF:
        return "not revoked", note
    if word := _NOTHING_STOOD.get(facts.outcome):
        # A time alone would say that something was revoked in it.
        return word, f"after {duration_text(item.ttr_ms)} · {grade}{accounts}"
    if facts.off_at is not None and facts.off_at < case.line.facts.cutoff_at:
        return "before the cutoff", note
    return duration_text(item.ttr_ms), note


def _draw_long_names(sheet: Sheet, case: _Case) -> None:
    for name, value in _identity(case):
        if len(wrapped(value, 176, 7.5)) > _LINES_ON_TOP:
            sheet.paragraph(f"{name}: {value}")
    sheet.paragraph(
        f"Policy {case.line.facts.policy}. Instants are UTC. An empty cell: not recorded."
    )
