"""What cost which points: exact, worst first, in plain words."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.scorecard.definition import DEFAULT
from lockstep.scorecard.explain import explain
from lockstep.scorecard.metric import official_window, score
from tests.scorecard.population import (
    DAY,
    HOUR,
    NOW,
    apart,
    case,
    feed,
    finding,
    item,
    leavers,
    open_item,
    patient,
    scored,
)
from tests.scorecard.test_examples import EXAMPLES
from tests.scorecard.test_monotone import cases as random_cases


def explained(cases, *, limit=20, **options):
    return explain(scored(cases, **options), cases, DEFAULT, limit=limit)


def missing(cases, **options):
    return 20 - scored(cases, **options).exact


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_costs_of_an_example_add_up(name):
    """Every point that is missing is accounted for, exactly."""
    cases = EXAMPLES[name][0]

    assert sum(cost.points for cost in explained(cases)) == missing(cases)


@patient
@given(st.lists(random_cases(), min_size=1, max_size=8), st.integers(0, 3))
def test_the_costs_always_add_up(population, limit):
    """With caps, floors and limits, and however many cases are named one by one."""
    population = apart(population)
    window = official_window(DEFAULT, NOW + 1)
    result = score(population, DEFAULT, window=window, as_of=NOW)
    costs = explain(result, population, DEFAULT, limit=limit)

    if result.exact is not None:
        assert sum(cost.points for cost in costs) == 20 - result.exact
        assert [cost.points for cost in costs] == sorted(
            (cost.points for cost in costs), reverse=True
        )


def test_a_perfect_score_costs_nothing():
    """There is nothing to explain."""
    assert explained(leavers(30)) == []


def test_an_open_case_says_how_long_and_what_to_do():
    """Its lost credit, its penalty and its cap are three costs, each with its next step."""
    cases = EXAMPLES["H"][0]
    told = {cost.code: cost for cost in explained(cases)}

    assert told["cap:open_tier0"].points == 5
    assert told["cap:open_tier0"].text == (
        "okta-prod of case c0099 is open 3 d past due: it alone caps the score at 13.50."
    )
    assert told["cap:open_tier0"].advice == "Close case c0099: okta-prod is a tier-0 system."
    assert told["late_open"].text == "Case c0099: okta-prod is open 3 d past due."
    assert told["penalty"].points == 1
    assert told["penalty"].advice == "Close okta-prod: the points come back at once."
    assert explained(cases)[0].code == "cap:open_tier0"


def test_of_two_equally_late_the_open_one_is_named():
    """It is the one that something can be done about."""
    one = case(item(off_at=NOW, system="a"), open_item(system="b"))

    assert {cost.system for cost in explained([one]) if cost.code == "late_open"} == {"b"}


def test_missing_evidence_is_not_blamed_on_what_is_settled():
    """One system took all its time, another is open still: the first rests on a good proof."""
    one = case(item(1, system="a"), open_item(system="b", hours=24 * 60))
    [cost] = explained([one])

    assert (cost.code, cost.system) == ("slow", "a")


def test_what_cannot_be_mended_says_until_when_it_counts():
    """A closed miss stays for a year from its cutoff."""
    [cost] = explained(apart(leavers(39), leavers(1, "1.5")))

    assert cost.code == "late"
    assert cost.text == "Case c0039: okta-prod took 1 d 12 h where 1 d is allowed."
    assert cost.advice == "It cannot be mended; it leaves the official window on 2027-10-19."
    assert cost.points == Fraction(50 * 7, 12 * 40)


def test_work_in_time_says_what_would_have_been_free():
    """The first quarter of the time allowed."""
    [cost] = explained(leavers(1, "0.625"))

    assert (cost.code, cost.points) == ("slow", 1)
    assert cost.advice == "In time. Within 6 h it would have cost nothing."


def test_weak_evidence_names_the_system_that_is_not_read_back():
    """Not the one that was slow."""
    one = case(item("0.5"), item("0.1", system="erp", tier="manual", grade="D"))
    [cost] = explained([one])

    assert (cost.code, cost.system, cost.points) == ("evidence", "erp", 5)
    assert cost.text == "Case c1: erp rests on evidence of grade D, worth 0.9 at most."
    assert "second person" in cost.advice


def test_many_cases_are_summed_up():
    """The report stays short; the sum stays exact."""
    cases = apart(leavers(100, "0.9"), leavers(2, "2"))
    costs = explained(cases, limit=3)
    [rest] = [cost for cost in costs if cost.code == "more_cases"]

    assert [cost.case_id for cost in costs if cost.case_id] == ["c0100", "c0101", "c0000"]
    assert rest.text.startswith("99 more cases lost credit")
    assert sum(cost.points for cost in costs) == missing(cases)


def test_limits_give_back_what_they_forgive():
    """Penalties stop at ten, the score at zero: told as negative costs."""
    cutoff = NOW - 60 * DAY
    cases = apart([case(open_item(tier="0", cutoff=cutoff), cutoff=cutoff)] * 4)
    told = {cost.code: cost.points for cost in explained(cases)}

    assert told["penalty_limit"] == -14
    assert told["floor"] == -40
    assert sum(cost.points for cost in explained(cases)) == 20


def test_only_the_lowest_cap_costs():
    """The next one is told, as it comes next."""
    findings = [finding("access_used", case_id="c0001"), finding("leaver_without_case")]
    first, second = explained(apart(leavers(30)), findings=findings)

    assert (first.code, first.points) == ("cap:access_used", Fraction(13, 2))
    assert (second.code, second.points) == ("cap:population", 0)
    assert "a second person" in first.advice
    assert "a leaver without a case" in second.advice


def test_several_causes_of_one_cap_are_counted():
    """Closing one of them is not enough, and the text says so."""
    findings = [finding("orphan_account", system="vpn"), finding("orphan_account", system="gate")]
    [cost] = explained(leavers(30), findings=findings)

    assert "it and 1 more cap the score at 17.00" in cost.text


@pytest.mark.parametrize(
    ("options", "cases", "word"),
    [
        ({"ledger_ok": False}, leavers(3), "ledger"),
        ({"feeds": [feed(8 * DAY + 3 * HOUR)]}, leavers(3), "hr has not been heard for 8 d 3 h"),
        ({"feeds": [feed(None, expected=9 * DAY)]}, leavers(3), "for 9 d and was never heard"),
        (
            {"feeds": [feed(0), feed(8 * DAY, source="b")]},
            leavers(3),
            "b has not been heard for 8 d",
        ),
        ({"feeds": [feed(8 * DAY), feed(9 * DAY, source="b")]}, leavers(3), "(1 more silent)"),
        ({}, [], "nothing to score"),
    ],
)
def test_no_score_is_explained_too(options, cases, word):
    """With what to do about it, and without points."""
    [cost] = explained(cases, **options)

    assert word in cost.text
    assert cost.points == 0
    assert cost.advice
