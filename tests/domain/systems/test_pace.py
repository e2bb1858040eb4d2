"""How fast a vendor may be asked, and whose call is next."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.domain.systems.pace import (
    CUT,
    HORIZON_S,
    NUDGE,
    Ask,
    Band,
    Budget,
    Lease,
    Limit,
    Others,
    Told,
    Urgency,
    lease,
    mine,
)

FIVE = Limit(5)
DISMISSED = Urgency(Band.REVOKE, 1, 100.0)
RESIGNED = Urgency(Band.REVOKE, 3, 50.0)


def fullest(turns: list[float], per: float) -> int:
    """The most turns in any window of ``per`` seconds."""
    ordered = sorted(turns)
    return max(sum(1 for other in ordered if turn <= other < turn + per) for turn in ordered)


@given(
    limit=st.builds(Limit, st.integers(1, 400), st.sampled_from([1.0, 10.0, 60.0])),
    pauses=st.lists(st.floats(0.0, 2.0), min_size=1, max_size=60),
    asked=st.integers(1, 50),
    jitter=st.lists(st.floats(0.0, 1.0), min_size=7, max_size=7),
)
@settings(deadline=None)
def test_no_window_ever_holds_more_than_the_limit(
    limit: Limit, pauses: list[float], asked: int, jitter: list[float]
) -> None:
    """Whenever and for however much it is asked, and though calls arrive a little late."""
    budget, now, sent = Budget(), 1000.0, list[float]()
    for pause in pauses:
        now += pause
        budget, turns = budget.given(limit, now, asked)
        sent += turns
    arrived = [turn + jitter[i % 7] * limit.margin for i, turn in enumerate(sent)]

    assert not arrived or fullest(arrived, limit.per) <= limit.calls


def test_the_pace_uses_nearly_all_of_the_limit() -> None:
    """Asked again and again, nine tenths of the limit are given out at the least."""
    for limit in (FIVE, Limit(10), Limit(600, 60.0), Limit(3000, 150.0)):
        budget, now, count = Budget(), 1000.0, 0
        while now < 1000.0 + 10 * limit.per:
            budget, turns = budget.given(limit, now, 1000)
            count, now = count + len(turns), now + 0.1
        assert count >= 0.89 * 10 * limit.calls, limit


def test_after_a_rest_a_large_limit_lets_some_go_together() -> None:
    """An idle system with a large limit is not waited for."""
    _, turns = Budget().given(Limit(600, 60.0), 1000.0, 40)

    assert turns == (1000.0,) * 40


def test_turns_are_given_out_for_a_short_while_ahead_only() -> None:
    """What is given out binds everybody: nothing beyond the horizon is."""
    _, turns = Budget().given(FIVE, 1000.0, 50)

    assert len(turns) == 2
    assert max(turns) <= 1000.0 + HORIZON_S


def refusal(budget: Budget, now: float, sent_at: float, wait_s: float | None = None) -> Budget:
    """The budget after one refused call."""
    told = Told(refused=True, wait_s=wait_s)
    return lease(budget, FIVE, Ask(told=((now - sent_at, told),)), {}, now)[0]


def test_a_refusal_lowers_the_pace_once_for_all_that_was_under_way() -> None:
    """Ten refusals of calls that were sent at the old pace say one thing."""
    budget = Budget()
    for number in range(10):
        budget = refusal(budget, 1000.0 + number / 100, sent_at=999.9)

    assert budget.share == pytest.approx(NUDGE)


def low() -> Budget:
    """After two refusals, one soon after the other."""
    return refusal(refusal(Budget(), 999.0, 998.9), 1000.0, sent_at=999.9)


def test_refusals_that_follow_one_another_lower_it_by_much() -> None:
    """A limit that fell is followed within seconds; one refusal alone costs little."""
    assert low().share == pytest.approx(NUDGE * CUT)
    assert refusal(Budget(), 1000.0, 999.9).share == pytest.approx(NUDGE)
    later = refusal(refusal(Budget(), 1000.0, 999.9), 1011.0, sent_at=1010.9)
    assert later.share == pytest.approx(NUDGE)


def test_nothing_is_given_before_the_vendors_own_waiting_time_is_over() -> None:
    """A refusal that says when to come back holds everybody up until then."""
    budget = refusal(Budget(), 1000.0, 999.9, wait_s=3.0)

    assert lease(budget, FIVE, Ask((DISMISSED,)), {}, 1002.5)[1].turns == ()
    assert lease(budget, FIVE, Ask((DISMISSED,)), {}, 1002.8)[1].turns == (pytest.approx(0.2),)


def test_the_pace_rises_slowly_and_not_soon() -> None:
    """After half a minute without a refusal, by a hundredth of the limit a second."""
    assert low().raised(1029.0).share == low().share
    assert low().raised(1040.0).share == pytest.approx(low().share + 0.1)
    assert low().raised(2000.0).share == 1.0


def test_a_raise_that_is_refused_is_taken_back_and_tried_later() -> None:
    """The pace that held before is right; the next raise waits twice as long."""
    raised = low().raised(1035.0)

    again = refusal(raised, 1036.0, sent_at=1035.9)

    assert again.share == pytest.approx(low().share)
    assert again.quiet_s == 2 * low().quiet_s


def test_a_lower_limit_that_answers_state_is_followed_at_once() -> None:
    """Without one refusal; and a higher one is come up to slowly."""
    stated = Told(limit=300, left=200, reset_s=40.0)
    budget = Budget().told(Limit(600, 60.0), 1000.0, stated)
    assert budget.share == pytest.approx(0.5)

    higher = budget.told(Limit(600, 60.0), 1001.0, replace(stated, limit=600))
    assert higher.share == pytest.approx(0.5)
    assert higher.raised(1040.0).share == pytest.approx(0.6)


def test_a_limit_of_another_window_is_not_ours() -> None:
    """A vendor that states what it allows in an hour says nothing of our minute."""
    stated = Told(limit=100, left=50, reset_s=3000.0)

    assert Budget().told(Limit(600, 60.0), 1000.0, stated) == Budget()


def test_a_used_up_window_is_waited_for() -> None:
    """Where nothing is left, nothing is asked until the window ends."""
    budget = Budget().told(FIVE, 1000.0, Told(limit=5, left=0, reset_s=2.0))

    assert budget.next_turn(FIVE, 1000.5) == 1002.0


def test_dismissals_come_before_resignations_and_watches_last() -> None:
    """Whatever the cutoffs; among equals the nearest cutoff, then who began first."""
    order = [
        Urgency(Band.REVOKE, 1, 200.0),
        Urgency(Band.REVOKE, 3, 100.0, since=5.0),
        Urgency(Band.REVOKE, 3, 100.0, since=6.0),
        Urgency(Band.REVOKE, 3, 150.0),
        Urgency(Band.REHEARSE, 1, 50.0),
        Urgency(Band.WATCH, 1, 10.0),
        Urgency(),
    ]

    assert all(sooner < later for sooner, later in pairwise(order))


def test_what_is_more_urgent_elsewhere_is_left_for_it() -> None:
    """The less urgent get what is beyond that; among equals whoever asks first."""
    ours = [RESIGNED, RESIGNED, DISMISSED]

    assert mine(3, ours, [Others((DISMISSED, DISMISSED))]) == 1
    assert mine(4, ours, [Others((replace(DISMISSED, due=1.0),))]) == 3
    assert mine(2, ours, [Others((RESIGNED, RESIGNED))]) == 2
    assert mine(2, [RESIGNED], [Others((DISMISSED, DISMISSED))]) == 0


def test_seats_are_shared() -> None:
    """Calls under way together never pass the vendor's limit, over all processes."""
    limit = Limit(0, at_once=4)
    ask = Ask((RESIGNED,) * 5, busy=1)

    def seats(*others: Others) -> Lease:
        return lease(Budget(), limit, ask, {str(i): o for i, o in enumerate(others)}, 1000.0)[1]

    assert seats(Others(seats=2)).seats == 2
    assert seats(Others(seats=3)).seats == 1
    assert seats(Others((DISMISSED,), seats=1)).seats == 2
    assert seats().turns == (0.0,) * 3


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("5/s", Limit(5)),
        ("600/min", Limit(600, 60.0)),
        ("3000/150s", Limit(3000, 150.0)),
        (" 100 / 2 h ", Limit(100, 7200.0)),
    ],
)
def test_a_limit_is_read_as_people_write_it(text: str, limit: Limit) -> None:
    """And written so that it can be read again."""
    assert Limit.parse(text) == limit
    assert Limit.parse(str(limit)) == limit


@pytest.mark.parametrize("text", ["", "5", "0/s", "5/0s", "5 per second", "-1/s", "\u0665/s"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    """With words that say how one is written."""
    with pytest.raises(ValueError, match="5/s"):
        Limit.parse(text)
