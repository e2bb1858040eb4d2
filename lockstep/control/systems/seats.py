"""What freed seats come to: per month and partner, at the prices of the settings of today."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from lockstep.control.score.questions import parse_month, to_moment
from lockstep.domain.rights import Scope
from lockstep.domain.systems.seats import PartnerSeats, Prices, summed
from lockstep.storage.systems.seats import FreedSeats

MONTHS = 12
"""So many are shown where none is asked for, this one included."""


@dataclass(frozen=True, slots=True)
class SeatReport:
    """Freed seats of some months.

    Args:
        since: the first month that is told of (UTC), ``YYYY-MM``.
        until: the last one.
        rows: by month, the newest first, and partner.
        prices: of the settings, for rows of any month.
        counting: systems whose vendors show seats.
        silent: systems of which nothing is known of seats: people's work, or the vendor shows none.
    """

    since: str
    until: str
    rows: tuple[PartnerSeats, ...]
    prices: Prices
    counting: tuple[str, ...]
    silent: tuple[str, ...]


class SeatDesk:
    """Answers what was freed.

    Args:
        freed: the store.
        prices: of the settings.
        counts: of each system, whether its vendor shows seats.
    """

    def __init__(self, freed: FreedSeats, prices: Prices, counts: Mapping[str, bool]) -> None:
        self._freed = freed
        self._prices = prices
        self._counting = tuple(name for name, does in sorted(counts.items()) if does)
        self._silent = tuple(name for name, does in sorted(counts.items()) if not does)

    async def report(
        self, scope: Scope, *, month: str = "", partner: str | None = None
    ) -> SeatReport:
        """Of one month, or of the last `MONTHS`.

        Raises:
            QuestionError: if ``month`` is none.
        """
        until = month or f"{datetime.now(UTC):%Y-%m}"
        since = month or _months_before(until, MONTHS - 1)
        start, end = to_moment(parse_month(since).start), to_moment(parse_month(until).end)
        freed = await self._freed.between(start, end, scope, partner=partner)
        rows = summed(freed, self._prices)
        return SeatReport(since, until, rows, self._prices, self._counting, self._silent)


def _months_before(month: str, count: int) -> str:
    year, number = divmod(int(month[:4]) * 12 + int(month[5:]) - 1 - count, 12)
    return f"{year:04}-{number + 1:02}"
