"""Re-hashing the whole ledger against every head that was ever signed.

Not checked here: whether what the entries say is true, and whether a head that was signed was ever
shown to somebody else. For that there are anchors, and packs with their own verifier.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from lockstep.evidence.format.canonical import LEAF_PREFIX
from lockstep.evidence.format.merkle import Frontier
from lockstep.evidence.format.notes import Checkpoint, NoteError, open_note
from lockstep.storage.engine.direct import Link
from lockstep.storage.ledger.head import HeadFile, LedgerRefusedError
from lockstep.storage.ledger.keys import KeyChain, read_chain
from lockstep.storage.ledger.tree import Signed, restored_key, signed, stands

PAGE = 5000
MOST_PROBLEMS = 50
"""So many are told one by one; the others are counted."""
_HOLE = bytes(32)
_FARTHEST = 1_000_000
"""Indexes this far beyond the number of leaves are no holes, they are nonsense."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong; ``leaf`` is its place where there is one."""

    says: str
    leaf: int | None = None


@dataclass(slots=True)
class Verification:
    """What was looked at and what was found.

    Args:
        leaves: entries that have a place; each was hashed anew.
        unplaced: entries that wait for a place: committed, not yet under any head.
        unsigned: leaves after the last head.
        heads: stored heads; the root and the signature of each were checked.
        root: over all leaves, as computed here.
        not_told: problems beyond the first ones.
    """

    leaves: int = 0
    unplaced: int = 0
    unsigned: int = 0
    heads: int = 0
    root: bytes = b""
    problems: list[Problem] = field(default_factory=list)
    not_told: int = 0

    @property
    def is_good(self) -> bool:
        return not self.problems

    def tell(self, says: str, leaf: int | None = None) -> None:
        """Add a problem."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(says, leaf))
        else:
            self.not_told += 1


@dataclass(frozen=True, slots=True)
class Kept:
    """A head that was kept outside the database; ``name`` says where, ``note`` is it if signed."""

    name: str
    head: Checkpoint
    note: str = ""


def verify(
    link: Link,
    origin: str,
    *,
    file: HeadFile | None = None,
    kept: Sequence[Kept] = (),
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Verification:
    """Hash every placed entry anew and compare with every stored head, and with those kept outside.

    Reads page by page in a few megabytes of memory, and may run beside the sequencer.
    ``progress`` is told leaves done and leaves in all.
    """
    return _Verifier(link, origin).run(file, kept, progress)


class _Verifier:
    def __init__(self, link: Link, origin: str) -> None:
        self._link = link
        self._origin = origin
        self._keys = KeyChain()
        self._found = Verification()

    def run(
        self, file: HeadFile | None, kept: Sequence[Kept], progress: Callable[[int, int], None]
    ) -> Verification:
        outside = list(kept)
        try:
            self._keys = read_chain(self._link)
            outside += self._head_of(file)  # before the extent: it is never ahead of the order
        except LedgerRefusedError as error:
            self._found.tell(str(error))
        end, largest = self._extent()
        for each in outside:
            self._check_kept(each, end)
        if largest > end:
            self._found.tell(f"a head of {largest} leaves was signed, but there are {end}: cut off")
        self._walk(end, outside, progress)
        return self._found

    def _head_of(self, file: HeadFile | None) -> list[Kept]:
        """The head file, unless a person has accepted that what it remembers is lost."""
        head = file.read() if file else None
        if file is None or head is None or stands(self._link, restored_key(head)):
            return []
        return [Kept(str(file.path), head)]

    def _extent(self) -> tuple[int, int]:
        """The end of the order, and the size of the largest head."""
        count, largest, entries, head = self._link.execute(
            """
            select (select count(*) from ledger_leaves),
                   (select coalesce(max(leaf_index), -1) from ledger_leaves),
                   (select count(*) from ledger_entries),
                   (select coalesce(max(size), 0) from checkpoints)
            """
        ).fetchone() or (0, -1, 0, 0)
        self._found.unplaced = max(0, entries - count)
        if largest + 1 <= count + _FARTHEST:
            return largest + 1, head
        self._found.tell(f"the order of {count} leaves claims to end at {largest}", largest)
        return count, head

    def _check_kept(self, each: Kept, end: int) -> None:
        if each.head.origin != self._origin:
            self._found.tell(f"{each.name} is of another ledger: {each.head.origin}")
        if each.head.size > end:
            self._found.tell(
                f"{each.name} covers {each.head.size} leaves, but there are {end}: cut off"
            )
        try:
            if each.note and not open_note(each.note, [term.key for term in self._keys.terms])[1]:
                self._found.tell(f"{each.name} is not signed by a key of this ledger")
        except NoteError as error:
            self._found.tell(f"{each.name}: {error}")

    def _walk(
        self, end: int, outside: Sequence[Kept], progress: Callable[[int, int], None]
    ) -> None:
        tree, last = Frontier(), 0
        for start in range(0, end, PAGE):
            stop = min(start + PAGE, end)
            stored = {head.size: head for head in self._heads(start, stop)}
            claimed = {each.head.size for each in outside}
            for size, digest in enumerate(self._digests(start, stop), start + 1):
                tree.append(digest)
                if size in claimed:
                    self._compare_kept(outside, tree)
                if size in stored:
                    tree, last = self._compare(stored[size], tree, since=last), size
            self._found.leaves = stop
            progress(stop, end)
        self._found.unsigned = end - last
        self._found.root = tree.root()

    def _compare_kept(self, outside: Sequence[Kept], tree: Frontier) -> None:
        for each in outside:
            if each.head.size == tree.size and each.head.root != tree.root():
                self._found.tell(f"{each.name} shows another tree of {tree.size} leaves")

    def _compare(self, head: Signed, tree: Frontier, *, since: int) -> Frontier:
        """Check one head; the tree to go on with.

        After a difference that is the signed one, so that the leaves behind it are not blamed.
        """
        self._found.heads += 1
        try:
            said = head.check(self._origin, self._keys)
        except LedgerRefusedError as error:
            self._found.tell(str(error))
            return tree
        if tree.root() != head.root:
            self._found.tell(
                f"the head of {head.size} leaves does not fit: an entry among leaves {since} to "
                f"{head.size - 1} is not what was signed",
                since,
            )
        return said

    def _digests(self, start: int, stop: int) -> Iterator[bytes]:
        """The hash of each leaf of a page, computed from the entry's bytes."""
        expected = start
        for leaf, body, stored in _page(self._link, start, stop):
            yield from self._holes(expected, leaf)
            expected = leaf + 1
            if body is None:
                self._found.tell(f"the entry of leaf {leaf} has been removed", leaf)
                yield _HOLE
                continue
            digest = hashlib.sha256(LEAF_PREFIX + body).digest()
            if digest != stored:
                self._found.tell(f"the entry of leaf {leaf} was changed after it was written", leaf)
            yield digest
        yield from self._holes(expected, stop)

    def _holes(self, start: int, stop: int) -> Iterator[bytes]:
        for leaf in range(start, stop):
            self._found.tell(f"leaf {leaf} is missing from the order", leaf)
            yield _HOLE

    def _heads(self, above: int, most: int) -> Iterator[Signed]:
        rows = self._link.execute(
            """
            select size, root, frontier, note, signed_at from checkpoints
             where size > %s and size <= %s order by size
            """,
            (above, most),
        )
        return (signed(row) for row in rows)


def _page(link: Link, start: int, stop: int) -> list[tuple[int, bytes | None, bytes | None]]:
    return link.execute(
        # "offset 0" keeps it a look-up per leaf: a merge join would read from the first entry on.
        """
        select l.leaf_index, e.body, e.leaf_hash from ledger_leaves l
          left join lateral (
            select body, leaf_hash from ledger_entries where id = l.entry_id offset 0) e on true
         where l.leaf_index >= %s and l.leaf_index < %s order by l.leaf_index
        """,
        (start, stop),
        binary=True,
    ).fetchall()
