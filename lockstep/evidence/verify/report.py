"""What a check comes to: numbered steps, each with a verdict and one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

REFUTED = 1
UNUSABLE = 2
_MAX_NAME = 120
MAX_DETAILS = 20
"""Differences that a step names; beyond them it says that there are more."""


class UnusableError(ValueError):
    """The input is nothing that can be checked: no ZIP, no key, no checkpoint."""


class RefutedError(ValueError):
    """A step has failed. The sentence says what is wrong; ``details`` name the places."""

    def __init__(self, sentence: str, details: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.details = details


class NotCheckedError(ValueError):
    """A step cannot be done; the sentence says why."""


def shown(text: str, *, limit: int = 120) -> str:
    """Text out of a pack, fit for a terminal; the rest of a long one is cut.

    Everything beyond printable ASCII is escaped: letters of another alphabet look like ours, and
    marks and directions change what one sees.
    """
    cut = text[:limit]
    safe = cut if cut.isascii() and cut.isprintable() else ascii(cut)[1:-1].replace("\\'", "'")
    return safe if len(text) <= limit else f"{safe}…"


def shown_name(text: str) -> str:
    """A name as people write it, and behind it letter by letter where it could be another's.

    Two names that look alike, by other alphabets, accents, marks or blanks, print differently.
    """
    spelled = shown(text)
    if spelled == text and text == " ".join(text.split()):
        return text
    plain = "".join(char for char in text[:_MAX_NAME] if char.isprintable())
    return f'{" ".join(plain.split())}, spelled "{spelled}"'


class Verdict(StrEnum):
    """What came of a step."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    WARN = "WARN"
    """It holds, and there is something that a reader should know."""
    FAIL = "FAIL"
    NOT_CHECKED = "NOT CHECKED"


class Level(StrEnum):
    """Who else than the operator vouches for the ledger's head."""

    NONE = "NOT ESTABLISHED"
    """A step failed: nothing is vouched for."""
    UNANCHORED = "UNANCHORED"
    """Nobody else: who holds the signing key could have written another ledger yesterday."""
    ANCHORED = "ANCHORED"
    """A time stamp authority that you trust: the head existed at that time."""
    WITNESSED = "WITNESSED"
    """A witness that you trust has signed this head, and signs one line of history only."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step. ``details`` are the places where it failed, or what a reader should know."""

    number: int
    title: str
    verdict: Verdict
    sentence: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """The whole check.

    Args:
        facts: what the pack says of itself, for the head of a printout; only what was checked.
        caveat: how far what is withheld could move the score; empty where nothing is.
    """

    steps: tuple[Step, ...]
    level: Level
    facts: Mapping[str, str] = field(default_factory=dict)
    caveat: str = ""

    @property
    def label(self) -> str:
        """Behind the verdict: who else vouches, and what the score could be instead."""
        return f"{self.level}, PARTIAL: {self.caveat}" if self.caveat else self.level.value

    @property
    def is_verified(self) -> bool:
        """Whether no step has failed."""
        return all(step.verdict is not Verdict.FAIL for step in self.steps)

    @property
    def exit_code(self) -> int:
        """0 verified, 1 refuted; 2, unusable input, is an `UnusableError`."""
        return 0 if self.is_verified else REFUTED

    def as_document(self) -> dict[str, object]:
        """Plain data for a script to read."""
        return {
            "verified": self.is_verified,
            "level": self.level.value,
            "caveat": self.caveat,
            "facts": dict(self.facts),
            "steps": [
                {
                    "step": step.number,
                    "title": step.title,
                    "verdict": step.verdict.value,
                    "sentence": step.sentence,
                    "details": list(step.details),
                }
                for step in self.steps
            ],
            "not_checked_by_this": list(NOT_CHECKED_BY_THIS),
        }


NOT_CHECKED_BY_THIS = (
    "That what was recorded is true: a lie that was recorded is a lie preserved.",
    (
        "That everything was recorded: a termination that HR never sent, or an entry that was never"
        " written, leaves no trace here. Compare the population with HR's own list."
    ),
    (
        "The clocks: instants are those of the operator's machines and of the vendors. A time stamp"
        " only says that the head existed then."
    ),
    (
        "The counts of HR's events in the statement and in the workbook: they come from the"
        " operator's database."
    ),
    "The vendors' own logs: look up some request ids of the sample there.",
    "What is withheld from a partial pack, beyond that it is part of the same tree.",
    (
        "Whether the operator showed somebody else another ledger, unless a witness signed the head"
        " or you compare checkpoints with others."
    ),
    (
        "What stands in PDF, XLSX, OSCAL, OCSF, control mapping, README, identified/actors.csv, and"
        " receipts other than time stamps: these files are as signed, but may say something else"
        " than the entries."
    ),
    (
        "That the key you gave is the operator's: it must have reached you by another way than the"
        " pack."
    ),
)
"""Said at the end of every report, whatever came of the steps."""
