"""All figures agree: rows, facts, scores, packs and the verifier, over random histories."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.agreement.checks import Asked
from tests.agreement.everything import everything_agrees
from tests.agreement.long import PROFILE
from tests.agreement.places import staged
from tests.agreement.strategies import stories
from tests.support.histories import PARTNERS


def _period(first: date, length: int) -> tuple[date, date]:
    return first, first + timedelta(days=length)


TODAY = datetime.now(UTC).date()
EVERYTHING = (date(TODAY.year - 4, 1, 1), date(TODAY.year + 4, 1, 1))
days = st.integers(0, 600).map(lambda back: TODAY - timedelta(days=back))
periods = st.one_of(
    st.just(EVERYTHING),
    st.tuples(days, st.integers(0, 700)).map(lambda drawn: _period(*drawn)),
)
questions = st.builds(
    lambda period, partner: Asked(*period, partner),
    periods,
    st.sampled_from([None, None, *PARTNERS[:2]]),
)

is_long = settings.get_current_profile_name() == PROFILE
patient = settings(
    max_examples=settings.default.max_examples if is_long else 15,
    deadline=None,
    # An example takes seconds: only the long run has the time to make a failing one small.
    phases=tuple(Phase) if is_long else (Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(0 if is_long else 1_500)
# A streaming read that hypothesis abandons with its example ends with the loop, not before.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@patient
@given(story=stories, asked=questions, identified=st.booleans())
async def test_all_figures_agree(postgres, ring, story, asked, identified):
    """Every time, count, score and file of a pack follows from the rows, and verifies."""
    async with staged(postgres, ring) as stage:
        await stage.play(story)
        await everything_agrees(stage, asked, identified=identified)
