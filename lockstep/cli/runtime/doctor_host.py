"""What `lockstep doctor` says of the machine: room on its disk, its clock, Temporal's port."""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from lockstep.cli.context import database_url, embedded_postgres
from lockstep.cli.runtime.checks import Check
from lockstep.composition import open_stores
from lockstep.control.runtime.clock_watch import clock_lines
from lockstep.domain.cases.clocks import SKEW_MOST, SKEW_TOLD
from lockstep.domain.counting import counted
from lockstep.domain.room import Room, RoomState
from lockstep.embedded.errors import EmbeddedError
from lockstep.embedded.temporal_file import TemporalFile
from lockstep.settings import Settings, SettingsError
from lockstep.storage.engine.clocks import TEMPORAL, ClockLook, skew_words
from lockstep.storage.engine.database import StorageError, create_engine

_LEVELS = {RoomState.ENOUGH: "ok", RoomState.LOW: "warning", RoomState.OUT: "problem"}
_CLOCK_FIX = "Compare each machine's clock with a time server (chrony, systemd-timesyncd)."
_NO_SHELLS = frozenset({"nologin", "false", "sync", "shutdown", "halt"})
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


async def clock_checks(settings: Settings) -> list[Check]:
    """This machine's clock, and what workers saw; nothing where the database is away."""
    try:
        engine = create_engine(database_url(settings), pool_size=1, application="lockstep-doctor")
    except (StorageError, SettingsError):
        return []
    clocks = open_stores(settings, engine, None).clocks
    try:
        return clocks_checks((await clocks.measure()).skew, await clocks.read())
    except (SQLAlchemyError, OSError):
        return []
    finally:
        await engine.dispose()


def clocks_checks(skew: timedelta, looks: Sequence[ClockLook]) -> list[Check]:
    """What is said of clocks. ``skew``: of this machine's."""
    says = f"this machine's clock is {skew_words(skew)} the database's"
    if abs(skew) > SKEW_MOST:
        fix = f"{_CLOCK_FIX} What runs here begins nothing meanwhile."
        return [Check("clocks", "problem", says, fix)]
    if abs(skew) > SKEW_TOLD:
        return [Check("clocks", "warning", says, _CLOCK_FIX)]
    if told := clock_lines(looks):
        wrong = any(look.is_wrong for look in looks)
        return [Check("clocks", "problem" if wrong else "warning", " ".join(told), _CLOCK_FIX)]
    workers = counted(sum(look.who != TEMPORAL for look in looks), "worker")
    is_known = any(look.who == TEMPORAL for look in looks)
    temporals = "and Temporal's" if is_known else "; Temporal's is not known yet"
    whose = f"this machine's, those of {workers} {temporals}".replace(" ;", ";")
    return [Check("clocks", "ok", f"within 5 s of the database's: {whose}")]


def port_checks(settings: Settings) -> list[Check]:
    """Who else of this machine reaches the embedded Temporal: it has no login."""
    if settings.temporal.mode != "embedded":
        return []
    part = "temporal's port"
    file = TemporalFile(settings.path(settings.data_dir) / "temporal" / "temporal.db")
    if file.path.exists() and not file.is_closed():
        says = f"{file.path.parent} can be read by other users of this machine"
        return [Check(part, "problem", says, "Start `lockstep up` again: it closes it.")]
    if not (others := other_users()):
        says = "on loopback, without a login; no other user signs in here, services reach it"
        return [Check(part, "ok", says)]
    some = ", ".join(others[:5]) + (" ..." if len(others) > 5 else "")  # noqa: PLR2004 - a few
    says = f"every user of this machine reaches it ({some}): it has no login"
    fix = (
        "They read no person and revoke nobody, but can hinder; workers undo it within seconds "
        "(docs/security.md). Where you do not trust them, run Temporal elsewhere, with TLS."
    )
    return [Check(part, "warning", says, fix)]


def other_users() -> list[str]:
    """Who else can sign in to this machine."""
    return sorted(
        user.pw_name
        for user in pwd.getpwall()
        if user.pw_uid not in {0, os.geteuid()}
        and Path(user.pw_shell or "/bin/sh").name not in _NO_SHELLS
    )


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
