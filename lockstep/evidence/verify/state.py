"""What the steps of a check have established so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from cryptography.x509 import Certificate

from lockstep.evidence.format.merkle import Frontier
from lockstep.evidence.format.notes import Checkpoint, VerifierKey
from lockstep.evidence.verify.content.ledger import Ledger
from lockstep.evidence.verify.heads.earlier import EarlierPack
from lockstep.evidence.verify.heads.heads import WitnessKey
from lockstep.evidence.verify.heads.keys import Keys
from lockstep.evidence.verify.report import Level, NotCheckedError, RefutedError, Verdict
from lockstep.evidence.verify.statement import Statement
from lockstep.evidence.verify.zip.archive import Archive
from lockstep.scorecard.definition import Definition

Found = TypeVar("Found")

CLOCK_TOLERANCE_MS = 5 * 60 * 1000
"""How far the clocks of an operator's machines may be apart."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the reader holds, by another way than the pack.

    Args:
        roots: certificates of trusted time stamp authorities; None where the reader has none.
        previous: a signed checkpoint from before.
        earlier: a pack from before.
    """

    keys: tuple[VerifierKey, ...]
    roots: Sequence[Certificate] | None = None
    previous: str | None = None
    witnesses: Sequence[WitnessKey] = ()
    earlier: EarlierPack | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What a step that did not fail has to say."""

    sentence: str
    details: tuple[str, ...] = ()
    verdict: Verdict = Verdict.PASS


@dataclass(slots=True)
class State:
    """Filled step by step; what a step could not establish stays None.

    Args:
        digests: SHA-256 in hex of every file, as found.
        unsound: names of files that are not as stated.
        older: older heads with a good signature, those of the pack first.
        older_problem: why an older head cannot be used.
        leavers: case ids of the population, in the order of the files.
        score: the official score in words, once it was recomputed.
        caveat: how far what is withheld could move it; empty where nothing is.
    """

    held: Held
    archive: Archive
    digests: dict[str, str] = field(default_factory=dict)
    unsound: set[str] = field(default_factory=set)
    keys: Keys | None = None
    statement: Statement | None = None
    head: Checkpoint | None = None
    older: list[Checkpoint] = field(default_factory=list)
    older_problem: RefutedError | None = None
    ledger: Ledger | None = None
    definition: Definition | None = None
    leavers: list[str] | None = None
    score: str = ""
    caveat: str = ""
    level: Level = Level.UNANCHORED

    def need(self, found: Found | None) -> Found:
        """What an earlier step established.

        Raises:
            NotCheckedError: if it could not.
        """
        if found is None:
            raise NotCheckedError("an earlier step could not establish what this one needs")
        return found

    def need_sound(self, *names: str) -> None:
        """Insist that these files are as stated.

        Raises:
            NotCheckedError: if one is not.
        """
        for name in names:
            if name in self.unsound or name not in self.archive:
                raise NotCheckedError(f"{name} did not pass step 3")

    def need_file(self, name: str) -> None:
        """Insist that there is such a file.

        Raises:
            RefutedError: if there is none.
        """
        if name not in self.archive:
            raise RefutedError(f"there is no {name}")

    def text(self, name: str) -> str:
        """A small text file.

        Raises:
            RefutedError: if there is none, or it is not in UTF-8.
        """
        self.need_file(name)
        try:
            return self.archive.read(name).decode()
        except UnicodeDecodeError:
            raise RefutedError(f"{name} is not text") from None

    @property
    def tree(self) -> Frontier:
        """The tree of the entries."""
        return self.need(self.ledger).tree
