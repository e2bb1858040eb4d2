"""The first try of a case's systems, made by the worker that holds its workflow task.

Cheap, because it needs no task of its own; bounded, because a system that is slow, failing or busy
is left to its own queue, where nobody else waits for it (docs/decisions/0006).
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.access import AccessActivities
from activities.condition import Condition
from connectors.base import OUR_PACE
from lockstep.contracts import payloads as p
from lockstep.contracts.policies import HOME_PATIENCE
from lockstep.domain.systems.faults import FaultCategory

ELSEWHERE = "elsewhere"
"""The category of a try that is left to the system's own queue; nothing was done."""

SLOW_S = 2.0
"""A system that took longer is not tried at home for a while."""

REST_S = 30.0

_WAITS = 0.5
"""The part of a first try's time that may be spent on waiting for turns."""

WAITS_S = 0.1
"""First tries that are under way for longer wait for vendors, unless this process is behind."""

FEW = 16
"""Tries under way that keep a processor busy; more only make each other, and the urgent, wait."""


class Turnstile:
    """Lets tries in by urgency while this process is behind, and all of them while it is not.

    Tries that wait for a vendor put nobody behind, so any number may be under way.
    """

    def __init__(self, is_behind: Callable[[], bool], few: int = FEW) -> None:
        self._is_behind = is_behind
        self._few = few
        self._inside = 0
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    async def enter(self, priority: int) -> None:
        """Go in, or wait for one that leaves; the lower the number, the sooner."""
        if self._inside >= self._few and self._is_behind():
            turn = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (priority, next(self._order), turn))
            try:
                await turn  # whoever leaves hands the place over
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.leave()
                raise
        else:
            self._inside += 1

    def leave(self) -> None:
        """Hand the place to the most urgent that waits; let more in when there is room again."""
        self._inside -= 1
        while self._waiting and (self._inside < self._few or not self._is_behind()):
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                self._inside += 1


@dataclass(slots=True)
class _Lane:
    access: AccessActivities
    limit: int
    condition: Condition
    busy: int = 0
    rests_until: float = 0.0

    def rest(self) -> None:
        """Leave the system to its own queue for a while."""
        self.rests_until = _now() + REST_S
        self.condition.rests_until = datetime.now(UTC) + timedelta(seconds=REST_S)


class HomeActivities:
    """The first tries; each system has a lane of its own."""

    def __init__(
        self,
        access: Mapping[str, AccessActivities],
        concurrency: Callable[[str], int],
        is_behind: Callable[[], bool] = lambda: False,
        conditions: Mapping[str, Condition] = MappingProxyType({}),
    ) -> None:
        self._is_behind = is_behind
        self._turnstile = Turnstile(is_behind)
        self.waiting = 0
        """How many cases' first tries wait for vendors."""
        self._lanes = {
            system: _Lane(activities, concurrency(system), conditions.get(system) or Condition())
            for system, activities in access.items()
        }

    @activity.defn
    async def try_at_home(self, given: p.HomeInput) -> p.HomeResult:
        """See the stub. A system that is better left to its own queue is not touched."""
        with self._counted():
            tries = await asyncio.gather(*(self._try(given, system) for system in given.systems))
        return p.HomeResult(list(tries))

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """Count this case among those that wait, once it has been under way for a while."""
        counted = 0

        def count() -> None:
            nonlocal counted
            counted = 1
            self.waiting += 1

        later = asyncio.get_running_loop().call_later(WAITS_S, count)
        try:
            yield
        finally:
            later.cancel()
            self.waiting -= counted

    async def _try(self, given: p.HomeInput, system: str) -> p.HomeTry:
        lane = self._lanes.get(system)
        if lane is None or lane.busy >= lane.limit or _now() < lane.rests_until:
            return p.HomeTry(system, category=ELSEWHERE)
        if lane.access.waits_s(given.priority) > _WAITS * HOME_PATIENCE.total_seconds():
            return p.HomeTry(system, category=ELSEWHERE)  # it would not have its turns in time
        lane.busy += 1
        try:
            await self._turnstile.enter(given.priority)
            try:
                return await self._attempt(lane, p.RevokeInput(given.case_id, system, 1))
            finally:
                self._turnstile.leave()
        finally:
            lane.busy -= 1

    async def _attempt(self, lane: _Lane, given: p.RevokeInput) -> p.HomeTry:
        """Make the try; a system that is slow or out of order rests."""
        began = _now()
        try:
            async with asyncio.timeout(HOME_PATIENCE.total_seconds()):
                result = await lane.access.revoke_access(given)
        except TimeoutError:
            lane.rest()
            return p.HomeTry(given.system, category=FaultCategory.TIMEOUT)
        except ApplicationError as error:
            # A person's trouble is not the system's, nor is a person's pause, nor our own pace.
            is_own = error.type == FaultCategory.PAUSED or OUR_PACE in error.details
            if not error.non_retryable and not is_own:
                lane.rest()
            return p.HomeTry(given.system, category=error.type or "", final=error.non_retryable)
        # Nor is it the system that is slow where this process is behind: its queue would cost more.
        if _now() - began > SLOW_S and not lane.access.is_paced and not self._is_behind():
            lane.rest()
        return p.HomeTry(given.system, result.outcome)


def _now() -> float:
    return asyncio.get_running_loop().time()
