"""One case: clocks, states, waivers, evidence and penalties."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from lockstep.scorecard.definition import DEFAULT
from lockstep.scorecard.metric import judge
from tests.scorecard.population import DAY, HOUR, NOW, WEEK, case, item, open_item

E = NOW - 30 * DAY


def judged(*items, as_of: int = NOW, **facts):
    return judge(case(*items, **facts), DEFAULT, as_of)


def test_the_worst_ratio_decides_and_not_the_slowest_system():
    """Two hours of one are worse than ten hours of twenty-four; both times are kept."""
    result = judged(
        item(off_at=E + 10 * HOUR), item(system="vpn", tier="0", hours=1, off_at=E + 2 * HOUR)
    )

    assert result.state == "done"
    assert result.ratio == 2
    assert result.ttr_ms == 10 * HOUR
    assert result.due_at == E + HOUR
    assert result.late_ms == HOUR
    assert result.within_sla is False
    assert [row.within_sla for row in result.items] == [True, False]
    assert [row.system for row in result.items] == ["okta-prod", "vpn"]


def test_access_that_ended_early_counts_as_zero():
    """Nobody earns by being early what another one loses by being late."""
    result = judged(item(off_at=E - 5 * DAY))

    assert (result.ttr_ms, result.ratio, result.credit) == (0, 0, 1)
    assert result.operational_ms == result.exposure_ms == 0


def test_a_system_that_is_not_required_does_not_decide():
    """It is judged and shown, and it adds to the exposure."""
    result = judged(item("0.1"), open_item(system="wiki", required=False, accounts=1))

    assert result.state == "done"
    assert result.credit == 1
    assert result.items[1].is_open
    assert result.exposure_ms == int(0.1 * DAY) + 30 * DAY


def test_where_nothing_is_required_everything_decides():
    """A case cannot be perfect by requiring nothing."""
    assert judged(open_item(required=False)).state == "overdue"


def test_open_work_is_pending_until_a_time_allowed_has_passed():
    """Open with r < 1 is not scored; from r = 1 on it is, with today's r."""
    at = {as_of: judged(open_item(), as_of=as_of) for as_of in (E, E + DAY - 1, E + DAY)}

    assert [result.state for result in at.values()] == ["pending", "pending", "overdue"]
    assert [result.scored for result in at.values()] == [False, False, True]
    assert at[E + DAY - 1].credit is None
    assert at[E + DAY - 1].within_sla is None
    assert at[E + DAY].ratio == 1


def test_a_case_open_in_one_system_and_late_in_another_is_overdue():
    """What was late stays late, though what is open is not due yet; nothing is penalised."""
    result = judged(item("2", hours=4), open_item(system="erp", hours=24 * 60))

    assert result.state == "overdue"
    assert result.ratio == 2
    assert result.penalty == 0


def test_closed_without_proof_is_open():
    """What the workflow calls closed is open here until access is proved gone."""
    result = judged(open_item(outcome="revoked", grade="A"), closed_at=E + HOUR)

    assert result.is_open
    assert result.state == "overdue"


def test_access_that_returned_keeps_its_clock():
    """A second opening runs from the first cutoff."""
    result = judged(item(off_at=E + 9 * DAY, openings=2))

    assert result.ttr_ms == 9 * DAY
    assert result.ratio == 9


@pytest.mark.parametrize(
    ("facts", "state"),
    [({"rescinded": True}, "rescinded"), ({"cutoff": NOW + 1}, "future")],
)
def test_what_is_not_due_or_taken_back_is_not_scored(facts, state):
    """With the reason as its state."""
    result = judged(open_item(), **facts)

    assert (result.state, result.scored, result.credit) == (state, False, None)
    assert result.penalty == result.late_ms == result.exposure_ms == 0


def test_a_rescinded_case_is_not_open():
    """Nothing is awaited of it."""
    result = judged(open_item(), rescinded=True)

    assert not result.is_open
    assert not result.items[0].is_open


def test_a_leaver_without_any_account_is_no_case_to_count():
    """Not found everywhere; one account anywhere makes it count."""
    nowhere = item(outcome="not_found", grade="B", accounts=0)
    elsewhere = item(system="vpn", outcome="already_absent", grade="B")

    assert judged(nowhere, replace(nowhere, system="vpn")).state == "no_access"
    assert judged(nowhere, elsewhere).state == "done"
    assert judged(nowhere, open_item(system="vpn")).state == "overdue"
    assert judged().state == "no_access"


def test_access_that_returned_was_access_though_nothing_is_found_now():
    """Else a deleted account would make its leaver disappear."""
    assert judged(item(outcome="not_found", accounts=0, openings=2)).state == "done"


def test_a_waiver_that_counts_moves_the_due_time():
    """And the time allowed with it; the system stays open until it is proved gone."""
    waived = {"waived_until": E + 10 * DAY, "outcome": "waived"}

    before = judged(open_item(**waived), as_of=E + 9 * DAY)
    after = judged(open_item(**waived), as_of=E + 12 * DAY)
    closed = judged(item(off_at=E + 5 * DAY, **waived))

    assert (before.state, before.items[0].due_at) == ("pending", E + 10 * DAY)
    assert (after.state, after.late_ms, after.ratio) == ("overdue", 2 * DAY, Fraction(12, 10))
    assert closed.ratio == Fraction(1, 2)


def test_a_waiver_never_shortens_the_time():
    """The later of the two counts."""
    assert judged(item(waived_until=E + HOUR)).due_at == E + DAY


def test_a_waiver_in_vain_changes_nothing():
    """Given too late or by one person alone, it is only recorded."""
    plain, vain = open_item(), open_item(outcome="waived", waived_in_vain=True)

    ours, theirs = judged(vain), judged(plain)

    assert ours._replace(items=()) == theirs._replace(items=())


@pytest.mark.parametrize(
    ("grades", "grade", "credit"),
    [
        (("A", "B"), "B", "1"),
        (("A", "C"), "C", "0.98"),
        (("C", "D"), "D", "0.9"),
        (("A", ""), "D", "0.9"),
        (("A", "Z"), "D", "0.9"),
    ],
)
def test_the_weakest_evidence_caps_the_credit(grades, grade, credit):
    """No grade is no better than a person's word."""
    first, second = grades
    result = judged(item(grade=first), item(system="erp", grade=second))

    assert (result.grade, result.credit) == (grade, Fraction(credit))


def test_weak_evidence_of_what_is_not_required_does_not_cap():
    """Only what decides is weighed."""
    assert judged(item(), item(system="wiki", required=False, grade="D")).credit == 1


def test_slow_work_on_strong_evidence_keeps_its_slower_credit():
    """The lower of speed and evidence counts, never both."""
    assert judged(item("1", grade="C")).credit == Fraction(96, 100)


@pytest.mark.parametrize(
    ("overdue", "tier", "points"),
    [
        (0, "0", "0"),
        (1, "1", "0.5"),
        (WEEK - 1, "1", "0.5"),
        (WEEK, "1", "1"),
        (2 * WEEK, "1", "1.5"),
        (5 * WEEK, "1", "3"),
        (50 * WEEK, "1", "3"),
        (1, "0", "1"),
        (WEEK, "0", "2"),
        (50 * WEEK, "0", "6"),
    ],
)
def test_an_open_overdue_case_takes_off_points_by_the_week(overdue, tier, points):
    """Half a point at once and per full week, three at most; twice as much for tier 0."""
    result = judged(open_item(tier=tier), as_of=E + DAY + overdue)

    assert result.penalty == Fraction(points)


def test_tier_zero_doubles_only_while_it_is_overdue_itself():
    """An open tier-0 system in time does not."""
    result = judged(open_item(), open_item(system="vpn", tier="0", hours=24 * 60))

    assert (result.tier0_overdue, result.penalty) == (False, Fraction("2.5"))


def test_closing_what_is_overdue_ends_the_penalty():
    """Though another system is still open, in time."""
    result = judged(item("3"), open_item(system="erp", hours=24 * 60))

    assert result.penalty == 0
    assert result.open_items == 1


def test_the_clocks_of_blame_are_apart():
    """HR's lag is HR's; the operational time begins when we could know."""
    result = judged(item(off_at=E + 10 * HOUR), recorded_at=E + 7 * HOUR)

    assert (result.ttr_ms, result.hr_lag_ms, result.operational_ms) == (
        10 * HOUR,
        7 * HOUR,
        3 * HOUR,
    )


def test_exposure_counts_every_account():
    """Three accounts open for two hours are six account-hours."""
    result = judged(item(off_at=E + 2 * HOUR, accounts=3), item(system="vpn", off_at=E - HOUR))

    assert result.exposure_ms == 6 * HOUR


def test_no_time_allowed_does_not_break_the_arithmetic():
    """A document may say so; every revocation is late then."""
    result = judged(item(off_at=E + HOUR, sla_ms=0))

    assert (result.credit, result.within_sla) == (0, False)
