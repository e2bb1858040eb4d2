"""What a person reads first: README, reconciliation with HR, and who the leavers are."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest

from lockstep.evidence.pack import layout
from lockstep.evidence.pack.model import PackScope, PackSummary
from lockstep.evidence.pack.people.people import PeopleFile
from lockstep.evidence.pack.print.readme import readme
from lockstep.evidence.pack.reconcile import FATES, Reconciliation
from lockstep.evidence.pack.statement import predicate

COUNTS = {
    "leavers": 3,
    "leaver_systems": 36,
    "not_in_population": 1,
    "samples": 2,
    "leaves": 90,
    "leavers_with_events": 3,
}
SCOPE = PackScope("acme", "acme/ledger", 1_790_000_000_000, 1_780_000_000_000, 1_789_000_000_000)
SUMMARY = PackSummary(
    scope=SCOPE,
    tool_version="1.2.3",
    size=90,
    root="ab" * 32,
    counts=COUNTS,
    policies=["cd" * 32],
    metric="ef" * 32,
    score={"value": "19.27", "max": "20", "n": 40, "label": "limited"},
    period_score={"value": None, "max": "20", "n": 0, "unscored": ["no_leavers"]},
)
EVERYTHING = [
    value
    for name, value in vars(layout).items()
    if name.isupper() and isinstance(value, str) and "/" in value and "://" not in value
]


FOLDERS = ("leavers/c1/case.json", "policy/ab.json", "anchors/tsa.tsr")


def page(summary: PackSummary = SUMMARY, names=(*EVERYTHING, *FOLDERS)) -> str:
    return readme(summary, names, window_days=365).decode()


def test_the_page_explains_every_file():
    """A person without tools finds each file named, with what it is for."""
    text = page()
    for name in (*EVERYTHING, layout.STATEMENT, "leavers/", "policy/", "anchors/"):
        assert f"- `{name}`: " in text
    for part in (
        "2026-05-28",
        "19.27 of 20 (n 40, limited)",
        "| 3, in 36 systems together |",
        "90 entries",
    ):
        assert part in text
    assert "acme/ledger+" in text


def test_the_page_does_not_promise_files_that_are_not_there():
    """No folder of names in a pack that names nobody."""
    text = page(names=[name for name in EVERYTHING if not name.startswith("identified")])
    assert layout.PEOPLE not in text
    assert "`leavers/`: " not in text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"partner": "north|wind"}, "only leavers of partner north/wind"),
        ({"case_id": "c1"}, "only case c1"),
        ({}, "all leavers"),
    ],
)
def test_the_page_says_what_is_withheld(changes, says):
    """A table cell, whatever a partner is called."""
    assert f"| Shown | {says}" in page(replace(SUMMARY, scope=replace(SCOPE, **changes)))


@pytest.mark.parametrize(
    ("reasons", "says"),
    [
        (["no_leavers"], "none: no leaver's time was up (n 0) |"),
        (["hr_feed_stale"], "none: HR was not heard for too long to know who left (n 0)"),
        (["hr_feed_stale", "no_leavers"], "to know who left; no leaver's time was up (n 0)"),
    ],
)
def test_no_score_has_its_reasons(reasons, says):
    """Never a perfect score for an empty window, or over what HR did not tell."""
    score = {"value": None, "max": "20", "n": 0, "unscored": reasons}
    assert says in page(replace(SUMMARY, score=score))


def test_an_empty_period_is_not_shown_with_the_score_of_the_year():
    """Each score stands with its own leavers; that of the period first."""
    text = page()
    period, official = (
        text.index("| Score of the period | none: "),
        text.index("| Official score |"),
    )
    assert period < official


def test_the_statement_claims_texts_and_whole_numbers_only():
    """Nothing that two languages could read differently."""

    def plain(value: object) -> bool:
        match value:
            case dict():
                return all(plain(each) for each in value.values())
            case list():
                return all(plain(each) for each in value)
            case _:
                return value is None or isinstance(value, str | int)

    claim = predicate(replace(SUMMARY, scope=replace(SCOPE, sample_n=2, seed="s")))
    assert plain(claim)
    assert claim["sample"] == {"n": 2, "seed": "s"}
    assert predicate(SUMMARY)["sample"] is None


# --- reconciliation -----------------------------------------------------------------------------

EVENTS = (
    ("c1", "hr", "done", "open", 1),
    ("c1", "hr", "done", "amend", 2),
    ("c1", "hr", "done", "duplicate", 3),
    ("c2", "hr", "done", "tombstone", 1),
    ("c3", "cli", "done", "duplicate", 1),
    ("c9", "hr", "done", "open", 1),
    ("", "hr", "refused", "", 4),
    ("", "hr", "pending", "", 5),
)


def reconciled(*cases: str, is_full: bool) -> Reconciliation:
    made = Reconciliation(set(cases), is_full=is_full)
    for case_id, source, state, verdict, count in EVENTS:
        made.add(case_id=case_id, source=source, state=state, verdict=verdict, count=count)
    return made


def test_every_event_has_a_fate_and_they_add_up():
    """Events received are the sum of what became of them; events of other cases do not count."""
    counts = reconciled("c1", "c2", "c3", "c4", is_full=True).counts()

    assert counts["hr_events"] == 17 == sum(counts[f"hr_{fate}"] for fate in FATES)
    assert {fate: counts[f"hr_{fate}"] for fate in FATES} == {
        "opened": 1,
        "rescinded_first": 1,
        "later_word": 2,
        "repeated": 4,
        "refused": 4,
        "waiting": 5,
    }
    assert (counts["cases_with_event"], counts["cases_without_event"]) == (3, 1)


def test_a_case_whose_opening_event_came_twice_has_an_event():
    """A dispatcher that died opened the case; the second look called its event a repetition."""
    counts = reconciled("c3", is_full=False).counts()
    assert (counts["hr_opened"], counts["cases_without_event"]) == (0, 0)


def test_a_partners_pack_counts_no_unread_events():
    """Nobody knows whose they are."""
    counts = reconciled("c1", is_full=False).counts()
    assert (counts["hr_refused"], counts["hr_waiting"], counts["hr_events"]) == (0, 0, 6)


def test_the_counts_are_shown_by_source():
    """An auditor compares each source with that system's own list."""
    rows = list(reconciled("c1", "c3", is_full=False).by_source())
    assert [(source, count) for source, _, count in rows] == [
        ("cli", 1),
        ("hr", 1),
        ("hr", 2),
        ("hr", 3),
    ]


# --- people -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Someone:
    """A leaver as storage discloses one."""

    case_id: str
    subject: str = "5f0c2b1e"
    identity: str = '{"display_name":"=Maria"}'
    opening: str = "aa"
    erased: bool = False

    def answers(self, commitment: str) -> bool:
        return commitment == f"commitment to {self.case_id}"


def test_only_what_the_ledger_confirms_is_disclosed(tmp_path):
    """Erased people are listed as erased, people that HR corrected since as unconfirmed."""
    read = SimpleNamespace(
        identities={name: f"commitment to {name}" for name in ("c1", "c2")}
        | {"c3": "an older commitment"}
    )
    people = PeopleFile(read, SimpleNamespace(folder=tmp_path))
    people.add(Someone("c1"))
    people.add(Someone("c2", identity="", opening="", erased=True))
    people.add(Someone("c3"))
    people.add(Someone("c4"))
    files = {name: b"".join(part.chunks()).decode() for name, part in people.parts().items()}
    people.close()
    rows, proofs = (
        {row["case_id"]: row for row in csv.DictReader(io.StringIO(files[name], newline=""))}
        for name in (layout.PEOPLE, layout.COMMITMENTS)
    )

    assert {name: row["state"] for name, row in rows.items()} == {
        "c1": "disclosed",
        "c2": "erased",
        "c3": "unconfirmed",
        "c4": "unconfirmed",
    }
    assert rows["c1"]["name"] == "'=Maria", "a name is never a formula"
    assert not any(rows[name]["name"] for name in ("c2", "c3", "c4"))
    assert proofs["c1"]["identity"] == '{"display_name":"=Maria"}'
    assert not any(proofs[n]["identity"] + proofs[n]["opening"] for n in ("c2", "c3", "c4"))
    assert people.named == 1
