"""Processes that tests start: whoever waits for one, or reads from it, comes to an end."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from lockstep.embedded import leash

BOUND_S = 120.0
"""Many times what any of them takes, on a slow machine too."""
IN_BACKGROUND = ("sh", "-c", 'trap "" INT TERM; exec "$@"', "sh")
"""In front of a command: it starts as a script's background job does, with signals ignored."""


@contextlib.contextmanager
def child(
    argv: Sequence[str], *, within_s: float = BOUND_S, run_as: int = -1, **options: Any
) -> Iterator[subprocess.Popen[Any]]:
    """A process in a session of its own, which ends with the block, or with us, at the latest.

    A watchdog kills it after ``within_s``: then its pipes end, and with them every `read`,
    `readline` and `wait` that still hopes for something.
    """
    mode = "exec" if sys.platform == "linux" else "watch"
    group = pwd.getpwuid(run_as).pw_gid if run_as >= 0 else -1
    me = [str(number) for number in (os.getpid(), int(signal.SIGKILL), run_as, group)]
    leashed = [sys.executable, "-I", "-S", str(leash.__file__), mode, *me, *argv]
    process = subprocess.Popen(leashed, start_new_session=True, **options)
    watchdog = threading.Timer(within_s, _kill, (process,))
    watchdog.daemon = True
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        _kill(process)
        process.wait(timeout=BOUND_S)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _kill(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it ends in this moment
            os.killpg(process.pid, signal.SIGKILL)
