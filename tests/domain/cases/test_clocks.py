"""Durations: whole milliseconds, never below zero, open work censored at now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.domain.cases.clocks import (
    AnswerTime,
    CaseTimes,
    SystemClock,
    answer_time,
    case_times,
    milliseconds,
    whole_ms,
    worse_skew,
)

E = datetime(2026, 3, 10, 10, 0, tzinfo=UTC)
INSTANTS = st.integers(-10_000_000, 10_000_000).map(lambda us: E + timedelta(microseconds=us))


def _ms(amount: int) -> datetime:
    return E + timedelta(milliseconds=amount)


def test_a_worked_example() -> None:
    """HR was 2 s late, the slowest required system took 5 s, an optional one is still open."""
    times = case_times(
        recorded_at=_ms(2000),
        cutoff=E,
        now=_ms(60_000),
        systems=[
            SystemClock("okta", required=True, accounts=1, off_at=_ms(3000)),
            SystemClock("aws", required=True, accounts=2, off_at=_ms(5000)),
            SystemClock("wiki", required=False, accounts=1, off_at=None),
            SystemClock("badge", required=True, accounts=1, off_at=_ms(-700)),
        ],
    )
    assert times == CaseTimes(
        hr_lag_ms=2000,
        time_to_revocation_ms=5000,
        operational_ms=3000,
        exposure_ms=3000 + 2 * 5000 + 60_000,
        is_open=False,
    )


def test_an_open_required_system_grows_with_now() -> None:
    """Work that is not done counts as long as it lasts; it is never left out."""
    rows = [SystemClock("okta", True, 1, _ms(10)), SystemClock("aws", True, 3, None)]
    times = case_times(recorded_at=E, cutoff=E, now=_ms(7000), systems=rows)
    assert (times.time_to_revocation_ms, times.exposure_ms) == (7000, 10 + 3 * 7000)
    assert times.is_open


def test_where_no_system_is_required_all_decide() -> None:
    """As in the metric: a policy that requires nothing does not make everybody fast."""
    rows = [SystemClock("wiki", False, 1, _ms(40)), SystemClock("blog", False, 1, None)]
    times = case_times(recorded_at=_ms(-500), cutoff=E, now=_ms(90), systems=rows)
    assert times == CaseTimes(0, 90, 90, 130, True)


@given(INSTANTS, INSTANTS)
def test_a_duration_is_whole_and_never_negative(first: datetime, second: datetime) -> None:
    """Rounded down to the millisecond; the reverse of a duration is 0."""
    found = milliseconds(first, second)
    assert found == max(0, (first - second) // timedelta(milliseconds=1))
    assert min(found, milliseconds(second, first)) == 0


ROWS = st.lists(
    st.builds(
        SystemClock,
        system=st.text(max_size=3),
        required=st.booleans(),
        accounts=st.integers(0, 5),
        off_at=st.none() | INSTANTS,
    ),
    max_size=5,
)


@given(recorded_at=INSTANTS, now=INSTANTS, rows=ROWS)
def test_waiting_never_improves_a_number(
    recorded_at: datetime, now: datetime, rows: list[SystemClock]
) -> None:
    """With later `now` no duration shrinks, and a case never closes by itself."""
    first = case_times(recorded_at=recorded_at, cutoff=E, now=now, systems=rows)
    later = case_times(
        recorded_at=recorded_at, cutoff=E, now=now + timedelta(seconds=5), systems=rows
    )
    assert later.time_to_revocation_ms >= first.time_to_revocation_ms >= 0
    assert later.exposure_ms >= first.exposure_ms >= 0
    assert first.operational_ms <= first.time_to_revocation_ms
    assert first.is_open is later.is_open


@given(INSTANTS, INSTANTS)
def test_cut_instants_give_the_durations_that_their_texts_give(
    first: datetime, second: datetime
) -> None:
    """The text of an entry has milliseconds: what is cut before it is written differs by none."""
    texts = [moment.isoformat(timespec="milliseconds") for moment in (first, second)]
    read = [datetime.fromisoformat(text) for text in texts]
    cut = [whole_ms(moment) for moment in (first, second)]

    assert cut == read
    assert milliseconds(*cut) == milliseconds(*read)
    assert all(
        timedelta(0) <= a - b < timedelta(milliseconds=1)
        for a, b in zip((first, second), cut, strict=True)
    )


@pytest.mark.parametrize(
    ("stated", "at", "skew"),
    [
        pytest.param(None, 30_000, None, id="none"),
        pytest.param(4000, 5000, 0, id="within: the end of that second"),
        pytest.param(0, 1000, 0, id="as it was sent"),
        pytest.param(30_000, 30_000, 0, id="as it was answered"),
        pytest.param(-600, 400, 0, id="the second in which it was sent"),
        pytest.param(-3000, 30_000, -2000, id="behind"),
        pytest.param(-7_200_000, 30_000, -7_199_000, id="two hours behind"),
        pytest.param(37_000, 30_000, 7000, id="ahead"),
        pytest.param(7_230_000, 30_000, 7_200_000, id="two hours ahead"),
    ],
)
def test_a_vendors_date_counts_only_within_the_call(
    stated: int | None, at: int, skew: int | None
) -> None:
    """A call of thirty seconds: a Date within it is the vendor's word, any other only a skew."""
    told = answer_time(None if stated is None else _ms(stated), sent=_ms(0), answered=_ms(30_000))
    assert told == AnswerTime(_ms(at), None if skew is None else timedelta(milliseconds=skew))


@given(stated=st.none() | INSTANTS, sent=INSTANTS, answered=INSTANTS)
def test_no_date_moves_an_answer_out_of_its_call(
    stated: datetime | None, sent: datetime, answered: datetime
) -> None:
    """Whatever the vendor says, and also where our own clock was set back meanwhile."""
    told = answer_time(stated, sent=sent, answered=answered)
    assert sent <= told.at <= max(sent, answered)


def test_years_at_the_edge_of_the_calendar_are_only_skews() -> None:
    """The first and the last second that a header can name break nothing."""
    for stated in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        assert answer_time(stated, sent=_ms(0), answered=_ms(9)).at == _ms(9)


def test_the_worst_skew_counts_whichever_its_direction() -> None:
    """One call with a wrong clock is enough; calls without a Date say nothing."""
    behind, ahead = timedelta(seconds=-9), timedelta(seconds=3)
    assert worse_skew(ahead, behind) == worse_skew(behind, ahead) == behind
    assert worse_skew(None, ahead) == ahead
    assert worse_skew(None, None) is None
