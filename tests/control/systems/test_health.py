"""Looks at systems' health: bounded, kept for people, and never of a vendor that limits us."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from activities.condition import Condition
from connectors.base import OUR_PACE, ConnectorFault
from lockstep.control.systems.health import HealthWatch, examine, troubles_of
from lockstep.control.systems.overview import SystemState, state_of
from lockstep.domain.policy import SystemPolicy, Tier
from lockstep.domain.systems.access import Category, Health, Problem, ProblemSeverity
from lockstep.domain.systems.faults import FaultCategory
from lockstep.storage.systems.health import Health as Kept
from lockstep.storage.systems.health import SystemHealth
from lockstep.storage.systems.pauses import NewPause, Pauses
from tests.support.casework import OTHER, SYSTEM, TENANT
from tests.support.memory_connector import MemoryConnector

NOW = datetime.now(UTC)
SOON = NOW + timedelta(days=1)
"""After the end of any run of all tests: this moment is that of their collection."""
POLICY = SystemPolicy(system=SYSTEM, connector="memory", category=Category.SAAS, tier=Tier.ONE)
MISSING = Problem("scope_missing", "okta.users.manage is missing", "Grant it.")
LIMITS = Problem("no_apps", "applications are not seen", "Set it.", ProblemSeverity.LIMITS)


class Sick(MemoryConnector):
    """Fails its health check with whatever a test sets."""

    error: BaseException | None = None
    gate: asyncio.Event | None = None
    asked = 0

    async def health(self, transcript):
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return await super().health(transcript)


@pytest.fixture
def health(engine) -> SystemHealth:
    return SystemHealth(engine)


def watch(engine, ring, health: SystemHealth, **conditions: Condition) -> HealthWatch:
    connectors = {SYSTEM: Sick(problems=(MISSING,)), OTHER: Sick()}
    return HealthWatch(
        connectors,
        {SYSTEM: Condition(), OTHER: Condition(), **conditions},
        health,
        Pauses(engine, ring, TENANT),
    )


@pytest.mark.parametrize(
    ("skew", "said"),
    [(timedelta(hours=-2), "7,200 seconds behind"), (timedelta(seconds=3), "3 seconds ahead of")],
)
async def test_a_vendors_clock_that_differs_is_told(skew: timedelta, said: str):
    """It limits what evidence proves, and blocks nothing."""
    [trouble], answered = await examine(Timed(skew=skew))

    assert answered
    assert (trouble.code, trouble.blocks) == ("clock_differs", False)
    assert said in trouble.summary


@pytest.mark.parametrize("skew", [timedelta(0), timedelta(seconds=-2)])
async def test_a_vendors_clock_within_tolerance_is_no_trouble(skew: timedelta):
    """Dates come in whole seconds, and servers keep them for one."""
    assert await examine(Timed(skew=skew)) == ([], True)
    assert await examine(Timed(skew=skew * 3), tolerance=timedelta(seconds=6)) == ([], True)


class Timed(MemoryConnector):
    """Makes a call when it is asked for its health, as every connector does."""

    async def health(self, transcript):
        self._call("health", transcript)
        return await super().health(transcript)


class Crowded(Sick):
    """Has no turn for the calls of its health check, and takes that for a trouble."""

    async def health(self, transcript):
        self.asked += 1
        transcript.out_of_turn = timedelta(seconds=9)
        raise ConnectorFault(
            FaultCategory.RATE_LIMITED, connector="memory", operation="users.get", code=OUR_PACE
        )


async def test_a_look_that_had_no_turn_tells_nothing(engine, ring, health):
    """Leavers go first; what was known of the system stays as it was."""
    pauses = Pauses(engine, ring, TENANT)
    looking = HealthWatch({SYSTEM: Crowded()}, {SYSTEM: Condition()}, health, pauses)
    await looking.step()

    assert await health.all([SYSTEM]) == {}


async def test_what_is_missing_is_kept_with_its_fix(engine, ring, health):
    """Each system once in a while, whoever looks."""
    looking = watch(engine, ring, health)
    await looking.step()
    await looking.step()
    found = await health.all([SYSTEM, OTHER])

    [trouble] = found[SYSTEM].troubles
    assert (trouble.summary, trouble.fix, trouble.blocks) == (MISSING.summary, "Grant it.", True)
    assert found[OTHER].troubles == ()
    assert found[OTHER].latency_ms is not None
    assert [connector.asked for connector in looking._connectors.values()] == [1, 1]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (
            ConnectorFault(FaultCategory.UNREACHABLE, connector="memory", operation="users.get"),
            "unreachable",
        ),
        (RuntimeError("a token that must not show"), "internal"),
    ],
)
async def test_a_check_that_fails_is_a_finding(error, code):
    """With what to do; an unexpected error is named by its kind and not by its text."""
    connector = Sick()
    connector.error = error
    [trouble], answered = await examine(connector)

    assert (trouble.code, trouble.blocks, answered) == (code, True, False)
    assert trouble.fix
    assert "token" not in trouble.summary


async def test_a_check_that_hangs_is_given_up():
    """The others are looked at all the same."""
    connector = Sick()
    connector.gate = asyncio.Event()
    [trouble], answered = await examine(connector, patience=timedelta(milliseconds=20))

    assert (trouble.code, answered) == ("timeout", False)


async def test_a_vendor_that_limits_us_is_not_asked(engine, ring, health):
    """A look would make it worse."""
    looking = watch(engine, ring, health, **{SYSTEM: Condition(limited_until=SOON)})
    await looking.step()

    assert sorted(await health.all([SYSTEM, OTHER])) == [OTHER]


async def test_limits_and_rests_are_kept_and_the_longest_counts(engine, ring, health):
    """Several workers tell what they know."""
    first = Condition()
    looking = watch(engine, ring, health, **{SYSTEM: first})
    await looking.tell()
    await looking.step()
    first.limited_until, first.rests_until = SOON, SOON
    await looking.tell()
    other = Condition(limited_until=NOW, rests_until=SOON + timedelta(hours=1))
    await watch(engine, ring, health, **{SYSTEM: other}).tell()
    found = (await health.all([SYSTEM]))[SYSTEM]

    assert found.limited_until == SOON
    assert found.circuit_open_until == SOON + timedelta(hours=1)


async def test_pauses_that_are_over_are_put_on_record(engine, ring, health):
    """Once, whoever of the workers comes first."""
    pauses = Pauses(engine, ring, TENANT)
    until = datetime.now(UTC) + timedelta(milliseconds=1)
    await pauses.place(NewPause(SYSTEM, until, "u1", "Kim", "short"))
    looking = watch(engine, ring, health)
    async with asyncio.timeout(60):
        while await pauses.standing() or (await pauses.of(SYSTEM))[0].ended_at is None:
            await looking.tell()


@pytest.mark.parametrize(
    ("problems", "changes", "state"),
    [
        ((), {}, SystemState.HEALTHY),
        ((LIMITS,), {}, SystemState.WARNING),
        ((MISSING,), {}, SystemState.BLOCKED),
        ((), {"limited_until": SOON}, SystemState.LIMITED),
        ((), {"circuit_open_until": SOON}, SystemState.FAILING),
        ((), {"limited_until": NOW, "circuit_open_until": NOW}, SystemState.HEALTHY),
        ((), {"checked_at": NOW - timedelta(hours=1)}, SystemState.UNKNOWN),
    ],
)
def test_a_state_is_the_worst_that_holds(problems, changes, state):
    """What people must see first."""
    troubles = tuple(troubles_of(Health(True, problems)))
    kept = Kept(SYSTEM, NOW, 1, troubles, None, None)
    assert state_of(POLICY, replace(kept, **changes), None, now=NOW) is state


def test_a_system_that_nobody_has_looked_at_is_unknown():
    """And one that is worked by hand is neither healthy nor sick."""
    assert state_of(POLICY, None, None, now=NOW) is SystemState.UNKNOWN
    by_hand = SystemPolicy(
        system="portal", connector="manual", category=Category.SAAS, tier=Tier.MANUAL
    )
    assert state_of(by_hand, None, None, now=NOW) is SystemState.MANUAL


async def test_what_is_bad_or_doubted_is_looked_at_sooner(engine, ring, health):
    """Whoever waits for it is woken when it is good again; a fault before the look says nothing."""
    connector, condition = Sick(), Condition()
    pauses = Pauses(engine, ring, TENANT)
    looking = HealthWatch({SYSTEM: connector}, {SYSTEM: condition}, health, pauses)
    back = text("update system_health set checked_at = now() - make_interval(secs => :ago)")
    await looking.step()
    for problems, ago_s, doubted_s, due in (
        ((), 240, None, False),
        ((), 300, None, True),
        ((MISSING,), 30, None, False),
        ((MISSING,), 60, None, True),
        ((LIMITS,), 60, None, False),
        ((), 20, 5, False),
        ((), 30, 5, True),
        ((), 60, 90, False),
    ):
        connector.problems, condition.doubted_at = problems, None
        async with engine.begin() as connection:
            await connection.execute(back, {"ago": 3600})
        await looking.step()
        async with engine.begin() as connection:
            await connection.execute(back, {"ago": ago_s})
        if doubted_s is not None:
            condition.doubted_at = datetime.now(UTC) - timedelta(seconds=doubted_s)
        connector.asked = 0
        await looking.step()
        assert connector.asked == due, (problems, ago_s, doubted_s)
