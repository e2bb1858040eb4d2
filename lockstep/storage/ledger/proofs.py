"""Inclusion proofs of single leaves against a signed head.

The hashes of large subtrees come from the frontiers of earlier heads, so that a proof in a ledger
of millions reads thousands of leaves and not all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.evidence.format.merkle import (
    Frontier,
    TreeError,
    consistency_proof,
    node_hash,
    root_from_inclusion,
    root_of,
    split,
)
from lockstep.storage.ledger.checkpoints import BrokenOrderError, StoredCheckpoint
from lockstep.storage.tables.ledger import checkpoints, ledger_entries, ledger_leaves

READ_AT_ONCE = 4096
"""A subtree of so many leaves is hashed from its leaves."""


@dataclass(frozen=True, slots=True)
class Proof:
    """The audit path of one leaf, lowest first (RFC 6962 section 2.1.1)."""

    leaf: int
    leaf_hash: bytes
    path: tuple[bytes, ...]


class Proofs:
    """Proves leaves; each proof is checked against the head's root before it is given."""

    def __init__(self, engine: AsyncEngine, *, at_once: int = READ_AT_ONCE) -> None:
        self._engine = engine
        self._at_once = at_once

    async def of(self, leaves: list[tuple[int, bytes]], head: StoredCheckpoint) -> list[Proof]:
        """A proof for each (index, leaf hash) that ``head`` covers.

        Raises:
            BrokenOrderError: if the stored leaves do not lead to the head's root.
        """
        async with self._engine.connect() as connection:
            tree = _Nodes(connection, self._at_once)
            return [
                await self._one(tree, index, leaf, head)
                for index, leaf in leaves
                if index < head.size
            ]

    async def growth(self, old: int, head: StoredCheckpoint) -> list[bytes]:
        """That the tree of ``old`` leaves is the beginning of the head's (RFC 6962, 2.1.2).

        Raises:
            BrokenOrderError: if there is no such tree, or leaves are missing.
        """
        wanted: list[tuple[int, int]] = []

        def note(first: int, count: int) -> bytes:
            wanted.append((first, count))
            return b""

        try:
            consistency_proof(old, head.size, note)
        except TreeError as error:
            raise BrokenOrderError(str(error)) from None
        async with self._engine.connect() as connection:
            tree = _Nodes(connection, self._at_once)
            known = {place: await tree.node(*place) for place in wanted}
        return consistency_proof(old, head.size, lambda first, count: known[first, count])

    async def _one(self, tree: _Nodes, index: int, leaf: bytes, head: StoredCheckpoint) -> Proof:
        path: list[bytes] = []
        first, count = 0, head.size
        while count > 1:
            left = split(count)
            if index - first < left:
                path.append(await tree.node(first + left, count - left))
                count = left
            else:
                path.append(await tree.node(first, left))
                first, count = first + left, count - left
        path.reverse()
        if root_from_inclusion(index, head.size, leaf, path) != head.root:
            raise BrokenOrderError(
                f"leaf {index} does not lead to the signed head: run `lockstep ledger verify`"
            )
        return Proof(index, leaf, tuple(path))


@dataclass(slots=True)
class _Nodes:
    """Hashes of subtrees, each reckoned once."""

    connection: AsyncConnection
    at_once: int
    known: dict[tuple[int, int], bytes] = field(default_factory=dict)

    async def node(self, first: int, count: int) -> bytes:
        """The root of ``count`` leaves from ``first`` on."""
        key = (first, count)
        if key not in self.known:
            self.known[key] = await self._reckon(first, count)
        return self.known[key]

    async def _reckon(self, first: int, count: int) -> bytes:
        if count <= self.at_once:
            return await self._from_leaves(first, count)
        if count & (count - 1) == 0 and (found := await self._from_head(first, count)):
            return found
        left = split(count)
        return node_hash(await self.node(first, left), await self.node(first + left, count - left))

    async def _from_leaves(self, first: int, count: int) -> bytes:
        query = (
            select(ledger_entries.c.leaf_hash)
            .join(ledger_leaves, ledger_leaves.c.entry_id == ledger_entries.c.id)
            .where(ledger_leaves.c.leaf_index >= first, ledger_leaves.c.leaf_index < first + count)
            .order_by(ledger_leaves.c.leaf_index)
        )
        hashes = (await self.connection.scalars(query)).all()
        if len(hashes) != count:
            raise BrokenOrderError(f"leaves from {first} on are missing from the ledger")
        try:
            return root_of(bytes(leaf) for leaf in hashes)
        except TreeError:
            raise BrokenOrderError(f"a leaf from {first} on is no hash") from None

    async def _from_head(self, first: int, count: int) -> bytes | None:
        """From the frontier of a head that ends within the next subtree of the same size."""
        if first // count % 2:
            return None  # a right child never stands alone in a frontier
        query = (
            select(checkpoints.c.size, checkpoints.c.frontier)
            .where(checkpoints.c.size >= first + count, checkpoints.c.size < first + 2 * count)
            .limit(1)
        )
        row = (await self.connection.execute(query)).one_or_none()
        if row is None:
            return None
        try:
            tree = Frontier.from_bytes(row.size, bytes(row.frontier))
        except TreeError:
            return None
        level = count.bit_length() - 1
        return next((digest for at, digest in tree.nodes if at == level), None)
