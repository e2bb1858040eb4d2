"""What `lockstep doctor` says of the machine: room on its disk."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from lockstep.cli.checks import Check
from lockstep.cli.context import embedded_postgres
from lockstep.domain.room import Room, RoomState
from lockstep.embedded.errors import EmbeddedError
from lockstep.settings import Settings

_LEVELS = {RoomState.ENOUGH: "ok", RoomState.LOW: "warning", RoomState.OUT: "problem"}
_FIXES = {
    RoomState.LOW: "Make room now: once it is full nothing can be taken from HR, nor revoked.",
    RoomState.OUT: "Make room at once. HR is told to come again (503); what was acknowledged is "
    "carried out by itself once there is room.",
}


def room_checks(settings: Settings) -> list[Check]:
    """The room of each disk that embedded servers write to."""
    folders = {"disk": settings.path(settings.data_dir)}
    if settings.database.mode == "embedded":
        with contextlib.suppress(EmbeddedError):  # said where the database is looked at
            folders["disk of the database"] = embedded_postgres(settings).data_dir
    elif settings.temporal.mode != "embedded":
        return []
    found: dict[int, Check] = {}
    for part, folder in folders.items():
        place = _there(folder)
        if (device := place.stat().st_dev) not in found:
            found[device] = room_check(part, place, room_of(place))
    return list(found.values())


def room_check(part: str, place: Path, room: Room) -> Check:
    """What a disk's room means."""
    says = f"{room.words} on the disk of {place}"
    return Check(part, _LEVELS[room.state], says, _FIXES.get(room.state, ""))


def room_of(place: Path) -> Room:
    """Ask the file system; what only root may use does not count."""
    found = os.statvfs(place)
    return Room(
        found.f_bavail * found.f_frsize,
        found.f_blocks * found.f_frsize,
        found.f_favail,
        found.f_files,
    )


def _there(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())
