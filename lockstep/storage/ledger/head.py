"""The head file: what this machine has signed, kept outside the database.

A database that was restored from a backup, or whose tail was cut, knows less than this file. It is
written before a checkpoint is committed, so that nobody is ever shown a head that it lacks.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from lockstep.evidence.format.notes import Checkpoint, NoteError, parse_checkpoint
from lockstep.storage.engine.database import StorageError

HEAD_FILE = "ledger-head"
"""Its name in the data folder."""


class LedgerRefusedError(StorageError):
    """The ledger is not as it was left: nothing is signed until a person has looked.

    ``code`` is for logs and scripts, the text says what was found and what to do.
    """

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        super().__init__(f"ledger: {text}")


@dataclass(frozen=True, slots=True)
class HeadFile:
    """Keeps the last signed head: origin, size and root, as in the text of a checkpoint."""

    path: Path
    origin: str

    def read(self) -> Checkpoint | None:
        """The head, or None where nothing was signed from here yet.

        Raises:
            LedgerRefusedError: if the file cannot be read or belongs to another ledger.
        """
        try:
            head = parse_checkpoint(self.path.read_bytes().decode())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, NoteError):
            raise LedgerRefusedError(
                "head_unreadable", f"{self.path} cannot be read: restore it from your backup"
            ) from None
        if head.origin != self.origin:
            raise LedgerRefusedError(
                "head_of_another", f"{self.path} is of {head.origin}: correct ledger.origin"
            )
        return head

    def write(self, size: int, root: bytes) -> None:
        """Replace the head in one step; on return it survives a power cut.

        Raises:
            LedgerRefusedError: if it cannot be written.
        """
        partial = self.path.with_name(f"{self.path.name}.{os.getpid()}.partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("w") as file:
                file.write(Checkpoint(self.origin, size, root).body())
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise LedgerRefusedError(
                "head_unwritable", f"{self.path} cannot be written ({reason}): mend data_dir"
            ) from None
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
