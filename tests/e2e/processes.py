"""Processes of the tests: bounded in time, output in files, none outlives the test run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import psutil

from lockstep.embedded import leash

ROOT = Path(__file__).parents[2]
POLL_S = 0.05
PATIENCE_S = 120
"""How long to wait for what takes seconds: machines are slow at times, and that is no fault."""
Value = TypeVar("Value")


async def eventually(
    ask: Callable[[], Awaitable[Value | None]],
    *,
    what: str,
    within_s: float = PATIENCE_S,
    poll_s: float = POLL_S,
) -> Value:
    """Ask until the answer is truthy and return it; fail the test after ``within_s``."""
    deadline = time.monotonic() + within_s
    while True:
        found = await ask()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        await asyncio.sleep(poll_s)


def spawn(
    argv: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process that the kernel ends with us, however we end; output goes to ``log``."""
    mode = "exec" if sys.platform == "linux" else "watch"
    me = (str(os.getpid()), str(int(signal.SIGKILL)), "-1", "-1")
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(leash.__file__), mode, *me, *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )


def family(pid: int) -> list[psutil.Process]:
    """The process and everything below it."""
    try:
        head = psutil.Process(pid)
        return [head, *head.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def command_lines(pid: int) -> list[list[str]]:
    """The command lines of the process and everything below it."""
    found = []
    for process in family(pid):
        with contextlib.suppress(psutil.NoSuchProcess):  # a database session that has ended
            found.append(process.cmdline())
    return found


def alive(processes: Sequence[psutil.Process]) -> list[str]:
    """Those still running, for an assertion to show."""
    found = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid} {process.name()}")
        except psutil.NoSuchProcess:
            continue
    return found


async def ended(process: subprocess.Popen[bytes], *, within_s: float = PATIENCE_S) -> int:
    """Wait for the exit; fail the test when it does not come."""

    async def exited() -> bool:
        return process.poll() is not None

    await eventually(exited, within_s=within_s, what=f"the exit of process {process.pid}")
    return process.wait(timeout=within_s)


async def put_down(process: subprocess.Popen[bytes], *, grace_s: float = 25) -> None:
    """Ask a process to end, and make sure that it and all below it have; for clean-up."""
    below = family(process.pid)
    if process.poll() is None:
        process.terminate()
    try:
        await ended(process, within_s=grace_s)
    except AssertionError:
        for each in below:
            if each.is_running():
                each.kill()
        process.wait(timeout=PATIENCE_S)

    async def gone() -> bool:
        return not alive(below)

    await eventually(gone, what="the end of every process below")
