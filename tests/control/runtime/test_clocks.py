"""The database's clock decides what is due; the others are looked at, and told of.

On a real PostgreSQL and the real server of one machine. A shifted clock is an injected one: a
worker's own, or what a look believes the database to say.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from temporalio.client import Client

from lockstep.contracts.payloads import BeginState
from lockstep.control.runtime.clock_watch import ClockWatch, clock_lines
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.embedded.temporal import TemporalDevServer
from lockstep.storage.cases.cases import Cases
from lockstep.storage.cases.rows import Opening
from lockstep.storage.engine.clocks import TEMPORAL, ClockError, Clocks, Reading
from tests.control.runtime.test_sweep import POLICY, House, _namespace, eventually
from tests.support.casework import Casework, termination

HOUR = timedelta(hours=1)


def cases_of_clock(work: Casework, shift: timedelta) -> Cases:
    """What a worker has whose own clock is off."""
    return Cases(work.engine, work.ring, work.ledger, own=lambda: datetime.now(UTC) + shift)


@pytest.fixture
async def adopted(work: Casework) -> Casework:
    await work.adopt()
    return work


@pytest.mark.parametrize("shift", [HOUR, -HOUR])
async def test_a_wrong_clock_begins_nothing_and_a_right_one_does(adopted: Casework, shift):
    """Of two clocks that differ so much nobody can tell from there which one is right."""
    case = await adopted.open(due=timedelta(seconds=0.2))
    wrong = cases_of_clock(adopted, shift)
    with pytest.raises(ClockError):
        await wrong.begin(case.case_id)
    assert (await adopted.case(case.case_id))["status"] == CaseStatus.SCHEDULED

    assert (await adopted.cases.begin(case.case_id)).state is BeginState.BEGIN


async def test_an_hour_ahead_is_no_cutoff(adopted: Casework):
    """The worker believes that it has come; it is told how long it has not."""
    case = await adopted.open(due=timedelta(minutes=30))
    told = await cases_of_clock(adopted, HOUR).begin(case.case_id)

    assert told.state is BeginState.WAIT
    assert timedelta(minutes=29) < timedelta(milliseconds=told.ahead_ms) <= timedelta(minutes=30)


@pytest.mark.parametrize("shift", [HOUR, -HOUR])
async def test_what_is_due_already_is_not_begun_by_a_wrong_clock_either(adopted: Casework, shift):
    """It is opened, and begins when somebody with a right clock comes to it."""
    now = datetime.now(UTC)
    wrong = cases_of_clock(adopted, shift)
    [case] = await wrong.open([Opening(termination(), now, now)], adopted.policy)
    assert case is not None
    assert case.status == CaseStatus.SCHEDULED

    assert (await adopted.cases.begin(case.case_id)).state is BeginState.BEGIN


class ShiftedClocks(Clocks):
    """Believes the database to be elsewhere in time."""

    shift = timedelta(0)

    async def measure(self) -> Reading:
        read = await super().measure()
        return Reading(read.now + self.shift, read.skew - self.shift)


@pytest.fixture(scope="module")
async def own(temporal: TemporalDevServer, ring) -> Client:
    return await _namespace(temporal, ring, "clocks")


@pytest.fixture
async def house(own: Client, work: Casework) -> AsyncIterator[House]:
    await work.adopt(POLICY)
    made = House(own, work)
    async with made.working():
        yield made
        await made.leave()


def watch_of(house: House, clocks: Clocks) -> ClockWatch:
    return ClockWatch(house.client, clocks, house.sweeps, house.starter)


async def test_who_sleeps_past_the_cutoff_is_woken(house: House):
    """Temporal's clock is behind, or its timer is late: the database says that it is time."""
    case = await house.open(due=HOUR)
    await house.sql("update cases set cutoff_at = clock_timestamp() - interval '4 seconds'")
    await watch_of(house, Clocks(house.work.engine)).step()

    await house.until_status(case, CaseStatus.REVOKING)


async def test_who_is_not_due_is_left_alone(house: House):
    """A wrong clock of ours wakes nobody: the database is asked."""
    await house.open(due=HOUR)
    assert await house.sweeps.overslept() == []


async def test_clocks_that_agree_are_nothing_to_tell(house: House):
    """The worker's own is known at once."""
    clocks = Clocks(house.work.engine)
    await watch_of(house, clocks).step()

    [look] = await clocks.read()
    assert abs(look.skew) < timedelta(seconds=5)
    assert clock_lines([look]) == []


@pytest.mark.parametrize("shift", [HOUR, -HOUR])
async def test_a_wrong_clock_is_told_by_its_worker(house: House, shift):
    """Which worker, by how much and which way, and what follows."""
    clocks = Clocks(house.work.engine, own=lambda: datetime.now(UTC) + shift)
    await watch_of(house, clocks).step()

    [look] = await clocks.read()
    [line] = clock_lines([look])
    assert look.is_wrong
    assert f"{'ahead of' if shift > timedelta(0) else 'behind'} the database's" in line
    assert "begins nothing" in line


@pytest.mark.parametrize("shift", [HOUR, -HOUR, timedelta(0)])
async def test_temporals_clock_is_measured_by_when_our_workers_asked_it(
    own: Client, work: Casework, shift
):
    """It states no time of its own; it says when it was last asked for work."""
    await work.adopt(POLICY)
    house = House(own, work)
    clocks = ShiftedClocks(work.engine)
    clocks.shift = -shift
    watch = watch_of(house, clocks)

    async def measured() -> bool:
        async with house.working():
            await watch.step()
        return any(look.who == TEMPORAL for look in await clocks.read())

    await eventually(measured, "Temporal's clock is known")
    [look] = [look for look in await clocks.read() if look.who == TEMPORAL]
    assert abs(look.skew - shift) < timedelta(seconds=30)
    assert look.is_wrong is (shift != timedelta(0))


async def test_workers_that_are_gone_are_forgotten(adopted: Casework):
    """The table does not grow with every restart, and nobody is told of a clock of then."""
    clocks = Clocks(adopted.engine)
    await clocks.keep("gone/1", HOUR)
    async with adopted.engine.begin() as connection:
        await connection.execute(
            text("update clock_looks set looked_at = clock_timestamp() - interval '2 hours'")
        )
    assert await clocks.read() == []
    await clocks.keep("here/2", timedelta(0))

    async with adopted.engine.connect() as connection:
        left = (await connection.execute(text("select who from clock_looks"))).scalars().all()
    assert left == ["here/2"]
