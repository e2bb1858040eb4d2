"""What nobody decides alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.policy import Tier


@dataclass(frozen=True, slots=True)
class Pairs:
    """When a person needs a second one.

    For a waiver always, for an attestation with an artefact (grade C is two people's word), and for
    an attestation of tier 0, whatever the settings say.

    Args:
        attest: further tiers of systems that nobody attests alone, artefact or not.
        pick: tiers of systems of which nobody says alone whose accounts in doubt are.
        prolong: kinds of leaver whose access nobody prolongs alone, by a later cutoff or by calling
            the case off: a friend of the dismissed could.
    """

    attest: frozenset[Tier] = frozenset({Tier.ZERO})
    prolong: frozenset[TerminationKind] = frozenset({TerminationKind.INVOLUNTARY})
    pick: frozenset[Tier] = frozenset()

    def need_second(self, kind: DecisionKind, tier: str, *, has_artefact: bool) -> bool:
        """Whether somebody else has to agree before a system is decided about."""
        match kind:
            case DecisionKind.RETRY:
                return False
            case DecisionKind.WAIVE:
                return True
            case DecisionKind.PICK:
                return tier in self.pick
            case DecisionKind.ATTEST:
                return has_artefact or tier == Tier.ZERO or tier in self.attest

    def need_second_to_prolong(self, kind: str) -> bool:
        """Whether somebody else has to agree before access lasts longer than HR said."""
        return kind in self.prolong

    def need_second_to_withdraw(self, kind: str, *, begun: bool) -> bool:
        """Whether somebody else has to agree before nobody is searched for by a key any more."""
        return begun or self.need_second_to_prolong(kind)

    def need_second_to_move(self, kind: str, cutoff: datetime, to: datetime) -> bool:
        """Whether somebody else has to agree before a cutoff moves; never to earlier."""
        return to > cutoff and self.need_second_to_prolong(kind)

    def need_second_to_restate(
        self, kind: str, cutoff: datetime, *, to: datetime, said: str
    ) -> bool:
        """Whether somebody else has to agree before a leaving is said anew, as another or later.

        To say that a dismissal is a resignation would open the way to prolonging it alone.
        """
        softens = self.need_second_to_prolong(kind) and not self.need_second_to_prolong(said)
        return softens or self.need_second_to_move(kind, cutoff, to)
