"""Long pure computations over what the database streams: in a thread, in little memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import TypeVar

from lockstep.evidence.ledger.history import facts_from_document
from lockstep.scorecard.facts import CaseFacts

DEPTH = 4
"""Pages that may wait for the thread."""

Result = TypeVar("Result")


class _EndedError(RuntimeError):
    """The pages ended early: whoever computes must not take what came for everything."""


class _Feed:
    """Hands pages from the event loop to one thread, few at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._free = asyncio.Semaphore(DEPTH)
        self._pages: queue.SimpleQueue[list[str] | _EndedError | None] = queue.SimpleQueue()
        self._is_wanted = True

    async def fill(self, pages: AsyncGenerator[list[str], None]) -> None:
        end: _EndedError | None = _EndedError()
        try:
            async with contextlib.aclosing(pages):
                async for page in pages:
                    await self._free.acquire()
                    if not self._is_wanted:
                        return
                    self._pages.put(page)
            end = None
        finally:
            self._pages.put(end)

    def stop(self) -> None:
        """Nobody reads on: end at the next page, so that the database's stream ends cleanly."""
        self._is_wanted = False
        self._free.release()

    def cases(self) -> Iterator[CaseFacts]:
        """For the thread: blocks until the next page is there."""
        while (page := self._pages.get()) is not None:
            if isinstance(page, _EndedError):
                raise page
            self._loop.call_soon_threadsafe(self._free.release)
            for document in page:
                yield facts_from_document(json.loads(document))


async def over_cases(
    pages: AsyncGenerator[list[str], None], compute: Callable[[Iterator[CaseFacts]], Result]
) -> Result:
    """Run ``compute`` in a thread over the cases of ``pages``, which the event loop reads.

    Raises:
        Exception: whatever reading or computing raises; reading first, as it is the cause.
    """
    feed = _Feed()
    filling = asyncio.create_task(feed.fill(pages))
    computing = asyncio.create_task(asyncio.to_thread(compute, feed.cases()))
    try:
        await asyncio.wait({filling, computing}, return_when=asyncio.FIRST_COMPLETED)
        if computing.done():
            feed.stop()
        await filling
        return await computing
    finally:  # when cancelled: the thread ends, because the pages end early
        filling.cancel()
        await asyncio.gather(filling, computing, return_exceptions=True)
