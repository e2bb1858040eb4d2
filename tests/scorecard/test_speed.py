"""A large tenant's year is scored in seconds, and in one pass."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from time import process_time

import pytest

from tests.scorecard.population import DAY, HOUR, NOW, apart, case, item, scored

YEAR = apart(
    [
        case(
            *(item(Fraction(at % 97, 60), system=f"s{door}", hours=4) for door in range(12)),
        )
        for at in range(5000)
    ]
)
WAIVED = [
    replace(one, items=tuple(replace(row, waived_until=NOW - 20 * DAY + at) for row in one.items))
    for at, one in enumerate(YEAR)
]


@pytest.mark.parametrize("cases", [YEAR, WAIVED], ids=["a few SLAs", "an SLA of its own for each"])
def test_five_thousand_leavers_in_twelve_systems(cases):
    """A fraction of a second; ten times as much would mean ever longer fractions in the sum."""
    begun = process_time()
    result = scored(cases)

    assert process_time() - begun < 4
    assert result.n == 5000
    assert result.exposure.account_ms > HOUR
