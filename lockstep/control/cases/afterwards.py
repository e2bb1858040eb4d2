"""What became of a system after somebody asked to try it again: that it was asked is not done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lockstep.domain.cases.outcomes import Outcome, RevocationState
from lockstep.domain.systems.faults import FaultCategory, rule_for
from lockstep.evidence.ledger.entries import EntryKind
from lockstep.storage.records import RevocationRow
from lockstep.storage.systems.tries import Said

_DOUBTFUL_S = 3.0
"""So long a person may still be asked because no system knew the leaver."""


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


UNDER_WAY = After(Became.UNDER_WAY, "")


def after(row: RevocationRow, said: Said | None) -> After:
    """What became of a system, by how it stands and what was last written of it since."""
    if said is not None and said.kind != EntryKind.REVOCATION_OUTCOME:
        rule = rule_for(FaultCategory(said.category))
        return After(Became.FAILED_TRYING if rule.transient else Became.FAILED, rule.reason)
    if row.state != RevocationState.SETTLED:
        return UNDER_WAY
    if said is not None and said.outcome == Outcome.NOT_FOUND and said.age_s < _DOUBTFUL_S:
        return UNDER_WAY
    return After(Became.SETTLED, (row.outcome or "").replace("_", " "))
