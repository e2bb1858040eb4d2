"""By how much two clocks differ, as far as an exchange tells."""

from datetime import UTC, datetime, timedelta

import pytest

from lockstep.domain.cases.clocks import skew_of

SENT = datetime(2026, 11, 30, 12, tzinfo=UTC)
S = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("stated", "skew"),
    [(SENT, 0 * S), (SENT + 2 * S, 0 * S), (SENT - 60 * S, 60 * S), (SENT + 12 * S, -10 * S)],
)
def test_an_answer_within_the_exchange_tells_of_no_skew(stated, skew):
    """A slow answer makes no clock wrong; what lies outside is how far it is off at the least."""
    assert skew_of(stated, before=SENT, after=SENT + 2 * S) == skew
