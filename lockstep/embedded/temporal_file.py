"""The development server's SQLite file: closed to others, and whole before a server gets it.

The server makes the file's tables at its first start only, and not in one step. A kill amid that
leaves a file over which it never starts again. Nothing in it was ever relied on: so a file is
proved once a server that was made ready has used it, and one that is not proved is made anew.

What a proved file loses is not lost: cases stand in PostgreSQL, and workers take up again what
Temporal does not know. So a damaged one is put aside, and an empty one takes its place.
"""

import contextlib
import sqlite3
import stat
from datetime import UTC, datetime
from pathlib import Path

from lockstep.embedded.errors import EmbeddedError

_BESIDE = ("", "-wal", "-shm", "-journal")
_UNPROVED = ".unproved"
_NEEDED = ("namespaces", "executions", "executions_visibility")
_CHECKED_BYTES = 64 * 2**20
"""A larger file is opened, and not read through: that would hold up each start."""
_DAMAGED = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})


class TemporalFile:
    """The file, what SQLite keeps beside it, and our mark on one that is not proved yet.

    Args:
        path: a folder that holds nothing else is closed to everybody else, like the file.
        earlier: where releases before kept it; moved from there.
    """

    def __init__(self, path: Path, *, earlier: Path | None = None) -> None:
        self.path = path.absolute()
        self._earlier = earlier
        self._mark = self.path.with_name(self.path.name + _UNPROVED)

    def prepare(self) -> str:
        """Make folder and file fit for a start; says what was done about a file that was not.

        Raises:
            EmbeddedError: it cannot be read, which starting anew would not mend.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._close_folder()
        self._move()
        said = ""
        if self._mark.exists():
            if self.path.exists():
                said = f"{self.path} was not made to its end: made anew"
            self._remove()
        elif self.path.exists() and (why := self._damage()):
            said = self._put_aside(why)
        if not self.path.exists():
            self._remove()  # what belonged to a file that is gone
            self._mark.touch(mode=0o600)
        for part in self._parts(self.path):
            part.chmod(0o600)
        return said

    def proved(self) -> None:
        """A server has become ready with it."""
        self._mark.unlink(missing_ok=True)

    def is_closed(self) -> bool:
        """Whether nobody else of this machine can read or change it."""
        rights = [part.stat().st_mode for part in (self.path.parent, *self._parts(self.path))]
        return not any(mode & (stat.S_IRWXG | stat.S_IRWXO) for mode in rights)

    def _close_folder(self) -> None:
        folder = self.path.parent
        if all(child.name.startswith(self.path.name) for child in folder.iterdir()):
            folder.chmod(0o700)

    def _parts(self, path: Path) -> list[Path]:
        """A file and what SQLite keeps beside it, so far as they are there; the file last.

        So that a move or a removal that is cut short is seen, and carried to its end.
        """
        every = [path.with_name(path.name + end) for end in reversed(_BESIDE)]
        return [part for part in every if part.exists()]

    def _remove(self) -> None:
        for part in self._parts(self.path):
            part.unlink()

    def _move(self) -> None:
        """Take over the file of an earlier release."""
        earlier = self._earlier
        if earlier is None or not earlier.exists() or self.path.exists():
            return
        for part in self._parts(earlier):
            part.replace(self.path.with_name(self.path.name + part.name[len(earlier.name) :]))

    def _put_aside(self, why: str) -> str:
        end = f".broken-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        aside = self.path.with_name(self.path.name + end)
        for part in self._parts(self.path):
            part.replace(part.with_name(part.name + end))
        return f"{self.path}: {why}; put aside as {aside.name}. Cases are taken up from PostgreSQL"

    def _damage(self) -> str:
        """Why a server could not use the file; "" where it can, as far as is seen."""
        try:
            with contextlib.closing(self._open()) as file:
                rows = file.execute("select name from sqlite_master where type = 'table'")
                missing = set(_NEEDED) - {name for (name,) in rows}
                if not missing and self.path.stat().st_size <= _CHECKED_BYTES:
                    [[verdict]] = file.execute("pragma quick_check(1)")
                    if verdict != "ok":
                        return "it is damaged"
        except sqlite3.Error as error:
            # The low byte is the kind; a full disk or another user's lock is no damage.
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
                return "it is damaged"
            raise EmbeddedError(f"{self.path} cannot be read: {error}.") from error
        return "its tables are missing" if missing else ""

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=1)
