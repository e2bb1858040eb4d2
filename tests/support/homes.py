"""Folders for the servers of tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 6 * 1024**3


@contextmanager
def server_home() -> Iterator[Path]:
    """A folder with a path short enough for sockets, which PostgreSQL's user may enter.

    In memory where there is room: every test has a database of its own, whose creation takes 20 ms
    there, and up to 400 ms on a disk that others use too. No test here cuts the power.
    """
    folder = Path(tempfile.mkdtemp(prefix="lk-", dir=_MEMORY if _has_room() else "/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _has_room() -> bool:
    try:
        found = os.statvfs(_MEMORY)
    except OSError:
        return False
    runs_programs = not found.f_flag & os.ST_NOEXEC
    return runs_programs and found.f_bavail * found.f_frsize >= _ROOM_BYTES
