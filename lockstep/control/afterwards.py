"""What became of a system after somebody asked to try it again: that it was asked is not done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lockstep.control.wording import reason_of
from lockstep.domain.outcomes import RevocationState
from lockstep.storage.records import RevocationRow


class Became(StrEnum):
    """What is known of a try."""

    SETTLED = "settled"
    FAILED = "failed"
    """It failed again and waits for a person."""
    FAILED_TRYING = "failed_trying"
    """It failed again and is tried on by itself."""
    UNDER_WAY = "under_way"
    """Nothing is known of this try yet."""


WORDS = {
    Became.SETTLED: "settled",
    Became.FAILED: "failed again",
    Became.FAILED_TRYING: "failed again, tried on",
    Became.UNDER_WAY: "no answer yet",
}


@dataclass(frozen=True, slots=True)
class After:
    """What became of a try, in a word and in a sentence."""

    became: Became
    note: str

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes by itself."""
        return self.became in {Became.SETTLED, Became.FAILED}


def mark_of(row: RevocationRow) -> str:
    """What a system's last fault was, to tell a new one from it; clocks are not compared."""
    return row.fault_at.isoformat() if row.fault_at else "none"


def after(row: RevocationRow, mark: str) -> After:
    """What became of a system since its last fault was ``mark``."""
    if row.state == RevocationState.SETTLED:
        return After(Became.SETTLED, (row.outcome or "").replace("_", " "))
    if mark_of(row) == mark or not row.fault:
        return After(Became.UNDER_WAY, "")
    if row.state == RevocationState.NEEDS_PERSON:
        return After(Became.FAILED, reason_of(row))
    return After(Became.FAILED_TRYING, reason_of(row))
