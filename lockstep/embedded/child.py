"""One child process: what to run, and its life from spawn to exit."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lockstep.embedded import logfile
from lockstep.embedded.errors import EmbeddedError
from lockstep.embedded.ports import require_own_listener

_LEASH = Path(__file__).with_name("leash.py")
_LEASH_MODE = "exec" if sys.platform == "linux" else "watch"
_ABORT_S = 5.0


@dataclass(frozen=True, slots=True)
class OsUser:
    """A user of the operating system that a child runs as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to run one child.

    Attributes:
        name: short name for messages, `run.json` and people.
        argv: the program and its arguments; no shell.
        log_path: file that receives stdout and stderr.
        ready: returns once the child answers; it may take its time, the supervisor bounds it.
        ready_timeout_s: seconds a start may take, including its repetitions.
        prepare: runs in a thread before every start; an EmbeddedError counts as a failed start.
        env: the complete environment, or None for the supervisor's own.
        cwd: working folder, or None for the supervisor's own.
        run_as: asked after `prepare` for the user to run as, which only root can change; None
            for the supervisor's own.
        umask: rights that files of its making lack; None for the supervisor's own.
        ports: TCP ports by use, for `run.json`.
        owns: ports on which it and no other program must listen once it is ready.
        restart: start again after an exit that nobody asked for.
        stop_signal: asks the child to finish.
        stop_grace_s: seconds it may take to do so.
        abort_signal: ends it at once; sent after the grace, and when the supervisor dies.
    """

    name: str
    argv: tuple[str, ...]
    log_path: Path
    ready: Callable[[], Awaitable[None]]
    ready_timeout_s: float = 30.0
    prepare: Callable[[], None] | None = None
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    run_as: Callable[[], OsUser | None] | None = None
    umask: int | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    owns: tuple[int, ...] = ()
    restart: bool = True
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 10.0
    abort_signal: signal.Signals = signal.SIGKILL


class Child:
    """A child under way. It knows nothing of restarts; `Supervisor` decides those."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.ready = False
        self.restarts = 0
        self._process: Process | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """The pid while the child is alive, else None."""
        if self._process is None or self._process.returncode is not None:
            return None
        return self._process.pid

    async def spawn(self) -> None:
        """Start the process in a session of its own, so that Ctrl-C reaches the supervisor only.

        Raises:
            EmbeddedError: the operating system could not start it.
        """
        spec = self.spec
        user = spec.run_as() if spec.run_as else None
        leash = (
            *(sys.executable, "-I", "-S", str(_LEASH), _LEASH_MODE),
            *(str(os.getpid()), str(int(spec.abort_signal))),
            *((str(user.uid), str(user.gid)) if user else ("-1", "-1")),
        )
        self.ready = False
        self._log_start = logfile.size(spec.log_path)
        log = -1
        try:
            log = logfile.open_for_append(spec.log_path)
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            with contextlib.suppress(OSError):  # a full disk
                os.write(log, f"--- {now} {spec.name}: start ---\n".encode())
            self._process = await asyncio.create_subprocess_exec(
                *leash,
                *spec.argv,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                env=spec.env,
                cwd=spec.cwd,
                start_new_session=True,
                umask=-1 if spec.umask is None else spec.umask,
            )
        except OSError as error:
            raise EmbeddedError(f"{spec.name} could not be started: {error}.") from error
        finally:
            if log >= 0:
                os.close(log)

    async def wait(self) -> int:
        """The exit code once the process has ended; negative is the signal that ended it."""
        if self._process is None:
            raise RuntimeError(f"{self.spec.name} was never spawned")
        return await self._process.wait()

    async def launch(self, timeout_s: float) -> None:
        """Spawn the child and return when it is ready.

        Raises:
            EmbeddedError: it could not be prepared or spawned, ended, or was not ready in time;
                the message holds the end of its log. The process may still be alive.
        """
        if self.spec.prepare is not None:
            try:
                await asyncio.to_thread(self.spec.prepare)
            except OSError as error:
                raise EmbeddedError(f"{self.spec.name} could not be prepared: {error}.") from error
        await self.spawn()
        ready = asyncio.ensure_future(self.spec.ready())
        exited = asyncio.ensure_future(self.wait())
        try:
            await asyncio.wait(
                (ready, exited), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            if exited.done():
                raise self._failure(f"ended with {exit_text(exited.result())} before it was ready")
            if not ready.done():
                raise self._failure(f"was not ready within {timeout_s:.0f} s")
            problem = ready.exception()
            if problem is not None:
                raise self._failure(f"failed its ready check: {problem}") from problem
            await self._check_ports()
        finally:
            for waiting in (ready, exited):
                waiting.cancel()
            await asyncio.gather(ready, exited, return_exceptions=True)
        self.ready = True

    async def _check_ports(self) -> None:
        """That its ports answer is no proof that it is the one that answers."""
        pid = self.pid
        if pid is None:
            raise self._failure("ended while it became ready")
        for port in self.spec.owns:
            try:
                await asyncio.to_thread(require_own_listener, port, pid)
            except EmbeddedError as error:
                raise self._failure(f"is not ready: {error}") from error

    async def stop(self, *, hurry: asyncio.Event | None = None) -> bool:
        """Ask the child to finish, and end it after its grace or as soon as `hurry` is set.

        Returns:
            True where it finished by itself, False where it had to be ended.
        """
        self.ready = False
        self._send(self.spec.stop_signal)
        if await self._ended_within(self.spec.stop_grace_s, hurry):
            return True
        await self.abort()
        return False

    async def abort(self) -> None:
        """End the child at once."""
        self.ready = False
        self._send(self.spec.abort_signal)
        if not await self._ended_within(_ABORT_S, None) and (pid := self.pid):
            with contextlib.suppress(ProcessLookupError):  # it ended in this moment
                os.killpg(pid, signal.SIGKILL)
            await self.wait()

    def _send(self, number: signal.Signals) -> None:
        if self._process is None or self.pid is None:
            return
        with contextlib.suppress(ProcessLookupError):  # it ended in this moment
            self._process.send_signal(number)

    async def _ended_within(self, timeout_s: float, hurry: asyncio.Event | None) -> bool:
        if self.pid is None:
            return True
        waits = [asyncio.ensure_future(self.wait())]
        if hurry is not None:
            waits.append(asyncio.ensure_future(_is_set(hurry)))
        try:
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in waits:
                waiting.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        return self.pid is None

    def _failure(self, what: str) -> EmbeddedError:
        path = self.spec.log_path
        end = logfile.tail(path, since_byte=self._log_start)
        return EmbeddedError(f"{self.spec.name} {what}. The end of its log ({path}):\n{end}")


async def _is_set(event: asyncio.Event) -> int:
    await event.wait()
    return 0


def exit_text(code: int) -> str:
    """An exit code for people: `exit code 1`, `signal SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
