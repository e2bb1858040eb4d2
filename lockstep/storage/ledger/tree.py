"""The tree as the database holds it: the last signed head, and the leaves after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lockstep.evidence.format.merkle import Frontier, TreeError
from lockstep.evidence.format.notes import Checkpoint, NoteError, open_note, parse_checkpoint
from lockstep.evidence.ledger.entries import EntryKind
from lockstep.storage.engine.direct import Link
from lockstep.storage.ledger.head import LedgerRefusedError
from lockstep.storage.ledger.keys import KeyChain

_PAGE = 10_000
_ASKING = ("ledger:", "metric:", "evidence:", "subject:", "hold:")


def asks_for_head(kind: str) -> bool:
    """Whether an entry of this kind is worth a signed head of its own."""
    return kind == EntryKind.CASE_CLOSED or kind.startswith(_ASKING)


@dataclass(slots=True)
class Tree:
    """The ordered part of the ledger.

    Args:
        signed_size: how many leaves the last head covers, 0 before the first.
        signed_at: when that was signed.
        asked_by: the kind of the first entry since then that asks for a head, or "".
    """

    frontier: Frontier
    signed_size: int = 0
    signed_at: datetime | None = None
    asked_by: str = ""

    @property
    def size(self) -> int:
        return self.frontier.size

    def append(self, leaf: bytes, kind: str) -> None:
        """Take the next leaf."""
        self.frontier.append(leaf)
        if not self.asked_by and asks_for_head(kind):
            self.asked_by = kind


@dataclass(frozen=True, slots=True)
class Signed:
    """A stored head as raw columns."""

    size: int
    root: bytes
    frontier: bytes
    note: str
    signed_at: datetime

    def check(self, origin: str, keys: KeyChain) -> Frontier:
        """The tree that it covers.

        Raises:
            LedgerRefusedError: if frontier, root, note and signature do not belong together.
        """
        try:
            tree = Frontier.from_bytes(self.size, self.frontier)
            key = keys.at(self.size)
            body, signers = open_note(self.note, [key] if key else [])
            said = parse_checkpoint(body)
        except (NoteError, TreeError):
            raise self._broken("cannot be read, or its signature is wrong") from None
        if said.origin != origin:
            raise LedgerRefusedError(
                "origin_differs", f"it was signed as {said.origin}: correct ledger.origin"
            )
        if not signers:
            raise self._broken("is not signed by the key that was in force")
        if said != Checkpoint(origin, self.size, self.root) or tree.root() != self.root:
            raise self._broken("is not what was signed")
        return tree

    def _broken(self, what: str) -> LedgerRefusedError:
        return LedgerRefusedError(
            "head_broken",
            f"the stored head of {self.size} leaves {what}: run `lockstep ledger verify`",
        )


def read_tree(link: Link, origin: str, keys: KeyChain) -> Tree:
    """Build the tree from the last signed head and the leaves after it.

    Raises:
        LedgerRefusedError: if that head is not as it was signed, or the order has holes.
    """
    size = _counted(link)
    last = last_signed(link)
    tree = Tree(Frontier())
    if last is not None:
        tree = Tree(last.check(origin, keys), last.size, last.signed_at)
    if size < tree.size:
        raise LedgerRefusedError(
            "tail_missing",
            f"a head of {tree.size} leaves was signed, but there are {size}: restore the database",
        )
    for leaf, kind in _hashes(link, tree.size, size):
        tree.append(leaf, kind)
    return tree


def check_head(
    link: Link, origin: str, keys: KeyChain, *, tree: Tree, head: Checkpoint | None
) -> None:
    """Refuse a database that knows less, or another thing, than was signed from this machine.

    ``head`` is what the head file says, read before the tree was.

    Raises:
        LedgerRefusedError: unless a person has accepted just this (`restored_key`).
    """
    if head is None or _root_at(link, origin, keys, tree=tree, size=head.size) == head.root:
        return
    if stands(link, restored_key(head)):
        return
    lacks = f"has {tree.size} leaves" if head.size > tree.size else "shows another tree"
    raise LedgerRefusedError(
        "restored",
        f"a head of {head.size} leaves was signed here, but the database {lacks}: if it was "
        "restored from a backup, say so with `lockstep ledger accept-restore`",
    )


def restored_key(head: Checkpoint) -> str:
    """Key of the entry by which a person accepts that ``head`` is lost."""
    return f"{EntryKind.LEDGER_RESTORED.value}:{head.size}:{head.root.hex()}"


def last_signed(link: Link, *, at_most: int | None = None) -> Signed | None:
    """The largest stored head, or the largest that covers ``at_most`` leaves."""
    row = link.execute(
        """
        select size, root, frontier, note, signed_at from checkpoints
         where size <= coalesce(%s, size) order by size desc limit 1
        """,
        (at_most,),
    ).fetchone()
    return None if row is None else signed(row)


def signed(row: Any) -> Signed:
    """A row of (size, root, frontier, note, signed_at)."""
    size, root, frontier, note, signed_at = row
    text = bytes(note).decode("utf-8", "replace")  # what is no text is no note either
    return Signed(size, bytes(root), bytes(frontier), text, signed_at)


def _counted(link: Link) -> int:
    """How many leaves there are; their indexes must be 0, 1, 2 and so on."""
    row = link.execute("select count(*), coalesce(max(leaf_index), -1) from ledger_leaves")
    count, largest = row.fetchone() or (0, -1)
    if count != largest + 1:
        raise LedgerRefusedError(
            "order_broken",
            f"the order has {count} leaves but ends at {largest}: run `lockstep ledger verify`",
        )
    return int(count)


def _hashes(link: Link, first: int, end: int) -> Iterator[tuple[bytes, str]]:
    for start in range(first, end, _PAGE):
        rows = link.execute(
            # "offset 0": see ledger_check.
            """
            select e.leaf_hash, e.kind from ledger_leaves l
              left join lateral (
                select leaf_hash, kind from ledger_entries where id = l.entry_id offset 0) e on true
             where l.leaf_index >= %s and l.leaf_index < %s order by l.leaf_index
            """,
            (start, min(start + _PAGE, end)),
            binary=True,
        )
        for leaf, kind in rows:
            if leaf is None:
                raise LedgerRefusedError(
                    "entry_missing", "an entry has been removed: run `lockstep ledger verify`"
                )
            yield leaf, kind


def _root_at(link: Link, origin: str, keys: KeyChain, *, tree: Tree, size: int) -> bytes | None:
    """The root over the first ``size`` leaves; None if there are fewer."""
    if size > tree.size:
        return None
    below = last_signed(link, at_most=size)
    part = below.check(origin, keys) if below else Frontier()
    for leaf, _ in _hashes(link, part.size, size):
        part.append(leaf)
    return part.root()


def stands(link: Link, key: str) -> bool:
    """Whether an entry with this key is in the ledger."""
    found = link.execute("select 1 from ledger_entries where key = %s", (key,)).fetchone()
    return found is not None
