"""The cutoff: the instant at which access must be gone, from HR's civil dates by policy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lockstep.domain.cases.terminations import EndDates, TerminationKind
from lockstep.domain.zones import ZoneError, canonical_zone


class CutoffError(ValueError):
    """The dates give no cutoff; the text says which field and why."""


@dataclass(frozen=True, slots=True)
class CutoffRule:
    """Policy's meaning of dates.

    Args:
        end_of_day: local time at which the last working day ends.
        involuntary_at_notice: cut an involuntary leaver when HR records it, if that is earlier
            (NIST SP 800-53 PS-4 guidance: consider disabling before the person is told). Off by
            default, because a dismissal that is planned for a later day must stay a secret.
        longest_ahead: dates further ahead are taken for typing errors.
        longest_ago: dates further back likewise.
    """

    end_of_day: time = time(18, 0)
    involuntary_at_notice: bool = False
    longest_ahead: timedelta = timedelta(days=730)
    longest_ago: timedelta = timedelta(days=365)


def zone_named(name: str) -> ZoneInfo:
    """Return the zone of a place; see `canonical_zone`.

    Raises:
        CutoffError: if the name means no place.
    """
    try:
        return ZoneInfo(canonical_zone(name))
    except (ZoneError, ZoneInfoNotFoundError, OSError) as error:
        raise CutoffError(f"dates.zone: {error}") from error


def local_instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The first instant (UTC) at which a clock in ``zone`` shows ``at`` or later on ``day``.

    On a day with a repeated hour this is the earlier of the two; on a day on which the hour is
    left out it is the moment of the change. Earlier is the safe side for ending access.

    Raises:
        CutoffError: for a day that UTC's calendar cannot hold.
    """
    wall = datetime.combine(day, at, tzinfo=zone)
    try:
        early, late = (wall.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    except OverflowError:  # HR systems write "no end" as 9999-12-31
        raise CutoffError(f"dates: {day} lies outside the calendar") from None
    if early <= late:
        return early
    # A gap: fold 1 lies before the change and fold 0 after it. Search the change to the second.
    before, after = late, early
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


def check_dates(dates: EndDates) -> None:
    """Refuse dates that contradict each other.

    Raises:
        CutoffError: naming both fields.
    """
    if dates.access_ends_at is None and not (
        dates.last_working_day or dates.garden_leave_start or dates.employment_ends_on
    ):
        raise CutoffError(
            "dates: give access_ends_at, last_working_day, garden_leave_start or employment_ends_on"
        )
    last, end = dates.last_working_day, dates.employment_ends_on
    if last and end and end < last:
        raise CutoffError("dates.employment_ends_on: lies before dates.last_working_day")
    if dates.garden_leave_start and end and end < dates.garden_leave_start:
        raise CutoffError("dates.employment_ends_on: lies before dates.garden_leave_start")


def compute_cutoff(
    dates: EndDates, kind: TerminationKind, recorded_at: datetime, rule: CutoffRule
) -> datetime:
    """Turn HR's dates into the one instant (UTC) at which access must be gone.

    Precedence: HR's explicit instant; the start of garden leave (access ends as that day
    begins); the end of the last working day; the end of the employment's last day.

    Raises:
        CutoffError: unknown zone, dates that contradict each other or lie absurdly far away.
    """
    check_dates(dates)
    zone = zone_named(dates.zone)
    if dates.access_ends_at is not None:
        cutoff = dates.access_ends_at.astimezone(UTC)
    elif dates.garden_leave_start is not None and (
        dates.last_working_day is None or dates.garden_leave_start <= dates.last_working_day
    ):
        cutoff = local_instant(dates.garden_leave_start, time(0, 0), zone)
    else:
        day = dates.last_working_day or dates.employment_ends_on or dates.garden_leave_start
        assert day is not None, "check_dates admits no other case"  # noqa: S101
        cutoff = local_instant(day, rule.end_of_day, zone)
    if cutoff > recorded_at + rule.longest_ahead or cutoff < recorded_at - rule.longest_ago:
        raise CutoffError(
            f"dates: the cutoff {cutoff:%Y-%m-%dT%H:%MZ} is implausibly far from recorded_at"
        )
    if (
        kind is TerminationKind.INVOLUNTARY
        and rule.involuntary_at_notice
        and dates.access_ends_at is None
    ):
        return min(cutoff, recorded_at.astimezone(UTC))
    return cutoff
