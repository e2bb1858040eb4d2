"""Answers that take long: computed once for all who ask, kept for a while."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from lockstep.domain.errors import Kind, LockstepError

FRESH = timedelta(seconds=60)
"""How long an answer is good."""
STALE = timedelta(minutes=15)
"""How long an answer is given while a newer one is still being computed."""
SHARE = 10
"""An answer is good for so many times what it cost: a large tenant keeps its processor."""
PATIENCE = timedelta(seconds=20)

MOST_KEPT = 32
MOST_UNDER_WAY = 8

Document = dict[str, Any]


class BusyError(LockstepError, RuntimeError):
    """The answer is still being computed: ask again shortly."""

    kind = Kind.BUSY


@dataclass(frozen=True, slots=True)
class _Answer:
    document: Document
    at: float
    cost: float


class Answers:
    """One computation runs at a time; equal questions share it.

    What takes longer than a caller's patience goes on, and its answer is there for the next one
    who asks.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[object, _Answer] = OrderedDict()
        self._under_way: dict[object, asyncio.Task[Document]] = {}
        self._one = asyncio.Lock()

    def fresh(self, key: object, *, at_most: timedelta | None = None) -> Document | None:
        """The answer, if there is one that is still good; or not older than ``at_most``."""
        answer = self._kept.get(key)
        if answer is None:
            return None
        good_for = max(FRESH.total_seconds(), SHARE * answer.cost)
        if at_most is not None:
            good_for = at_most.total_seconds()
        return answer.document if self._clock() - answer.at < good_for else None

    async def get(
        self,
        key: object,
        compute: Callable[[], Awaitable[Document]],
        *,
        patience: timedelta = PATIENCE,
        at_most: timedelta | None = None,
    ) -> Document:
        """The answer to ``key``, kept or computed; do not change it.

        ``at_most``: how old it may be, for whoever asks for a new one.

        Raises:
            BusyError: if it is still being computed when ``patience`` ends.
            Exception: whatever ``compute`` raises.
        """
        if (fresh := self.fresh(key, at_most=at_most)) is not None:
            return fresh
        task = self._under_way.get(key)
        if task is None:
            if len(self._under_way) >= MOST_UNDER_WAY:
                raise BusyError("too many questions at once: ask again shortly")
            task = asyncio.create_task(self._compute(key, compute))
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        try:
            return await asyncio.wait_for(asyncio.shield(task), patience.total_seconds())
        except TimeoutError:
            old = self._kept.get(key) if at_most is None else None
            if old and self._clock() - old.at < STALE.total_seconds():
                return old.document
            raise BusyError("still being computed: ask again shortly") from None

    async def aclose(self) -> None:
        """End what is under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _compute(self, key: object, compute: Callable[[], Awaitable[Document]]) -> Document:
        async with self._one:
            began = self._clock()
            document = await compute()
            ended = self._clock()
        self._kept[key] = _Answer(document, ended, ended - began)
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return document

    def _ended(self, key: object, task: asyncio.Task[Document]) -> None:
        self._under_way.pop(key, None)
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may be left
