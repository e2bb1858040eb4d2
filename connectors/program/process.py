"""One run of an operator's program: bounded in time and size, alone with what it is given.

It has no environment, no arguments and no file of ours but its three pipes. Whatever it started
ends with it: the whole process group is killed at the end, however that came.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MOST_LINE: Final = 256 * 1024
MOST_TOTAL: Final = 4 * 1024 * 1024
MOST_WORDS: Final = 8 * 1024
"""What is kept of its standard error."""
_GRACE_S: Final = 1.0


class Trouble(Exception):  # noqa: N818 - as faults are named
    """Why a run gave no answer; ``code`` is ours."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class NotStarted(Trouble):
    """It could not be started, so that nothing was done."""


class Silent(Trouble):
    """It did not end in time: what it has done is not known."""


class Garbled(Trouble):
    """It said what may not be said."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended.

    Args:
        status: of its exit.
        words: the beginning of its standard error.
    """

    status: int
    words: bytes


def unsafe(program: Path) -> str:
    """Why a program may not be started; "" where it may.

    Whoever can write it, or a folder above it, could put another in its place, and would be given
    the system's credentials.
    """
    if not program.is_absolute():
        return "give the whole path, from / on"
    try:
        real = Path(os.path.realpath(program, strict=True))
        mode = real.stat().st_mode
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not stat.S_ISREG(mode) or not os.access(real, os.X_OK):
        return "is no file that may be executed (chmod +x)"
    for one in dict.fromkeys([real, *real.parents, *program.parents]):
        found = one.stat()
        is_sticky = one != real and bool(found.st_mode & stat.S_ISVTX)
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not is_sticky:
            return f"others may write {one}: take that away (chmod go-w)"
        if found.st_uid not in {0, os.geteuid()}:
            return f"{one} belongs to another user than ours or root"
    return ""


async def run(
    program: Path, line: bytes, heard: Callable[[bytes], None], *, within: float
) -> Ended:
    """Give ``line`` to a fresh process; hand on each line that it says.

    Args:
        program: checked by `unsafe`.
        line: the request, with its line end.
        heard: is called with each line, without its end; may raise `Trouble`.
        within: seconds until it is killed.

    Raises:
        Trouble: it was not started, was silent for too long, or said what may not be said.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            program, stdin=PIPE, stdout=PIPE, stderr=PIPE, env={}, cwd="/",
            start_new_session=True, limit=MOST_LINE,
        )  # fmt: skip
    except OSError as error:
        raise NotStarted(type(error).__name__) from None
    try:
        async with asyncio.timeout(within):
            return await _conversed(process, line, heard)
    except TimeoutError:
        pass
    finally:
        await _end(process)
    raise Silent("no_answer_in_time")


async def _conversed(process: Process, line: bytes, heard: Callable[[bytes], None]) -> Ended:
    async with asyncio.TaskGroup() as group:
        group.create_task(_tell(process, line))
        words = group.create_task(_words(process))
        trouble = await _listen(process, heard)
        if trouble is not None:
            words.cancel()
            await _end(process)  # whoever talks on is not waited for
        else:
            await process.wait()
    if trouble is not None:
        raise trouble
    return Ended(process.returncode or 0, words.result())


async def _listen(process: Process, heard: Callable[[bytes], None]) -> Trouble | None:
    """Every line until the end; what was wrong, where something was."""
    out = process.stdout
    total = 0
    while out is not None:
        try:
            said = await out.readline()
        except ValueError:
            return Garbled("line_too_long")
        if not said:
            break
        total += len(said)
        if total > MOST_TOTAL:
            return Garbled("too_much")
        if not said.endswith(b"\n"):
            return Garbled("line_without_end")
        try:
            heard(said[:-1])
        except Trouble as trouble:
            return trouble
    return None


async def _tell(process: Process, line: bytes) -> None:
    if process.stdin is None:
        return
    with contextlib.suppress(OSError):  # it ended without reading
        process.stdin.write(line)
        await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()


async def _words(process: Process) -> bytes:
    """The beginning of standard error; the rest is read too, so that it blocks nobody."""
    kept = bytearray()
    while process.stderr is not None and (some := await process.stderr.read(MOST_WORDS)):
        kept += some[: MOST_WORDS - len(kept)]
    return bytes(kept)


async def _end(process: Process) -> None:
    """Kill the whole group, also what the program left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GRACE_S):
            await process.wait()
