"""The cutoff: civil dates, zones with gaps and folds, and dates that make no sense."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.domain.cases.cutoff import (
    CutoffError,
    CutoffRule,
    check_dates,
    compute_cutoff,
    local_instant,
    zone_named,
)
from lockstep.domain.cases.terminations import EndDates, TerminationKind

MANILA = "Asia/Manila"
ZONES = (
    MANILA,
    "America/New_York",
    "Europe/London",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/St_Johns",
)
NOTICE = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
RULE = CutoffRule()
VOLUNTARY, INVOLUNTARY = TerminationKind.VOLUNTARY, TerminationKind.INVOLUNTARY


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "day", "at", "expected"),
    [
        pytest.param(MANILA, "2026-11-23", "18:00", "2026-11-23T10:00", id="no-change-at-all"),
        pytest.param(MANILA, "1990-05-21", "00:30", "1990-05-20T16:00", id="manila-gap-1990"),
        pytest.param("America/New_York", "2026-03-08", "02:30", "2026-03-08T07:00", id="ny-gap"),
        pytest.param("America/New_York", "2026-11-01", "01:30", "2026-11-01T05:30", id="ny-fold"),
        pytest.param("Europe/London", "2026-03-29", "01:30", "2026-03-29T01:00", id="london-gap"),
        pytest.param("Europe/London", "2026-10-25", "01:30", "2026-10-25T00:30", id="london-fold"),
        pytest.param(
            "Australia/Lord_Howe", "2026-10-04", "02:15", "2026-10-03T15:30", id="half-hour-gap"
        ),
        pytest.param(
            "Australia/Lord_Howe", "2026-04-05", "01:45", "2026-04-04T14:45", id="half-hour-fold"
        ),
        pytest.param(
            "America/Sao_Paulo", "2018-11-04", "00:00", "2018-11-04T03:00", id="midnight-gap"
        ),
        pytest.param(
            "America/Sao_Paulo", "2018-02-17", "23:30", "2018-02-18T01:30", id="midnight-fold"
        ),
        pytest.param("Africa/Cairo", "2026-04-24", "00:00", "2026-04-23T22:00", id="cairo-gap"),
        pytest.param("Pacific/Apia", "2011-12-30", "18:00", "2011-12-30T10:00", id="lost-day"),
    ],
)
def test_a_local_time_becomes_one_instant(zone: str, day: str, at: str, expected: str) -> None:
    """A repeated hour means its first pass, an hour left out means the moment of the change."""
    found = local_instant(date.fromisoformat(day), time.fromisoformat(at), ZoneInfo(zone))
    assert found == _utc(expected)


@given(
    zone=st.sampled_from(ZONES),
    day=st.dates(date(1970, 1, 2), date(2060, 12, 31)),
    at=st.times().map(lambda at: at.replace(microsecond=0)),
)
def test_the_instant_is_the_first_that_shows_the_time(zone: str, day: date, at: time) -> None:
    """At the instant a local clock shows the time or later; a second before, it does not."""
    wall = datetime.combine(day, at)
    found = local_instant(day, at, ZoneInfo(zone))
    assert found.astimezone(ZoneInfo(zone)).replace(tzinfo=None) >= wall
    before = (found - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert before < wall


@given(
    zone=st.sampled_from(ZONES),
    day=st.dates(date(1970, 1, 2), date(2060, 12, 31)),
    first=st.times(),
    second=st.times(),
)
def test_a_later_time_never_gives_an_earlier_instant(
    zone: str, day: date, first: time, second: time
) -> None:
    """Order survives, whatever the zone does on that day."""
    early, late = sorted((first, second))
    there = ZoneInfo(zone)
    # In a gap the whole seconds of the change stand for every time that was left out.
    assert local_instant(day, early, there) <= local_instant(day, late, there) + timedelta(
        seconds=1
    )


D = date(2026, 3, 10)


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        pytest.param(EndDates(MANILA, last_working_day=D), "2026-03-10T10:00", id="last-day"),
        pytest.param(EndDates(MANILA, employment_ends_on=D), "2026-03-10T10:00", id="contract"),
        pytest.param(
            EndDates(MANILA, last_working_day=D, employment_ends_on=date(2026, 3, 31)),
            "2026-03-10T10:00",
            id="last-day-before-contract",
        ),
        pytest.param(
            EndDates(MANILA, garden_leave_start=D, employment_ends_on=date(2026, 6, 30)),
            "2026-03-09T16:00",
            id="garden-leave-as-it-begins",
        ),
        pytest.param(
            EndDates(MANILA, garden_leave_start=D, last_working_day=D),
            "2026-03-09T16:00",
            id="garden-leave-on-the-last-day",
        ),
        pytest.param(
            EndDates(MANILA, garden_leave_start=date(2026, 3, 20), last_working_day=D),
            "2026-03-10T10:00",
            id="garden-leave-after-the-last-day",
        ),
        pytest.param(
            EndDates(MANILA, access_ends_at=_utc("2026-03-05T00:30"), last_working_day=D),
            "2026-03-05T00:30",
            id="explicit-wins",
        ),
    ],
)
def test_the_dates_rank(dates: EndDates, expected: str) -> None:
    """HR's instant, garden leave, last working day, end of the employment: in this order."""
    assert compute_cutoff(dates, VOLUNTARY, NOTICE, RULE) == _utc(expected)


def test_the_end_of_a_day_is_policy() -> None:
    """Another policy means another hour."""
    rule = CutoffRule(end_of_day=time(23, 59))
    dates = EndDates(MANILA, last_working_day=D)
    assert compute_cutoff(dates, VOLUNTARY, NOTICE, rule) == _utc("2026-03-10T15:59")


@pytest.mark.parametrize(
    ("kind", "at_notice", "access_ends_at", "expected"),
    [
        (INVOLUNTARY, True, None, NOTICE),
        (INVOLUNTARY, False, None, _utc("2026-03-10T10:00")),
        (VOLUNTARY, True, None, _utc("2026-03-10T10:00")),
        (INVOLUNTARY, True, _utc("2026-03-05T00:30"), _utc("2026-03-05T00:30")),
    ],
)
def test_only_a_dismissal_without_an_instant_is_cut_at_notice(
    *, kind: TerminationKind, at_notice: bool, access_ends_at: datetime | None, expected: datetime
) -> None:
    """And only where policy says so; HR's explicit instant is never overruled."""
    dates = EndDates(MANILA, access_ends_at=access_ends_at, last_working_day=D)
    rule = CutoffRule(involuntary_at_notice=at_notice)
    assert compute_cutoff(dates, kind, NOTICE, rule) == expected


def test_notice_after_the_last_day_does_not_delay_the_cutoff() -> None:
    """Cut at notice only ever moves the cutoff earlier."""
    dates = EndDates(MANILA, last_working_day=date(2026, 2, 20))
    rule = CutoffRule(involuntary_at_notice=True)
    assert compute_cutoff(dates, INVOLUNTARY, NOTICE, rule) == _utc("2026-02-20T10:00")


@pytest.mark.parametrize(
    ("dates", "words"),
    [
        (EndDates(MANILA), "give access_ends_at"),
        (
            EndDates(MANILA, last_working_day=D, employment_ends_on=date(2026, 3, 9)),
            "employment_ends_on: lies before dates.last_working_day",
        ),
        (
            EndDates(MANILA, garden_leave_start=D, employment_ends_on=date(2026, 3, 9)),
            "employment_ends_on: lies before dates.garden_leave_start",
        ),
    ],
)
def test_dates_that_contradict_each_other_are_refused(dates: EndDates, words: str) -> None:
    """The refusal names the fields."""
    with pytest.raises(CutoffError, match=words):
        check_dates(dates)
    with pytest.raises(CutoffError, match=words):
        compute_cutoff(dates, VOLUNTARY, NOTICE, RULE)


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "../../etc/passwd", "/etc/passwd", "\x00", "Asia", "x" * 5000]
)
def test_an_unknown_zone_is_refused(name: str) -> None:
    """Whatever is no IANA zone is refused by field, and the text stays short."""
    with pytest.raises(CutoffError, match=r"dates\.zone") as refused:
        zone_named(name)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("day", [date(2028, 3, 3), date(2025, 2, 28), date(1970, 1, 1)])
def test_a_day_implausibly_far_away_is_refused(day: date) -> None:
    """Two years ahead or one back is taken for a typing error."""
    with pytest.raises(CutoffError, match="implausibly"):
        compute_cutoff(EndDates(MANILA, last_working_day=day), VOLUNTARY, NOTICE, RULE)


@given(zone=st.sampled_from(ZONES), day=st.dates())
def test_every_day_of_the_calendar_gives_a_cutoff_or_a_refusal(zone: str, day: date) -> None:
    """Not even "9999-12-31", as HR systems write "no end", raises anything else."""
    dates = EndDates(zone, employment_ends_on=day)
    try:
        cutoff = compute_cutoff(dates, VOLUNTARY, NOTICE, RULE)
    except CutoffError:
        assert not timedelta(-300) < day - NOTICE.date() < timedelta(700)
    else:
        assert cutoff.tzinfo is UTC
        assert abs(cutoff.date() - day) <= timedelta(days=1)


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Pacific/Honolulu"])
def test_the_last_day_of_the_calendar_is_refused(zone: str) -> None:
    """In the west its evening lies in the year 10000, which no instant can hold."""
    with pytest.raises(CutoffError, match="calendar"):
        compute_cutoff(EndDates(zone, employment_ends_on=date.max), VOLUNTARY, NOTICE, RULE)
