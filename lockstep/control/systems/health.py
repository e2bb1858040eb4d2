"""Looks at every system's health now and then, and keeps what workers learn of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from activities.condition import Condition
from connectors.base import Connector, ConnectorFault, Transcript
from lockstep.domain.cases.clocks import VENDOR_CLOCK_TOLERANCE, VendorClock
from lockstep.domain.systems.access import Health as ConnectorHealth
from lockstep.domain.systems.access import Problem, ProblemSeverity
from lockstep.domain.systems.faults import FaultCategory, rule_for
from lockstep.storage.systems.health import Health, SystemHealth, Trouble
from lockstep.storage.systems.pauses import Pauses

log = structlog.get_logger("lockstep.health")

EVERY = timedelta(minutes=5)
PATIENCE = timedelta(seconds=20)
BLOCKED_EVERY = timedelta(minutes=1)
"""Whoever waits for a system that cannot revoke is woken when it is seen to be good again."""
DOUBTED_EVERY = timedelta(seconds=30)
"""A system of which faults came that only people mend is looked at so soon."""
TICK = timedelta(seconds=5)
"""How soon a change of condition shows, and the end of a pause is on record."""
_WAITS = 0.8 * PATIENCE.total_seconds()
"""So long a look waits for its turn where a vendor takes only so many calls; leavers go first."""
_AT_ONCE = 4
_MOST_TROUBLES = 20
_LONGEST = 300


class HealthWatch:
    """A loop of a worker. It reads only; of a vendor that limits us nothing is asked."""

    def __init__(
        self,
        connectors: Mapping[str, Connector],
        conditions: Mapping[str, Condition],
        health: SystemHealth,
        pauses: Pauses,
        *,
        tolerance: timedelta = VENDOR_CLOCK_TOLERANCE,
    ) -> None:
        self._tolerance = tolerance
        self._connectors = connectors
        self._conditions = conditions
        self._health = health
        self._pauses = pauses
        self._told: dict[str, tuple[datetime | None, datetime | None]] = {}

    async def run(self) -> None:
        """Watch until cancelled; an outage of the database ends by itself."""
        await asyncio.gather(self._look_around(), self._keep_up())

    async def step(self) -> None:
        """Check every system that has not been checked for a while."""
        now = datetime.now(UTC)
        known = await self._health.all(self._connectors)
        due = [
            system for system in self._connectors if self._is_due(system, known.get(system), now)
        ]
        some = asyncio.Semaphore(_AT_ONCE)
        await asyncio.gather(*(self._check(system, some) for system in due))

    def _is_due(self, system: str, known: Health | None, now: datetime) -> bool:
        """Whether nobody has looked for too long; the sooner, the worse it is believed to be."""
        if known is None:
            return True
        condition = self._conditions.get(system)
        doubted = condition.doubted_at if condition else None
        every = BLOCKED_EVERY if known.is_blocked else EVERY
        if doubted is not None and doubted > known.checked_at:
            every = min(every, DOUBTED_EVERY)
        return now - known.checked_at > every - TICK

    async def tell(self) -> None:
        """Write what has changed of the systems' condition, and which pauses have ended."""
        for system, condition in self._conditions.items():
            state = (condition.limited_until, condition.rests_until)
            if self._told.get(system, (None, None)) == state:
                continue
            if await self._health.strained(
                system, limited_until=state[0], circuit_open_until=state[1]
            ):
                self._told[system] = state
        for pause in await self._pauses.end_expired():
            log.info("pause_ended", system=pause.system)

    async def _look_around(self) -> None:
        while True:
            try:
                await self.step()
            except (SQLAlchemyError, OSError) as error:
                log.warning("health_waits", error=type(error).__name__)
            await asyncio.sleep(TICK.total_seconds())

    async def _keep_up(self) -> None:
        while True:
            try:
                await self.tell()
            except (SQLAlchemyError, OSError) as error:
                log.warning("condition_waits", error=type(error).__name__)
            await asyncio.sleep(TICK.total_seconds())

    async def _check(self, system: str, some: asyncio.Semaphore) -> None:
        condition = self._conditions.get(system)
        limited = condition.limited_until if condition else None
        if limited is not None and limited > datetime.now(UTC):
            return
        async with some:
            began = time.monotonic()
            transcript = Transcript(until=asyncio.get_running_loop().time() + _WAITS)
            troubles, answered = await examine(
                self._connectors[system], transcript, tolerance=self._tolerance
            )
            spent = round((time.monotonic() - began - transcript.waited_s) * 1000)
        if transcript.out_of_turn is not None:
            return  # leavers go first: what was not asked says nothing of the system
        await self._health.write(
            system,
            troubles,
            checked_at=datetime.now(UTC),
            latency_ms=spent if answered else None,
        )


async def examine(
    connector: Connector,
    transcript: Transcript | None = None,
    *,
    patience: timedelta = PATIENCE,
    tolerance: timedelta = VENDOR_CLOCK_TOLERANCE,
) -> tuple[list[Trouble], bool]:
    """Ask a connector for its health; what is wrong, and whether the vendor answered."""
    transcript = transcript or Transcript()
    try:
        async with asyncio.timeout(patience.total_seconds()):
            health = await connector.health(transcript)
    except TimeoutError:
        return [_of(FaultCategory.TIMEOUT, "There was no answer in time.")], False
    except ConnectorFault as fault:
        return [_of(fault.category, str(fault))], False
    except Exception:  # a fault of one connector must not end the looks at all others
        log.exception("health_failed", connector=connector.kind)
        return [_of(FaultCategory.INTERNAL, "The check itself failed.")], False
    clock = VendorClock(transcript.skew, tolerance)
    return troubles_of(with_clock(health, clock)), health.reachable


def with_clock(health: ConnectorHealth, clock: VendorClock) -> ConnectorHealth:
    """A connector's report, and what is wrong with the vendor's clock beside ours."""
    skew = clock.skew
    if skew is None or clock.is_right:
        return health
    seconds = f"{abs(skew).total_seconds():,.0f} seconds"
    way = "behind ours" if skew < timedelta(0) else "ahead of ours"
    problem = Problem(
        "clock_differs",
        f"Its clock is {seconds} {way}: its own record of when access ended does not count, and "
        "evidence has grade B instead of A.",
        "Compare this machine's clock with a time server; if ours is right, tell the vendor.",
        ProblemSeverity.LIMITS,
    )
    return replace(health, problems=(*health.problems, problem))


def troubles_of(health: ConnectorHealth) -> list[Trouble]:
    """What a connector's report says is wrong, bounded."""
    found = [
        Trouble(
            problem.code[:_LONGEST],
            problem.summary[:_LONGEST],
            problem.fix[:_LONGEST],
            problem.severity is ProblemSeverity.BLOCKS,
        )
        for problem in health.problems[:_MOST_TROUBLES]
    ]
    if not health.reachable and not found:
        found.append(_of(FaultCategory.UNREACHABLE, "It cannot be reached."))
    return found


def _of(category: FaultCategory, summary: str) -> Trouble:
    return Trouble(category.value, summary[:_LONGEST], rule_for(category).suggestion, blocks=True)
