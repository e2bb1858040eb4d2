"""Which session is the sequencer of a database."""

from __future__ import annotations

from typing import Final

LOCK: Final = 0x10C57EA
"""Session lock of the one sequencer of a database."""
