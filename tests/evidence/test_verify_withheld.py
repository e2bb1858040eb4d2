"""What is withheld is not known: the score is never shown without what it could be instead."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.evidence.ledger.history import History
from lockstep.evidence.pack import layout
from lockstep.evidence.pack.print.readme import readme
from lockstep.evidence.pack.withheld import possible
from lockstep.evidence.verify.__main__ import lines
from lockstep.evidence.verify.report import Verdict
from lockstep.scorecard.metric import official_window, score
from lockstep.scorecard.scores import Score
from tests.evidence.ledgers import AS_OF, DAY, HOUR, MINUTE, START, Book, story
from tests.evidence.packs import files_of, make_pack, scope_of
from tests.evidence.verdicts import check, failed, told, verdict
from tests.evidence.writing import write_pack

COMING = scope_of(coming=False, sample_n=0, seed="")


@pytest.fixture(scope="module")
def quick() -> Book:
    """Many who were quick, and one who was very late: the one to hide."""
    book = Book().begin()
    for number in range(20):
        book.run(f"cquick{number}", START + (5 + number) * DAY, after=(number + 1) * MINUTE)
    book.run("clate", START + 30 * DAY, after=30 * DAY, kind="involuntary")
    book.say("ledger:heartbeat", at=AS_OF - HOUR)
    return book


def test_a_late_leaver_hidden_as_a_coming_one(quick: Book, tmp_path: Path) -> None:
    """No verifier can know that a cutoff was to come: so it says what the score could be."""
    raw = make_pack(quick, scope=COMING, hide={"clate"}, older=())
    report = check(tmp_path, raw, quick)
    document = json.loads(files_of(raw)[layout.SCORE])
    true = json.loads(files_of(make_pack(quick, older=()))[layout.SCORE])["value"]

    assert report.is_verified
    assert verdict(report, 11) is Verdict.WARN
    assert document["label"] == "partial"
    assert document["reading"] is None
    assert document["audit_proof_allowed"] is False
    low, high = document["withheld"]["lowest"], document["withheld"]["highest"]
    assert Fraction(low) <= Fraction(true) < Fraction(document["value"]) <= Fraction(high)
    says = f"what is withheld could make the score anything from {low} to {high}"
    printed = list(lines(report))
    assert printed[0].startswith("   score: ")
    assert says in printed[0]
    assert says in report.label
    assert "VERIFIED, UNANCHORED, PARTIAL" in "\n".join(printed)
    assert report.as_document()["caveat"] == report.caveat


def test_a_case_hidden_from_its_partners_auditor(quick: Book, tmp_path: Path) -> None:
    """Likewise in a pack of one partner, which always withholds: the figure never stands alone."""
    scope = scope_of(partner="nord", sample_n=0, seed="")
    raw = make_pack(quick, scope=scope, hide={"clate"}, older=())
    report = check(tmp_path, raw, quick)

    assert report.is_verified
    assert "what is withheld could make the score anything from" in report.facts["score"]
    assert "PARTIAL" in report.label


def test_a_pack_of_everything_says_nothing_of_it(quick: Book, tmp_path: Path) -> None:
    """Where every entry is shown, the score is what it is."""
    raw = make_pack(quick, older=())
    report = check(tmp_path, raw, quick)
    document = json.loads(files_of(raw)[layout.SCORE])

    assert document["withheld"] is None
    assert document["label"] == "limited"
    assert report.caveat == ""
    assert report.label == "UNANCHORED"
    assert verdict(report, 11) is Verdict.PASS
    assert report.facts["score"].startswith(f"{document['value']} of 20 over")


@pytest.mark.parametrize("version", [1, 2])
def test_packs_of_earlier_formats_are_told_of_too(
    quick: Book, tmp_path: Path, version: int
) -> None:
    """Their scores do not say it themselves; the report does."""
    scope = dataclasses.replace(COMING, format=version)
    raw = make_pack(quick, scope=scope, hide={"clate"}, older=())
    report = check(tmp_path, raw, quick)

    assert "withheld" not in json.loads(files_of(raw)[layout.SCORE])
    assert report.is_verified
    assert "PARTIAL" in report.label


def test_a_score_that_does_not_say_it_is_refuted(quick: Book, tmp_path: Path) -> None:
    """The operator writes the plain score of format 2 into a pack of today."""
    old = make_pack(quick, scope=dataclasses.replace(COMING, format=2), hide={"clate"}, older=())

    def forge(files: dict[str, bytes]) -> None:
        files[layout.SCORE] = files_of(old)[layout.SCORE]

    raw = make_pack(quick, scope=COMING, hide={"clate"}, older=(), forge=forge)
    report = check(tmp_path, raw, quick)
    assert failed(report) == {11}
    assert "withheld is" in told(report, 11)


def test_the_page_and_the_workbook_say_it(tmp_path: Path) -> None:
    """Whoever reads without a tool reads it beside the figure."""
    summary = write_pack(story(), scope_of(partner="nord"), tmp_path / "pack.zip")
    limits = summary.score["withheld"]
    page = readme(summary, (), window_days=365).decode()

    assert f"could make it anything from {limits['lowest']} to {limits['highest']}" in page


# --- the bounds hold ------------------------------------------------------------------------------


def scored(book: Book, shown: list[bytes]) -> Score:
    history = History()
    for leaf, raw in enumerate(shown):
        history.add(leaf, json.loads(raw))
    return score(
        history.cases.values(),
        book.definition,
        window=official_window(book.definition, AS_OF),
        as_of=AS_OF,
        findings=history.findings,
        feeds=history.feeds.feeds(),
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 40 * 24), min_size=1, max_size=12),
    st.sets(st.integers(0, 200), max_size=30),
    st.booleans(),
)
def test_no_hidden_entries_lead_out_of_the_bounds(
    lateness: list[int],
    hidden: set[int],
    is_returned: bool,  # noqa: FBT001 - hypothesis gives it by its place
) -> None:
    """Whatever is hidden of a ledger, its true score lies between what the pack says."""
    book = Book().begin()
    for number, hours in enumerate(lateness):
        book.run(f"c{number}", START + number * DAY, after=hours * HOUR, systems=("okta",))
    if is_returned:
        data = {"finding": "access_returned", "look": 1, "standing": []}
        book.say("finding:raised", case="c0", system="okta", at=START + 80 * DAY, data=data)
    first = 3
    gone = {first + place % (len(book.entries) - first) for place in hidden}
    opened = {
        json.loads(raw)["case"]
        for place, raw in enumerate(book.entries)
        if place not in gone and json.loads(raw)["kind"] == "case:opened"
    }
    shown = [
        raw
        for place, raw in enumerate(book.entries)
        if place not in gone and json.loads(raw).get("case", "") in {"", *opened}
    ]
    withheld = len(book.entries) - len(shown)
    if not withheld:
        return
    true = scored(book, book.entries)
    lowest, highest = possible(scored(book, shown), withheld)

    assert true.exact is not None
    assert lowest <= true.exact <= highest
