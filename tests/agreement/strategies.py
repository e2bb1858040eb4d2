"""How stories are drawn: every kind of thing often enough to meet every other."""

from __future__ import annotations

from hypothesis import strategies as st

from lockstep.domain.cases.terminations import TerminationKind
from tests.support.histories import (
    DAY,
    HOUR,
    MINUTE,
    NEAR,
    Amend,
    Ask,
    Attempt,
    Attest,
    Begin,
    Close,
    Fault,
    Leaver,
    Listened,
    Pass,
    Prove,
    Rehearse,
    Rescind,
    Retry,
    Return,
    Story,
    Waive,
)

MOST_LEAVERS = 6

_systems = st.integers(0, 3)
_accounts = st.integers(0, 3)
_beside = st.integers(-1, 1)
_cutoffs = st.one_of(
    st.sampled_from([0, NEAR, 2 * HOUR, 3 * DAY, 40 * DAY]),
    st.sampled_from([-5 * MINUTE, -7 * HOUR, -26 * HOUR, -3 * DAY, -9 * DAY, -40 * DAY]),
    # Around the edge of the official window, and far beyond it.
    st.sampled_from([HOUR - 365 * DAY, -HOUR - 365 * DAY, -400 * DAY, -800 * DAY]),
    st.integers(-500 * DAY, 20 * DAY),
)
_lags = st.sampled_from([-10 * DAY, -HOUR, -1, 0, 1, HOUR, 2 * DAY])
_moves = st.one_of(
    st.sampled_from([-500 * DAY, -30 * DAY, -1, 1, DAY, 30 * DAY, 400 * DAY]),
    st.integers(-50 * DAY, 50 * DAY),
)

amendments = st.builds(
    Amend,
    st.just(0) | _moves,
    st.booleans(),
    st.booleans(),
    st.none() | st.sampled_from(TerminationKind),
    st.none() | st.integers(0, 2),
    st.none() | st.integers(0, 1),
)
before = st.one_of(
    amendments,
    amendments,
    st.builds(Rescind),
    st.builds(Pass),
    st.builds(Begin),
    st.builds(Rehearse, _systems, _accounts),
)
proofs = st.builds(
    Prove,
    _systems,
    # Thousandths of the SLA: where the credit's line bends, before, between and beyond.
    st.sampled_from([-300, 0, 100, 250, 625, 1000, 1500, 4000, 9000, 10**6]),
    _beside,
    accounts=_accounts,
    record=st.booleans(),
    stood=st.booleans(),
)
waivers = st.builds(
    Waive,
    _systems,
    st.booleans(),
    st.sampled_from([None, -HOUR, HOUR, 30 * HOUR, 60 * DAY]),
)
during = st.one_of(
    proofs,
    proofs,
    proofs,
    st.builds(Attempt, _systems, _accounts),
    st.builds(Attest, _systems, st.booleans()),
    waivers,
    st.builds(Return, _systems),
    st.builds(Close),
    st.one_of(
        st.builds(Fault, _systems),
        st.builds(Ask, _systems),
        st.builds(Retry, _systems),
        st.builds(Rescind),
        amendments,
    ),
)


@st.composite
def _acts(draw: st.DrawFn) -> tuple[object, ...]:
    first = draw(st.lists(before, max_size=3))
    most = draw(st.lists(during, max_size=9))
    # Often everything is proved in the end, as it is in life.
    last = draw(st.lists(proofs, max_size=3)) if draw(st.booleans()) else []
    closing = [Close()] if draw(st.booleans()) else []
    return (*first, Pass(), Begin(), *most, *last, *closing)


leavers = st.builds(
    Leaver,
    worker=st.integers(0, 4),
    spell=st.integers(1, 2),
    kind=st.sampled_from(TerminationKind),
    due_ms=_cutoffs,
    lag_ms=_lags,
    heard_ms=st.sampled_from([0, HOUR, 3 * DAY]),
    policy=st.sampled_from([0, 0, 1, 1, 2]),
    partner=st.integers(0, 2),
    site=st.integers(0, 1),
    tombstone=st.sampled_from([False] * 7 + [True]),
    acts=_acts(),
)
_ages = st.sampled_from([0, HOUR, 3 * DAY, 7 * DAY - HOUR, 8 * DAY, 30 * DAY])
feeds = st.lists(
    st.builds(Listened, st.sampled_from(["hr", "agency"]), _ages, st.none() | _ages),
    max_size=2,
    unique_by=lambda listened: listened.source,
).map(tuple)
stories = st.builds(
    Story,
    st.lists(leavers, min_size=1, max_size=MOST_LEAVERS).map(tuple),
    # Often nobody is expected: otherwise too many stories would have no score to compare.
    feeds=st.just(()) | feeds,
    sealed=st.integers(0, 8),
    at=st.none() | st.tuples(st.integers(0, 20), _beside),
)
