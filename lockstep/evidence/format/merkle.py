"""The Merkle tree of the ledger (RFC 6962 section 2.1): heads, and proofs about them.

A tree of any size is a row of perfect subtrees, the largest first: its *frontier*. Appending a
leaf merges equal neighbours; the root folds the row from the right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

NODE_PREFIX = b"\x01"
HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

NodeHash = Callable[[int, int], bytes]
"""(first leaf, number of leaves) to the root of that part of the tree."""


class TreeError(ValueError):
    """Hashes that do not make a tree."""


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(NODE_PREFIX + left + right).digest()


@dataclass(slots=True)
class Frontier:
    """The perfect subtrees of a tree, as (level, hash); a subtree of level n has 2**n leaves."""

    size: int = 0
    nodes: list[tuple[int, bytes]] = field(default_factory=list)

    def append(self, leaf: bytes) -> None:
        """Append one leaf hash."""
        self.push(0, leaf)

    def push(self, level: int, digest: bytes) -> None:
        """Append a perfect subtree of ``2**level`` leaves.

        Raises:
            TreeError: if a subtree of that size cannot begin at this place.
        """
        if len(digest) != HASH_BYTES or not 0 <= level < 63:  # noqa: PLR2004
            raise TreeError("not a hash of a subtree")
        if self.size % (1 << level):
            raise TreeError(f"a subtree of level {level} cannot begin at leaf {self.size}")
        self.size += 1 << level
        while self.nodes and self.nodes[-1][0] == level:
            digest = node_hash(self.nodes.pop()[1], digest)
            level += 1
        self.nodes.append((level, digest))

    def root(self) -> bytes:
        """The tree's root hash; of no leaves, the hash of nothing."""
        if not self.nodes:
            return EMPTY_ROOT
        digest = self.nodes[-1][1]
        for _, left in reversed(self.nodes[:-1]):
            digest = node_hash(left, digest)
        return digest

    def copy(self) -> Frontier:
        return Frontier(self.size, list(self.nodes))

    def to_bytes(self) -> bytes:
        """The hashes, largest subtree first; the size says their levels."""
        return b"".join(digest for _, digest in self.nodes)

    @classmethod
    def from_bytes(cls, size: int, raw: bytes) -> Frontier:
        """Read what `to_bytes` wrote for a tree of ``size`` leaves.

        Raises:
            TreeError: if the number of hashes does not fit the size.
        """
        levels = [level for level in range(size.bit_length() - 1, -1, -1) if size >> level & 1]
        if len(raw) != len(levels) * HASH_BYTES:
            raise TreeError("a frontier that does not fit its size")
        parts = [raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES)]
        return cls(size, list(zip(levels, parts, strict=True)))


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes."""
    tree = Frontier()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def split(size: int) -> int:
    """The largest power of two smaller than ``size`` (``size`` > 1)."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(index: int, size: int, node: NodeHash) -> list[bytes]:
    """The audit path of a leaf, lowest first (RFC 6962 section 2.1.1)."""
    if not 0 <= index < size:
        raise TreeError(f"no leaf {index} in a tree of {size}")
    path: list[bytes] = []
    first, count = 0, size
    while count > 1:
        left = split(count)
        if index - first < left:
            path.append(node(first + left, count - left))
            count = left
        else:
            path.append(node(first, left))
            first, count = first + left, count - left
    return path[::-1]


def root_from_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """The root that a proof leads to (RFC 9162 section 2.1.3.2).

    Raises:
        TreeError: if the proof is too long or too short.
    """
    if not 0 <= index < size:
        raise TreeError(f"no leaf {index} in a tree of {size}")
    at, last, digest = index, size - 1, leaf
    for step in path:
        if last == 0:
            raise TreeError("the proof is too long")
        if at & 1 or at == last:
            digest = node_hash(step, digest)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            digest = node_hash(digest, step)
        at, last = at >> 1, last >> 1
    if last:
        raise TreeError("the proof is too short")
    return digest


def consistency_proof(old: int, size: int, node: NodeHash) -> list[bytes]:
    """That the tree of ``old`` leaves is a prefix (RFC 6962 section 2.1.2)."""
    if not 0 < old <= size:
        raise TreeError(f"no tree of {old} in one of {size}")
    return list(_subproof(old, 0, size, node, known=True))


def _subproof(old: int, first: int, count: int, node: NodeHash, *, known: bool) -> Iterator[bytes]:
    if old == count:
        if not known:
            yield node(first, count)
        return
    left = split(count)
    if old <= left:
        yield from _subproof(old, first, left, node, known=known)
        yield node(first + left, count - left)
    else:
        yield from _subproof(old - left, first + left, count - left, node, known=False)
        yield node(first, left)


def is_consistent(old: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Whether a proof shows that ``old_root`` is a prefix of ``root`` (RFC 9162, 2.1.4.2)."""
    if not 0 < old <= size:
        return False
    if old == size:
        return not path and old_root == root
    steps = list(path)
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    if not steps:
        return False
    at, last = old - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            before, after = node_hash(step, before), node_hash(step, after)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            after = node_hash(after, step)
        at, last = at >> 1, last >> 1
    return last == 0 and before == old_root and after == root


@dataclass(slots=True)
class Pruned:
    """A run of leaves that is given by hashes only, as few perfect subtrees as possible."""

    start: int
    nodes: list[tuple[int, bytes]] = field(default_factory=list)
    size: int = 0

    def append(self, leaf: bytes) -> None:
        """Add the next leaf of the run."""
        level, digest = 0, leaf
        self.size += 1
        end = self.start + self.size
        while self.nodes and self.nodes[-1][0] == level and not end % (1 << (level + 1)):
            digest = node_hash(self.nodes.pop()[1], digest)
            level += 1
        self.nodes.append((level, digest))
