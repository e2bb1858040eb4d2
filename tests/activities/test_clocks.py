"""Nothing is asked of a vendor before the database says that the case has begun."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from temporalio.exceptions import ApplicationError

from activities.access import AccessActivities
from tests.activities.conftest import Bench
from tests.support.casework import SYSTEM

HOUR = timedelta(hours=1)


def of_clock(bench: Bench, shift: timedelta) -> AccessActivities:
    """The activities of a worker whose own clock is off."""
    return AccessActivities(
        SYSTEM,
        bench.connector,
        bench.work.revocations,
        bench.work.cases,
        own=lambda: datetime.now(UTC) + shift,
    )


async def refused(bench: Bench, activities: AccessActivities) -> ApplicationError:
    with pytest.raises(ApplicationError) as caught:
        await bench.revoke(activities=activities)
    assert not caught.value.non_retryable
    return caught.value


@pytest.mark.parametrize("shift", [HOUR, -HOUR, timedelta(0)])
@pytest.mark.parametrize(
    "change",
    [
        "status = 'scheduled', cutoff_at = clock_timestamp() + interval '10 minutes'",
        "cutoff_at = clock_timestamp() + interval '5 seconds'",
        "status = 'scheduled'",
        "status = 'rescinded'",
    ],
)
async def test_a_case_that_has_not_begun_is_not_touched(bench: Bench, shift, change):
    """Whatever a workflow, Temporal's timer or a worker's own clock believe."""
    async with bench.work.engine.begin() as connection:
        await connection.execute(text(f"update cases set {change}"))

    await refused(bench, of_clock(bench, shift))

    assert bench.connector.calls == []


@pytest.mark.parametrize("shift", [HOUR, -HOUR, timedelta(minutes=2)])
async def test_a_worker_with_a_wrong_clock_begins_nothing(bench: Bench, shift):
    """What it would write down, an auditor would read: another worker does it, or it, mended."""
    error = await refused(bench, of_clock(bench, shift))

    assert "the database's" in str(error)
    assert bench.connector.calls == []
    assert await bench.revoke(activities=of_clock(bench, timedelta(0))) == "revoked"


@pytest.mark.parametrize("shift", [timedelta(seconds=30), -timedelta(seconds=30)])
async def test_a_clock_that_differs_a_little_holds_nobody_up(bench: Bench, shift):
    """People are told of it; access ends all the same."""
    assert await bench.revoke(activities=of_clock(bench, shift)) == "revoked"
