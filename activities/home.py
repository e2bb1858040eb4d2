"""The first try of every system, made by the worker that holds the case's workflow task.

Cheap, because it needs no task of its own; bounded, because a system that is slow, failing or busy
is left to its own queue, where nobody else waits for it (docs/decisions/0006).
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.access import AccessActivities
from lockstep.contracts import payloads as p

ELSEWHERE = "elsewhere"
"""The failure that sends a first try to the system's own queue; nothing was done."""

SLOW_S = 2.0
"""A system that took longer is not tried at home for a while."""

REST_S = 30.0

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
    busy: int = 0
    rests_until: float = 0.0


class HomeActivities:
    """Implements ``revoke_access`` for the cases' own queue, whatever the system."""

    def __init__(
        self,
        access: Mapping[str, AccessActivities],
        concurrency: Callable[[str], int],
        is_behind: Callable[[], bool] = lambda: False,
    ) -> None:
        self._turnstile = Turnstile(is_behind)
        self._lanes = {
            system: _Lane(activities, concurrency(system)) for system, activities in access.items()
        }

    @activity.defn
    async def revoke_access(self, given: p.RevokeInput) -> p.RevokeResult:
        """See the stub. Refuses at once where the system is better left to its own queue."""
        lane = self._lanes.get(given.system)
        clock = asyncio.get_running_loop().time
        began = clock()
        if lane is None or lane.busy >= lane.limit or began < lane.rests_until:
            raise ApplicationError("not at home", type=ELSEWHERE)
        lane.busy += 1
        try:
            result = await self._in_turn(lane, given)
        except ApplicationError as error:
            if not error.non_retryable:  # a person's trouble is not the system's
                lane.rests_until = clock() + REST_S
            raise
        except asyncio.CancelledError:  # it took longer than a first try may
            lane.rests_until = clock() + REST_S
            raise
        else:
            if clock() - began > SLOW_S:
                lane.rests_until = clock() + REST_S
            return result
        finally:
            lane.busy -= 1

    async def _in_turn(self, lane: _Lane, given: p.RevokeInput) -> p.RevokeResult:
        await self._turnstile.enter(given.priority)
        try:
            return await lane.access.revoke_access(given)
        finally:
            self._turnstile.leave()
