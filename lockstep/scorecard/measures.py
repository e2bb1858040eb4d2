"""The arithmetic of a window: exact sums, nearest ranks, the Wilson bound."""

from __future__ import annotations

from array import array
from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from math import isqrt


@dataclass(slots=True)
class ExactSum:
    """A sum of fractions, kept as one numerator per denominator.

    Denominators are few (the SLAs in use), so a year of cases costs integer
    additions; they are brought together once, at the end.
    """

    _numerators: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, numerator: int, denominator: int) -> None:
        """Add ``numerator / denominator``, reduced or not."""
        self._numerators[denominator] += numerator

    def total(self) -> Fraction:
        """The exact sum, brought together in pairs so that numbers stay short for long."""
        parts = [Fraction(top, bottom) for bottom, top in self._numerators.items()]
        while len(parts) > 1:
            parts = [sum(parts[at : at + 2], Fraction(0)) for at in range(0, len(parts), 2)]
        return parts[0] if parts else Fraction(0)


@dataclass(frozen=True, slots=True)
class Rank:
    """One percentile. ``is_open`` says "at least": the case is still open and growing."""

    ms: int
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Spread:
    """Percentiles by nearest rank; None without a case, and p95 with too few of them."""

    p50: Rank | None = None
    p90: Rank | None = None
    p95: Rank | None = None
    max: Rank | None = None


@dataclass(slots=True)
class Durations:
    """Durations of cases; open ones are known only to be longer than now."""

    _settled: array[int] = field(default_factory=lambda: array("q"))
    _open: array[int] = field(default_factory=lambda: array("q"))

    def add(self, ms: int, *, is_open: bool) -> None:
        """Add one case's duration; censored at the instant of the score while it is open."""
        (self._open if is_open else self._settled).append(ms)

    def spread(self, *, p95_from: int) -> Spread:
        """Nearest ranks, open cases ranking after all others.

        Where the rank falls on an open case, the figure is what is proved: at least so many cases
        lasted at least so long.
        """
        settled, everything = sorted(self._settled), sorted([*self._settled, *self._open])
        count = len(everything)

        def at(percent: int) -> Rank | None:
            if not count:
                return None
            place = -(-percent * count // 100) - 1
            if place < len(settled):
                return Rank(settled[place])
            return Rank(everything[place], is_open=True)

        return Spread(at(50), at(90), at(95) if count >= p95_from else None, at(100))


def wilson_lower(successes: int, n: int, z: Fraction, *, places: int) -> Fraction:
    """The one-sided lower Wilson bound of a rate, rounded down to ``places``.

    It is exact: the root is taken of an integer and rounded up, so that the bound is never
    higher than the true one.

    Args:
        successes: between 0 and ``n``.
        n: at least 1.
        z: of the confidence wanted; 1.645 for one-sided 95 %.
        places: digits behind the point.
    """
    top, bottom = z.as_integer_ratio()
    z2, one = top * top, bottom * bottom
    scale = 10**places
    under_root = (scale * n * z2) ** 2 + 4 * scale**2 * z2 * one * n * successes * (n - successes)
    root = isqrt(under_root)
    root += root * root < under_root
    numerator = scale * n * (2 * successes * one + z2) - root
    return Fraction(numerator // (2 * n * (n * one + z2)), scale)
