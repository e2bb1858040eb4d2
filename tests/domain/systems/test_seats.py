"""Freed seats by month and partner: what has no price is in no amount, and said to have none."""

from __future__ import annotations

from lockstep.domain.systems.seats import Freed, Prices, summed

PRICES = Prices("EUR", {"chat": 800, "free": 0})
NOVEMBER, OCTOBER = "2026-11", "2026-10"


def test_the_newest_month_comes_first_and_partners_by_name() -> None:
    """Each month and partner once, with all its systems."""
    rows = summed(
        [
            Freed(OCTOBER, "contoso", "chat", 1),
            Freed(NOVEMBER, "northwind", "desk", 2),
            Freed(NOVEMBER, "contoso", "chat", 3),
            Freed(NOVEMBER, "northwind", "chat", 4),
        ],
        PRICES,
    )

    assert [(row.month, row.partner, row.seats) for row in rows] == [
        (NOVEMBER, "contoso", 3),
        (NOVEMBER, "northwind", 6),
        (OCTOBER, "contoso", 1),
    ]
    assert [one.system for one in rows[1].systems] == ["chat", "desk"]


def test_a_seat_without_a_price_is_in_no_amount() -> None:
    """Nothing priced is no amount, not zero; a price of zero is one."""
    [mixed, unpriced, free] = summed(
        [
            Freed(NOVEMBER, "a", "chat", 2),
            Freed(NOVEMBER, "a", "desk", 1),
            Freed(NOVEMBER, "b", "desk", 5),
            Freed(NOVEMBER, "c", "free", 1),
        ],
        PRICES,
    )

    assert (mixed.monthly, mixed.unpriced) == (1600, 1)
    assert (unpriced.monthly, unpriced.unpriced) == (None, 5)
    assert (free.monthly, free.unpriced) == (0, 0)
