"""The drawn timeline: readable at every scale, complete, and the same bytes every time."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from datetime import timedelta
from functools import cache

import pdfplumber
import pytest

from lockstep.evidence.format.canonical import canonical_bytes, leaf_hash
from lockstep.evidence.pack.cases.drawing import Lane, axis_for
from lockstep.evidence.pack.cases.timeline import timeline_pdf
from lockstep.evidence.pack.print.clock_text import duration_text, exact_text, local_text
from lockstep.evidence.pack.print.lettering import printable
from lockstep.evidence.pack.print.sheet import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    WIDTH,
    Column,
    Sheet,
)
from tests.evidence import samples
from tests.evidence.samples import CUTOFF, DAY, HOUR, SECOND, SYSTEMS, TENANT, Tale, ms

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
LONG = "Łódź 東京 \u202egnol " + "very-long-partner-name-" * 8

TALES = {
    "fast": (samples.fast, 5 * DAY),
    "mixed": (samples.mixed, DAY),
    "late": (samples.late, 10 * DAY),
    "rescinded": (samples.rescinded, DAY),
    "future": (Tale, -DAY),
    "pending": (lambda: Tale().begun().revoked("okta-prod"), HOUR / 2),
    "named": (lambda: samples.named(LONG, "site\nwith a line\x00"), DAY),
    "wide": (lambda: samples.wide(24), DAY),
}


def drawn(tale: Tale, after: timedelta = DAY) -> bytes:
    as_of = ms(CUTOFF + after)
    return timeline_pdf(tale.line(after), tale.leaves, as_of=as_of, tenant=TENANT)


@cache  # reading a document takes much longer than drawing it
def pages_of(raw: bytes) -> list[str]:
    """The text of each page, line by line."""
    with pdfplumber.open(io.BytesIO(raw)) as document:
        return [page.extract_text(y_tolerance=0.4) for page in document.pages]


@cache
def top_of(raw: bytes) -> str:
    """The first page's text, one after the other of what stands there side by side."""
    with pdfplumber.open(io.BytesIO(raw)) as document:
        page = document.pages[0]
        edges = ((0, 280), (280, 586), (586, page.width))
        return "\n".join(page.crop((x0, 0, x1, page.height)).extract_text() for x0, x1 in edges)


def text_of(raw: bytes) -> str:
    """All text without blanks and line ends: cells wrap."""
    return "".join("".join(pages_of(raw)).split())


@pytest.mark.parametrize("name", TALES)
def test_the_same_case_gives_the_same_bytes(name):
    """A pack made twice is the same pack."""
    make, after = TALES[name]

    assert drawn(make(), after) == drawn(make(), after)


def test_another_process_gives_the_same_bytes():
    """Neither hash seeds nor what was drawn before it change a document."""
    script = (
        "import hashlib, sys; from tests.evidence import samples as s;"
        "from tests.evidence.pack import test_timeline as t;"
        "sys.stdout.write(hashlib.sha256(t.drawn(s.mixed())).hexdigest())"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Manila"))
    }

    assert len(made) == 1


@pytest.mark.parametrize("name", TALES)
def test_nothing_is_printed_beyond_the_margins(name):
    """Whatever the names and however many systems: no text is lost at an edge."""
    make, after = TALES[name]

    with pdfplumber.open(io.BytesIO(drawn(make(), after))) as document:
        for page in document.pages:
            assert (round(page.width), round(page.height)) == (842, 595)
            for char in page.chars:
                assert char["x0"] >= LEFT - 20
                assert char["x1"] <= RIGHT + 1
                assert 0 < char["top"] < char["bottom"] < page.height


def test_an_ordinary_case_has_two_pages():
    """Five systems: a drawing to look at, tables to check."""
    first, second = pages_of(drawn(samples.fast(), 5 * DAY))

    assert "page 1 of 2" in first
    assert "page 2 of 2" in second


def test_the_first_page_says_who_when_and_how():
    """Header, clocks in both zones, verdict and figures."""
    page = top_of(drawn(samples.mixed()))

    for words in (
        *(TENANT, samples.CASE, samples.SUBJECT, "voluntary", "northwind", "cebu"),
        "2026-11-20 18:00:00 +08:00",  # E on the wall in Manila
        "2026-11-20 10:00:00.000",  # and in UTC
        *("WITHIN THE SLA", "Time to revocation 9 h", "37.5 %", "grade C"),
        "HR lag (N after E) none",
    ):
        assert words in page


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fast", ["WITHIN THE SLA", "under 0.1 %", "1.6 s"]),
        ("late", ["OPEN AND OVERDUE", "≥ 10 d (open)", "LATE by 3 d 3 h", "OVERDUE, waived"]),
        ("pending", ["OPEN, NOT YET DUE", "≥ 30 min (open)", "3 h 30 min left"]),
        ("rescinded", ["RESCINDED BEFORE IT BEGAN", "stopped", "not yet"]),
        ("future", ["CUTOFF STILL TO COME", "scheduled"]),
    ],
)
def test_every_state_is_said_in_words(name, words):
    """Colour alone says nothing: a print without it reads the same."""
    make, after = TALES[name]

    page = pages_of(drawn(make(), after))[0]

    assert [word for word in words if word not in page] == []


def test_open_access_is_drawn_to_the_instant_of_looking():
    """An arrow and the word, one per open system; nothing else is called open there."""
    raw = drawn(samples.late(), 10 * DAY)

    with pdfplumber.open(io.BytesIO(raw)) as document:
        words = document.pages[0].extract_words()

    legend, *arrows = sorted((word for word in words if word["text"] == "open"), key=_from_bottom)
    assert len(arrows) == 2
    [as_of] = [word for word in words if word["text"] == "as" and 300 < word["x0"] < RIGHT - 150]
    assert all(0 < word["x0"] - as_of["x0"] < 40 for word in arrows[1:])
    assert legend["top"] > max(word["top"] for word in arrows)


def _from_bottom(word) -> float:
    return -word["top"]


def test_every_entry_stands_with_its_index_and_leaf_hash():
    """Also where the table goes on overleaf: two dozen systems, every hash in full."""
    tale = samples.wide(24)
    text = text_of(drawn(tale))

    for leaf, entry in tale.entries:
        row = f"{leaf}{entry['kind']}{entry.get('system', '')}"
        assert row in text
        assert leaf_hash(canonical_bytes(entry)).hex() in text


def test_every_call_stands_with_what_the_vendor_can_look_up():
    """Request id, Date header and the digest of the answer."""
    tale = samples.mixed()
    text = text_of(drawn(tale))
    calls = [call for _, entry in tale.entries for call in entry.get("data", {}).get("calls", ())]

    assert len(calls) > 10
    for call in calls:
        for value in (call["request_id"], call["date"], call["sha256"], call["at"]):
            assert value.replace(" ", "") in text


def test_the_table_of_systems_has_every_clock_to_the_millisecond():
    """A, R and V, the time taken, what was removed, the residual and the faults."""
    text = text_of(drawn(samples.mixed()))

    for words in (
        *("10:11:59.960", "10:12:00.000", "10:12:00.200", "00:12:00.000"),
        *("credential2,signin1", "residualaccess", "timeout2"),
    ):
        assert words in text


def test_a_residual_that_nobody_stated_is_called_unknown():
    """An entry without a bound is drawn as such, and not as one that ends at once."""
    tale = samples.fast().outcome("github", 5 * SECOND, residual_s=None)

    text = text_of(drawn(tale))

    assert "sessionforanunknowntime" in text


def test_decisions_say_whether_a_second_person_agreed():
    """With the artefact's digest; never who it was."""
    text = text_of(drawn(samples.mixed()))

    assert f"attestclient-crmpersonyesC{samples.ARTEFACT[:20]}" in text


def test_a_weak_attestation_shows_as_weak():
    """One person's word is grade D, and there was no second person."""
    tale = Tale(SYSTEMS[5:]).begun().attest("client-crm", HOUR, strong=False).closed(HOUR)

    assert "attestclient-crmpersonnoD" in text_of(drawn(tale))


def test_a_name_in_any_script_is_shown():
    """What no font has stands as its code point; what is cut above stands in full below."""
    first, *rest = pages_of(drawn(samples.named(LONG, "Šibenik")))
    overleaf = "".join("".join(rest).split())

    assert "Šibenik" in first
    assert "(overleaf)" in first
    assert "".join(printable(LONG).split()) in overleaf
    assert "[U+6771][U+4EAC]" in overleaf


def test_a_cutoff_that_does_not_count_is_shown_beside_the_one_that_does():
    """HR moved it on one person's word: the case worked to it, the score does not."""
    tale = Tale(SYSTEMS[:1])
    later = {"cutoff_at": "2026-11-21T10:00:00.000Z", "revision": 2}
    tale.add(samples.EntryKind.CASE_AMENDED, -DAY, data=later, person=True)

    page = top_of(drawn(tale, HOUR))

    assert "working cutoff 2026-11-21 18:00:00 +08:00" in page


@pytest.mark.parametrize(
    ("last", "step", "label"),
    [
        (1_300, 200, "+1.2 s"),
        (45_000, 10_000, "+40 s"),
        (12 * MINUTE_MS, 2 * MINUTE_MS, "+12 min"),
        (9 * HOUR_MS, 2 * HOUR_MS, "+8 h"),
        (10 * DAY_MS, 2 * DAY_MS, "+10 d"),
        (900 * DAY_MS, 180 * DAY_MS, "+900 d"),
    ],
)
def test_the_axis_fits_the_case(last, step, label):
    """From seconds to years the slowest system fills most of the plot, with readable ticks."""
    lane = _lane(off=last, seen=last, due=4 * last)

    axis = axis_for([lane], until=9_999 * DAY_MS)

    ticks = list(axis.ticks())
    assert axis.step == step
    assert 4 <= len(ticks) <= 9
    assert axis.label(ticks[-1]) == label
    assert (axis.x(last) - axis.x(0)) / (axis.x(axis.end) - axis.x(0)) > 0.9


def test_a_near_deadline_is_on_the_axis_and_a_far_one_is_not():
    """Else an SLA of a day would press a second into a dot."""
    near = axis_for([_lane(off=1_000, seen=1_200, due=2_000)], until=0)
    far = axis_for([_lane(off=1_000, seen=1_200, due=DAY_MS)], until=0)

    assert near.end > 2_000
    assert far.end < 2_000


def test_an_open_lane_stretches_the_axis_to_now():
    """What is still open is never shorter than it is."""
    axis = axis_for([_lane(off=None, seen=None, due=HOUR_MS, is_open=True)], until=3 * DAY_MS)

    assert axis.end >= 3 * DAY_MS


def _lane(**changes) -> Lane:
    return Lane(name="okta-prod", detail="", verdict="", note="", **changes)


def test_a_cell_that_is_taller_than_a_page_goes_on_overleaf():
    """A table never cuts a cell and never hangs on one."""
    words = [f"word{number:05}" for number in range(900)]
    sheet = Sheet("t", header="h", footer="f")
    sheet.table([Column("A", 60), Column("B", 120)], [("before", ""), (" ".join(words), "x")])

    pages = pages_of(sheet.finish())

    assert len(pages) > 2
    assert [word for word in words if not any(word in page for page in pages)] == []


def test_the_fonts_are_in_the_file():
    """It looks the same in twenty years on another machine."""
    raw = drawn(samples.fast())

    assert raw.count(b"/FontFile2") == 2
    assert b"Helvetica" not in raw


def test_the_page_is_as_large_as_its_constants_say():
    """A4, lying; the tables' columns fill it."""
    assert (round(WIDTH), round(HEIGHT)) == (842, 595)
    assert BOTTOM > 36
    assert round(RIGHT - LEFT) == 770


@pytest.mark.parametrize(
    ("duration", "short", "exact"),
    [
        (0, "0.0 s", "00:00:00.000"),
        (1_399, "1.3 s", "00:00:01.399"),
        (59_999, "59.9 s", "00:00:59.999"),
        (60_000, "1 min", "00:01:00.000"),
        (725_999, "12 min 5 s", "00:12:05.999"),
        (4 * HOUR_MS, "4 h", "04:00:00.000"),
        (4 * HOUR_MS + 500, "4 h", "04:00:00.500"),
        (10 * DAY_MS + 3 * HOUR_MS + 7, "10 d 3 h", "10 d 03:00:00.007"),
    ],
)
def test_durations_are_cut_above_and_exact_below(duration, short, exact):
    """The first page is read, the second is checked."""
    assert (duration_text(duration), exact_text(duration)) == (short, exact)


def test_an_unknown_zone_does_not_stop_the_document():
    """HR can send anything; UTC stands beside it."""
    assert local_text(ms(CUTOFF), "Mars/Olympus") == local_text(ms(CUTOFF), "../etc") == ""

    tale = Tale(SYSTEMS[:1], zone="Mars/Olympus").begun().revoked("okta-prod").closed(SECOND * 9)

    assert "zone unknown" in pages_of(drawn(tale))[0]


@pytest.mark.parametrize(
    ("outcome", "bars"), [("revoked", 1), ("not_found", 0), ("already_absent", 0)]
)
def test_where_no_access_stood_no_bar_says_that_it_did(outcome, bars):
    """A bar from the cutoff to R is access that stood; nobody found, or nothing left, has none."""
    tale = Tale().begun()
    for system in SYSTEMS:
        removed = samples.REMOVED if outcome == "revoked" else ()
        tale.outcome(system.system, 2 * SECOND, outcome=outcome, removed=removed)
    with pdfplumber.open(io.BytesIO(drawn(tale))) as document:
        boxes = document.pages[0].rects
    lanes = [
        box for box in boxes if LEFT + 150 < box["x0"] < RIGHT - 150 and 9 < box["height"] < 11
    ]
    assert len(lanes) == bars * len(SYSTEMS)
