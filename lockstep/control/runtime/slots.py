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


_Turn = asyncio.Future[None]


class WaitingSlots(CustomSlotSupplier):
    """Slots of which those that merely wait for a vendor do not count.

    What waits on the server is ordered by priority, what waits in here is not, so only ``few`` are
    taken on that compete for the processor. A task whose first tries wait for answers competes for
    nothing: for each of those another may be taken on, up to ``most``, while this process keeps up.

    A slot that is given back goes in turn to new cases and to those that go on. Temporal's core
    asks four times as often for the latter; where thousands go on, a dismissal just posted would
    have to wait for one slot in five.

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
        self._asking: dict[bool, deque[_Turn]] = {True: deque(), False: deque()}
        self._was_sticky = False

    @property
    def taken(self) -> int:
        return self._taken

    async def reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit:
        while (permit := self.try_reserve_slot(ctx)) is None:
            turn: _Turn = asyncio.get_running_loop().create_future()
            with self._lock:
                self._asking[ctx.is_sticky].append(turn)
            try:
                await asyncio.wait([turn], timeout=LOOK_S)
            except asyncio.CancelledError:
                if self._looks_away(turn, ctx):
                    self._give_back()
                raise
            if self._looks_away(turn, ctx):
                return SlotPermit()
        return permit

    def _looks_away(self, turn: _Turn, ctx: SlotReserveContext) -> bool:
        """Whether whoever asked was called meanwhile, and has a slot."""
        with self._lock, contextlib.suppress(ValueError):
            self._asking[ctx.is_sticky].remove(turn)
        return not turn.cancel()

    def try_reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit | None:  # noqa: ARG002 - its interface
        with self._lock:
            if self._taken >= self._room():
                return None
            self._taken += 1
        return SlotPermit()

    def mark_slot_used(self, ctx: SlotMarkUsedContext) -> None:
        """A slot that is polled with counts like one in use: the next task may be there already."""

    def release_slot(self, ctx: SlotReleaseContext) -> None:  # noqa: ARG002 - its interface
        self._give_back()

    def _give_back(self) -> None:
        """Keep it for whoever asks, of new cases and those that go on in turn."""
        with self._lock:
            self._taken -= 1
            turn = self._next() if self._taken < self._room() else None
            self._taken += turn is not None
        if turn is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                turn.get_loop().call_soon_threadsafe(self._hand_over, turn)

    def _next(self) -> _Turn | None:
        for is_sticky in (not self._was_sticky, self._was_sticky):
            if asking := self._asking[is_sticky]:
                self._was_sticky = is_sticky
                return asking.popleft()
        return None

    def _hand_over(self, turn: _Turn) -> None:
        if turn.done():  # they have looked away meanwhile
            self._give_back()
        else:
            turn.set_result(None)

    def _room(self) -> int:
        if self._is_behind():
            return self._few
        return min(self._few + self._waiting(), self._most)
