"""Reading the ledger in its order: signed heads, and leaves as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.storage.engine.database import StorageError
from lockstep.storage.tables.ledger import checkpoints

PAGE = 2000
"""Leaves read in one round trip: about 2 MB."""


class BrokenOrderError(StorageError):
    """A leaf is missing, or its entry is: run `lockstep ledger verify`."""


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A signed head of the ledger.

    Args:
        size: how many leaves it covers.
        root: the tree's root over them.
        note: the signed note, exactly as signed (C2SP signed-note).
        signed_at: by our clock, in UTC; the note itself carries no time.
        reason: why it was signed: the kind of the entry that asked for it.
        key_name: whose signature it carries.
        frontier: the tree's perfect subtrees, as `Frontier.from_bytes` reads them.
    """

    size: int
    root: bytes
    note: str
    signed_at: datetime
    reason: str
    key_name: str
    frontier: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One entry at its place: ``body`` is what was hashed, ``leaf_hash`` what is stored."""

    index: int
    body: bytes
    leaf_hash: bytes
    case_id: str | None
    kind: str


class Checkpoints:
    """Reads signed heads."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def latest(self) -> StoredCheckpoint | None:
        """The head of the largest tree; None before the first."""
        return await self._one(select(checkpoints).order_by(checkpoints.c.size.desc()).limit(1))

    async def at(self, size: int) -> StoredCheckpoint | None:
        """The head of the tree of exactly ``size`` leaves, if it was signed."""
        return await self._one(select(checkpoints).where(checkpoints.c.size == size))

    async def newest(self, limit: int) -> list[StoredCheckpoint]:
        """The heads of the largest trees, the largest first."""
        query = select(checkpoints).order_by(checkpoints.c.size.desc()).limit(limit)
        async with self._engine.connect() as connection:
            return [_stored(row) for row in (await connection.execute(query)).all()]

    async def between(self, start: datetime, end: datetime) -> list[StoredCheckpoint]:
        """Heads signed in [start, end), the smallest tree first."""
        query = (
            select(checkpoints)
            .where(checkpoints.c.signed_at >= start, checkpoints.c.signed_at < end)
            .order_by(checkpoints.c.size)
        )
        async with self._engine.connect() as connection:
            return [_stored(row) for row in (await connection.execute(query)).all()]

    async def _one(self, query: Select[Any]) -> StoredCheckpoint | None:
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _stored(row)


def _stored(row: Row[Any]) -> StoredCheckpoint:
    return StoredCheckpoint(
        size=row.size,
        root=bytes(row.root),
        note=bytes(row.note).decode(),
        signed_at=row.signed_at,
        reason=row.reason,
        key_name=row.key_name,
        frontier=bytes(row.frontier),
    )


_LEAVES = text(
    """
    select l.leaf_index, e.body, e.leaf_hash, e.case_id, e.kind from ledger_leaves l
      cross join lateral (
        select body, leaf_hash, case_id, kind from ledger_entries where id = l.entry_id offset 0
      ) e
     where l.leaf_index >= :first and l.leaf_index < :end order by l.leaf_index
    """
)
"""``offset 0`` keeps it a look-up per leaf: a merge join would read from the first entry on."""


async def leaves(engine: AsyncEngine, first: int, end: int) -> AsyncIterator[Leaf]:
    """The leaves ``first`` to ``end`` (exclusive), in order.

    Read page by page, each in a transaction of its own: nothing below ``end`` ever changes, so
    no long transaction is needed, and none holds the database's clean-up back meanwhile.

    Raises:
        BrokenOrderError: at the first leaf that is missing, or whose entry is.
    """
    expected = first
    while expected < end:
        bounds = {"first": expected, "end": min(expected + PAGE, end)}
        async with engine.connect() as connection:
            rows = (await connection.execute(_LEAVES, bounds)).all()
        for index, body, leaf_hash, case_id, kind in rows:
            if index != expected:
                break
            yield Leaf(index, body, leaf_hash, case_id, kind)
            expected += 1
        if expected != bounds["end"]:
            raise BrokenOrderError(f"leaf {expected} of the ledger is missing, or its entry is")
