"""Turns for calls to a vendor: ahead of its refusal, the most urgent first.

A `Line` holds who waits in this process and hands out turns that it leases in small blocks: from
the database, where all processes share the vendor's limit, or from a budget of its own. Without a
limit nobody waits and nothing is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Final, Protocol

from lockstep.domain.systems.pace import (
    HORIZON_S,
    Ask,
    Budget,
    Lease,
    LeaseError,
    Limit,
    Told,
    Urgency,
    lease,
)

OLDER: Final = "requests_per_second"
"""An option of a connector that is older than the limit of every system."""
MOST_ASKED: Final = 64
"""Turns that are asked for at once; more would only lapse."""
_AGAIN_S: Final = 1.0
_SHORTEST_S: Final = 0.02
_LEARNT_OVER_S: Final = 10.0
_LEARNT_LEAST: Final = 2.0
_LEARNT_ROOM: Final = 4.0
"""What is learnt from a bare refusal is forgotten once so many times its pace went well."""
_FEW: Final = 10
"""Fewer refusals, or less than a third of the calls, teach no pace where nobody stated a limit."""
_MOST_LAPSED: Final = 3
"""Turns that lapse in a row because they came too late; a busy process would have none at all."""
_NEWS: Final = 20


class NoTurnError(Exception):
    """It was not this call's turn within its bound; the vendor was not asked.

    Args:
        wait: after which it may be.
    """

    def __init__(self, wait: timedelta) -> None:
        super().__init__("not this call's turn in time")
        self.wait = wait


class Pacer(Protocol):
    """Says when a call may be made."""

    def passes(self) -> bool:
        """No limit is known: a call is simply made."""

    def turn(
        self, urgency: Urgency, *, until: float | None = None
    ) -> AbstractAsyncContextManager[None]:
        """One call's turn; ``until`` (of the event loop's clock) bounds the wait.

        Raises:
            NoTurnError: on entering, when the turn does not come in time.
        """

    def heard(self, told: Told, *, age_s: float) -> None:
        """An answer said something of the limit; its call was sent ``age_s`` ago."""

    def wait_s(self, calls: int, urgency: Urgency) -> float:
        """About how long so many calls would wait, one after another."""


class Lessor(Protocol):
    """Gives out a budget in small blocks."""

    async def lease(self, limit: Limit, ask: Ask) -> Lease:
        """Serve one process.

        Raises:
            LeaseError: it cannot be said now.
        """


class OwnBudget:
    """A budget that this process has for itself."""

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()

    async def lease(self, limit: Limit, ask: Ask) -> Lease:
        now = asyncio.get_running_loop().time()
        self.budget, given = lease(self.budget, limit, ask, {}, now)
        return given


class Line:
    """Who waits in this process for a turn at one vendor credential.

    Args:
        limit: what the vendor takes, as settings or manifest say it; None where nobody does. Then
            nothing is paced until an answer states a limit or is a refusal.
        lessor: the budget; this process's own by default.
    """

    def __init__(self, limit: Limit | None = None, lessor: Lessor | None = None) -> None:
        self.limit = limit
        self.last_told: Told | None = None
        self._stated = limit
        self._lessor = lessor
        self._budget: Lessor = lessor or OwnBudget()
        self._waiting: list[tuple[Urgency, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._turns: deque[float] = deque()
        self._calling: list[Urgency] = []
        self._call_s = 0.0
        self._seats: int | None = None
        self._late_s = 0.0
        self._lapsed = 0
        self._spacing = limit.spacing() if limit else 0.0
        self._blocked_until = 0.0
        self._news: list[tuple[float, Told]] = []
        self._sent: deque[float] = deque(maxlen=256)
        self._refusals: deque[float] = deque(maxlen=256)
        self._is_spent = False
        self._wake = asyncio.Event()
        self._feeding: asyncio.Task[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None

    def passes(self) -> bool:
        if self.limit is not None:
            return False
        self._sent.append(asyncio.get_running_loop().time())
        return True

    async def aclose(self) -> None:
        """Stop asking; who waits still is let go by their own bounds."""
        if self._alarm is not None:
            self._alarm.cancel()
        if self._feeding is not None:
            self._feeding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._feeding

    @contextlib.asynccontextmanager
    async def turn(self, urgency: Urgency, *, until: float | None = None) -> AsyncIterator[None]:
        if self.limit is None:
            yield
            return
        await self._enter(urgency, until)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            yield
        finally:
            self._call_s += (loop.time() - began - self._call_s) / 8
            self._calling.remove(urgency)
            self._hand_out()

    def wait_s(self, calls: int, urgency: Urgency) -> float:
        if self.limit is None:
            return 0.0
        now = asyncio.get_running_loop().time()
        sooner = sum(1 for other, _, turn in self._waiting if other < urgency and not turn.done())
        return max(0.0, self._blocked_until - now) + (sooner + calls - 1) * self._spacing

    def heard(self, told: Told, *, age_s: float) -> None:
        now = asyncio.get_running_loop().time()
        self.last_told = told
        if self._stated is None:
            self._learn(told, now)
        if self.limit is None:
            return
        if told.refused or told.left == 0:
            self._stay_away(told, now)
        self._news = [*self._news[-_NEWS:], (now - age_s, told)]
        if told.refused:
            self._feed()

    def _learn(self, told: Told, now: float) -> None:
        """Where nobody stated a limit: what an answer states, or what a refusal lets guess."""
        if told.limit and told.per:
            stated = Limit(told.limit, told.per)
            if self.limit is None or self.limit.per != told.per:
                self.limit, self._budget = stated, self._lessor or OwnBudget()
        elif told.refused and self.limit is None:
            self._refusals.append(now)
            calls = sum(1 for sent in self._sent if sent > now - _LEARNT_OVER_S)
            refused = sum(1 for at in self._refusals if at > now - _LEARNT_OVER_S)
            if refused < _FEW or refused * 3 < calls:
                return  # whoever was refused waits; that is no reason for others to
            pace = max(_LEARNT_LEAST, (calls - refused) / _LEARNT_OVER_S)
            room = round(pace * _LEARNT_ROOM * _LEARNT_OVER_S)
            self.limit = Limit(room, _LEARNT_OVER_S)
            self._budget = OwnBudget(Budget(share=1 / _LEARNT_ROOM))

    def _stay_away(self, told: Told, now: float) -> None:
        """Do not use what was leased before the vendor said that it takes nothing."""
        wait = told.wait_s if told.refused else told.reset_s
        if wait:
            self._blocked_until = max(self._blocked_until, now + min(wait, 3600.0))
            self._turns = deque(turn for turn in self._turns if turn >= self._blocked_until)

    async def _enter(self, urgency: Urgency, until: float | None) -> None:
        loop = asyncio.get_running_loop()
        expected = self.wait_s(1, urgency)
        if until is not None and loop.time() + expected > until:
            raise NoTurnError(_span(expected))
        turn: asyncio.Future[None] = loop.create_future()
        is_first = all(urgency < other for other, _, its in self._waiting if not its.done())
        heapq.heappush(self._waiting, (urgency, next(self._order), turn))
        self._hand_out()
        if not turn.done() and (is_first or not self._is_spent):
            self._feed()
        try:
            async with asyncio.timeout_at(until):
                await turn
        except TimeoutError:
            if not _is_given(turn):
                raise NoTurnError(_span(self.wait_s(1, urgency))) from None
        except asyncio.CancelledError:
            if _is_given(turn):
                self._calling.remove(urgency)
                self._turns.appendleft(loop.time())
                self._hand_out()
            raise

    def _feed(self) -> None:
        """Ask the budget, now or as soon as it has answered."""
        self._wake.set()
        if self._feeding is None or self._feeding.done():
            self._feeding = asyncio.create_task(self._fed())

    async def _fed(self) -> None:
        """Lease while somebody waits; a turn that nobody takes lapses."""
        while self._is_needed() or self._seats:
            self._wake.clear()
            pause = await self._leased()
            self._hand_out()
            if not self._is_needed():
                continue  # seats are given back, for others
            await asyncio.sleep(_SHORTEST_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    def _is_needed(self) -> bool:
        self._waiting = [one for one in self._waiting if not one[2].done()]
        heapq.heapify(self._waiting)
        return bool(self._waiting or self._news or (self._seats and self._calling))

    async def _leased(self) -> float:
        """Lease once; return when to ask again."""
        loop, limit = asyncio.get_running_loop(), self.limit
        asked_at = loop.time()
        if limit is None:
            self._turns.extend([asked_at] * len(self._waiting))
            return _SHORTEST_S
        news, self._news = self._news, []
        late, self._late_s = self._late_s, 0.0
        told = tuple((asked_at - sent_at, one) for sent_at, one in news)
        soon = tuple(sorted(self._calling)[:MOST_ASKED]) if self._call_s < HORIZON_S else ()
        ask = Ask(self._unserved(), len(self._calling), soon, late, told)
        try:
            given = await self._budget.lease(limit, ask)
        except LeaseError:
            self._news = [*news, *self._news]
            if self._seats is not None:
                self._seats = len(self._calling)  # nothing new until it can be said
            return _AGAIN_S
        began = (asked_at + loop.time()) / 2
        self._blocked_until = max(self._blocked_until, began + given.blocked_s)
        turns = (began + at for at in given.turns)
        self._turns.extend(turn for turn in turns if turn >= self._blocked_until)
        self._seats, self._spacing = given.seats, given.spacing
        self._is_spent = len(given.turns) < len(ask.waiting)
        self._forget(limit)
        return given.again_s if ask.waiting else _AGAIN_S

    def _forget(self, limit: Limit) -> None:
        """A limit that was only guessed, and has passed well, is none."""
        guessed = self._stated is None and isinstance(self._budget, OwnBudget)
        if guessed and limit.per == _LEARNT_OVER_S and self._spacing <= limit.spacing():
            self.limit, self._spacing = None, 0.0
            self._turns.extend([asyncio.get_running_loop().time()] * len(self._waiting))

    def _unserved(self) -> tuple[Urgency, ...]:
        """Who waits and has no turn in hand yet."""
        live = sorted(urgency for urgency, _, turn in self._waiting if not turn.done())
        return tuple(live[len(self._turns) :][:MOST_ASKED])

    def _hand_out(self) -> None:
        """Give each turn that has come to the most urgent who waits; wake up for the next."""
        loop = asyncio.get_running_loop()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self.limit and not self.limit.calls and self._seats:
            while self._let_in():  # a seat is all that is needed
                pass
        margin = self.limit.margin if self.limit else _AGAIN_S
        while self._turns and (late := loop.time() - self._turns[0]) >= 0:
            is_late = late > margin
            if is_late and (self._lapsed < _MOST_LAPSED or not self._waiting):
                self._turns.popleft()
                self._lapsed += bool(self._waiting)
                continue
            if not self._let_in():
                return  # kept a little, for whoever comes or leaves next
            self._turns.popleft()
            self._late_s += late if is_late else 0.0
            self._lapsed = 0
        if self._turns:
            self._alarm = loop.call_at(self._turns[0], self._hand_out)

    def _let_in(self) -> bool:
        """Let the most urgent call; False where nobody waits, or no seat is free."""
        while self._waiting and self._waiting[0][2].done():
            heapq.heappop(self._waiting)
        if not self._waiting or (self._seats is not None and len(self._calling) >= self._seats):
            return False
        urgency, _, turn = heapq.heappop(self._waiting)
        self._calling.append(urgency)
        turn.set_result(None)
        return True


def limit_of(documented: Limit | None, settings: Mapping[str, object]) -> Limit | None:
    """The limit that settings name in the older way, else the documented one.

    Raises:
        ValueError: naming the option.
    """
    given = settings.get(OLDER)
    if given is None:
        return documented
    text = str(given).strip()
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{OLDER}: a whole number, 0 or more")
    return Limit(int(text)) if int(text) else None


class _Open:
    """No pace: for a vendor without a limit, and where nobody built a line."""

    def passes(self) -> bool:
        return True

    @contextlib.asynccontextmanager
    async def turn(self, urgency: Urgency, *, until: float | None = None) -> AsyncIterator[None]:
        del urgency, until
        yield

    def heard(self, told: Told, *, age_s: float) -> None:
        """Nothing follows from it."""

    def wait_s(self, calls: int, urgency: Urgency) -> float:
        del calls, urgency
        return 0.0


OPEN: Final[Pacer] = _Open()


def _is_given(turn: asyncio.Future[None]) -> bool:
    return turn.done() and not turn.cancelled()


def _span(seconds: float) -> timedelta:
    return timedelta(seconds=round(max(seconds, 1.0), 3))
