"""How many workflow tasks are taken on: few that need the processor, many that wait for vendors."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable

from temporalio.worker import (
    CustomSlotSupplier,
    SlotMarkUsedContext,
    SlotPermit,
    SlotReleaseContext,
    SlotReserveContext,
)

LOOK_S = 0.05
"""How soon it is seen that a task has come to wait for a vendor, or that this process keeps up."""


class WaitingSlots(CustomSlotSupplier):
    """Slots of which those that merely wait for a vendor do not count.

    What waits on the server is ordered by priority, what waits in here is not, so only ``few`` are
    taken on that compete for the processor. A task whose first tries wait for answers competes for
    nothing: for each of those another may be taken on, up to ``most``, while this process keeps up.

    Args:
        waiting: how many of the tasks taken on wait for vendors now.
        is_behind: whether this process has more to do than it can.
    """

    def __init__(
        self,
        few: int,
        most: int,
        *,
        waiting: Callable[[], int],
        is_behind: Callable[[], bool],
    ) -> None:
        self._few = few
        self._most = max(few, most)
        self._waiting = waiting
        self._is_behind = is_behind
        self._lock = threading.Lock()  # slots are given back from threads of Temporal's core
        self._taken = 0
        self._asking: deque[asyncio.Future[None]] = deque()

    @property
    def taken(self) -> int:
        return self._taken

    async def reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit:
        while (permit := self.try_reserve_slot(ctx)) is None:
            turn = asyncio.get_running_loop().create_future()
            self._asking.append(turn)
            await asyncio.wait([turn], timeout=LOOK_S)
            turn.cancel()
        return permit

    def try_reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit | None:  # noqa: ARG002 - its interface
        with self._lock:
            if self._taken >= self._room():
                return None
            self._taken += 1
        return SlotPermit()

    def mark_slot_used(self, ctx: SlotMarkUsedContext) -> None:
        """A slot that is polled with counts like one in use: the next task may be there already."""

    def release_slot(self, ctx: SlotReleaseContext) -> None:  # noqa: ARG002 - its interface
        with self._lock:
            self._taken -= 1
        with contextlib.suppress(IndexError, RuntimeError):  # nobody asks, or the loop has ended
            turn = self._asking.popleft()
            turn.get_loop().call_soon_threadsafe(_hand_over, turn)

    def _room(self) -> int:
        if self._is_behind():
            return self._few
        return min(self._few + self._waiting(), self._most)


def _hand_over(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
