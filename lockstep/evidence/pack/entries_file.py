"""``ledger/entries.jsonl``: the whole tree in order, shown entries and hashes for the rest.

While it is written the tree is rebuilt from the bytes themselves, so that a ledger that does not
fit its signed heads is never exported.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from lockstep.evidence.format.canonical import leaf_hash
from lockstep.evidence.format.merkle import Frontier, Pruned, consistency_proof, node_hash, split
from lockstep.evidence.pack.layout import ALWAYS_SHOWN
from lockstep.evidence.pack.model import PackScope

Node = tuple[int, int]
"""(first leaf, number of leaves) of a perfect subtree."""


class ExportError(ValueError):
    """A pack that cannot be made; the text says why, and holds nothing personal."""


def foreign_head() -> ExportError:
    """A head that somebody kept does not fit: what everything here is about."""
    return ExportError(
        "the checkpoint given with --previous is not a head of this ledger: it was forged, or the"
        " ledger was rewritten since"
    )


class LeafRow(Protocol):
    """One leaf as storage gives it."""

    @property
    def index(self) -> int: ...
    @property
    def body(self) -> bytes: ...
    @property
    def leaf_hash(self) -> bytes: ...
    @property
    def case_id(self) -> str | None: ...
    @property
    def kind(self) -> str: ...


class Sink(Protocol):
    """Where lines go."""

    def write(self, data: bytes, /) -> object: ...


class Disclosure:
    """Which entries a pack shows: all, or those of one partner's cases, or those of one case.

    What everybody must see to recompute anything (policies, metrics, keys) is always shown.

    Args:
        coming: cases whose cutoff is to come, where these are withheld. All of them, whatever
            their kind: of hidden entries nobody can tell whether a dismissal is coming. Brakes
            are withheld too, because they tell how many come.
        moved: the partner that the last amendment names, of cases where one does: HR said who
            employs a leaver after the case had begun with another partner's name.
    """

    def __init__(
        self,
        scope: PackScope,
        coming: Collection[str] = (),
        moved: Mapping[str, str] | None = None,
    ) -> None:
        self._moved = moved or {}
        self._coming = frozenset(coming)
        self._shows_coming = scope.coming
        self._partner = scope.partner
        self._case = scope.case_id
        self._cases: set[str] = {scope.case_id} if scope.case_id else set()
        self._is_of_all = scope.partner is None and scope.case_id is None
        self.is_full = self._is_of_all and scope.coming

    def shows(self, leaf: LeafRow) -> bool:
        if not self._shows_coming and (
            leaf.case_id in self._coming or leaf.kind.startswith("brake:")
        ):
            return False
        if self._is_of_all or leaf.kind.startswith(ALWAYS_SHOWN):
            return True
        if leaf.case_id is None:
            return False
        if self._partner is not None and leaf.kind in {"case:opened", "case:rescinded"}:
            self._learn(leaf.case_id, leaf.body)
        return leaf.case_id in self._cases

    def _learn(self, case_id: str, body: bytes) -> None:
        """The entry that a case begins with names its partner; an amendment may name another."""
        named = json.loads(body).get("data", {}).get("partner")
        if self._moved.get(case_id, named) == self._partner:
            self._cases.add(case_id)


@dataclass(slots=True)
class _Tree(Frontier):
    """A frontier that remembers chosen perfect subtrees while it grows over them."""

    wanted: frozenset[Node] = frozenset()
    kept: dict[Node, bytes] = field(default_factory=dict)

    def push(self, level: int, digest: bytes) -> None:
        if not self.wanted:
            Frontier.push(self, level, digest)
            return
        self.size += 1 << level
        while True:
            node = (self.size - (1 << level), 1 << level)
            if node in self.wanted:
                self.kept[node] = digest
            if not self.nodes or self.nodes[-1][0] != level:
                break
            digest = node_hash(self.nodes.pop()[1], digest)
            level += 1
        self.nodes.append((level, digest))

    def node(self, first: int, count: int) -> bytes:
        """The root of a part of the tree, from what was kept."""
        if not count & (count - 1):
            return self.kept[first, count]
        left = split(count)
        return node_hash(self.node(first, left), self.node(first + left, count - left))


class EntriesFile:
    """Writes the lines and checks the tree.

    Args:
        out: where the lines go.
        size: leaves of the tree that the pack is made at.
        roots: roots that signed heads of this ledger give, by size; ``size`` is among them.
        claimed: a size of ``roots`` that only somebody else says was signed.
        proofs: older sizes, for which consistency proofs may be asked afterwards.
    """

    def __init__(
        self,
        out: Sink,
        disclosure: Disclosure,
        *,
        size: int,
        roots: Mapping[int, bytes],
        proofs: Collection[int] = (),
        claimed: int | None = None,
    ) -> None:
        self._out = out
        self._disclosure = disclosure
        self._size = size
        self._roots = roots
        self._claimed = claimed
        self._heads = sorted(roots)
        self._tree = _Tree(wanted=frozenset(_needed(proofs, size)))
        self._withheld = Pruned(0)
        self._sound = 0
        self.disclosed = 0
        self.hidden_heads: list[int] = []
        """Sizes of ``roots`` that end inside a withheld subtree: only a proof shows them."""

    @property
    def leaves(self) -> int:
        return self._tree.size

    def add(self, leaf: LeafRow) -> dict[str, Any] | None:
        """Write the next leaf; the parsed entry where it is shown, else None.

        Raises:
            ExportError: if the leaf is not the next one, or the tree has another root than a
                signed head says.
        """
        digest = leaf_hash(leaf.body)
        if leaf.index != self.leaves or leaf.index >= self._size:
            raise ExportError(f"the ledger has a gap: leaf {self.leaves} is missing")
        if digest != leaf.leaf_hash:
            raise ExportError(f"the ledger is damaged: entry {leaf.index} is not what was hashed")
        entry = None
        if self._disclosure.shows(leaf):
            entry = _parsed(leaf)
            self._flush()
            self._out.write(leaf.body)
            self._out.write(b"\n")
            self.disclosed += 1
        else:
            if not self._withheld.size:
                self._withheld = Pruned(leaf.index)
            self._withheld.append(digest)
        self._tree.append(digest)
        if self.leaves in self._roots:
            self._check_root()
        return entry

    def finish(self) -> None:
        """Write what is still held back.

        Raises:
            ExportError: if leaves are missing.
        """
        if self.leaves != self._size:
            raise ExportError(
                f"the ledger has {self.leaves} leaves, its signed head says {self._size}:"
                " its tail is missing"
            )
        self._flush()

    def consistency(self, old: int) -> list[str]:
        """The proof (hex, RFC 6962 section 2.1.2) that the tree of ``old`` leaves is a prefix."""
        return [node.hex() for node in consistency_proof(old, self._size, self._tree.node)]

    def _check_root(self) -> None:
        if self._tree.root() != self._roots[self.leaves]:
            if self.leaves == self._claimed:
                raise foreign_head()
            raise ExportError(
                f"the ledger is damaged: entries {self._sound} to {self.leaves - 1} do not give the"
                f" root that was signed at {self.leaves}: run `lockstep ledger verify`"
            )
        self._sound = self.leaves

    def _flush(self) -> None:
        at = self._withheld.start
        for level, digest in self._withheld.nodes:
            self._out.write(f"#{level} {digest.hex()}\n".encode())
            end = at + (1 << level)
            inside = self._heads[bisect_right(self._heads, at) : bisect_left(self._heads, end)]
            self.hidden_heads.extend(inside)
            at = end
        self._withheld = Pruned(at)


def _parsed(leaf: LeafRow) -> dict[str, Any]:
    """The entry, if it is what its row says: a row that lies could show another partner's."""
    try:
        entry: dict[str, Any] = json.loads(leaf.body)
        said = entry["kind"], entry.get("case")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ExportError(f"the ledger is damaged: entry {leaf.index} cannot be read") from None
    if said != (leaf.kind, leaf.case_id):
        raise ExportError(f"the ledger is damaged: entry {leaf.index} is not what its row says")
    return entry


def _needed(sizes: Collection[int], size: int) -> set[Node]:
    """The perfect subtrees that the consistency proofs of ``sizes`` are made of."""
    nodes: set[Node] = set()

    def take(first: int, count: int) -> bytes:
        while count:
            part = 1 << (count.bit_length() - 1)
            nodes.add((first, part))
            first, count = first + part, count - part
        return b""

    for old in sizes:
        consistency_proof(old, size, take)
    return nodes
