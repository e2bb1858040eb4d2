"""Packs over a silent HR: the verifier finds the silence by itself, whatever the score says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lockstep.evidence.pack import layout
from lockstep.evidence.verify.report import Verdict
from tests.evidence import stranger
from tests.evidence.ledgers import AS_OF, DAY, HOUR, START, Book
from tests.evidence.packs import files_of, make_pack, scope_of
from tests.evidence.verdicts import check, edit, failed, put, recount, rewrite, told, verdict

SILENT = 8 * DAY
SCOPES: list[dict[str, Any]] = [
    {},
    {"partner": "süd", "sample_n": 0, "seed": ""},
    {"case_id": "cnord", "sample_n": 0, "seed": ""},
]


def quarter(*, silent: int = SILENT) -> Book:
    """Two leavers; their source is fine, the agency's has been silent for so long."""
    book = Book().begin()
    book.expect("agency", "workday", at=START - 20 * DAY)
    book.run("cnord", START + 20 * DAY)
    book.run("csued", START + 21 * DAY, partner="süd")
    book.hear("agency", AS_OF - silent)
    book.hear("workday", AS_OF - 2 * HOUR)
    book.say("ledger:heartbeat", at=AS_OF - HOUR)
    return book


def score_of(raw: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(files_of(raw)[layout.SCORE])
    return document


@pytest.mark.parametrize("scope", SCOPES, ids=["all", "partner", "case"])
def test_a_pack_over_a_silent_hr_has_no_score_and_verifies(
    tmp_path: Path, scope: dict[str, Any]
) -> None:
    """Whoever's pack it is: the entries about sources are in all of them."""
    book = quarter()
    raw = make_pack(book, scope=scope_of(**scope))
    report = check(tmp_path, raw, book)
    document = score_of(raw)

    assert report.is_verified
    assert verdict(report, 9) is Verdict.PASS
    assert "No score can be given (hr_feed_stale)" in told(report, 11)
    assert (document["value"], document["unscored"]) == (None, ["hr_feed_stale"])
    assert document["feed_age_ms"] == SILENT
    assert {row["source"]: row["age_ms"] for row in document["feeds"]} == {
        "agency": SILENT,
        "workday": 2 * HOUR,
    }


@pytest.mark.parametrize("scope", SCOPES, ids=["all", "partner", "case"])
def test_the_silence_follows_from_what_each_pack_shows(scope: dict[str, Any]) -> None:
    """A second reckoning over the disclosed lines alone comes to the same ages."""
    raw = make_pack(quarter(), scope=scope_of(**scope))
    lines = [line for line in files_of(raw)[layout.ENTRIES].splitlines() if line.startswith(b"{")]
    found = stranger.feeds([(place, json.loads(line)) for place, line in enumerate(lines)])
    assert found == [
        ("agency", START - 20 * DAY, AS_OF - SILENT),
        ("workday", START - 20 * DAY, AS_OF - 2 * HOUR),
    ]


def test_a_pack_whose_hr_was_heard_has_a_score(tmp_path: Path) -> None:
    """Seven days to the millisecond are not too long."""
    book = quarter(silent=7 * DAY)
    raw = make_pack(book)
    assert check(tmp_path, raw, book).is_verified
    assert score_of(raw)["value"] == "20.00"
    assert score_of(make_pack(quarter(silent=7 * DAY + 1)))["value"] is None


def hidden(document: dict[str, Any], how: str) -> dict[str, Any]:
    scored = score_of(make_pack(quarter(silent=HOUR)))
    match how:
        case "a score":
            return document | {"value": "20.00", "unscored": [], "reading": "near_target"}
        case "an age":
            return document | {"feed_age_ms": HOUR}
        case "a source":
            return document | {"feeds": document["feeds"][1:], "feed_age_ms": 2 * HOUR}
        case "no source":
            return document | {"feeds": [], "feed_age_ms": None}
        case _:
            return scored


@pytest.mark.parametrize("name", [layout.SCORE, layout.PERIOD_SCORE])
@pytest.mark.parametrize("how", ["a score", "an age", "a source", "no source", "everything"])
def test_a_score_that_hides_the_silence_is_refused(tmp_path: Path, name: str, how: str) -> None:
    """The operator signs it: only recomputation finds it, at the step of the scores."""
    book = quarter()
    document = json.loads(files_of(make_pack(book))[name])
    text = json.dumps(hidden(document, how), sort_keys=True, indent=1, ensure_ascii=True) + "\n"
    report = check(tmp_path, make_pack(book, forge=put(name, text.encode())), book)
    assert failed(report) == {11}
    assert "the entries give" in told(report, 11)


def test_the_age_alone_edited_is_refused(tmp_path: Path) -> None:
    """One figure, named."""
    book = quarter(silent=HOUR)
    forge = edit(layout.SCORE, b'"feed_age_ms": 7200000', b'"feed_age_ms": 60000')
    report = check(tmp_path, make_pack(book, forge=forge), book)
    assert failed(report) == {11}
    assert "feed_age_ms is 60000, the entries give 7200000" in told(report, 11)


def test_an_expectation_left_out_of_a_full_pack_is_missed(tmp_path: Path) -> None:
    """Withheld, the pack does not show all; rewritten, it is another ledger."""
    book = quarter()
    place = next(n for n, raw in enumerate(book.entries) if b'"feed:expected"' in raw)
    lines = [*book.entries[:place], *book.entries[place + 1 :]]
    counts = recount(leaves=len(lines), entries_disclosed=len(lines))
    raw = make_pack(book, older=(), forge=rewrite(book, lines), claim=counts)
    report = check(tmp_path, raw, book, previous=book.checkpoint())
    assert {6, 11} <= failed(report)


def test_a_source_that_was_taken_out_is_told(tmp_path: Path) -> None:
    """The score stands, and the reader knows who is not listened to any more."""
    book = quarter()
    book.expect("workday", at=AS_OF - 30 * 60_000)
    raw = make_pack(book)
    report = check(tmp_path, raw, book)
    assert report.is_verified
    assert score_of(raw)["value"] == "20.00"
    assert verdict(report, 9) is Verdict.WARN
    assert "the HR source agency is not expected any more since 2026-10-05T05:30" in told(report, 9)


def test_a_source_taken_out_long_ago_is_not_told_for_ever(tmp_path: Path) -> None:
    """After a year it is history."""
    book = Book().begin()
    book.expect("agency", "workday", at=AS_OF - 500 * DAY)
    book.expect("workday", at=AS_OF - 366 * DAY)
    book.hear("workday", AS_OF - HOUR)
    report = check(tmp_path, make_pack(book), book)
    assert verdict(report, 9) is Verdict.PASS


def test_an_entry_about_sources_that_says_nothing_refutes(tmp_path: Path) -> None:
    """Like every entry that is not as its kind."""
    book = quarter()
    lines = [raw.replace(b'"source":"agency"', b'"source":"@gency"') for raw in book.entries]
    assert lines != book.entries
    report = check(tmp_path, make_pack(book, forge=rewrite(book, lines)), book)
    assert failed(report) == {9}
