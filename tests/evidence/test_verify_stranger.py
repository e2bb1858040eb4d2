"""The page is enough: a second reckoning from it comes to the same rows and the same score."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.evidence.format.plain import instant_text
from lockstep.evidence.pack import layout
from tests.evidence import stranger
from tests.evidence.ledgers import AS_OF, DAY, HOUR, START, Book, story
from tests.evidence.packs import Files, content, files_of, make_pack, scope_of

SYSTEMS = ("crm", "gate", "okta")
MOMENTS = st.integers(START - 400 * DAY, AS_OF)


def rows_of(files: Files, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files[name].decode(), newline="")))


def agree(book: Book, files: Files) -> None:
    """Compare everything that the page defines and the second reckoning knows."""
    scope = scope_of()
    window = {"start": scope.start, "end": scope.end, "as_of": scope.as_of}
    entries = [(leaf, json.loads(raw)) for leaf, raw in enumerate(book.entries)]
    cases, findings = stranger.facts(entries)
    sources = stranger.feeds(entries)
    definition = book.definition.as_document()
    cases = {
        name: stranger.counted(case, cases, definition, scope.as_of) for name, case in cases.items()
    }
    judged = {name: stranger.judged(case, scope.as_of, definition) for name, case in cases.items()}
    reasons = {n: stranger.exclusion(cases[n], judged[n], window) for n in cases}
    leavers = [name for name in cases if not reasons[name]]

    found = rows_of(files, layout.LEAVERS)
    assert [row["case_id"] for row in found] == leavers
    for row in found:
        wanted = stranger.leaver(cases[row["case_id"]], judged[row["case_id"]])
        assert {name: row[name] for name in wanted} == {n: str(v) for n, v in wanted.items()}
    for row in rows_of(files, layout.LEAVER_SYSTEMS):
        item = next(r for r in judged[row["case_id"]]["rows"] if r["system"] == row["system"])
        assert int(row["late_ms"]) == item["late"]
        assert row["due_at"] == stranger.iso(item["due"])
        assert row["outcome"] == item["outcome"]
    for row in rows_of(files, layout.NOT_IN_POPULATION):
        assert row["reason"] == reasons[row["case_id"]]
    drawn = [row["case_id"] for row in rows_of(files, layout.SAMPLE)]
    assert drawn == stranger.draw(leavers, scope.sample_n, scope.seed)

    official = scope.as_of - definition["window_days"] * DAY
    for name, start, end in (
        (layout.SCORE, official, scope.as_of),
        (layout.PERIOD_SCORE, scope.start, min(scope.end, scope.as_of)),
    ):
        wanted = stranger.score(
            cases, findings, definition, start=start, end=end, as_of=scope.as_of, sources=sources
        )
        assert known(json.loads(files[name])) == wanted


def known(document: dict[str, Any]) -> dict[str, Any]:
    """The members of a score that the second reckoning has, under its names."""
    exposure, waivers = document["exposure"], document["waivers"]
    members = (
        *("n", "pending", "excluded", "within_sla", "within_sla_rate", "value", "quality", "base"),
        *("penalty", "caps", "unscored", "ttr", "hr_lag", "operational", "open_overdue", "early"),
        *("grades", "policies", "feed_age_ms", "feeds"),
    )
    return {
        **{name: document[name] for name in members},
        **{name: exposure[name] for name in ("account_ms", "tier0_account_ms", "leaver_ms")},
        "waived": waivers["cases"],
        "in_vain": waivers["in_vain"],
    }


def test_a_quarter_in_which_everything_happens() -> None:
    """Late, open, attested, waived, returned, rescinded, without access, still to come."""
    book = story()
    agree(book, files_of(make_pack(book)))


@st.composite
def histories(draw: st.DrawFn) -> Book:
    """Ledgers of a few cases in which people and machines do anything, in any order."""
    book = Book().begin()
    for _ in range(draw(st.integers(0, 5))):
        listen(draw, book)
    for number in range(draw(st.integers(0, 6))):
        case = f"c{number}"
        cutoff = draw(MOMENTS)
        kind = draw(st.sampled_from(("voluntary", "involuntary", "contract_end")))
        first = draw(st.sampled_from(("case:opened",) * 9 + ("case:rescinded",)))
        systems = draw(st.sets(st.sampled_from(SYSTEMS)))
        noticed = cutoff + draw(st.integers(-20 * DAY, 3 * DAY))
        book.open(case, cutoff, kind=kind, first=first, systems=sorted(systems), noticed=noticed)
        if first == "case:opened":
            for _ in range(draw(st.integers(0, 8))):
                happen(draw, book, case, cutoff, sorted(systems))
    return book


def listen(draw: st.DrawFn, book: Book) -> None:
    """Sources are expected, or not any more; one is heard; clocks are right or not."""
    at = AS_OF - draw(st.sampled_from((-HOUR, 0, HOUR, 7 * DAY, 7 * DAY + 1, 30 * DAY)))
    recorded = at + draw(st.sampled_from((0, 0, 5, -5)))
    name = draw(st.sampled_from(("workday", "agency", "payroll")))
    if draw(st.booleans()):
        book.hear(name, at, recorded=recorded)
    else:
        names = draw(st.sets(st.sampled_from(("workday", "agency", "payroll"))))
        book.expect(*sorted(names), at=at, recorded=recorded)


def happen(draw: st.DrawFn, book: Book, case: str, cutoff: int, systems: list[str]) -> None:
    at = min(cutoff + draw(st.integers(-5 * DAY, 40 * DAY)), AS_OF)
    person = draw(st.sampled_from(("", "p" * 32)))
    second = {"second_person": "b" * 32} if draw(st.booleans()) else {}
    what = draw(st.integers(0, 9))
    if what == 0:
        moved = cutoff + draw(st.integers(-10 * DAY, 10 * DAY))
        data = {"revision": 2, "cutoff_at": instant_text(moved), **second}
        if draw(st.booleans()):  # what releases of today say; older ones moved the cutoff alone
            data |= {
                "termination": draw(st.sampled_from(("voluntary", "involuntary", "contract_end"))),
                "partner": draw(st.sampled_from(("nord", "süd"))),
                "site": "berlin",
                "zone": "Asia/Manila",
                "hr_recorded_at": instant_text(at + draw(st.integers(-3 * DAY, DAY))),
            }
        book.say("case:amended", case=case, at=at, person=person, data=data)
    elif what == 1:
        book.say("case:rescinded", case=case, at=at, data={"revision": 3})
    elif what == 2:
        book.close(case, at)
    elif what == 3:
        book.say("case:begun", case=case, at=at)
    elif systems:
        happen_to(draw, book, (case, draw(st.sampled_from(systems))), at, second)


def happen_to(
    draw: st.DrawFn, book: Book, place: tuple[str, str], at: int, second: dict[str, str]
) -> None:
    case, system = place
    accounts = draw(st.integers(0, 3))
    what = draw(st.sampled_from(("attempt", "outcome", "outcome", "attest", "waive", "returned")))
    match what:
        case "attempt":
            book.attempt(case, system, at, accounts=accounts)
        case "outcome":
            outcome = draw(st.sampled_from(("revoked", "already_absent", "not_found")))
            grade = draw(st.sampled_from("AB"))
            book.outcome(case, system, at - 5000, outcome=outcome, grade=grade, accounts=accounts)
        case "attest":
            artefact = {"artefact_sha256": "f" * 64} if draw(st.booleans()) else {}
            data = {"grade": draw(st.sampled_from("CD")), **artefact, **second}
            book.say("decision:attest", case=case, system=system, at=at, data=data)
        case "waive":
            until = {"until": instant_text(at + draw(st.integers(0, 90 * DAY)))}
            data = {"round": 1, **second, **(until if draw(st.booleans()) else {})}
            book.say("decision:waive", case=case, system=system, at=at, data=data)
        case "returned":
            finding = draw(st.sampled_from(("access_returned", "access_used", "orphan_account")))
            data = {"finding": finding}
            book.say("finding:raised", case=case, system=system, at=at, data=data)


@settings(max_examples=150, deadline=None)
@given(histories())
def test_random_histories(book: Book) -> None:
    """Both reckonings agree on whatever a ledger can say."""
    files, _ = content(book, scope_of(), len(book.entries))
    agree(book, files)


def test_the_second_reckoning_can_disagree() -> None:
    """A leaver who was late for an hour more changes both, and only then they agree."""
    book, other = story(), story()
    other.outcome("clate", "okta", START + 20 * DAY + 31 * HOUR)
    files = files_of(make_pack(book))
    agree(book, files)
    with pytest.raises(AssertionError):
        agree(other, files)
