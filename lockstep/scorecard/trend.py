"""How the score has moved: the latest snapshot against those of a week, a month, a quarter ago."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from lockstep.scorecard.numbers import DAY_MS, decimal_text, instant_text

SPANS_DAYS: Final = (7, 30, 90)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A score as it was published. ``definition`` is the digest that it was made by."""

    as_of: int
    value: Fraction | None
    definition: str


@dataclass(frozen=True, slots=True)
class Change:
    """The change since ``days`` before the latest snapshot.

    Args:
        then: the last snapshot at or before that instant, or None where there is none.
        change: in points; None where one of the two has no score.
        is_comparable: whether both were made by the same definition.
    """

    days: int
    then: Snapshot | None
    change: Fraction | None
    is_comparable: bool


@dataclass(frozen=True, slots=True)
class Trend:
    """The latest snapshot, and how it differs from earlier ones."""

    latest: Snapshot | None
    changes: tuple[Change, ...]

    def as_document(self, *, places: int = 2) -> dict[str, Any]:
        """The trend as plain data; changes are signed decimal strings."""
        return {
            "as_of": instant_text(self.latest.as_of) if self.latest else None,
            "changes": [
                {
                    "days": row.days,
                    "since": instant_text(row.then.as_of) if row.then else None,
                    "change": None if row.change is None else decimal_text(row.change, places),
                    "comparable": row.is_comparable,
                }
                for row in self.changes
            ],
        }


def trend(snapshots: Iterable[Snapshot]) -> Trend:
    """Compare the latest snapshot with those of 7, 30 and 90 days before it, in any order."""
    rows = sorted(snapshots, key=lambda row: row.as_of)
    if not rows:
        return Trend(None, ())
    return Trend(rows[-1], tuple(_change(rows, days) for days in SPANS_DAYS))


def _change(rows: list[Snapshot], days: int) -> Change:
    latest = rows[-1]
    bound = latest.as_of - days * DAY_MS
    then = next((row for row in reversed(rows) if row.as_of <= bound), None)
    if then is None:
        return Change(days, None, None, is_comparable=False)
    change = None
    if latest.value is not None and then.value is not None:
        change = latest.value - then.value
    return Change(days, then, change, is_comparable=latest.definition == then.definition)
