"""Many callers, one round trip: whatever waits while a batch is under way forms the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError

Item = TypeVar("Item")
Result = TypeVar("Result")

_BAD_MEMBER = (DataError, IntegrityError, ProgrammingError, TypeError, ValueError)


class Batcher(Generic[Item, Result]):
    """Collects concurrent calls and runs them together; each caller gets its own result.

    Alone, a call runs at once. Under load the batch grows by itself up to ``limit``. A batch that
    is refused because of one member, by the database or on its way there, is run again member by
    member, so that a bad member fails alone.
    """

    def __init__(
        self, run: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], *, limit: int = 64
    ) -> None:
        self._run = run
        self._limit = limit
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Result:
        """Run ``item`` in the next batch; return its result or raise its error."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        return await future

    async def _drain(self) -> None:
        while self._waiting:
            size = min(self._limit, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(size)]
            await self._run_batch([pair for pair in batch if not pair[1].done()])

    async def _run_batch(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        if not batch:
            return
        try:
            results = await self._run([item for item, _ in batch])
        except _BAD_MEMBER as error:
            if len(batch) == 1:
                _fail(batch[0][1], error)
                return
            for pair in batch:
                await self._run_batch([pair])
        except Exception as error:  # noqa: BLE001 - handed to every caller, none is swallowed
            for _, future in batch:
                _fail(future, error)
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
