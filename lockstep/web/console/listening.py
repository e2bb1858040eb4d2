"""Who listens to the ledger: one look per second for all open pages of a process."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import SQLAlchemyError

from lockstep.domain.rights import Scope
from lockstep.storage.board.live import Changes, LedgerTail

log = structlog.get_logger("lockstep.web")

MOST = 500
MOST_OF_USER = 6
LOOK_S = 1.0
SPACING_S = 2.0
"""Between two signs to one page: on a lay-off day something changes all the time."""
CHECK_S = 5.0
"""How often a session is looked at again; each look is followed by a heartbeat. The page's script
calls three that are missing in a row a silence."""
_PATIENCE = 3
"""Looks that may fail before streams end, so that pages say that they are not live."""


@dataclass(eq=False, slots=True)
class Listener:
    """One open page. ``case_id``: the only case it is about; "" is every case in scope."""

    user_id: str
    scope: Scope
    cases: bool
    systems: bool
    case_id: str = ""
    pending: set[str] = field(default_factory=set)
    told_at: float = 0.0
    has_ended: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self) -> None:
        """Let the stream end at once."""
        self.has_ended = True
        self.wake.set()


class Live:
    """One look at the ledger per second for all pages of this process; none while nobody looks."""

    def __init__(self, tail: Callable[[], LedgerTail]) -> None:
        self._new_tail = tail
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()

    @contextlib.asynccontextmanager
    async def listening(
        self, listener: Listener, is_stopping: Callable[[], bool]
    ) -> AsyncIterator[None]:
        """Tell ``listener`` what changes, as long as the context lasts."""
        self._listeners.add(listener)
        try:
            if self._task is None or self._task.done():
                self._begun.clear()
                self._task = asyncio.create_task(self._follow(is_stopping))
            await self._begun.wait()  # what a page asks for from now on is not older than the tail
            yield
        finally:
            self._listeners.discard(listener)

    def has_room(self, user_id: str) -> bool:
        """Whether one more page of this user may listen."""
        of_users = Counter(listener.user_id for listener in self._listeners)
        return len(self._listeners) < MOST and of_users[user_id] < MOST_OF_USER

    async def _follow(self, is_stopping: Callable[[], bool]) -> None:
        tail = self._new_tail()
        failures = 0
        try:
            while self._listeners and not is_stopping() and failures < _PATIENCE:
                try:
                    await self._sort(tail, await tail.look())
                    failures = 0
                except (SQLAlchemyError, OSError):
                    failures += 1
                    log.warning("live_look_failed", attempt=failures)
                self._begun.set()
                self._tell()
                await asyncio.sleep(LOOK_S)
        finally:
            self._begun.set()
            for listener in self._listeners:
                listener.end()

    async def _sort(self, tail: LedgerTail, changes: Changes) -> None:
        """Note for each listener what it may know of; one question for all with the same scope."""
        if not changes:
            return
        answers: dict[tuple[Scope, str], bool] = {}
        for listener in list(self._listeners):
            if changes.systems and listener.systems:
                listener.pending.add("systems")
            if not listener.cases or "changed" in listener.pending:
                continue
            key = (listener.scope, listener.case_id)
            if key not in answers:
                about = changes.case_ids
                if listener.case_id:
                    about = about & {listener.case_id}
                answers[key] = bool(about) and await tail.any_visible(about, listener.scope)
            if answers[key]:
                listener.pending.add("changed")

    def _tell(self) -> None:
        now = time.monotonic()
        for listener in self._listeners:
            if listener.pending and now - listener.told_at >= SPACING_S:
                listener.told_at = now
                listener.wake.set()


async def stream(listener: Listener, stands: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
    """Server-sent events until the session, the process or the page ends."""
    yield b"retry: 3000\n\n: live\n\n"
    checked = time.monotonic()
    while not listener.has_ended:
        left = checked + CHECK_S - time.monotonic()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(listener.wake.wait(), max(0.0, left))
        listener.wake.clear()
        if time.monotonic() - checked >= CHECK_S:
            checked = time.monotonic()
            if not await stands():
                yield b"event: ended\ndata: session\n\n"
                return
            yield b"event: alive\ndata: 1\n\n"
        names, listener.pending = sorted(listener.pending), set()
        for name in names:
            yield f"event: {name}\ndata: 1\n\n".encode()
