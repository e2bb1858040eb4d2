"""How much room a disk has left, and from when on a person should make some."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

_MIB = 2**20
LOW_BYTES = 1024 * _MIB
"""Less is low on every disk: recovery and a day of a large lay-off need as much."""
LOW_SHARE = 10
"""Per cent; less is low too, unless it is `PLENTY_BYTES`."""
PLENTY_BYTES = 10 * 1024 * _MIB
OUT_BYTES = 128 * _MIB
"""Less is no room: the database writes its log in parts of 16 MiB, several at once."""
LOW_FILES_SHARE = 2
"""Per cent of the files that a file system can hold at all."""


class RoomState(StrEnum):
    """How a disk stands."""

    ENOUGH = "enough"
    LOW = "low"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class Room:
    """What a file system says of itself; ``files`` of 0 are not counted there."""

    free: int
    total: int
    free_files: int = 0
    files: int = 0

    @property
    def state(self) -> RoomState:
        if self.free < OUT_BYTES or (self.files and not self.free_files):
            return RoomState.OUT
        few_files = self.files and self.free_files * 100 < self.files * LOW_FILES_SHARE
        little = self.free * 100 < self.total * LOW_SHARE and self.free < PLENTY_BYTES
        if self.free < LOW_BYTES or little or few_files:
            return RoomState.LOW
        return RoomState.ENOUGH

    @property
    def words(self) -> str:
        """For people: what is free, in bytes and per cent."""
        share = self.free * 100 // self.total if self.total else 0
        size = f"{self.free / 2**30:,.1f} GiB" if self.free >= 2**30 else f"{self.free // _MIB} MiB"
        files = f", {self.free_files:,} more files" if self.files else ""
        return f"{size} free ({share} %){files}"
