"""Keeps an ordered set of child processes running, and leaves none behind.

Two guards work together. While the supervisor lives it stops its children in reverse order; if it
is killed, the kernel (Linux) or the leash between it and the child (macOS) ends them: see `leash`.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lockstep.embedded import logfile, runstate
from lockstep.embedded.child import Child, ChildSpec, exit_text
from lockstep.embedded.errors import EmbeddedError
from lockstep.embedded.events import Event, EventKind

_START_ATTEMPTS = 3
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOG_CHECK_S = 1.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds to wait before starting a dead child again: doubling from first to most.

    A child that has been ready for `stable_s` begins again at `first_s`.
    """

    first_s: float = 0.2
    most_s: float = 10.0
    stable_s: float = 30.0

    def delays(self) -> Iterator[float]:
        """The waits, without end."""
        delay = self.first_s
        while True:
            yield delay
            delay = min(delay * 2, self.most_s)


class Supervisor:
    """Runs children in a home folder; one supervisor per folder.

        async with Supervisor(home, on_event=print) as supervisor:
            await supervisor.start(database)
            await supervisor.start(worker)
            await supervisor.wait()

    Use it in the main thread: on Linux children die with the thread that started them.
    Leaving the block stops the children in reverse order. SIGINT, SIGTERM and SIGHUP end `wait`;
    a second one cuts the children's grace short.

    Args:
        home: folder for `run.json` and the lock; created where it does not exist.
        on_event: called with each `Event`, in the event loop; must not block or raise.
        stop_signals: signals that ask us to stop. Empty where the caller owns signals, which it
            must outside the main thread.
        backoff: waits between restarts.
        max_log_bytes: size at which a child's log is rotated; one older part is kept.
    """

    def __init__(
        self,
        home: Path,
        *,
        on_event: Callable[[Event], None] | None = None,
        stop_signals: tuple[signal.Signals, ...] = _STOP_SIGNALS,
        backoff: Backoff | None = None,
        max_log_bytes: int = logfile.MAX_LOG_BYTES,
    ) -> None:
        self._home = home
        self._emit = on_event or _ignore
        self._stop_signals = stop_signals
        self._backoff = backoff or Backoff()
        self._max_log_bytes = max_log_bytes
        self._lock = runstate.HomeLock(home)
        self._started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._children: list[Child] = []
        self._guards: list[asyncio.Task[None]] = []
        self._stop_asked = asyncio.Event()
        self._hurry = asyncio.Event()
        self._failure: BaseException | None = None

    @property
    def stop_requested(self) -> bool:
        """True once a signal or `request_stop` has asked for the end."""
        return self._stop_asked.is_set()

    async def __aenter__(self) -> Self:
        """Take the home folder; EmbeddedError where another supervisor has it."""
        previous = self._lock.acquire()
        if previous is not None:
            text = f"The last run (process {previous}) ended without stopping; recovering"
            self._emit(Event(EventKind.RECOVERED, "supervisor", detail=text))
        self._record()
        loop = asyncio.get_running_loop()
        for number in self._stop_signals:
            # nohup stays nohup; an ignored SIGINT only says that a script started us behind itself.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self.request_stop)
        self._guards.append(asyncio.create_task(self._rotate_logs()))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop everything, then give the home folder back."""
        try:
            await self._stop_all()
        finally:
            loop = asyncio.get_running_loop()
            for number in self._stop_signals:
                loop.remove_signal_handler(number)
            (self._home / runstate.STATE_NAME).unlink(missing_ok=True)
            self._lock.release()

    def request_stop(self) -> None:
        """Ask for the end; asked twice, children get no more grace."""
        if self._stop_asked.is_set():
            self._hurry.set()
        self._stop_asked.set()

    async def start(self, spec: ChildSpec) -> None:
        """Start one more child, and keep it running once it has been ready.

        A first start that fails is tried again twice within `ready_timeout_s`, because what a
        killed run left behind may need a moment to end.

        Raises:
            EmbeddedError: it never became ready (with the end of its log), or a stop was
                requested meanwhile (`stop_requested` is then true).
        """
        child = Child(spec)
        self._children.append(child)
        self._emit(Event(EventKind.STARTING, spec.name))
        began = time.monotonic()
        await self._unless_stopped(self._first_start(child), what=f"{spec.name} was starting")
        self._emit(Event(EventKind.READY, spec.name, time.monotonic() - began))
        guard = asyncio.create_task(self._guard(child), name=f"guard {spec.name}")
        guard.add_done_callback(self._guard_ended)
        self._guards.append(guard)

    async def wait(self) -> None:
        """Return when a stop is requested.

        Raises:
            EmbeddedError: a child with `restart=False` failed.
        """
        await self._stop_asked.wait()
        if self._failure is not None:
            raise self._failure

    async def _first_start(self, child: Child) -> None:
        deadline = time.monotonic() + child.spec.ready_timeout_s
        for attempt, delay in enumerate(self._backoff.delays(), start=1):
            try:
                await child.launch(max(deadline - time.monotonic(), 0.1))
            except EmbeddedError as error:
                await child.abort()
                if attempt == _START_ATTEMPTS or time.monotonic() + delay >= deadline:
                    raise
                self._emit(Event(EventKind.START_FAILED, child.spec.name, delay, str(error)))
                await asyncio.sleep(delay)
            else:
                self._record()
                return

    async def _guard(self, child: Child) -> None:
        delays = self._backoff.delays()
        while True:
            ready_since = time.monotonic()
            code = await child.wait()
            child.ready = False
            self._record()
            if not child.spec.restart:
                self._finished(child, code)
                return
            if time.monotonic() - ready_since >= self._backoff.stable_s:
                delays = self._backoff.delays()
            delay = next(delays)
            self._emit(Event(EventKind.DIED, child.spec.name, delay, exit_text(code)))
            await self._start_again(child, delay, delays)

    async def _start_again(self, child: Child, delay: float, delays: Iterator[float]) -> None:
        while True:
            await asyncio.sleep(delay)
            began = time.monotonic()
            child.restarts += 1
            try:
                await child.launch(child.spec.ready_timeout_s)
            except EmbeddedError as error:
                await child.abort()
                delay = next(delays)
                self._emit(Event(EventKind.START_FAILED, child.spec.name, delay, str(error)))
            else:
                self._record()
                self._emit(Event(EventKind.READY, child.spec.name, time.monotonic() - began))
                return

    def _finished(self, child: Child, code: int) -> None:
        name, text = child.spec.name, exit_text(code)
        self._emit(Event(EventKind.EXITED, name, detail=text))
        if code != 0:
            end = logfile.tail(child.spec.log_path)
            raise EmbeddedError(
                f"{name} ended with {text}. The end of its log ({child.spec.log_path}):\n{end}"
            )

    def _guard_ended(self, guard: asyncio.Task[None]) -> None:
        if guard.cancelled() or (error := guard.exception()) is None:
            return
        self._failure = self._failure or error
        self._stop_asked.set()

    async def _unless_stopped(self, work: Coroutine[Any, Any, None], *, what: str) -> None:
        task = asyncio.create_task(work)
        stop = asyncio.create_task(self._stop_asked.wait())
        try:
            await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise EmbeddedError(f"Stopped while {what}.")
            task.result()
        finally:
            task.cancel()
            stop.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)

    async def _stop_all(self) -> None:
        self._stop_asked.set()
        for guard in self._guards:
            guard.cancel()
        await asyncio.gather(*self._guards, return_exceptions=True)
        for child in reversed(self._children):
            if child.pid is None:
                continue
            self._emit(Event(EventKind.STOPPING, child.spec.name))
            began = time.monotonic()
            finished = await child.stop(hurry=self._hurry)
            kind = EventKind.STOPPED if finished else EventKind.KILLED
            self._emit(Event(kind, child.spec.name, time.monotonic() - began))
            self._record()

    async def _rotate_logs(self) -> None:
        while True:
            await asyncio.sleep(_LOG_CHECK_S)
            for child in self._children:
                with contextlib.suppress(OSError):  # a full disk: tried again in a second
                    logfile.rotate_if_large(child.spec.log_path, max_bytes=self._max_log_bytes)

    def _record(self) -> None:
        children = tuple(
            runstate.ChildState(
                name=child.spec.name,
                pid=child.pid,
                ready=child.ready,
                restarts=child.restarts,
                ports=dict(child.spec.ports),
            )
            for child in self._children
        )
        state = runstate.RunState(os.getpid(), self._started_at, children)
        with contextlib.suppress(OSError):  # a full disk must not end the supervision
            runstate.write_run_state(self._home, state)


def _ignore(event: Event) -> None:
    """The default for callers who do not listen."""
