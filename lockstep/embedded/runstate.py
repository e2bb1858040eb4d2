"""What runs in a home folder: a lock against a second supervisor, and `run.json` for readers."""

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lockstep.embedded.errors import EmbeddedError
from lockstep.embedded.placement import make_folder

LOCK_NAME = "lockstep.lock"
STATE_NAME = "run.json"


@dataclass(frozen=True, slots=True)
class ChildState:
    """One child as `run.json` shows it; `pid` is None while it is between two lives."""

    name: str
    pid: int | None
    ready: bool
    restarts: int
    ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunState:
    """The supervisor of a home folder and its children, in start order."""

    supervisor_pid: int
    started_at: str
    children: tuple[ChildState, ...] = ()

    def child(self, name: str) -> ChildState:
        """The child called `name`; KeyError where there is none."""
        for child in self.children:
            if child.name == name:
                return child
        raise KeyError(name)


def write_run_state(home: Path, state: RunState) -> None:
    """Replace `run.json` in one step, so that a reader never sees half of it."""
    partial = home / (STATE_NAME + ".partial")
    partial.write_text(json.dumps(asdict(state), indent=2) + "\n", encoding="utf-8")
    partial.replace(home / STATE_NAME)


def read_run_state(home: Path) -> RunState | None:
    """What `run.json` says, or None where there is none, or one that was not written to its end.

    The file stays behind after a kill -9; `running_pid` tells whether it is still true. Nothing
    rests on it, and the next start writes it anew.
    """
    path = home / STATE_NAME
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        children = tuple(ChildState(**child) for child in raw.pop("children"))
        return RunState(**raw, children=children)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None


def running_pid(home: Path) -> int | None:
    """The pid of the supervisor that holds this home folder's lock now, or None."""
    try:
        descriptor = os.open(home / LOCK_NAME, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid_in(descriptor)
    finally:
        os.close(descriptor)
    return None


class HomeLock:
    """The right to run in a home folder.

    The lock is the kernel's (`flock`), so it ends with its process however that ends. The pid
    inside is for people, and tells the next holder that the last one did not clean up.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._descriptor: int | None = None

    def acquire(self) -> int | None:
        """Take the lock.

        Returns:
            The pid of a previous holder that ended without releasing, or None.

        Raises:
            EmbeddedError: another process holds it, or the folder cannot be written.
        """
        path = self._home / LOCK_NAME
        try:
            make_folder(self._home)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise EmbeddedError(
                f"The home folder {self._home} cannot be used: {error.strerror}. "
                "Choose a folder that this user may write."
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _pid_in(descriptor)
            os.close(descriptor)
            who = f"process {holder}" if holder else "another process"
            raise EmbeddedError(
                f"Lockstep is already running in {self._home} ({who}). "
                f"Stop it first, or use another home folder."
            ) from error
        previous = _pid_in(descriptor)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return previous

    def release(self) -> None:
        """Give the lock back. The file stays: removing it would let two holders each own one."""
        if self._descriptor is None:
            return
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
        self._descriptor = None


def _pid_in(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).decode("ascii", errors="replace").strip()
    return int(text) if text.isdigit() else None
