"""One system's part of a case, as the workflow sees it."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep.contracts.payloads import Decision, SystemPlan
from lockstep.domain.outcomes import Outcome


@dataclass(slots=True)
class Door:
    """State of one system. ``round`` counts its activities, so that ledger keys never repeat."""

    plan: SystemPlan
    round: int = 0
    opening: int = 1
    outcome: str = ""
    needs_person: bool = False
    overdue: bool = False
    decision: Decision | None = None

    @property
    def is_settled(self) -> bool:
        return bool(self.outcome)

    @property
    def was_closed_by_us(self) -> bool:
        """Whether a connector, not a person, settled it: only such can be watched."""
        return self.outcome in {Outcome.REVOKED, Outcome.ALREADY_ABSENT, Outcome.NOT_FOUND}

    def reopen(self) -> None:
        self.opening += 1
        self.outcome = ""
        self.needs_person = False
        self.decision = None
