"""Doubles of every activity, registered by name: each case is answered from a script of its own."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.faults import as_failure
from connectors.base import ConnectorFault
from lockstep.contracts import payloads as p
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.outcomes import Outcome
from lockstep.domain.systems.faults import FaultCategory

Asked = TypeVar("Asked")
BOUND_S = 60


@dataclass(frozen=True)
class Always:
    """A step that never ends: every further attempt meets the same fault."""

    category: FaultCategory


@dataclass(frozen=True)
class Later:
    """The vendor itself says when it may be asked again."""

    category: FaultCategory
    retry_after: timedelta


@dataclass(frozen=True)
class Hang:
    """The attempt stays inside the vendor's call until it is cancelled."""


@dataclass(frozen=True)
class Silent:
    """The attempt's worker dies after one sign of life with a detail: no answer ever comes."""


@dataclass(frozen=True)
class Broken:
    """A failure that is not one of our classified faults and may not be retried."""


Step = Outcome | FaultCategory | Always | Later | Hang | Silent | Broken


@dataclass
class World:
    """One case's systems, HR and database: what they answer, and what they were asked.

    ``steps`` holds per system what the next attempts meet; afterwards every attempt revokes.
    ``returned`` holds per system the looks that find access standing; ``blind`` those that fail.
    """

    case_id: str
    cutoff: datetime
    rescinded: bool = False
    corrected: list[p.SystemTimes] = field(default_factory=list)
    priority: int = 0
    partner: str = ""
    """What HR has corrected, told once the case has begun."""
    again: list[str] = field(default_factory=list)
    """Systems that waited for keys that HR has sent now."""
    look: list[str] = field(default_factory=list)
    """Systems that were settled before HR has sent keys."""
    still_open: list[list[p.StillOpen]] = field(default_factory=list)
    """What the database says is open, each time that it is asked to close the case."""
    lag: timedelta = timedelta(0)
    """How far the database host's clock is behind the server's."""
    steps: dict[str, list[Step]] = field(default_factory=lambda: defaultdict(list))
    returned: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    blind: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    doubtful: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """Per system the looks that find an account of which nobody knows whose it is."""
    unseen: list[FaultCategory] = field(default_factory=list)
    """What every look before the last day meets; nothing if it is empty."""
    unwritable: set[str] = field(default_factory=set)
    """Decisions that the database refuses for good, by id."""
    asked: list[Any] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)
    """When each question came, by the server's clock."""
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    """An activity name here waits for its event before it answers."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, given: object, when: datetime) -> None:
        self.asked.append(given)
        self.times.append(when)
        self._news.set()

    def of(self, kind: type[Asked], system: str = "") -> list[Asked]:
        """What was asked of one activity, by its input's type, in order."""
        return [
            given
            for given in self.asked
            if isinstance(given, kind) and system in {"", getattr(given, "system", "")}
        ]

    def asked_at(self, kind: type[Any]) -> list[datetime]:
        """When each question of this kind came."""
        pairs = zip(self.asked, self.times, strict=True)
        return [when for given, when in pairs if isinstance(given, kind)]

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something asked makes ``holds`` true; fails after `BOUND_S`."""
        async with asyncio.timeout(BOUND_S):
            while not holds():
                self._news.clear()
                await self._news.wait()

    async def until_asked(self, kind: type[Asked], system: str = "", times: int = 1) -> Asked:
        """Wait for the ``times``-th question of this kind, and return it."""
        await self.until(lambda: len(self.of(kind, system)) >= times)
        return self.of(kind, system)[times - 1]

    def step(self, system: str) -> Step:
        steps = self.steps[system]
        if not steps:
            return Outcome.REVOKED
        return steps[0] if isinstance(steps[0], Always | Hang) else steps.pop(0)


def failure(category: FaultCategory, retry_after: timedelta | None = None) -> ApplicationError:
    """The failure that the real activity raises for a fault of this category."""
    return as_failure(
        ConnectorFault(
            category,
            connector="double",
            operation="revoke",
            code="scripted",
            retry_after=retry_after,
        )
    )


class Doubles:
    """The activities of all queues; a question of an unknown case fails for good."""

    def __init__(self) -> None:
        self.worlds: dict[str, World] = {}

    async def _world(self, given: Any) -> World:
        world = self.worlds.get(given.case_id)
        if world is None:
            raise ApplicationError("no script for this case", non_retryable=True)
        world.note(given, activity.info().started_time)
        gate = world.gates.get(activity.info().activity_type)
        if gate is not None:
            await gate.wait()
        return world

    @activity.defn(name="begin_revoking")
    async def begin_revoking(self, given: p.BeginInput) -> p.BeginResult:
        world = await self._world(given)
        now = activity.info().started_time - world.lag  # the server's clock, which tests skip
        if world.rescinded:
            return p.BeginResult(p.BeginState.RESCINDED, world.cutoff)
        waits = world.cutoff > now + timedelta(seconds=1)
        if waits:
            return p.BeginResult(p.BeginState.WAIT, world.cutoff)
        corrected = (world.corrected, world.priority, world.partner, world.again, world.look)
        return p.BeginResult(p.BeginState.BEGIN, world.cutoff, *corrected)

    @activity.defn(name="revoke_access")
    async def revoke_access(self, given: p.RevokeInput) -> p.RevokeResult:
        step = (await self._world(given)).step(given.system)
        match step:
            case Hang():
                while True:
                    activity.heartbeat()
                    await asyncio.sleep(0.2)
            case Silent():
                activity.heartbeat("the last that was heard")
                raise activity._CompleteAsyncError
            case Always(category):
                raise failure(category)
            case Later(category, retry_after):
                raise failure(category, retry_after)
            case FaultCategory():
                raise failure(step)
            case Broken():
                raise ApplicationError("unclassified", type="Surprise", non_retryable=True)
            case _:
                return p.RevokeResult(step.value)

    @activity.defn(name="try_at_home")
    async def try_at_home(self, given: p.HomeInput) -> p.HomeResult:
        """As the real one: faults come back as data."""
        tries = []
        for system in given.systems:
            try:
                done = await self.revoke_access(p.RevokeInput(given.case_id, system, 1))
                tries.append(p.HomeTry(system, done.outcome))
            except ApplicationError as error:
                tries.append(
                    p.HomeTry(system, category=error.type or "", final=error.non_retryable)
                )
        return p.HomeResult(tries)

    @activity.defn(name="rehearse_access")
    async def rehearse_access(self, given: p.RehearseInput) -> p.RehearseResult:
        world = await self._world(given)
        for category in world.unseen:
            raise failure(category)
        return p.RehearseResult(accounts=1, problems=0)

    @activity.defn(name="watch_access")
    async def watch_access(self, given: p.WatchInput) -> p.WatchResult:
        world = await self._world(given)
        if given.look in world.blind[given.system]:
            raise failure(FaultCategory.CREDENTIALS_REJECTED)
        return p.WatchResult(
            returned=given.look in world.returned[given.system],
            in_doubt=given.look in world.doubtful[given.system],
        )

    @activity.defn(name="record_needs_person")
    async def record_needs_person(self, given: p.NeedsPersonInput) -> p.Nothing:
        await self._world(given)
        return p.Nothing()

    @activity.defn(name="record_decision")
    async def record_decision(self, given: p.DecisionInput) -> p.DecisionResult:
        world = await self._world(given)
        if given.decision.decision_id in world.unwritable:
            raise ApplicationError("refused by the database", non_retryable=True)
        outcomes = {DecisionKind.ATTEST: Outcome.ATTESTED, DecisionKind.WAIVE: Outcome.WAIVED}
        return p.DecisionResult(str(outcomes.get(given.decision.kind, "")))

    @activity.defn(name="close_case")
    async def close_case(self, given: p.CloseInput) -> p.CloseResult:
        world = await self._world(given)
        still_open = world.still_open.pop(0) if world.still_open else []
        return p.CloseResult(datetime(2026, 1, 1, tzinfo=UTC), still_open)

    def of_cases(self) -> Sequence[Callable[..., Any]]:
        """What runs on the cases' own queue."""
        return [
            self.begin_revoking,
            self.record_needs_person,
            self.record_decision,
            self.close_case,
            self.try_at_home,
        ]

    def of_systems(self) -> Sequence[Callable[..., Any]]:
        """What runs on each system's queue."""
        return [self.revoke_access, self.rehearse_access, self.watch_access]
