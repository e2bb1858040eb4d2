"""The timeline of a case: read from entries, and drawn."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest

from lockstep.control.cases.timeline import Mark, Span, told
from lockstep.control.score.questions import to_ms
from lockstep.evidence.format.canonical import instant_text
from lockstep.storage.records import RevocationRow
from lockstep.web.console.cases.drawing import LEFT, RIGHT, draw

CUTOFF = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return CUTOFF + timedelta(seconds=seconds)


def entry(kind: str, seconds: float, system: str = "okta", **data: object) -> bytes:
    document = {
        "kind": kind,
        "occurred_at": instant_text(at(seconds)),
        "system": system,
        "data": data,
    }
    return json.dumps(document).encode()


def outcome(seconds: float, *, off: float, bound_s: int = 3600) -> bytes:
    return entry(
        "revocation:outcome",
        seconds,
        outcome="revoked",
        grade="B",
        revoked_at=instant_text(at(off)),
        accepted=[{"kind": "session", "op": "x", "at": instant_text(at(off))}],
        removed=[{"kind": "session", "ref": "r"}, {"kind": "session", "ref": "s"}],
        residuals=[{"what": "access_token", "bound_s": bound_s}],
    )


def row(**changes: object) -> RevocationRow:
    empty = {field.name: None for field in fields(RevocationRow)}
    values = {
        **empty,
        "case_id": "c1",
        "system": "okta",
        "state": "settled",
        "outcome": "revoked",
        "due_at": at(3600),
        **changes,
    }
    return RevocationRow(**values)


COURSE = [
    entry("revocation:fault", 1, round=1, attempt=1, category="unreachable", transient=True),
    entry("revocation:attempt", 5, round=1, attempt=2),
    outcome(8, off=6),
    entry("watch:look", 3600, look=1, standing=[]),
    entry("finding:raised", 86400, finding="access_returned"),
    entry("decision:attest", 90000, decision="d"),
]


def read(course: list[bytes]) -> dict:
    return told(list(enumerate(course)), ["okta"], cutoff=to_ms(CUTOFF))


def test_a_course_is_told_in_marks_and_spans():
    """Access stood from the cutoff until it was off, and again from when it was seen back."""
    lane = read(COURSE)["okta"]

    assert [event.mark for event in lane.events] == [
        Mark.FAULT,
        Mark.ATTEMPT,
        Mark.ACTION,
        Mark.OFF,
        Mark.READ_BACK,
        Mark.LOOK,
        Mark.RETURNED,
        Mark.DECISION,
    ]
    base = to_ms(CUTOFF)
    assert lane.spans == [
        Span(base, base + 6000),
        Span(base + 86_400_000, base + 90_000_000),
    ]
    assert lane.removed == {"session": 2}
    assert lane.residuals == [], "what came back has no residual that runs down"


@pytest.mark.parametrize("found", ["not_found", "already_absent"])
def test_where_no_access_was_seen_none_stood(found):
    """No bar says that it did, and what is found later did not come back."""
    nothing = json.loads(outcome(5, off=5))
    nothing["data"] |= {"outcome": found, "removed": [], "accepted": []}
    course = [
        entry("revocation:attempt", 3, round=1, attempt=1, standing=[]),
        json.dumps(nothing).encode(),
        entry("finding:raised", 3600, finding="access_returned"),
    ]
    closed = read(course[:2])["okta"]
    assert (closed.spans, closed.open_since) == ([], None)
    later = read(course)["okta"]
    assert later.events[-1].mark is Mark.APPEARED
    assert later.spans == [Span(to_ms(at(3600)), None)]


def test_before_any_look_it_is_not_known_whether_access_stands():
    """Nor after a person's word alone."""
    assert read([])["okta"].spans == [Span(to_ms(CUTOFF), None, seen=False)]
    said = read([entry("decision:attest", 60, decision="d")])["okta"]
    assert said.spans == [Span(to_ms(CUTOFF), to_ms(at(60)), seen=False)]
    rows = [row(state="retrying", outcome=None)]
    [lane] = draw(rows, read([]), cutoff=CUTOFF, now=at(60)).lanes
    assert [(bar.kind, bar.title) for bar in lane.bars] == [
        ("unknown", "Open for 1 min 0 s; not known whether access stands")
    ]


def test_the_worst_clock_of_all_calls_is_told():
    """Of a vendor that was right once and two hours behind twice, the two hours are told."""
    calls = [{"op": "x"}, {"op": "y", "skew_ms": -7_200_000}, {"op": "z", "skew_ms": 900}]
    course = [entry("revocation:fault", 1, category="timeout", calls=calls), outcome(8, off=6)]
    assert read(course)["okta"].skew_ms == -7_200_000
    assert read(COURSE)["okta"].skew_ms == 0


def test_a_residual_runs_from_when_access_was_off():
    """Its bound is the vendor's."""
    lane = read(COURSE[:3])["okta"]
    assert lane.residuals == [("access_token", to_ms(at(6 + 3600)))]
    assert lane.open_since is None


def test_a_residual_that_nobody_stated_has_no_end():
    """An entry without a bound is not read as one that ends at once."""
    body = json.loads(outcome(8, off=6))
    body["data"]["residuals"] = [{"what": "session"}]
    lane = read([json.dumps(body).encode()])["okta"]

    assert lane.residuals == [("session", None)]


def test_what_stands_is_drawn_to_the_present_and_beyond_the_sla_as_late():
    """An open lane has two bars once its SLA has passed."""
    seen = entry("revocation:attempt", 1, round=1, attempt=1, standing=[{"kind": "sign_in"}])
    lanes = told([(0, seen)], ["okta"], cutoff=to_ms(CUTOFF))
    drawing = draw([row(state="needs_person")], lanes, cutoff=CUTOFF, now=at(7200))
    [lane] = drawing.lanes
    assert [bar.kind for bar in lane.bars] == ["open", "late"]
    assert drawing.now is not None
    last = lane.bars[-1]
    assert abs(last.x + last.width - drawing.now) < 1


def test_everything_lies_within_the_drawing_and_in_order():
    """Marks of a second and of a month are both to be seen."""
    course = [*COURSE, entry("watch:look", 30 * 86400, look=4, standing=[])]
    drawing = draw([row()], read(course), cutoff=CUTOFF, now=at(31 * 86400))
    [lane] = drawing.lanes
    places = [mark.x for mark in lane.marks]
    assert all(LEFT <= x <= RIGHT for x in places)
    assert places == sorted(places)
    assert len({x for x, _ in drawing.ticks}) == len(drawing.ticks) >= 5
    assert "30 d" in lane.marks[-1].title


def test_very_many_faults_are_drawn_as_few_marks():
    """A thousand retries do not make a thousand shapes."""
    course = [
        entry("revocation:fault", 5 * number, round=1, attempt=number, category="timeout")
        for number in range(1, 1001)
    ]
    drawing = draw([row(state="retrying")], read(course), cutoff=CUTOFF, now=at(6000))
    [lane] = drawing.lanes
    assert len(lane.marks) < 200
    assert any("times" in mark.title for mark in lane.marks)


def test_a_coming_case_has_no_bars():
    """Access may stand until the cutoff."""
    lanes = told([], ["okta"], cutoff=to_ms(CUTOFF))
    drawing = draw([row(state="scheduled")], lanes, cutoff=CUTOFF, now=at(-86400))
    assert drawing.lanes[0].bars == ()
    assert drawing.now is None


def test_access_that_stood_when_a_rehiring_was_said_is_theirs():
    """It is marked, and no bar says that it stands against the case from then on."""
    entries = [
        (1, entry("revocation:attempt", 1, attempt=1, round=1, standing=[{"kind": "session"}])),
        (2, outcome(3, off=2)),
        (3, entry("finding:raised", 900, finding="returned_before_rehire", look=1)),
    ]
    lane = told(entries, ["okta"], cutoff=to_ms(CUTOFF))["okta"]

    assert lane.events[-1].mark is Mark.REHIRED
    assert [span.end is None for span in lane.spans] == [False]
