"""Log files that children write to directly.

A child gets the file itself, never a pipe: a pipe that nobody drains for a moment stops its
writer after 64 KiB, and a stopped Temporal worker ignores even SIGTERM.
"""

import contextlib
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

MAX_LOG_BYTES = 10 * 1024 * 1024


def open_for_append(path: Path) -> int:
    """Open a private log file for a child and return its descriptor; the caller closes it.

    O_APPEND makes rotation by truncation safe: the next write goes to the new end.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def append_line(path: Path, line: str) -> None:
    """Say something of our own in a child's log; nothing where there is no room."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    log = open_for_append(path)
    try:
        with contextlib.suppress(OSError):
            os.write(log, f"--- {now} {line} ---\n".encode())
    finally:
        os.close(log)


def size(path: Path) -> int:
    """Bytes in a log file, 0 where it does not exist."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def rotate_if_large(path: Path, *, max_bytes: int = MAX_LOG_BYTES) -> bool:
    """Copy a log to `<name>.1` and truncate it once it has passed `max_bytes`.

    Lines written between the end of the copy and the truncation (microseconds) are lost;
    that is the price for a child that keeps its descriptor and can never block on its log.

    Returns:
        True where the log was rotated.
    """
    if size(path) <= max_bytes:
        return False
    previous = path.with_name(path.name + ".1")
    with path.open("rb") as source, previous.open("wb") as target:
        previous.chmod(0o600)
        shutil.copyfileobj(source, target, 1024 * 1024)
    os.truncate(path, 0)
    return True


def tail(path: Path, *, lines: int = 15, since_byte: int = 0) -> str:
    """The last `lines` lines written at or after `since_byte`, or an empty string."""
    end = size(path)
    start = max(end - 16 * 1024, since_byte if since_byte <= end else 0)
    if start >= end:
        return ""
    with path.open("rb") as source:
        source.seek(start)
        text = source.read(end - start).decode("utf-8", errors="replace")
    return "\n".join(text.splitlines()[-lines:])
