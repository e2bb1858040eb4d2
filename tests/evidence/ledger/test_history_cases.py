"""One case, entry after entry: every rule of the fold."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.evidence.format.plain import instant_text, plain_bytes
from lockstep.evidence.ledger.history import (
    History,
    HistoryError,
    apply,
    facts_document,
    facts_from_document,
)
from lockstep.scorecard.facts import CaseFacts, ItemFacts
from tests.evidence.ledgers import DAY, HOUR, MINUTE, START, Book

CUTOFF = START + 10 * DAY
NOW = CUTOFF + HOUR
TWO_PEOPLE = {"second_person": "b" * 32}


def fold(book: Book) -> CaseFacts:
    """The facts of the one case of a book."""
    history = History()
    for leaf, raw in enumerate(book.entries):
        history.add(leaf, json.loads(raw))
    (facts,) = history.cases.values()
    return facts


def item(book: Book, system: str = "okta") -> ItemFacts:
    return next(row for row in fold(book).items if row.system == system)


@pytest.fixture
def book() -> Book:
    """A ledger with one case, opened ten days before its cutoff."""
    book = Book().begin()
    book.open("c1", CUTOFF)
    return book


def amend(book: Book, cutoff: int, *, recorded: int, person: str = "", **data: Any) -> None:
    said = {
        "revision": 2,
        "cutoff_at": instant_text(cutoff),
        "asked_cutoff_at": instant_text(cutoff),
        "hr_recorded_at": instant_text(recorded),
        **data,
    }
    book.say("case:amended", case="c1", at=recorded, person=person, data=said)


def restate(book: Book, cutoff: int, *, recorded: int, person: str = "", **data: Any) -> None:
    """An amendment that says everything."""
    said = {
        "termination": "voluntary",
        "partner": "nord",
        "site": "berlin",
        "zone": "Europe/Berlin",
        **data,
    }
    amend(book, cutoff, recorded=recorded, person=person, **said)


def waive(book: Book, at: int, **data: Any) -> None:
    said = {"until": instant_text(CUTOFF + 9 * DAY), **TWO_PEOPLE, **data}
    said = {name: value for name, value in said.items() if value}
    book.say("decision:waive", case="c1", system="okta", at=at, person="p" * 32, data=said)


def attest(book: Book, at: int, **data: Any) -> None:
    said = {"grade": "C", "artefact_sha256": "f" * 64, **TWO_PEOPLE, **data}
    said = {name: value for name, value in said.items() if value}
    book.say("decision:attest", case="c1", system="okta", at=at, person="p" * 32, data=said)


def returned(book: Book, at: int, system: str = "okta") -> None:
    data = {"finding": "access_returned", "look": 1}
    book.say("finding:raised", case="c1", system=system, at=at, data=data)


# --- opening --------------------------------------------------------------------------------------


def test_an_opening_says_who_when_and_what(book: Book) -> None:
    """Facts of the case come from the entry; of its systems, from the pinned policy."""
    assert fold(book) == CaseFacts(
        case_id="c1",
        subject="subject-of-c1",
        kind="voluntary",
        source="workday",
        partner="nord",
        site="berlin",
        zone="Europe/Berlin",
        recorded_at=START,
        cutoff_at=CUTOFF,
        shown_cutoff_at=CUTOFF,
        received_at=START + 1000,
        opened_at=START + 2000,
        policy=book.policy_digest,
        first_leaf=3,
        items=(
            ItemFacts("crm", "saas", "1", required=True, sla_ms=24 * HOUR),
            ItemFacts("gate", "badge", "manual", required=False, sla_ms=24 * HOUR),
            ItemFacts("okta", "identity", "0", required=True, sla_ms=4 * HOUR),
        ),
    )


def test_the_kind_of_leaver_decides_the_time_allowed() -> None:
    """A dismissal has an hour where a resignation has four."""
    book = Book().begin()
    book.open("c1", CUTOFF, kind="involuntary")
    assert item(book).sla_ms == HOUR


def test_a_cutoff_that_has_passed_begins_at_once() -> None:
    """There is no entry of its own for the beginning then."""
    book = Book().begin()
    book.open("c1", CUTOFF, noticed=CUTOFF + DAY)
    assert fold(book).begun_at == CUTOFF + DAY + 2000


def test_a_case_that_waits_for_what_hr_has_said_since_does_not_begin_at_once() -> None:
    """It begins with an entry of its own, and until then it can be called off."""
    book = Book().begin()
    book.open("c1", CUTOFF, noticed=CUTOFF + DAY, waits=True)
    assert fold(book).begun_at is None
    book.say("case:rescinded", case="c1", at=CUTOFF + 2 * DAY, data={"revision": 2})
    assert fold(book).rescinded


def test_a_case_waits_or_not(book: Book) -> None:
    """Nothing but true and false says so."""
    book.open("c2", CUTOFF, waits="yes")
    with pytest.raises(HistoryError):
        fold(book)


def test_a_rescission_that_came_first_leaves_a_tombstone() -> None:
    """Excluded, with nothing to do."""
    book = Book().begin()
    book.open("c1", CUTOFF, first="case:rescinded", systems=())
    facts = fold(book)
    assert (facts.rescinded, facts.items, facts.partner) == (True, (), "nord")


def test_a_begun_case_says_when(book: Book) -> None:
    """By the entry's own instant."""
    book.say("case:begun", case="c1", at=CUTOFF + 7)
    assert fold(book).begun_at == CUTOFF + 7


# --- the cutoff -----------------------------------------------------------------------------------


@pytest.mark.parametrize("recorded", [CUTOFF - DAY, CUTOFF + DAY])
def test_an_earlier_cutoff_always_counts(book: Book, recorded: int) -> None:
    """Whoever says so, and whenever."""
    amend(book, CUTOFF - 2 * DAY, recorded=recorded, person="p" * 32)
    facts = fold(book)
    assert (facts.cutoff_at, facts.shown_cutoff_at) == (CUTOFF - 2 * DAY,) * 2


def test_a_later_cutoff_from_hr_counts_if_it_came_before_the_first(book: Book) -> None:
    """HR corrected itself in time."""
    amend(book, CUTOFF + DAY, recorded=CUTOFF - 1)
    assert fold(book).cutoff_at == CUTOFF + DAY


def test_a_later_cutoff_that_came_after_the_first_does_not_count(book: Book) -> None:
    """Shown, and not scored: otherwise every late case could be made early."""
    restate(book, CUTOFF + DAY, recorded=CUTOFF)
    facts = fold(book)
    assert (facts.cutoff_at, facts.shown_cutoff_at) == (CUTOFF, CUTOFF + DAY)


@pytest.mark.parametrize(("second", "counts"), [("", False), ("b" * 32, True)])
def test_a_later_cutoff_by_a_person_needs_a_second_one(
    book: Book, second: str, *, counts: bool
) -> None:
    """One of our own people alone does not move the clock."""
    more = {"second_person": second} if second else {}
    amend(book, CUTOFF + DAY, recorded=CUTOFF - DAY, person="p" * 32, **more)
    assert (fold(book).cutoff_at == CUTOFF + DAY) is counts


def test_a_cutoff_is_late_by_the_one_that_is_scored(book: Book) -> None:
    """Moved back in vain, then moved again before the date shown: still too late."""
    amend(book, CUTOFF + 5 * DAY, recorded=CUTOFF + 1)
    amend(book, CUTOFF + 3 * DAY, recorded=CUTOFF + 2)
    facts = fold(book)
    assert (facts.cutoff_at, facts.shown_cutoff_at) == (CUTOFF, CUTOFF + 3 * DAY)


@pytest.mark.parametrize("at", [CUTOFF - 1, CUTOFF, CUTOFF + 2 * DAY])
def test_a_rescission_excludes_while_nothing_has_begun(book: Book, at: int) -> None:
    """Also after the cutoff: the case was stopped, and nobody could ever close it."""
    book.say("case:rescinded", case="c1", at=at, data={"revision": 2})
    assert fold(book).rescinded


def test_a_rescission_excludes_nothing_that_has_begun(book: Book) -> None:
    """Whatever a ledger from elsewhere says: ours refuses it then."""
    book.say("case:begun", case="c1", at=CUTOFF - 500)
    book.say("case:rescinded", case="c1", at=CUTOFF - 400, data={"revision": 2})
    assert not fold(book).rescinded


def test_a_case_that_began_at_once_is_never_excluded() -> None:
    """It has no entry of its own for the beginning."""
    book = Book().begin()
    book.open("c1", CUTOFF, noticed=CUTOFF + DAY)
    book.say("case:rescinded", case="c1", at=CUTOFF + 2 * DAY, data={"revision": 2})
    assert not fold(book).rescinded


def test_a_rescission_said_twice_excludes(book: Book) -> None:
    """HR may repeat it with a higher revision."""
    for revision in (2, 3):
        book.say("case:rescinded", case="c1", at=CUTOFF + DAY, data={"revision": revision})
    assert fold(book).rescinded


# --- systems --------------------------------------------------------------------------------------


def test_attempts_say_when_work_began_and_on_how_many_accounts(book: Book) -> None:
    """The first instant stands; the last count stands."""
    book.attempt("c1", "okta", NOW, accounts=1)
    book.attempt("c1", "okta", NOW + MINUTE, accounts=3)
    found = item(book)
    assert (found.first_attempt_at, found.accounts, found.outcome) == (NOW, 3, "")


def test_an_outcome_settles(book: Book) -> None:
    """R is when access went off, V when it was read back."""
    book.outcome("c1", "okta", NOW, grade="B", accounts=2)
    found = item(book)
    assert found == ItemFacts(
        "okta",
        "identity",
        "0",
        required=True,
        sla_ms=4 * HOUR,
        accounts=2,
        outcome="revoked",
        grade="B",
        off_at=NOW,
        read_back_at=NOW + 5000,
    )
    assert item(book, "crm").outcome == ""


@pytest.mark.parametrize(
    ("missing", "grade"), [("", "C"), ("artefact_sha256", "D"), ("second_person", "D")]
)
def test_a_persons_word_is_worth_what_stands_behind_it(
    book: Book, missing: str, grade: str
) -> None:
    """Without artefact or second person it is the lowest grade, whatever the entry claims."""
    attest(book, NOW, **({missing: ""} if missing else {}))
    found = item(book)
    assert (found.outcome, found.grade, found.off_at) == ("attested", grade, NOW)
    assert found.read_back_at is None


def test_a_persons_word_does_not_replace_a_proof(book: Book) -> None:
    """A settled system is left alone."""
    book.outcome("c1", "okta", NOW)
    before = item(book)
    attest(book, NOW + MINUTE)
    waive(book, NOW + MINUTE)
    assert item(book) == before


def test_a_proof_replaces_a_persons_word(book: Book) -> None:
    """And a waiver: machine evidence settles."""
    attest(book, NOW)
    book.outcome("c1", "okta", NOW + HOUR)
    assert (item(book).outcome, item(book).off_at) == ("revoked", NOW + HOUR)


def test_a_waiver_in_time_by_two_with_an_end_counts(book: Book) -> None:
    """It moves the deadline; access is still on."""
    waive(book, CUTOFF + 4 * HOUR - 1)
    found = item(book)
    assert (found.outcome, found.off_at) == ("waived", None)
    assert (found.waived_until, found.waived_in_vain) == (CUTOFF + 9 * DAY, False)


@pytest.mark.parametrize(
    ("at", "data"),
    [
        (CUTOFF + 4 * HOUR, {}),
        (CUTOFF, {"second_person": ""}),
        (CUTOFF, {"until": ""}),
    ],
)
def test_any_other_waiver_is_in_vain(book: Book, at: int, data: dict[str, str]) -> None:
    """Too late, by one person, or without an end."""
    waive(book, at, **data)
    found = item(book)
    assert (found.waived_until, found.waived_in_vain) == (None, True)
    assert (found.outcome, found.off_at) == ("waived", None)


def test_the_deadline_of_a_waiver_is_that_of_the_scored_cutoff(book: Book) -> None:
    """A cutoff moved back in vain does not make a late waiver timely."""
    amend(book, CUTOFF + 5 * DAY, recorded=CUTOFF + 1)
    waive(book, CUTOFF + 4 * HOUR)
    assert item(book).waived_in_vain


def test_access_that_returns_opens_system_and_case_again(book: Book) -> None:
    """With the original clock: nothing of the cutoff changes."""
    book.revoke("c1", "okta", NOW)
    book.close("c1", NOW + HOUR)
    returned(book, NOW + DAY)
    facts, found = fold(book), item(book)

    assert facts.closed_at is None
    assert facts.cutoff_at == CUTOFF
    assert (found.openings, found.outcome, found.grade) == (2, "", "")
    assert (found.off_at, found.read_back_at) == (None, None)
    assert found.first_attempt_at == NOW - MINUTE


def test_a_second_revocation_settles_the_second_opening(book: Book) -> None:
    """The openings stay counted, the case closes again."""
    book.outcome("c1", "okta", NOW)
    returned(book, NOW + DAY)
    book.outcome("c1", "okta", NOW + 2 * DAY)
    book.close("c1", NOW + 3 * DAY)
    assert (item(book).openings, item(book).off_at) == (2, NOW + 2 * DAY)
    assert fold(book).closed_at == NOW + 3 * DAY


@pytest.mark.parametrize(
    "kind",
    ["revocation:fault", "revocation:needs_person", "decision:retry", "watch:look", "new:kind"],
)
def test_other_kinds_change_nothing(book: Book, kind: str) -> None:
    """What did not open, close or move anything is no fact."""
    before = fold(book)
    book.say(kind, case="c1", system="okta", at=NOW, data={"round": 1})
    assert fold(book) == before


# --- what cannot be -------------------------------------------------------------------------------


def refused(book: Book) -> str:
    with pytest.raises(HistoryError) as caught:
        fold(book)
    return str(caught.value)


def test_a_case_opens_once(book: Book) -> None:
    """A second opening would move its clock."""
    book.open("c1", CUTOFF + DAY)
    assert refused(book) == "entry 4: it opens a case that is open already"


def test_nothing_is_said_of_a_case_before_it_opens() -> None:
    """Except in a ledger out of which its opening was taken."""
    book = Book().begin()
    book.close("c1", NOW)
    assert refused(book) == "entry 3: it speaks of a case that was not opened"


def test_a_policy_is_adopted_before_a_case_pins_it() -> None:
    """Otherwise nobody would know what was allowed."""
    book = Book()
    book.open("c1", CUTOFF)
    assert refused(book) == "entry 0: its policy was not adopted before"


def test_a_case_has_only_systems_of_its_policy() -> None:
    """A system from nowhere has no time allowed."""
    book = Book().begin()
    book.open("c1", CUTOFF, systems=("okta", "other"))
    assert "that its policy does not have" in refused(book)


def test_a_revocation_is_of_a_system_of_its_case() -> None:
    """A system that was left out at the opening does not come in later."""
    book = Book().begin()
    book.open("c1", CUTOFF, systems=("okta",))
    book.outcome("c1", "crm", NOW)
    assert "a system that its case does not have" in refused(book)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("revocation:attempt", {}),
        ("revocation:attempt", {"accounts": 3}),
        ("revocation:outcome", {"outcome": "revoked"}),
        ("decision:attest", {"grade": "A"}),
        ("decision:attest", {}),
        ("decision:waive", {"until": "tomorrow"}),
        ("finding:raised", {"look": 1}),
        ("case:amended", {"revision": 2}),
    ],
)
def test_an_entry_says_what_its_kind_must_say(
    book: Book, kind: str, data: dict[str, object]
) -> None:
    """The error names the leaf and quotes nothing."""
    book.say(kind, case="c1", system="okta", at=NOW, data=data)
    assert refused(book) == "entry 4: it does not say what its kind must say"


@pytest.mark.parametrize(
    ("member", "value"), [("outcome", "waived"), ("grade", "C"), ("revoked_at", "now")]
)
def test_an_outcome_is_a_proof(book: Book, member: str, value: str) -> None:
    """No other outcome, no other grade, and instants."""
    book.outcome("c1", "okta", NOW)
    entry = json.loads(book.entries.pop())
    entry["data"][member] = value
    book.entries.append(plain_bytes(entry))
    refused(book)


# --- an amendment that says everything ----------------------------------------------------------


def test_an_amendment_takes_everything_that_hr_says(book: Book) -> None:
    """Kind, partner, site, zone and the time allowed are those of the newest statement."""
    said = {"termination": "involuntary", "partner": "süd", "site": "ulm", "zone": "Asia/Manila"}
    restate(book, CUTOFF - DAY, recorded=START + DAY, **said)
    found = fold(book)
    assert (found.kind, found.partner, found.site, found.zone) == tuple(said.values())
    assert (found.cutoff_at, found.recorded_at) == (CUTOFF - DAY, START + DAY)
    assert item(book).sla_ms == HOUR


def test_what_leaves_the_cutoff_does_not_begin_the_lag_anew(book: Book) -> None:
    """HR's lag runs from the statement that set the cutoff, not from a corrected partner."""
    restate(book, CUTOFF, recorded=CUTOFF + 5 * DAY, partner="süd")
    assert (fold(book).partner, fold(book).recorded_at) == ("süd", START)


def test_a_later_cutoff_that_does_not_count_leaves_the_lag(book: Book) -> None:
    """Else one person could turn lateness into a lag of HR."""
    restate(book, CUTOFF + DAY, recorded=CUTOFF - HOUR, person="p" * 32)
    found = fold(book)
    assert (found.cutoff_at, found.recorded_at) == (CUTOFF, START)


@pytest.mark.parametrize(
    ("recorded", "person", "second", "hours"),
    [
        (CUTOFF - HOUR, "", {}, 4),
        (CUTOFF - HOUR, "p" * 32, TWO_PEOPLE, 4),
        (CUTOFF - HOUR, "p" * 32, {}, 1),
        (CUTOFF + HOUR, "", {}, 1),
    ],
)
def test_more_time_counts_in_time_and_by_hr_or_two(
    recorded: int, person: str, second: dict[str, str], hours: int
) -> None:
    """A dismissal that is called a resignation when it is late has a dismissal's time still."""
    book = Book().begin()
    book.open("c1", CUTOFF, kind="involuntary")
    restate(book, CUTOFF, recorded=recorded, person=person, **second)
    assert (fold(book).kind, item(book).sla_ms) == ("voluntary", hours * HOUR)


def test_less_time_counts_whenever_it_is_said(book: Book) -> None:
    """As an earlier cutoff does."""
    restate(book, CUTOFF, recorded=CUTOFF + DAY, termination="involuntary")
    assert item(book).sla_ms == HOUR


def test_entries_of_earlier_releases_moved_the_cutoff_alone(book: Book) -> None:
    """A pack that was made from them must say today what it said then."""
    amend(book, CUTOFF - DAY, recorded=CUTOFF)
    found = fold(book)
    assert (found.cutoff_at, found.recorded_at, found.kind) == (CUTOFF - DAY, START, "voluntary")


@pytest.mark.parametrize(
    "data",
    [{"termination": "laid_off"}, {"termination": 1}, {"partner": None}, {"zone": 3}],
)
def test_an_amendment_says_it_in_the_right_form(book: Book, data: dict[str, object]) -> None:
    """It is refused like an opening that cannot be read."""
    restate(book, CUTOFF, recorded=NOW, **data)
    assert refused(book) == "entry 4: it does not say what its kind must say"


def test_an_amendment_goes_by_the_pinned_policy(book: Book) -> None:
    """Another policy would give another time."""
    restate(book, CUTOFF, recorded=NOW)
    entry = json.loads(book.entries.pop())
    book.entries.append(plain_bytes(entry | {"policy": "f" * 64}))
    assert "not the one that its case has pinned" in refused(book)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(data=st.data())
def test_no_entry_raises_anything_else(data: st.DataObject) -> None:
    """Whatever a member is replaced by, it folds or is refused with the one error."""
    book = Book().begin()
    book.open("c1", CUTOFF)
    book.revoke("c1", "okta", NOW)
    amend(book, CUTOFF + DAY, recorded=CUTOFF)
    waive(book, CUTOFF)
    attest(book, NOW)
    returned(book, NOW)
    entries = [json.loads(raw) for raw in book.entries]
    target = data.draw(st.sampled_from(entries))
    inner = data.draw(st.sampled_from([target, target["data"]]))
    member = data.draw(st.sampled_from(sorted(inner)))
    inner[member] = data.draw(ODD)
    history = History()
    with contextlib.suppress(HistoryError):
        for leaf, entry in enumerate(entries):
            history.add(leaf, entry)


# --- as data --------------------------------------------------------------------------------------


def test_facts_survive_being_stored(book: Book) -> None:
    """Through JSON and back they are the same."""
    book.revoke("c1", "okta", NOW)
    waive(book, CUTOFF)
    facts = fold(book)
    assert facts_from_document(json.loads(json.dumps(facts_document(facts)))) == facts


def test_the_step_is_pure(book: Book) -> None:
    """`apply` leaves what it is given alone."""
    before = fold(book)
    kept = facts_document(before)
    entry = book.say("case:closed", case="c1", at=NOW)
    after = apply(before, 4, entry, None)

    assert facts_document(before) == kept
    assert after is not None
    assert after.closed_at == NOW


def test_an_unknown_kind_opens_nothing() -> None:
    """Without a case, and with one."""
    entry = {"kind": "new:kind", "case": "c1"}
    assert apply(None, 0, entry, None) is None
