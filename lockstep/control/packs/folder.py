"""The folder in which ordered packs lie until they are fetched."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

LEFT_OVER = timedelta(hours=24)
"""What lies there unfinished for so long is nobody's: longer than any export takes."""


class PacksFolder:
    """Only our own user may read it. Every method blocks; call it in a thread."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def name_of(export_id: str) -> str:
        """The file of a finished pack."""
        return f"{export_id}.zip"

    def prepare(self) -> None:
        """Make the folder, and clear away what a killed process left."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in self._old(".*.part"):
            if part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            else:
                part.unlink(missing_ok=True)

    def old_packs(self) -> list[Path]:
        """Finished files that lie here longer than any export takes."""
        return self._old("*.zip")

    def drop_half(self, export_id: str) -> None:
        """Delete the unfinished file of a maker that is dead; it may name people."""
        for part in self.path.glob(f".{self.name_of(export_id)}.*.part"):
            part.unlink(missing_ok=True)

    def unlink(self, names: Sequence[str]) -> None:
        """Delete files of this folder; a name that leads elsewhere is passed over."""
        for name in names:
            if Path(name).name == name:
                (self.path / name).unlink(missing_ok=True)

    def _old(self, pattern: str) -> list[Path]:
        before = time.time() - LEFT_OVER.total_seconds()
        found = []
        for path in self.path.glob(pattern):
            with contextlib.suppress(FileNotFoundError):  # another tidies too
                if path.stat().st_mtime < before:
                    found.append(path)
        return found
