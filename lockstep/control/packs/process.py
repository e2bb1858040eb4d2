"""A process of its own for each ordered pack, so that it takes no time from revocations.

The process holds the reading end of a pipe and nobody but the worker the writing end: when the
worker closes it, or dies in whatever way, the system closes it, and the process ends. So none is
ever left behind, on any platform, and no signal has to reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

GRACE = timedelta(seconds=3)
"""How long a maker may clear away after itself when it is told to stop."""
TRY_LATER = 75
"""Exit code of a maker that the database failed (EX_TEMPFAIL of sysexits.h)."""

_NICER = 10
_OOM_SCORE = 500
"""Of 1000: where memory runs out, the maker goes and not the worker."""


class MakerDiedError(RuntimeError):
    """The process that made a pack ended without a word; the text says how."""


class MakerWaitsError(RuntimeError):
    """The process that made a pack could not use the database; it may be tried again."""


class MakerProcess:
    """Runs ``command`` with the export's id as its last argument, and ends it when cancelled.

    Args:
        command: a program that calls `live_beside_worker` and makes the pack. Settings and secrets
            reach it as they reach the worker: by file and by environment.
        env: its environment; None is our own.
    """

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        self._command = tuple(command)
        self._env = env

    async def make(self, export_id: str) -> None:
        """Return once the process has put the export's end on record.

        Raises:
            MakerDiedError: if it ended in another way.
            MakerWaitsError: if it could not reach the database.
            OSError: if it could not be started.
        """
        process = await asyncio.create_subprocess_exec(
            *self._command,
            export_id,
            stdin=PIPE,
            env=self._env,
            start_new_session=True,  # Ctrl-C is for the worker alone
        )
        try:
            code = await process.wait()
        finally:
            await _ended(process)
        if code == TRY_LATER:
            raise MakerWaitsError("the database failed")
        if code != 0:
            raise MakerDiedError(_how(code))


async def _ended(process: Process) -> None:
    """Tell it to stop, and end it if it does not; at once where it has ended already."""
    if process.stdin is not None:
        process.stdin.close()
    if process.returncode is not None:
        return
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), GRACE.total_seconds())
        return
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def live_beside_worker(stop: Callable[[], None]) -> None:
    """Yield to the worker, and end with it; called first thing in the process.

    Args:
        stop: called in a thread of its own once the worker does not want the pack any more. Who is
            still there after `GRACE` is ended.
    """
    with contextlib.suppress(OSError):
        os.nice(_NICER)
    with contextlib.suppress(OSError):  # Linux only
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE))
    threading.Thread(target=_wait_for_end, args=(stop,), daemon=True, name="leash").start()


def _wait_for_end(stop: Callable[[], None]) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 512):
            pass
    stop()
    threading.Event().wait(GRACE.total_seconds())
    os._exit(1)
