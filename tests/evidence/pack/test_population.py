"""Rows, cells and the draw: what writer and verifier share."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.evidence.pack.model import CaseLine
from lockstep.evidence.pack.people.columns import (
    EXCLUSIONS,
    LEAVER_COLUMNS,
    REASONS,
    SYSTEM_COLUMNS,
)
from lockstep.evidence.pack.people.draw import draw_sample, sample_rows
from lockstep.evidence.pack.people.population import (
    case_rows,
    exclusion,
    in_population,
    in_scope,
    leaver_row,
    ratio_text,
    touches_period,
)
from lockstep.evidence.pack.text_files import cell_text, csv_line, csv_row, json_bytes
from lockstep.scorecard.definition import DEFAULT
from lockstep.scorecard.metric import judge
from tests.evidence.ledgers import AS_OF, DAY, END, START, story
from tests.evidence.packs import disclose, scope_of

SCOPE = scope_of()


def lines() -> dict[str, CaseLine]:
    book = story()
    _, history, openings, _ = disclose(book, SCOPE, len(book.entries))
    return {
        case_id: CaseLine(facts, judge(facts, DEFAULT, AS_OF), openings[case_id].hex())
        for case_id, facts in history.cases.items()
    }


LINES = lines()


def moved(case_id: str, **facts: object) -> CaseLine:
    changed = dataclasses.replace(LINES[case_id].facts, **facts)
    return CaseLine(changed, judge(changed, DEFAULT, AS_OF), "00" * 32)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (LINES["cquick0"], ""),
        (LINES["copen"], ""),
        (LINES["cgone"], "rescinded"),
        (LINES["cnobody"], "no_access"),
        (LINES["cfuture"], "outside_period"),
        (moved("cquick0", shown_cutoff_at=START), ""),
        (moved("cquick0", shown_cutoff_at=START - 1), "outside_period"),
        (moved("cquick0", shown_cutoff_at=END), "outside_period"),
    ],
)
def test_who_is_a_leaver_of_the_period(line: CaseLine, reason: str) -> None:
    """By the cutoff that the case works by; the start belongs to the period, the end does not."""
    assert exclusion(line, SCOPE) == reason
    assert in_population(line, SCOPE) is not bool(reason)
    assert not reason or reason in EXCLUSIONS


def test_a_cutoff_still_to_come_is_no_leaver_yet() -> None:
    """In a period that has not ended."""
    assert exclusion(LINES["cfuture"], scope_of(end=AS_OF + 90 * DAY)) == "future"


@pytest.mark.parametrize(
    ("scope", "inside"),
    [
        ({}, True),
        ({"partner": "nord"}, True),
        ({"partner": "süd"}, False),
        ({"case_id": "cquick0"}, True),
        ({"case_id": "clate"}, False),
    ],
)
def test_whom_a_pack_speaks_of(scope: dict[str, str], *, inside: bool) -> None:
    """Everybody, one partner, one case."""
    assert in_scope(LINES["cquick0"].facts, scope_of(**scope)) is inside


def test_cases_that_have_nothing_to_do_with_the_period_are_nowhere() -> None:
    """A case of last year is neither leaver nor exclusion."""
    past = START - 200 * DAY
    line = moved("cgone", shown_cutoff_at=past, cutoff_at=past, received_at=past)
    rows = case_rows(line, SCOPE)
    assert not touches_period(line.facts, SCOPE)
    assert (rows.leaver, rows.excluded) == (None, None)


def test_rows_have_exactly_their_columns() -> None:
    """Leavers, systems, exceptions, exclusions."""
    for line in LINES.values():
        rows = case_rows(line, SCOPE)
        if rows.leaver is not None:
            assert set(rows.leaver) == set(LEAVER_COLUMNS)
        for row in rows.systems:
            assert set(row) == set(SYSTEM_COLUMNS)


def test_the_reasons_of_exceptions() -> None:
    """What an auditor asks about, each with a sentence."""
    found = {
        (row["case_id"], row["system"], row["reason"])
        for line in LINES.values()
        for row in case_rows(line, SCOPE).exceptions
    }
    assert {
        ("clate", "okta", "late"),
        ("copen", "okta", "open_overdue"),
        ("cattested", "gate", "attested"),
        ("creturned", "okta", "reopened"),
        ("cwaived", "crm", "waived"),
    } <= found
    assert all(row[2] in REASONS for row in found)
    assert not any(case_id.startswith("cquick") for case_id, _, _ in found)


def test_a_cutoff_moved_in_vain_is_an_exception() -> None:
    """Both cutoffs are shown, and why one of them does not count."""
    line = moved("cquick0", shown_cutoff_at=LINES["cquick0"].facts.cutoff_at + DAY)
    (row,) = case_rows(line, SCOPE).exceptions
    assert (row["reason"], row["system"]) == ("later_cutoff_not_counted", "")


def test_lateness_in_seconds_is_rounded_up() -> None:
    """A millisecond late is late."""
    line = moved("cquick0", cutoff_at=LINES["cquick0"].facts.cutoff_at - 4 * 3_600_000 + 59_999)
    assert line.result.late_ms == 1
    assert leaver_row(line)["late_seconds"] == 1


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (Fraction(0), "0.0000"),
        (Fraction(1), "1.0000"),
        (Fraction(1, 3), "0.3333"),
        (Fraction(1, 20_000), "0.0000"),
        (Fraction(3, 20_000), "0.0002"),
        (Fraction(123_456), "123456.0000"),
    ],
)
def test_ratios_are_rounded_half_to_even(ratio: Fraction, text: str) -> None:
    """Four decimals, always."""
    assert ratio_text(ratio) == text


# --- cells ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(start: str) -> None:
    """A partner's name could be one."""
    assert cell_text(f"{start}cmd|' /C calc'!A0").startswith("'")
    assert cell_text(-5) == "-5", "numbers stay numbers"


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00")), min_size=1))
def test_any_text_survives_a_csv_file(cells: list[str]) -> None:
    """Read back by another reader, cell by cell."""
    raw = csv_line(cells)
    rows = list(csv.reader(io.StringIO(raw.decode(), newline=""), strict=True))
    assert rows == [cells] or (cells == [""] and rows == [[]])
    assert raw.endswith(b"\r\n")


def test_quotes_stand_only_where_they_must() -> None:
    """One way to write a row, so that same rows are same bytes."""
    row = {"a": "plain", "b": 'a "quote"', "c": "a,b", "d": "a\nb", "e": 7, "f": "ü =1"}
    assert csv_row(tuple(row), row) == ('plain,"a ""quote""","a,b","a\nb",7,ü =1\r\n'.encode())


def test_json_files_have_one_form() -> None:
    """Sorted, indented by one, ASCII, a line feed at the end; and no floats."""
    assert json_bytes({"b": ["ü"], "a": 1}) == b'{\n "a": 1,\n "b": [\n  "\\u00fc"\n ]\n}\n'
    with pytest.raises(TypeError):
        json_bytes({"a": [{"b": 1.0}]})


# --- the sample -----------------------------------------------------------------------------------


def test_a_stranger_draws_the_same_sample() -> None:
    """Sorted by SHA-256 of seed, line feed and case id."""
    cases = [f"c{number}" for number in range(50)]
    by_hash = sorted(cases, key=lambda c: hashlib.sha256(b"seed\n" + c.encode()).hexdigest())
    assert draw_sample(cases, 7, "seed") == by_hash[:7]
    assert draw_sample(reversed(cases), 7, "seed") == by_hash[:7]


@given(st.sets(st.text("abc123", min_size=1)), st.integers(0, 9), st.text())
def test_a_sample_is_of_the_population(cases: set[str], n: int, seed: str) -> None:
    """As many as asked for, or all; nobody twice."""
    drawn = draw_sample(cases, n, seed)
    assert len(drawn) == len(set(drawn)) == min(n, len(cases))
    assert set(drawn) <= cases


def test_another_seed_draws_others() -> None:
    """Otherwise everybody would know who is never drawn."""
    cases = [f"c{number}" for number in range(100)]
    assert draw_sample(cases, 10, "one") != draw_sample(cases, 10, "two")


def test_the_sample_says_how_it_was_drawn() -> None:
    """Position, case, hash, and the parameters."""
    (row,) = sample_rows(["c1"], 5, "dice")
    wanted = hashlib.sha256(b"dice\nc1").hexdigest()
    assert row == {"position": 1, "case_id": "c1", "draw_hash": wanted, "n": 5, "seed": "dice"}


def test_rows_are_plain_data() -> None:
    """Text and whole numbers, fit for every file."""
    for line in LINES.values():
        rows = case_rows(line, SCOPE)
        for row in (rows.leaver or {}, *rows.systems, *rows.exceptions, rows.excluded or {}):
            assert all(type(cell) in {str, int} for cell in row.values())
            json.dumps(row)
