"""One system's part of a case, as the workflow sees it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from lockstep.contracts.payloads import Decision, DoorSoFar, SystemPlan
from lockstep.domain.cases.decisions import DecisionKind, Standing
from lockstep.domain.cases.outcomes import Outcome


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
    is_deciding: bool = False
    """A decision is being written; it is in ``decision`` when it stands."""
    settled_at: datetime | None = None
    has_new_keys: bool = False
    """The leaver's keys have grown since its last try."""
    in_doubt: bool = False
    """A look at it, settled, has found an account that may be the leaver's: a person picks."""
    is_picked: bool = False
    """A person has picked since, or the leaver's keys have grown: it is looked at at once."""
    is_blind: bool = False
    """The last look could not be had."""
    blind_until: datetime | None = None
    """When it is tried again to look at what was picked."""
    guarded: int = 0
    """Looks at it after it had settled and before the case closed; the watch numbers on from it."""
    waits: bool = False
    """A person was asked before the workflow was lost: nothing is tried before they answer."""
    looks_before: int = 0
    """Numbers of looks that are spent: those before the workflow was lost."""

    def take_up(self, so_far: DoorSoFar) -> None:
        """Go on where an earlier workflow of the case was lost."""
        self.round, self.opening = so_far.round, so_far.opening
        self.outcome, self.settled_at = so_far.outcome, so_far.settled_at
        self.waits, self.overdue = so_far.waits, so_far.overdue
        self.needs_person = so_far.waits or so_far.overdue
        self.guarded = so_far.guarded
        self.looks_before = max(0, so_far.looks - so_far.guarded)
        self.in_doubt, self.is_picked = so_far.in_doubt, so_far.is_picked

    @property
    def is_settled(self) -> bool:
        return bool(self.outcome)

    def standing(self, cutoff: datetime) -> Standing:
        """What a decision depends on. Accounts in doubt are known here only once it is settled."""
        return Standing(
            begun=self.round > 0,
            settled=self.is_settled,
            by_hand=self.plan.manual,
            due_at=cutoff + timedelta(seconds=self.plan.due_s),
            in_doubt=self.in_doubt or not self.is_settled,
        )

    @property
    def was_closed_by_us(self) -> bool:
        """Whether a connector, not a person, settled it: only such can be watched."""
        return self.outcome in {Outcome.REVOKED, Outcome.ALREADY_ABSENT, Outcome.NOT_FOUND}

    def reopen(self) -> None:
        self.opening += 1
        self.outcome = ""
        self.needs_person = False
        self.overdue = self.waits = False  # else nobody is told when it hangs again
        self.decision = None
        self.in_doubt = self.is_picked = self.is_blind = False
        self.blind_until = None

    def go_on(self, opening: int) -> None:
        """Work on: the database does not say that this opening is settled."""
        self.opening = max(self.opening, opening)
        self.outcome, self.settled_at = "", None
        self.decision = None
        self.overdue = self.waits = False

    def take_decision(self) -> None:
        """Settle by a person's decision, unless the connector was faster or a retry is meant."""
        if self.is_settled or self.decision is None:
            return
        match self.decision.kind:
            case DecisionKind.ATTEST:
                self.outcome = Outcome.ATTESTED
            case DecisionKind.WAIVE:
                self.outcome = Outcome.WAIVED
            case DecisionKind.RETRY | DecisionKind.PICK:
                pass
