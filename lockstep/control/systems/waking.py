"""Wakes whom a system's trouble held up, as soon as it is over and one after the other.

Each revocation is woken once for each time that the trouble ended: where the cause is not gone
after all, it waits as before. Nothing is kept in the process: whoever dies is taken over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client

from lockstep.contracts.payloads import Decision
from lockstep.control.cases.desk import send_decision
from lockstep.control.refusals import RefusedError, UnansweredError
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.systems.waking import PER_MINUTE
from lockstep.storage.systems.outages import Outages
from lockstep.storage.systems.waking import Waking, Wakings, WakingState

log = structlog.get_logger("lockstep.waking")

TICK = timedelta(seconds=1)
_LOOK = timedelta(seconds=5)
"""How soon a success wakes others, and that many are held up is an alarm."""
_FIRST_LOOK_BACK = timedelta(days=1)
_MOST_UNDER_WAY = 100
ACTOR = "lockstep"


class Waker:
    """A loop of a worker. ``per_minute``: wakings by system, over all processes."""

    def __init__(
        self,
        client: Client,
        wakings: Wakings,
        outages: Outages,
        *,
        per_minute: Mapping[str, int] | None = None,
        tick: timedelta = TICK,
    ) -> None:
        self._client = client
        self._wakings = wakings
        self._outages = outages
        self._per_minute = dict(per_minute or {})
        self._tick = tick
        self._looked_at = datetime.now(UTC) - _FIRST_LOOK_BACK
        self._under_way: set[asyncio.Task[WakingState]] = set()

    async def run(self) -> None:
        """Wake until cancelled; outages of Temporal and database end by themselves."""
        try:
            await asyncio.gather(self._again(self.look, _LOOK), self._again(self._go, self._tick))
        finally:
            for task in self._under_way:
                task.cancel()

    async def look(self) -> None:
        """See whether something has succeeded again, and which systems hold up many."""
        now = datetime.now(UTC)
        woken = await self._wakings.after_successes(self._looked_at)
        self._looked_at = now
        if woken:
            log.info("success_wakes", count=woken)
        for system in await self._outages.keep():
            log.error("system_holds_up_many", system=system)

    async def step(self) -> int:
        """Wake whose turn it is in each system; return how many cases have taken it."""
        states = await asyncio.gather(*(self._wake(waking) for waking in await self._due()))
        return states.count(WakingState.WOKEN)

    async def _go(self) -> None:
        """The same without waiting for answers: a case that is silent holds up no other."""
        if len(self._under_way) >= _MOST_UNDER_WAY:
            return
        for waking in await self._due():
            task = asyncio.create_task(self._wake(waking))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _due(self) -> list[Waking]:
        now = datetime.now(UTC)
        due: list[Waking] = []
        for system in await self._wakings.systems():
            pace = self._per_minute.get(system, PER_MINUTE)
            due += await self._wakings.take(system, now, per_minute=pace, tick=self._tick)
        return due

    async def _wake(self, waking: Waking) -> WakingState:
        state = await self._send(waking)
        if state is not WakingState.WAITS:
            try:
                await self._wakings.done(waking, datetime.now(UTC), state)
            except (SQLAlchemyError, OSError) as error:  # it is sent again, and counts once
                log.warning("waking_waits", error=type(error).__name__)
        return state

    async def _send(self, waking: Waking) -> WakingState:
        """Tell the case; without an answer the same is sent again later, and counts once."""
        where = {"case_id": waking.case_id, "system": waking.system}
        decision = Decision(
            decision_id=waking.waking_id,
            kind=DecisionKind.RETRY,
            system=waking.system,
            actor=ACTOR,
            reason=waking.recovery.words,
            recovery=waking.recovery.value,
        )
        try:
            await send_decision(self._client, waking.case_id, decision)
        except UnansweredError:
            log.warning("waking_unanswered", **where)
            return WakingState.WAITS
        except RefusedError:  # settled, decided about, or over: nobody has to be woken
            return WakingState.LEFT
        log.info("revocation_woken", why=waking.recovery.value, **where)
        return WakingState.WOKEN

    async def _again(self, do: Callable[[], Awaitable[object]], every: timedelta) -> None:
        while True:
            try:
                await do()
            except (SQLAlchemyError, OSError) as error:
                log.warning("waking_waits", error=type(error).__name__)
            await asyncio.sleep(every.total_seconds())
