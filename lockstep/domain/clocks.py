"""Durations of a case, in whole milliseconds. Letters as in the design: N, E, D, A, R, V."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

_MILLISECOND = timedelta(milliseconds=1)


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
class SystemClock:
    """One system's end: ``off_at`` is R, or None while access is not proved gone."""

    system: str
    required: bool
    accounts: int
    off_at: datetime | None


@dataclass(frozen=True, slots=True)
class CaseTimes:
    """Times of a case; ``is_open`` says that they are censored at "now" and still growing."""

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
