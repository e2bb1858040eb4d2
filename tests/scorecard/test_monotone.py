"""The score never rewards worse work: properties over random populations."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from lockstep.scorecard.definition import DEFAULT, Definition
from lockstep.scorecard.facts import CaseFacts, ItemFacts
from lockstep.scorecard.metric import Score, judge, official_window, score
from tests.scorecard.population import DAY, HOUR, NOW, WEEK, patient

AGES = st.integers(0, 60 * DAY) | st.sampled_from([0, HOUR, 4 * HOUR, DAY, DAY + WEEK])
GRADES = st.sampled_from("ABCD")


LONGEST = 60 * DAY


@st.composite
def items(draw, *, cutoff: int, name: str, done: bool) -> ItemFacts:
    tier, hours = draw(st.sampled_from([("0", 1), ("0", 4), ("1", 4), ("1", 24), ("manual", 24)]))
    waived = draw(st.none() | AGES)
    return ItemFacts(
        system=name,
        category="identity",
        tier=tier,
        required=draw(st.booleans()) or name == "s0",
        sla_ms=hours * HOUR,
        accounts=draw(st.integers(0, 3)),
        outcome="revoked" if done else "",
        grade=draw(GRADES) if done else "",
        # No later than now: what has not happened yet is open.
        off_at=cutoff + draw(st.integers(0, NOW - cutoff)) if done else None,
        waived_until=None if waived is None else cutoff + waived,
    )


@st.composite
def cases(draw, *, ages=AGES, settled: bool | None = None) -> CaseFacts:
    """Any case; ``settled`` says that all systems are, or that the first one is not."""
    cutoff = NOW - draw(ages)
    rows = []
    for place in range(draw(st.integers(1, 4))):
        done = draw(st.booleans()) if settled is None or (place and not settled) else settled
        rows.append(draw(items(cutoff=cutoff, name=f"s{place}", done=done)))
    return CaseFacts(
        case_id="c",
        subject="s",
        kind="voluntary",
        source="hr",
        partner="north",
        site="manila",
        zone="UTC",
        recorded_at=cutoff + draw(st.integers(-DAY, DAY)),
        cutoff_at=cutoff,
        shown_cutoff_at=cutoff,
        received_at=cutoff,
        opened_at=cutoff,
        policy="p1",
        first_leaf=0,
        items=tuple(rows),
    )


OLD = AGES.map(lambda age: LONGEST + age)
"""Old enough that whatever is open is past due, waived or not."""
YOUNG = st.integers(0, HOUR - 1)
"""Too young for anything to be due."""
DONE = cases(settled=True)
OVERDUE = cases(ages=OLD, settled=False)
PENDING = cases(ages=YOUNG, settled=False)


def at(population: list[CaseFacts], as_of: int, definition: Definition = DEFAULT) -> Score:
    # One window for all instants: time passes, the population stays.
    window = official_window(definition, NOW + 1)
    return score(population, definition, window=window, as_of=as_of)


def points(population: list[CaseFacts], as_of: int = NOW) -> Fraction:
    exact = at(population, as_of).exact
    assert exact is not None
    return exact


def with_item(case: CaseFacts, place: int, **facts: object) -> CaseFacts:
    rows = list(case.items)
    rows[place] = replace(rows[place], **facts)
    return replace(case, items=tuple(rows))


@patient
@given(st.lists(cases(), max_size=5), DONE, st.data())
def test_a_later_revocation_never_scores_better(others, case, data):
    """Any t of any settled system grows: the score falls or stays."""
    place = data.draw(st.integers(0, len(case.items) - 1))
    later = case.items[place].off_at + data.draw(AGES)

    assert points([*others, with_item(case, place, off_at=later)]) <= points([*others, case])


@patient
@given(st.lists(cases(), max_size=5), cases(ages=OLD, settled=True), st.data())
def test_access_still_open_never_scores_better_than_access_closed(others, case, data):
    """Past its due time, an open system is no better than the same one closed at any instant."""
    place = data.draw(st.integers(0, len(case.items) - 1))
    still_open = with_item(case, place, off_at=None, outcome="", grade="")

    assert points([*others, still_open]) <= points([*others, case])


@patient
@given(DONE, st.data())
def test_the_end_of_the_sla_is_no_gap(case, data):
    """At the very instant that it is due, open is no better than just closed, by anybody's word."""
    place = data.draw(st.integers(0, len(case.items) - 1))
    due = judge(case, DEFAULT, NOW).items[place].due_at
    closed = with_item(case, place, off_at=due)
    still_open = with_item(case, place, off_at=None, outcome="", grade="")

    assert points([still_open, case], due) <= points([closed, case], due)


@patient
@given(st.lists(cases(), max_size=5), OVERDUE, GRADES, st.data())
def test_closing_what_is_overdue_never_lowers_the_score(others, case, grade, data):
    """Whatever the evidence; doing the work late is better than not doing it."""
    places = [place for place, item in enumerate(case.items) if item.off_at is None]
    place = data.draw(st.sampled_from(places))
    closed = with_item(case, place, off_at=NOW, outcome="revoked", grade=grade)

    assert points([*others, closed]) >= points([*others, case])


@patient
@given(st.lists(DONE, max_size=5), PENDING, GRADES, AGES)
def test_closing_in_time_is_never_worse_than_waiting_until_it_is_due(others, case, grade, wait):
    """A pending case is not scored; it cannot be kept open to stay out of the score for good."""
    judged = judge(case, DEFAULT, NOW)
    due = min(row.due_at for row in judged.items if row.is_open and row.facts.required)
    closed = case
    for place, item in enumerate(case.items):
        if item.off_at is None:
            closed = with_item(closed, place, off_at=NOW, outcome="revoked", grade=grade)

    assert judged.state == "pending"
    assert points([*others, closed], due + wait) >= points([*others, case], due + wait)


@patient
@given(st.lists(DONE | OVERDUE, min_size=1, max_size=5), AGES)
def test_time_alone_never_lifts_the_score(population, wait):
    """Nothing is done and no new case becomes due: the score falls or stays."""
    assert points(population, NOW + wait) <= points(population)


@patient
@given(st.lists(DONE, min_size=1, max_size=5), st.data())
def test_weaker_evidence_never_scores_better(population, data):
    """A to D."""
    chosen = data.draw(st.integers(0, len(population) - 1))
    case = population[chosen]
    place = data.draw(st.integers(0, len(case.items) - 1))
    weaker = max(case.items[place].grade, data.draw(GRADES))
    weakened = [
        *population[:chosen],
        with_item(case, place, grade=weaker),
        *population[chosen + 1 :],
    ]

    assert points(weakened) <= points(population)


@patient
@given(st.lists(cases(), min_size=1, max_size=6))
def test_a_score_lies_between_nothing_and_the_maximum(population):
    """And adds up: n, pending and exclusions are everybody in the window."""
    result = at(population, NOW)

    assert result.exact is None or 0 <= result.exact <= 20
    assert result.n + result.pending + sum(result.excluded.values()) == len(population)
    assert result.within_sla <= result.n


@patient
@given(st.lists(cases(), min_size=1, max_size=6))
def test_the_score_is_the_formula_over_judged_cases(population):
    """The window's running sums give what the formula gives, case by case."""
    judged = [judge(case, DEFAULT, NOW) for case in population]
    worths = [result.credit for result in judged if result.credit is not None]
    result = at(population, NOW)

    assert result.n == len(worths)
    assert result.quality == (sum(worths) / len(worths) if worths else None)
    assert result.penalty == min(10, sum(row.penalty for row in judged))
    assert result.exposure.account_ms == sum(row.exposure_ms for row in judged)
