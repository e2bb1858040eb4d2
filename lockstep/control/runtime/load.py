"""Whether this process has more to do than it can: then only what is urgent is taken on."""

from __future__ import annotations

import asyncio
from collections import deque

SAMPLE_S = 0.02
BEHIND_S = 0.04
"""An event loop that wakes so late has a queue of its own, which knows no priorities."""
_SAMPLES = 5


class LoopLag:
    """How late the event loop wakes: the sum of everything that waits for it.

    Cases that wait for slow vendors cost no lag, so any number of them may be under way; cases that
    compete for the processor do, so few of them are, and the rest waits where priority counts.
    """

    def __init__(self) -> None:
        self._late: deque[float] = deque(maxlen=_SAMPLES)

    @property
    def is_behind(self) -> bool:
        """Whether the loop was late in most of the last moments."""
        return sorted(self._late)[len(self._late) // 2] > BEHIND_S if self._late else False

    async def measure(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + SAMPLE_S
            await asyncio.sleep(SAMPLE_S)
            self._late.append(loop.time() - due)
