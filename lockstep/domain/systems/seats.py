"""Seats that were freed, and what they cost a month: only what was read back as freed counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby


@dataclass(frozen=True, slots=True)
class Prices:
    """What seats cost a month, in whole minor units (cents) of one currency (ISO 4217)."""

    currency: str = ""
    by_system: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Freed:
    """Seats of one system that were freed in one month, of one partner's people.

    ``month`` is a calendar month (UTC) as ``YYYY-MM``: of the read-back that showed them gone.
    """

    month: str
    partner: str
    system: str
    seats: int


@dataclass(frozen=True, slots=True)
class PartnerSeats:
    """One partner's freed seats of one month.

    Args:
        monthly: what those with a price cost a month, in minor units; None where none has one.
        unpriced: seats of systems without a price in the settings: they are in no amount.
    """

    month: str
    partner: str
    systems: tuple[Freed, ...]
    monthly: int | None
    unpriced: int

    @property
    def seats(self) -> int:
        return sum(one.seats for one in self.systems)


def summed(freed: Iterable[Freed], prices: Prices) -> tuple[PartnerSeats, ...]:
    """By month, the newest first, and partner."""
    rows = sorted(freed, key=lambda one: (one.partner, one.system))
    rows.sort(key=lambda one: one.month, reverse=True)
    return tuple(
        _of_partner(month, partner, tuple(each), prices)
        for (month, partner), each in groupby(rows, key=lambda one: (one.month, one.partner))
    )


def _of_partner(
    month: str, partner: str, systems: tuple[Freed, ...], prices: Prices
) -> PartnerSeats:
    priced = [one for one in systems if one.system in prices.by_system]
    amounts = [one.seats * prices.by_system[one.system] for one in priced]
    unpriced = sum(one.seats for one in systems if one not in priced)
    return PartnerSeats(month, partner, systems, sum(amounts) if amounts else None, unpriced)
