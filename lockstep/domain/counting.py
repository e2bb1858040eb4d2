"""Counts as people read them: one entry, two entries."""

from __future__ import annotations


def noun(count: int, one: str, many: str = "") -> str:
    """The word that goes behind a count; ``many`` is ``one`` with an s where it is not given."""
    return one if count == 1 else many or f"{one}s"


def counted(count: int, one: str, many: str = "") -> str:
    """A count with its word: 1 entry, 2 entries, 1,204 entries."""
    return f"{count:,} {noun(count, one, many)}"


def entries(count: int) -> str:
    """Entries of the ledger, of which there is most to count."""
    return counted(count, "entry", "entries")
