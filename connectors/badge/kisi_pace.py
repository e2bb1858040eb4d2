"""Turns for calls to Kisi: five requests a second for each key (docs.kisi.io, rate limits)."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

_AT_ONCE: Final = 2
_LONGEST_QUEUE_S: Final = 10


class Pace:
    """Takes turns so that no second holds more calls than the vendor allows.

    Without it the snapshot alone would use up a second's calls, and an activity that is repeated
    from its beginning would be refused at the same place for ever. A turn lasts until a second
    after its answer: whenever within the call the vendor counted it, the sum holds.

    Args:
        per_second: calls in any one second; 0 for no limit.
        clock: monotonic seconds.
        pause: waits for some seconds, never more than one.
    """

    def __init__(
        self,
        per_second: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._per_second = per_second
        self._clock = clock
        self._pause = pause
        self._free_from = deque([clock()] * per_second)
        self._gate = asyncio.Semaphore(min(_AT_ONCE, per_second or _AT_ONCE))
        self._queue = 0

    def backlog(self) -> timedelta | None:
        """How long to stay away, when more wait here than can be served soon."""
        if not self._per_second or self._queue < _LONGEST_QUEUE_S * self._per_second:
            return None
        return timedelta(seconds=self._queue / self._per_second)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One call's turn."""
        self._queue += 1
        try:
            async with self._gate:
                if not self._per_second:
                    yield
                    return
                # The gate admits no more than there are turns, so that one is always left.
                free_from = self._free_from.popleft()
                try:
                    if (wait := free_from - self._clock()) > 0:
                        await self._pause(wait)
                    yield
                finally:
                    self._free_from.append(self._clock() + 1.0)
        finally:
            self._queue -= 1
