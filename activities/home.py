"""The first try of every system, made by the worker that holds the case's workflow task.

Cheap, because it needs no task of its own; bounded, because a system that is slow, failing or busy
is left to its own queue, where nobody else waits for it (docs/decisions/0006).
"""

from __future__ import annotations

import asyncio
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


@dataclass(slots=True)
class _Lane:
    access: AccessActivities
    limit: int
    busy: int = 0
    rests_until: float = 0.0


class HomeActivities:
    """Implements ``revoke_access`` for the cases' own queue, whatever the system."""

    def __init__(
        self, access: Mapping[str, AccessActivities], concurrency: Callable[[str], int]
    ) -> None:
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
            result = await lane.access.revoke_access(given)
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
