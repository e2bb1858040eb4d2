"""One entry of an archive's directory, taken apart and doubted."""

from __future__ import annotations

import re
import stat
import struct
from collections.abc import Iterator
from typing import NamedTuple

from lockstep.evidence.verify.report import RefutedError

CENTRAL = struct.Struct("<4s6H3L5H2L")
MAX32 = 0xFFFFFFFF
STORED, DEFLATED = 0, 8

_EXTRA = struct.Struct("<HH")
_ZIP64_EXTRA = 1
_UTF8_NAME = 0x800

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*){0,5}")
NAME_BYTES = 200
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)}
)
"""Names that are no files on some systems, with any ending."""


class Entry(NamedTuple):
    """One file as the directory describes it.

    ``widest`` is the largest size or place that it gives in 64 bits; None where it has no such.
    """

    name: bytes
    flags: int
    method: int
    date: tuple[int, int]
    crc: int
    packed: int
    size: int
    offset: int
    widest: int | None = None


def read_entry(raw: bytes, at: int) -> tuple[Entry, int]:
    """One entry of the directory, and where the next one begins."""
    if at + CENTRAL.size > len(raw):
        raise RefutedError("the archive's directory is cut")
    (
        mark,
        made_by,
        _,
        flags,
        method,
        clock,
        day,
        crc,
        packed,
        size,
        name_size,
        extra_size,
        comment_size,
        disk,
        _,
        attributes,
        offset,
    ) = CENTRAL.unpack_from(raw, at)
    at += CENTRAL.size
    name = raw[at : at + name_size]
    extra = raw[at + name_size : at + name_size + extra_size]
    if mark != b"PK\x01\x02" or comment_size or disk:
        raise RefutedError("the archive's directory cannot be read")
    if flags & ~_UTF8_NAME:
        raise RefutedError("a file of the archive is encrypted, or written as a stream")
    if method not in {STORED, DEFLATED}:
        raise RefutedError("a file of the archive is packed in an unknown way")
    mode = attributes >> 16
    if (
        stat.S_IFMT(mode) not in {0, stat.S_IFREG}
        or attributes & 0x10
        or made_by >> 8 not in {0, 3}
    ):
        raise RefutedError("the archive holds a link, a folder or a device")
    wide = [value == MAX32 for value in (size, packed, offset)]
    widest = None
    if any(wide):
        wides = zip64_values(extra, sum(wide))
        values, widest = iter(wides), max(wides)
        size = next(values) if wide[0] else size
        packed = next(values) if wide[1] else packed
        offset = next(values) if wide[2] else offset
    elif extra:
        raise RefutedError("a file of the archive has an extra field")
    if method == STORED and packed != size:
        raise RefutedError("a stored file of the archive has two sizes")
    entry = Entry(name, flags, method, (clock, day), crc, packed, size, offset, widest)
    return entry, at + name_size + extra_size


def zip64_values(extra: bytes, count: int) -> tuple[int, ...]:
    """The 64-bit values of an extra field that holds nothing else."""
    if len(extra) != _EXTRA.size + 8 * count:
        raise RefutedError("a file of the archive has an extra field")
    kind, size = _EXTRA.unpack_from(extra)
    if kind != _ZIP64_EXTRA or size != 8 * count:
        raise RefutedError("a file of the archive has an extra field")
    return struct.unpack_from(f"<{count}Q", extra, _EXTRA.size)


def plain_name(raw: bytes) -> str:
    """A name that means one and the same file everywhere."""
    name = raw.decode("ascii", "backslashreplace")
    shown = name[:NAME_BYTES].encode("unicode_escape").decode()
    if len(raw) > NAME_BYTES or not _NAME.fullmatch(name):
        raise RefutedError(f"a file has a name that no pack has: {shown}")
    for part in name.lower().split("/"):
        if part.endswith(".") or part.partition(".")[0] in _DEVICES:
            raise RefutedError(f"a file has a name that no pack has: {shown}")
    return name


def parents(folder: str) -> Iterator[str]:
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
