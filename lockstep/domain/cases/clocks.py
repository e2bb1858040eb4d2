"""Durations of a case, in whole milliseconds. Letters as in docs/scorecard.md: N, E, D, A, R, V."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

_MILLISECOND = timedelta(milliseconds=1)
_DATE_GRAIN = timedelta(seconds=1)
"""A Date header names a second (RFC 9110 section 5.6.7)."""

VENDOR_CLOCK_TOLERANCE = timedelta(seconds=2)
"""How far a vendor's clock may be from ours before its own records count for nothing."""


SKEW_TOLD = timedelta(seconds=5)
"""By how much clocks of ours may differ before people are told."""
SKEW_MOST = timedelta(seconds=60)
"""And before nothing is begun by whoever has that clock."""


def skew_of(stated: datetime, *, before: datetime, after: datetime) -> timedelta:
    """By how much our own clock is ahead of another one at the least; below zero it is behind.

    Args:
        stated: what the other one said.
        before: our own time when it was asked.
        after: our own time when its answer was here.
    """
    if stated < before:
        return before - stated
    return min(after - stated, timedelta(0))


def whole_ms(moment: datetime) -> datetime:
    """``moment`` without its fraction of a millisecond.

    Entries hold milliseconds and the database microseconds: a fact that is cut where it is made
    gives the same durations from both.
    """
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def milliseconds(later: datetime, earlier: datetime) -> int:
    """Whole milliseconds from ``earlier`` to ``later``, never below 0."""
    return max(0, (later - earlier) // _MILLISECOND)


@dataclass(frozen=True, slots=True)
class AnswerTime:
    """When an answer counts as given, by our own clock.

    ``skew`` is by how much the vendor's Date lies before (negative) or after the call; zero where
    it lies within, None where the vendor stated none.
    """

    at: datetime
    skew: timedelta | None


def answer_time(stated: datetime | None, *, sent: datetime, answered: datetime) -> AnswerTime:
    """A vendor's Date counts only within the call; else our own instant of the answer does.

    Of the second that the vendor names its end counts, so that its grain makes nothing shorter.

    Args:
        stated: the vendor's Date (UTC), to the second.
        sent: when the call went out, by our clock.
        answered: when its answer was here, by our clock.
    """
    answered = max(sent, answered)  # our own clock may have been set back meanwhile
    if stated is None:
        return AnswerTime(answered, None)
    if stated > answered:
        return AnswerTime(answered, stated - answered)
    ended = stated + _DATE_GRAIN
    if ended < sent:
        return AnswerTime(answered, ended - sent)
    return AnswerTime(min(ended, answered), timedelta(0))


def worse_skew(one: timedelta | None, other: timedelta | None) -> timedelta | None:
    """The larger of two skews, whichever its direction; None where nothing is known of either."""
    known = [skew for skew in (one, other) if skew is not None]
    return max(known, key=abs, default=None)


@dataclass(frozen=True, slots=True)
class VendorClock:
    """What is known of a vendor's clock while we spoke with it.

    Args:
        skew: the worst one seen; None where the vendor stated no time, and nothing is known.
        tolerance: how large it may be.
    """

    skew: timedelta | None
    tolerance: timedelta = VENDOR_CLOCK_TOLERANCE

    @property
    def is_right(self) -> bool:
        return self.skew is not None and abs(self.skew) <= self.tolerance

    def believed(
        self, recorded: datetime | None, *, stood_at: datetime | None, confirmed_at: datetime
    ) -> datetime | None:
        """The vendor's own record of when access ended, bounded by what we saw; else None.

        It may lie before our call, where somebody else closed the door, but neither before the
        last look at which we saw access stand nor after the one that proved it gone. A record
        outside is an older one, or a lie: it counts for nothing.
        """
        if recorded is None or not self.is_right:
            return None
        earliest = stood_at or recorded
        if not earliest - self.tolerance <= recorded <= confirmed_at + self.tolerance:
            return None
        return min(max(recorded, earliest), confirmed_at)


UNKNOWN_CLOCK = VendorClock(None)


@dataclass(frozen=True, slots=True)
class SystemClock:
    """One system's end: ``off_at`` is R, or None while access is not proved gone."""

    system: str
    required: bool
    accounts: int
    off_at: datetime | None


@dataclass(frozen=True, slots=True)
class CaseTimes:
    """Times of a case; ``is_open`` says that they are censored at "now" and still growing.

    Args:
        exposure_ms: the least that it can be while any system is not off: accounts that were not
            found yet count for nothing.
    """

    hr_lag_ms: int
    time_to_revocation_ms: int
    operational_ms: int
    exposure_ms: int
    is_open: bool


def time_to_revocation(cutoff: datetime, off_at: datetime) -> int:
    """R - E in milliseconds, never below 0: access that ended early counts as 0."""
    return milliseconds(off_at, cutoff)


def case_times(
    *, recorded_at: datetime, cutoff: datetime, now: datetime, systems: Iterable[SystemClock]
) -> CaseTimes:
    """Reckon a case: its slowest required system decides; open work is censored at ``now``.

    Where policy requires none, all decide, as in the metric.
    """
    rows = list(systems)
    deciding = [row for row in rows if row.required] or rows
    ends = [(row.off_at or now) for row in deciding]
    slowest = max(ends, default=cutoff)
    return CaseTimes(
        hr_lag_ms=milliseconds(recorded_at, cutoff),
        time_to_revocation_ms=time_to_revocation(cutoff, slowest),
        operational_ms=milliseconds(slowest, max(recorded_at, cutoff)),
        exposure_ms=sum(
            row.accounts * time_to_revocation(cutoff, row.off_at or now) for row in rows
        ),
        is_open=any(row.off_at is None for row in deciding),
    )
