"""Files that a server reads, as a channel: read bounded, replaced whole, recorded.

A file is replaced by a new one beside it and a rename, under a lock on its folder: a server never
reads half of it, and two that change it at once lose nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

from connectors.base import Transcript
from connectors.kit.lines.recorded import TOO_LONG, Answer, Recorder, Refusal
from lockstep.domain.systems.access import Exchange

MOST_BYTES: Final = 64 * 1024 * 1024
MOST_FILES: Final = 100_000
_FIRST_MODE: Final = 0o644
_LOCK_S: Final = 5.0

Edit = Callable[[bytes | None], bytes | None]
"""Makes the new content of the old one, None where there is no file; None changes nothing.

It raises `Refusal` where the old one is not as it must be."""


class Store(Protocol):
    """Where files are. Raises ``OSError`` and `Refusal`."""

    async def read(self, path: str) -> bytes | None:
        """The content; None where there is no such file."""

    async def read_each(self, folder: str, ends: tuple[str, ...]) -> Mapping[str, bytes]:
        """The content of every file in a folder, by name."""

    async def can_change(self, path: str) -> bool:
        """Whether it could be replaced, as far as permissions say."""

    async def change(self, path: str, edit: Edit) -> bytes | None:
        """Replace one; what was written, None where nothing had to be."""


class LocalStore:
    """Files of this machine, or of a folder that is mounted here."""

    async def read(self, path: str) -> bytes | None:
        return await asyncio.to_thread(_read, Path(path))

    async def read_each(self, folder: str, ends: tuple[str, ...]) -> Mapping[str, bytes]:
        return await asyncio.to_thread(_read_each, Path(folder), ends)

    async def can_change(self, path: str) -> bool:
        return await asyncio.to_thread(_can_change, path)

    async def change(self, path: str, edit: Edit) -> bytes | None:
        return await asyncio.to_thread(_change, Path(path), edit)


class Files:
    """The files of one system.

    Args:
        recorder: of the connector.
        store: where they are.
    """

    def __init__(self, recorder: Recorder, store: Store) -> None:
        self._recorder = recorder
        self._store = store

    async def find(self, operation: str, path: str, transcript: Transcript) -> bytes | None:
        """The content, or None where there is no such file.

        Raises:
            ConnectorFault: it cannot be read.
        """

        async def work() -> Answer[bytes | None]:
            raw = await self._store.read(path)
            return Answer(raw, raw or b"")

        content, _ = await self._recorder.carry_out(operation, work(), transcript)
        return content

    async def read(self, operation: str, path: str, transcript: Transcript) -> bytes:
        """The content of a file that must be there."""
        content = await self.find(operation, path, transcript)
        if content is None:
            raise self._recorder.fault(operation, "ENOENT")
        return content

    async def read_each(
        self, operation: str, folder: str, ends: tuple[str, ...], transcript: Transcript
    ) -> Mapping[str, bytes]:
        """Every file of a folder whose name ends so."""

        async def work() -> Answer[Mapping[str, bytes]]:
            found = await self._store.read_each(folder, ends)
            return Answer(found, b"".join(found[name] for name in sorted(found)))

        return (await self._recorder.carry_out(operation, work(), transcript))[0]

    async def can_change(self, path: str) -> bool:
        """Whether permissions let us replace it; a folder ends with a slash."""
        return await self._store.can_change(path)

    async def change(
        self, operation: str, path: str, edit: Edit, transcript: Transcript
    ) -> tuple[bool, Exchange]:
        """Replace a file; whether it had to be.

        Raises:
            ConnectorFault: it cannot be replaced, and is as it was.
        """

        async def work() -> Answer[bool]:
            written = await self._store.change(path, edit)
            return Answer(written is not None, written or b"")

        lacks = f"write access to the folder of {operation.partition('.')[0]}"
        return await self._recorder.carry_out(operation, work(), transcript, missing=lacks)


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    if len(content) > MOST_BYTES:
        raise Refusal(TOO_LONG)
    return content


def _read_each(folder: Path, ends: tuple[str, ...]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    room = MOST_BYTES
    for entry in os.scandir(folder):
        if not entry.name.endswith(ends) or not entry.is_file():
            continue
        found[entry.name] = _read(Path(entry.path)) or b""
        room -= len(found[entry.name])
        if room < 0 or len(found) > MOST_FILES:
            raise Refusal(TOO_LONG)
    return found


def _can_change(path: str) -> bool:
    folder = Path(path) if path.endswith("/") else Path(path).resolve().parent
    return os.access(folder, os.W_OK | os.X_OK)


def _change(path: Path, edit: Edit) -> bytes | None:
    path = path.resolve()  # a link stays one
    with _locked(path.parent):
        old = _read(path)
        new = edit(old)
        if new is None or new == old:
            return None
        _replace(path, new)
        return new


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One at a time, over all processes; no file is left behind."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(handle)
        yield
        os.fsync(handle)
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    """Wait for the lock, and not for ever: then it is EAGAIN."""
    ends = time.monotonic() + _LOCK_S
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > ends:
                raise
        time.sleep(0.01)


def _replace(path: Path, content: bytes) -> None:
    """Put a new file in the old one's place, with its owner and mode."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".lockstep-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            _like(path, file.fileno())
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _like(path: Path, handle: int) -> None:
    mine = os.fstat(handle)
    try:
        old = path.stat()
    except FileNotFoundError:
        os.fchmod(handle, _FIRST_MODE)
        return
    if (old.st_uid, old.st_gid) != (mine.st_uid, mine.st_gid):
        os.fchown(handle, old.st_uid, old.st_gid)
    os.fchmod(handle, old.st_mode & 0o7777)
