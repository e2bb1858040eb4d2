"""First half of a pack: the ledger read once, checked, folded, and written as ``entries.jsonl``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lockstep.evidence.ledger.fold import HistoryError
from lockstep.evidence.ledger.history import History
from lockstep.evidence.pack.archive import Spool
from lockstep.evidence.pack.entries_file import (
    Disclosure,
    EntriesFile,
    ExportError,
    LeafRow,
    foreign_head,
)
from lockstep.evidence.pack.model import PackScope
from lockstep.evidence.pack.people.population import counting_of
from lockstep.scorecard.counting import Counting
from lockstep.scorecard.definition import Definition, DefinitionError

_COMMITTING = frozenset({"case:opened", "case:amended", "case:rescinded"})
"""Kinds of entries that commit to who a leaver is."""


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A signed head of the ledger; ``note`` is exactly what was signed."""

    size: int
    root: bytes
    note: str


@dataclass(frozen=True, slots=True)
class Basis:
    """What a pack is made of and at.

    Args:
        head: the head that the pack is made at.
        earlier: heads of smaller trees, the smallest first.
        previous: a head that the reader has from before, if asked for.
        folder: where large parts wait for the archive.
        coming: cases that are withheld because their cutoff is to come; see `PackScope`.
        moved: the partner that the last amendment of a case names; needed for a partner's pack.
        tick: called often; raises when the work must stop.
    """

    scope: PackScope
    head: SignedHead
    earlier: Sequence[SignedHead]
    previous: SignedHead | None
    tool_version: str
    folder: Path
    tick: Callable[[], None] = field(default=lambda: None)
    coming: frozenset[str] = frozenset()
    moved: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LedgerRead:
    """What the ledger says up to the head.

    Args:
        history: the fold of the disclosed entries.
        counting: how the definition counts their cases.
        openings: hash of the entry that each case begins with.
        identities: the latest commitment to who a leaver is, by case; of identified packs only.
        disclosed: how many entries the pack shows.
        consistency: proofs (hex) by the older size, as text.
    """

    history: History
    definition: Definition
    counting: Counting
    openings: Mapping[str, bytes]
    identities: Mapping[str, str]
    entries: Spool
    disclosed: int
    consistency: Mapping[str, Sequence[str]]


class LedgerReader:
    """Takes the leaves in order, then says what they are."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        roots = {head.size: head.root for head in (*basis.earlier, basis.head)}
        asked = basis.previous
        claimed = asked.size if asked is not None and asked.size not in roots else None
        if asked is not None and roots.setdefault(asked.size, asked.root) != asked.root:
            raise foreign_head()
        self._history = History()
        self._openings: dict[str, bytes] = {}
        self._identities: dict[str, str] = {}
        self._spool = Spool(basis.folder)
        disclosure = Disclosure(basis.scope, basis.coming, basis.moved)
        self._asked = set() if asked is None else {asked.size}
        self._file = EntriesFile(
            self._spool,
            disclosure,
            size=basis.head.size,
            roots=roots,
            proofs=self._asked if disclosure.is_full else roots,
            claimed=claimed,
        )

    @property
    def leaves(self) -> int:
        """How many were taken."""
        return self._file.leaves

    def add(self, leaves: Sequence[LeafRow]) -> None:
        """Take the next leaves.

        Raises:
            ExportError: if they do not fit the ledger's signed heads or each other.
        """
        self._basis.tick()
        for leaf in leaves:
            entry = self._file.add(leaf)
            if entry is None:
                continue
            try:
                self._history.add(leaf.index, entry)
            except HistoryError as error:
                raise _unfolded(leaf, error) from None
            self._remember(leaf, entry)

    def finish(self) -> LedgerRead:
        """What was read, once all leaves were taken.

        Raises:
            ExportError: if leaves are missing, the case asked for is not there, or no definition
                of the metric was adopted.
        """
        self._file.finish()
        scope = self._basis.scope
        if scope.case_id is not None and scope.case_id not in self._history.cases:
            raise ExportError(f"there is no case {scope.case_id} in the ledger at this checkpoint")
        proofs = sorted(self._asked | set(self._file.hidden_heads))
        definition = _definition(self._history)
        return LedgerRead(
            history=self._history,
            definition=definition,
            counting=counting_of(self._history, definition, scope),
            openings=self._openings,
            identities=self._identities,
            entries=self._spool,
            disclosed=self._file.disclosed,
            consistency={str(size): self._file.consistency(size) for size in proofs},
        )

    def close(self) -> None:
        """Let go of what waits on the disk."""
        self._spool.close()

    def _remember(self, leaf: LeafRow, entry: Mapping[str, Any]) -> None:
        case_id = leaf.case_id
        if case_id is None:
            return
        if case_id not in self._openings and case_id in self._history.cases:
            self._openings[case_id] = leaf.leaf_hash
        if self._basis.scope.identified and leaf.kind in _COMMITTING:
            committed = entry.get("data", {}).get("identity")
            if committed:
                self._identities[case_id] = committed


def _unfolded(leaf: LeafRow, error: HistoryError) -> ExportError:
    """Which entry, of which case, and what can be done: every pack that shows it is refused."""
    about = f"case {leaf.case_id}, {leaf.kind}" if leaf.case_id else leaf.kind
    return ExportError(
        f"{error} ({about}), so no pack that shows it can be made. `lockstep ledger refold` lists"
        " all such entries; run the newest release. Packs that withhold it can be made: of another"
        " partner (--partner) or of another case (--case)"
    )


def _definition(history: History) -> Definition:
    """The definition that was adopted last."""
    if not history.metrics:
        raise ExportError(
            "no definition of the metric is adopted in the ledger yet: start the worker once, then"
            " export at the next checkpoint"
        )
    digest, document = next(reversed(history.metrics.items()))
    try:
        definition = Definition.from_document(document)
    except DefinitionError as error:
        raise ExportError(f"the adopted {error}") from None
    if definition.digest != digest:
        raise ExportError("the adopted definition is not in its canonical form")
    return definition
