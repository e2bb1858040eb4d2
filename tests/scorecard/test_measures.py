"""Sums, ranks, the Wilson bound and numbers as text."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.scorecard.measures import Durations, ExactSum, Rank, wilson_lower
from lockstep.scorecard.numbers import decimal_text, duration_text, instant_text, shortest_text
from tests.scorecard.population import patient

Z = Fraction("1.645")


@pytest.mark.parametrize(
    ("misses", "n", "percent"),
    [
        (0, 5, "64.9"),
        (0, 10, "78.7"),
        (0, 25, "90.2"),
        (0, 30, "91.7"),
        (0, 52, "95.1"),
        (0, 100, "97.4"),
        (1, 25, "83.9"),
        (1, 40, "89.5"),
        (1, 100, "95.6"),
    ],
)
def test_wilson_bounds_are_those_of_the_reference(misses, n, percent):
    """One-sided 95 %, as printed in the reference."""
    bound = wilson_lower(n - misses, n, Z, places=6)

    assert decimal_text(bound * 100, 1) == percent


@patient
@given(st.integers(1, 5000), st.data())
def test_the_wilson_bound_is_the_exact_root_rounded_down(n, data):
    """The bound lies on the safe side of (p - x)^2 = z^2 x (1 - x) / n; the next does not."""
    successes = data.draw(st.integers(0, n))
    rate = Fraction(successes, n)

    def is_safe(x: Fraction) -> bool:
        return x <= rate and (rate - x) ** 2 >= Z * Z * x * (1 - x) / n

    bound = wilson_lower(successes, n, Z, places=4)

    assert is_safe(bound)
    assert not is_safe(bound + Fraction(1, 10**4))


def test_the_root_is_rounded_against_us():
    """(9 - sqrt(19 / 3)) / 14 = 0.463099...; a root rounded down would have said 0.4631."""
    assert wilson_lower(4, 6, Fraction(1), places=4) == Fraction("0.4630")


@patient
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 10**4))))
def test_a_sum_is_exact_whatever_the_denominators(parts):
    """The same as adding fractions one by one."""
    total = ExactSum()
    for part in parts:
        total.add(*part)

    assert total.total() == sum((Fraction(*part) for part in parts), Fraction(0))


def durations(settled: list[int], still_open: list[int]) -> Durations:
    rows = Durations()
    for ms in settled:
        rows.add(ms, is_open=False)
    for ms in still_open:
        rows.add(ms, is_open=True)
    return rows


def test_ranks_are_the_nearest():
    """The smallest figure that at least so many per cent do not pass."""
    spread = durations(list(range(1, 21)), []).spread(p95_from=20)

    assert (spread.p50, spread.p90, spread.p95, spread.max) == tuple(map(Rank, (10, 18, 19, 20)))


def test_there_is_no_p95_under_twenty_cases():
    """Nineteen cases cannot tell the worst twentieth; the maximum is shown."""
    spread = durations(list(range(1, 20)), []).spread(p95_from=20)

    assert spread.p95 is None
    assert spread.max == Rank(19)


def test_open_cases_rank_as_longer_than_now():
    """A young open case does not make the median better."""
    spread = durations([100] * 5, [1] * 5).spread(p95_from=20)

    assert spread.p50 == Rank(100)
    assert spread.p90 == Rank(100, is_open=True)


def test_a_rank_on_an_open_case_is_a_proved_lower_bound():
    """With 50 h settled and 31 h open, the longest is at least 50 h."""
    assert durations([50], [31]).spread(p95_from=20).max == Rank(50, is_open=True)


def test_nobody_has_no_percentiles():
    """None, and not zero."""
    spread = durations([], []).spread(p95_from=20)

    assert {spread.p50, spread.p90, spread.p95, spread.max} == {None}


@patient
@given(st.lists(st.integers(0, 1000), min_size=1), st.lists(st.integers(0, 1000)), st.data())
def test_a_longer_duration_never_lowers_a_percentile(settled, still_open, data):
    """Nor does a case that is found to be open still."""
    at = data.draw(st.integers(0, len(settled) - 1))
    longer = [*settled[:at], settled[at] + 7, *settled[at + 1 :]]
    before = durations(settled, still_open).spread(p95_from=1)

    for after in (
        durations(longer, still_open).spread(p95_from=1),
        durations(settled[:at] + settled[at + 1 :], [*still_open, settled[at]]).spread(p95_from=1),
    ):
        for name in ("p50", "p90", "p95", "max"):
            then, now = getattr(before, name), getattr(after, name)
            assert (now.is_open, now.ms) >= (then.is_open, then.ms)


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        ("18.995", 2, "19.00"),
        ("18.985", 2, "18.98"),
        ("0.005", 2, "0.00"),
        ("0.015", 2, "0.02"),
        ("-0.125", 2, "-0.12"),
        ("7.5", 0, "8"),
        ("0", 4, "0.0000"),
    ],
)
def test_rounding_is_half_to_even(value, places, text):
    """The tie goes to the even digit, as the definition says."""
    assert decimal_text(Fraction(value), places) == text


def test_the_shortest_text_keeps_the_number():
    """No zeros at the end, and none lost in front of the point."""
    assert [shortest_text(Fraction(text)) for text in ("100", "0.90", "1.645", "0")] == [
        "100",
        "0.9",
        "1.645",
        "0",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (76 * 3600, "3 d 4 h"),
        (24 * 3600, "1 d"),
        (24 * 3600 + 60, "1 d"),
        (3600 * 2 + 61, "2 h 1 min"),
        (35 * 60, "35 min"),
        (12, "12 s"),
        (0, "under 1 s"),
    ],
)
def test_durations_are_told_by_their_two_largest_units(seconds, text):
    """As a person would say them."""
    assert duration_text(seconds * 1000) == text


def test_instants_are_told_in_utc_with_milliseconds():
    """Before the epoch as well: facts may be wrong, the report may not."""
    assert instant_text(1_795_000_000_007) == "2026-11-18T11:06:40.007Z"
    assert instant_text(-1) == "1969-12-31T23:59:59.999Z"
    assert instant_text(-(10**18)) == "0001-01-01T00:00:00.000Z"
    assert instant_text(10**18) == "9999-12-31T23:59:59.999Z"
