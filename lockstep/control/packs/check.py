"""Checks a pack in place: the offline verifier in a bounded process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from lockstep.evidence.format.notes import NoteError, VerifierKey

log = structlog.get_logger("lockstep.web")

PATIENCE = timedelta(seconds=45)
"""Below what proxies wait for an answer."""
AT_ONCE = 2
MOST_WAITING = 8
MOST_BYTES = 64 * 1024 * 1024
"""Of a pack that is checked here; larger ones are for the command line."""

_MOST_SAID = 4 * 1024 * 1024
_CHUNK = 1024 * 1024


class PackCheckError(Exception):
    """The pack was not checked; the text says why, and what to do."""


class PackChecker:
    """Starts the processes; a few at a time.

    Args:
        patience: how long one may take.
        at_once: how many may run side by side.
    """

    def __init__(self, *, patience: timedelta = PATIENCE, at_once: int = AT_ONCE) -> None:
        self._patience = patience.total_seconds()
        self._turns = asyncio.Semaphore(at_once)
        self._waiting = 0

    async def check_bytes(self, raw: bytes, keys: Sequence[str]) -> dict[str, Any]:
        """Check a pack that was handed in; nothing of it stays on the disk. See `check`."""
        with tempfile.TemporaryDirectory(prefix="lockstep-check-") as folder:
            path = Path(folder) / "pack.zip"
            await asyncio.to_thread(_write, path, raw)
            return await self.check(path, keys)

    async def check(self, path: Path, keys: Sequence[str]) -> dict[str, Any]:
        """The verifier's report as plain data (`Report.as_document`).

        Args:
            path: the file.
            keys: verifier keys, as C2SP writes them.

        Raises:
            PackCheckError: if it cannot be checked here.
        """
        known = [_key(text) for text in keys]
        if await asyncio.to_thread(_size, path) > MOST_BYTES:
            raise PackCheckError(
                "This pack is too large to be checked here. Check it with"
                " `lockstep evidence verify`, on any machine."
            )
        if self._waiting >= MOST_WAITING:
            raise PackCheckError("Other packs are being checked. Try again in a minute.")
        self._waiting += 1
        try:
            async with self._turns:
                found = await self._run(path, known)
        finally:
            self._waiting -= 1
        if "unusable" in found:
            raise PackCheckError(f"This cannot be checked: {found['unusable']}.")
        return found

    async def _run(self, path: Path, keys: Sequence[str]) -> dict[str, Any]:
        seconds = str(int(self._patience) + 1)
        module = "lockstep.control.packs.check_child"
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-X", "utf8", "-m", module, seconds, str(path), *keys),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
            cwd="/",
        )
        assert child.stdout is not None  # noqa: S101 - a pipe was asked for
        said = b""
        try:
            async with asyncio.timeout(self._patience):
                while part := await child.stdout.read(_CHUNK):
                    said += part
                    if len(said) > _MOST_SAID:
                        break
                else:
                    await child.wait()
        except TimeoutError:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        if child.returncode != 0:
            log.warning("pack_check_ended", status=child.returncode)
            raise PackCheckError(
                "Checking this pack takes more time or memory than is given to it here. Check it"
                " with `lockstep evidence verify`, on any machine."
            )
        found: dict[str, Any] = json.loads(said)
        return found


def _key(text: str) -> str:
    """The key as a text that names nothing else, such as a file; raises `PackCheckError`."""
    try:
        return VerifierKey.parse(text).to_text()
    except NoteError as error:
        raise PackCheckError(f"The verifier key cannot be used: {error}.") from None


def _write(path: Path, raw: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(raw)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        raise PackCheckError("The file is not here any more.") from None
