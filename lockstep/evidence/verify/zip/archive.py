"""A ZIP file from somebody who may wish us harm, read without trusting a byte of it.

Stricter than the format asks, because a pack needs nothing of what is left out: one disk, no
comments, no gaps, no encryption, no links, stored or deflated files with plain names, and local
headers that say what the directory says. So every reader of the file sees the same files.

Nothing is ever extracted to a disk; files are read as streams, and no stream is longer or tighter
than the bounds.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from lockstep.evidence.verify.report import RefutedError, UnusableError
from lockstep.evidence.verify.zip.directory import (
    CENTRAL,
    MAX32,
    NAME_BYTES,
    STORED,
    Entry,
    parents,
    plain_name,
    read_entry,
    zip64_values,
)

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCAL = struct.Struct("<4s5H3L2H")

_MAX16 = 0xFFFF
_TOO_WIDE = "the archive has a 64-bit field that it does not need: two readers may differ over it"
_CHUNK = 256 * 1024
_FREE_TOTAL = 64 * 1024**2
"""What all files together may unpack to whatever the size of the archive."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a pack may ask of the machine that checks it.

    Args:
        files: number of files.
        total: bytes of all files together, unpacked.
        ratio: unpacked bytes for each packed byte, of a file and of all together; not asked of
            files below ``free``.
        small: bytes of a file that is held in memory as a whole.
        line: bytes of one line of a text file.
        wide: sizes and places from here on may be written in 64 bits; smaller ones may not.
    """

    files: int = 20_000
    total: int = 32 * 1024**3
    ratio: int = 200
    free: int = 1024**2
    small: int = 32 * 1024**2
    line: int = 4 * 1024**2
    wide: int = 2 * 10**9


class Member(NamedTuple):
    """One file: where its data begin, packed and unpacked size, checksum."""

    name: str
    start: int
    packed: int
    size: int
    crc: int
    method: int


class Archive:
    """The files of a pack.

    Raises:
        UnusableError: if this is no ZIP at all.
        RefutedError: if it is one that no honest writer makes.
    """

    def __init__(self, file: BinaryIO, limits: Limits) -> None:
        self._file = file
        self._limits = limits
        self._length = file.seek(0, os.SEEK_END)
        self._members: dict[str, Member] = {}
        count, start, size = self._directory_place()
        entries = self._directory(count, start, size)
        self._check_bounds(entries)
        self._check_places(entries, start)

    @classmethod
    def open(cls, path: Path, limits: Limits) -> Self:
        """Open a file; see the class for what is raised."""
        try:
            file = path.open("rb")
        except OSError as error:
            raise UnusableError(f"the pack cannot be opened: {error.strerror}") from None
        try:
            return cls(file, limits)
        except BaseException:
            file.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    @property
    def names(self) -> list[str]:
        """All files, in the order of the directory."""
        return list(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def chunks(self, name: str) -> Iterator[bytes]:
        """A file's bytes; several files can be read side by side.

        Raises:
            RefutedError: if they are not what the headers say, found at the latest at the end.
        """
        member = self._members[name]
        parts = self._raw(member) if member.method == STORED else self._inflate(member)
        size, crc = 0, 0
        for part in parts:
            size += len(part)
            if size > member.size:
                raise RefutedError(f"{name} is longer than the archive says")
            crc = zlib.crc32(part, crc)
            yield part
        if size != member.size or crc != member.crc:
            raise RefutedError(f"{name} is damaged: size or checksum is not what the archive says")

    def size(self, name: str) -> int:
        """Of a file, unpacked, as its headers say."""
        return self._members[name].size

    def is_small(self, name: str) -> bool:
        """Whether a file may be held in memory as a whole."""
        return self.size(name) <= self._limits.small

    def read(self, name: str) -> bytes:
        """A small file as a whole.

        Raises:
            RefutedError: as `chunks`, and for a file that is not small.
        """
        if not self.is_small(name):
            raise RefutedError(f"{name} is larger than such a file can be")
        return b"".join(self.chunks(name))

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a text file without their line feeds; the last one must have one too.

        Raises:
            RefutedError: as `chunks`, for lines beyond the bound, and for an unfinished one.
        """
        rest = b""
        for part in self.chunks(name):
            *whole, rest = (rest + part).split(b"\n")
            yield from whole
            if len(rest) > self._limits.line:
                raise RefutedError(f"{name} has a line that is longer than lines can be")
        if rest:
            raise RefutedError(f"{name} ends in the middle of a line")

    # --- the structure -------------------------------------------------------------------------

    def _at(self, offset: int, size: int) -> bytes:
        if offset < 0 or offset + size > self._length:
            raise RefutedError("the archive is cut, or points outside itself")
        self._file.seek(offset)
        return self._file.read(size)

    def _directory_place(self) -> tuple[int, int, int]:
        """How many files the directory has, where it begins, and its length."""
        end = self._length - _END.size
        if end < 0 or b"PK" not in (self._at(0, 2), self._at(end, 2)):
            raise UnusableError("this is not a ZIP file")
        if self._at(0, 2) != b"PK":
            raise RefutedError("something was put before the archive")
        mark, disk, first_disk, here, count, size, start, comment = _END.unpack(
            self._at(end, _END.size)
        )
        if mark != b"PK\x05\x06" or comment:
            raise RefutedError("the archive is cut, or something was put behind its end")
        if disk or first_disk or here != count:
            raise RefutedError("the archive is spread over several disks")
        true = self._directory_place64(end)
        if true is None:
            after = end
        else:
            after, true_count, true_start, true_size = true
            shown = (min(true_count, _MAX16), min(true_size, MAX32), min(true_start, MAX32))
            if shown != (count, size, start):
                raise RefutedError("the archive describes its directory in two ways")
            if max(true_size, true_start) < self._limits.wide:
                raise RefutedError(_TOO_WIDE)
            count, start, size = true_count, true_start, true_size
        if start + size != after:
            raise RefutedError("something stands between the archive's directory and its end")
        return count, start, size

    def _directory_place64(self, end: int) -> tuple[int, int, int, int] | None:
        """The same from the 64-bit record, preceded by where that begins; None without one."""
        if end < _END64_LOCATOR.size:
            return None
        place = end - _END64_LOCATOR.size
        mark, disk, start, disks = _END64_LOCATOR.unpack(self._at(place, _END64_LOCATOR.size))
        if mark != b"PK\x06\x07":
            return None
        if start != place - _END64.size or disk or disks != 1:
            raise RefutedError("the archive's 64-bit end is not where it must be")
        mark, length, _, _, disk, first_disk, here, count, size, offset = _END64.unpack(
            self._at(start, _END64.size)
        )
        if mark != b"PK\x06\x06" or length != _END64.size - 12 or disk or first_disk:
            raise RefutedError("the archive's 64-bit end cannot be read")
        if here != count:
            raise RefutedError("the archive is spread over several disks")
        return start, count, offset, size

    def _directory(self, count: int, start: int, size: int) -> list[Entry]:
        if count > self._limits.files:
            raise RefutedError(f"the archive has more than {self._limits.files} files")
        if size > count * (CENTRAL.size + NAME_BYTES + 64):
            raise RefutedError("the archive's directory is longer than its files need")
        raw = self._at(start, size)
        entries: list[Entry] = []
        at = 0
        for _ in range(count):
            entry, at = read_entry(raw, at)
            if entry.widest is not None and entry.widest < self._limits.wide:
                raise RefutedError(_TOO_WIDE)
            entries.append(entry)
        if at != len(raw):
            raise RefutedError("the archive's directory holds something beside its files")
        return entries

    def _check_bounds(self, entries: list[Entry]) -> None:
        seen: set[str] = set()
        total = 0
        for entry in entries:
            name = plain_name(entry.name)
            if name.lower() in seen:
                raise RefutedError(f"the archive has two files of the name {name}")
            seen.add(name.lower())
            if entry.size > max(self._limits.free, entry.packed * self._limits.ratio):
                raise RefutedError(
                    f"{name} unpacks to more than {self._limits.ratio} times its size: a bomb"
                )
            total += entry.size
        if total > min(self._limits.total, max(_FREE_TOTAL, self._length * self._limits.ratio)):
            raise RefutedError("the files unpack to more than a pack can have: a bomb")
        folders = {name.rpartition("/")[0] for name in seen}
        if clash := seen & {part for folder in folders for part in parents(folder)}:
            raise RefutedError(f"{min(clash)} is a file and a folder")

    def _check_places(self, entries: list[Entry], end: int) -> None:
        """Files stand one behind the other, each under a header that agrees with the directory."""
        at = 0
        for entry in sorted(entries, key=lambda entry: entry.offset):
            name = entry.name.decode()
            if entry.offset != at:
                raise RefutedError(f"{name} overlaps another file, or something hides before it")
            start = self._check_local(entry)
            at = start + entry.packed
            self._members[name] = Member(
                name, start, entry.packed, entry.size, entry.crc, entry.method
            )
        if at != end:
            raise RefutedError("something stands between the files and the archive's directory")
        self._members = {
            entry.name.decode(): self._members[entry.name.decode()] for entry in entries
        }

    def _check_local(self, entry: Entry) -> int:
        """Where the file's data begin."""
        mark, _, flags, method, clock, day, crc, packed, size, name_size, extra_size = (
            _LOCAL.unpack(self._at(entry.offset, _LOCAL.size))
        )
        tail = self._at(entry.offset + _LOCAL.size, name_size + extra_size)
        name, extra = tail[:name_size], tail[name_size:]
        said = (packed, size)
        if extra:
            if said != (MAX32, MAX32):
                raise RefutedError("a file of the archive has an extra field")
            size, packed = zip64_values(extra, 2)
            if max(size, packed) < self._limits.wide:
                raise RefutedError(_TOO_WIDE)
        seen = (mark, name, flags, method, (clock, day), crc, packed, size)
        listed = (
            b"PK\x03\x04",
            entry.name,
            entry.flags,
            entry.method,
            entry.date,
            entry.crc,
            entry.packed,
            entry.size,
        )
        if seen != listed:
            raise RefutedError(
                f"{entry.name.decode()} is described in two ways: by its header and the directory"
            )
        return entry.offset + _LOCAL.size + len(tail)

    # --- data ----------------------------------------------------------------------------------

    def _raw(self, member: Member) -> Iterator[bytes]:
        at, end = member.start, member.start + member.packed
        while at < end:
            part = self._at(at, min(_CHUNK, end - at))
            at += len(part)
            yield part

    def _inflate(self, member: Member) -> Iterator[bytes]:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for part in self._raw(member):
                rest = part
                while rest and not inflater.eof:
                    yield inflater.decompress(rest, _CHUNK)
                    rest = inflater.unconsumed_tail
                if inflater.unused_data or (inflater.eof and rest):
                    raise RefutedError(f"{member.name} has data behind its end")
            while not inflater.eof and (part := inflater.decompress(b"", _CHUNK)):
                yield part
        except zlib.error:
            raise RefutedError(f"{member.name} is damaged: it cannot be unpacked") from None
        if not inflater.eof:
            raise RefutedError(f"{member.name} is damaged: its end is missing")
