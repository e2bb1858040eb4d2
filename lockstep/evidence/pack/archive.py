"""A ZIP whose bytes depend on nothing but the names and bytes of its files."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

_DATE = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_PLAIN_FILE = 0o100644 << 16
_CHUNK = 1024 * 1024

Tick = Callable[[], None]
"""Called often during long work; raises when the work must stop."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a spool: the bytes of one file that is too large to hold."""

    file: BinaryIO
    start: int
    size: int

    def chunks(self) -> Iterator[bytes]:
        at, end = self.start, self.start + self.size
        while at < end:
            self.file.seek(at)
            chunk = self.file.read(min(_CHUNK, end - at))
            at += len(chunk)
            yield chunk


class Spool:
    """Bytes beside the target, in a file without a name: it is gone with whoever wrote it."""

    def __init__(self, folder: Path) -> None:
        self.file: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - see `close`

    def write(self, data: bytes) -> None:
        self.file.write(data)

    def put(self, data: bytes) -> Part:
        """Append the bytes of one whole file."""
        start = self.file.seek(0, os.SEEK_END)
        self.file.write(data)
        return Part(self.file, start, len(data))

    def whole(self) -> Part:
        """All of it as one file."""
        return Part(self.file, 0, self.file.seek(0, os.SEEK_END))

    def close(self) -> None:
        self.file.close()


class Archive:
    """Writes files in the order of their names, each under the same date and rights.

    The directory is written at the end of the block; without it the file is no archive.
    ``digests`` holds the SHA-256 (hex) of every file written so far. zlib's default level is 6.
    """

    def __init__(self, target: BinaryIO, tick: Tick = lambda: None) -> None:
        self._zip = ZipFile(target, "w", ZIP_DEFLATED)
        self._tick = tick
        self._last = ""
        self.digests: dict[str, str] = {}

    def add(self, name: str, source: bytes | Part) -> None:
        """Write one file.

        Raises:
            ValueError: if ``name`` does not come after the name before it.
        """
        if name <= self._last:
            raise ValueError(f"{name} comes after {self._last}: files are written in order")
        self._last = name
        info = ZipInfo(name, _DATE)
        info.compress_type = ZIP_DEFLATED
        info.create_system = _UNIX
        info.external_attr = _PLAIN_FILE
        # Known before writing, so that the 64-bit form is taken exactly when the size needs it.
        info.file_size = len(source) if isinstance(source, bytes) else source.size
        digest = hashlib.sha256()
        with self._zip.open(info, "w") as member:
            for chunk in (source,) if isinstance(source, bytes) else source.chunks():
                self._tick()
                digest.update(chunk)
                member.write(chunk)
        self.digests[name] = digest.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()


class PartFile:
    """A file that gets its name only when it is complete; until then only its owner can read it.

    Whoever is killed leaves a hidden ``.part`` file and nothing under the final name.
    """

    def __init__(self, path: Path) -> None:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        self.path = path
        self._part = Path(name)
        self.file: BinaryIO = os.fdopen(handle, "w+b")

    def seal(self) -> tuple[str, int]:
        """Bring everything to the disk; SHA-256 (hex) and size in bytes."""
        self.file.flush()
        os.fsync(self.file.fileno())
        whole = Part(self.file, 0, self.file.seek(0, os.SEEK_END))
        return digest_of(whole), whole.size

    def publish(self) -> None:
        """Give the file its name; what had it before is replaced in one step."""
        self.file.close()
        self._part.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def discard(self) -> None:
        """Leave nothing behind; harmless after `publish`."""
        self.file.close()
        self._part.unlink(missing_ok=True)


def digest_of(source: bytes | Part) -> str:
    """SHA-256 in hex."""
    digest = hashlib.sha256()
    for chunk in (source,) if isinstance(source, bytes) else source.chunks():
        digest.update(chunk)
    return digest.hexdigest()
