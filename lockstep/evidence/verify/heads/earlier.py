"""A pack that the reader kept: what it withheld opens where a later pack shows it.

A hash in place of an entry is a commitment. Alone it says nothing; with a later pack of the same
ledger it says whether the entry was one that might be withheld.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lockstep.evidence.format.merkle import Frontier, TreeError
from lockstep.evidence.format.notes import Checkpoint, VerifierKey
from lockstep.evidence.format.plain import instant_text
from lockstep.evidence.pack import layout
from lockstep.evidence.pack.model import PackScope
from lockstep.evidence.verify.heads import heads
from lockstep.evidence.verify.heads.keys import follow
from lockstep.evidence.verify.report import RefutedError, UnusableError, shown
from lockstep.evidence.verify.statement import Statement, read_statement
from lockstep.evidence.verify.zip.archive import Archive, Limits
from lockstep.scorecard.facts import CaseFacts

_LEAF = b"\x00"
_WITHHELD = re.compile(rb"#([0-9]|[1-5][0-9]|6[0-2]) ([0-9a-f]{64})")
_TOLERANCE_MS = 5 * 60 * 1000


@dataclass(frozen=True, slots=True)
class EarlierPack:
    """What it claimed to be, its head, and the leaves that it withheld: from, up to."""

    scope: PackScope
    head: Checkpoint
    withheld: Sequence[tuple[int, int]]


@dataclass(slots=True)
class Opening:
    """What becomes of the leaves that an earlier pack withheld, as a later one is read.

    Args:
        cases: facts at the earlier head of every case with such a leaf; None before it.
        others: leaf and kind of such entries that are about no case.
        opened: how many of the leaves are shown now.
    """

    pack: EarlierPack
    cases: dict[str, CaseFacts | None] = field(default_factory=dict)
    others: list[tuple[int, str]] = field(default_factory=list)
    opened: int = 0
    _at: int = 0

    def covers(self, leaf: int) -> bool:
        """Whether the earlier pack withheld a leaf; asked in the order of the leaves."""
        ranges = self.pack.withheld
        while self._at < len(ranges) and ranges[self._at][1] <= leaf:
            self._at += 1
        return self._at < len(ranges) and ranges[self._at][0] <= leaf

    def take(self, leaf: int, kind: str, case_id: str | None) -> None:
        """An entry that the earlier pack withheld."""
        self.opened += 1
        if case_id is None:
            self.others.append((leaf, kind))
        else:
            self.cases.setdefault(case_id, None)

    @property
    def hidden(self) -> int:
        """How many of the leaves are withheld still."""
        return sum(end - start for start, end in self.pack.withheld) - self.opened

    def wrong(self) -> Iterator[str]:
        """What the earlier pack had to show, by its own word."""
        scope = self.pack.scope
        is_partial = scope.partner is not None or scope.case_id is not None
        for leaf, kind in self.others:
            is_brake = not scope.coming and kind.startswith("brake:")
            if kind.startswith(layout.ALWAYS_SHOWN) or not (is_partial or is_brake):
                yield f"entry {leaf}, {shown(kind)}, which every such pack shows"
        for case_id, facts in self.cases.items():
            if facts is None or not _is_its_own(facts, scope):
                continue
            name = f"case {shown(case_id)}"
            if scope.coming:
                yield f"{name}, which it claimed to show"
            elif facts.shown_cutoff_at <= scope.as_of - _TOLERANCE_MS:
                cutoff = instant_text(facts.shown_cutoff_at)
                yield f"{name} as one to come: its cutoff was {cutoff}"


def _is_its_own(facts: CaseFacts, scope: PackScope) -> bool:
    if scope.case_id is not None:
        return facts.case_id == scope.case_id
    return scope.partner is None or facts.partner == scope.partner


def read_earlier(path: Path, keys: Sequence[VerifierKey], limits: Limits) -> EarlierPack:
    """Read a pack that the reader kept, as far as what it withheld needs.

    Raises:
        UnusableError: if it is none, or is not sound itself: then it proves nothing.
    """
    try:
        archive = Archive.open(path, limits)
    except RefutedError as error:
        raise _unsound(error) from None
    try:
        return _read(archive, keys)
    except RefutedError as error:
        raise _unsound(error) from None
    finally:
        archive.close()


def _unsound(error: RefutedError) -> UnusableError:
    return UnusableError(f"the earlier pack proves nothing, check it by itself: {error}")


def _read(archive: Archive, keys: Sequence[VerifierKey]) -> EarlierPack:
    for name in (layout.STATEMENT, layout.CHECKPOINT, layout.ENTRIES, layout.KEYS):
        if name not in archive:
            raise RefutedError(f"there is no {name}")
    related = follow(keys, archive.read(layout.KEYS)).related
    statement = read_statement(archive.read(layout.STATEMENT), related)
    try:
        note = archive.read(layout.CHECKPOINT).decode()
    except UnicodeDecodeError:
        raise RefutedError(f"{layout.CHECKPOINT} is not text") from None
    head = heads.read_head(note, related, statement.scope.origin)
    return EarlierPack(statement.scope, head, _withheld(archive, statement, head))


def _withheld(archive: Archive, statement: Statement, head: Checkpoint) -> list[tuple[int, int]]:
    tree, found = Frontier(), list[tuple[int, int]]()
    digest = hashlib.sha256()
    try:
        for line in archive.lines(layout.ENTRIES):
            digest.update(line + b"\n")
            match = _WITHHELD.fullmatch(line)
            if match is None:
                tree.append(hashlib.sha256(_LEAF + line).digest())
                continue
            start = tree.size
            tree.push(int(match[1]), bytes.fromhex(match[2].decode()))
            found.append((start, tree.size))
    except TreeError as error:
        raise RefutedError(str(error)) from None
    if digest.hexdigest() != statement.files.get(layout.ENTRIES) or (
        (tree.size, tree.root()) != (head.size, head.root)
    ):
        raise RefutedError("its entries are not those of its statement and head")
    return found
