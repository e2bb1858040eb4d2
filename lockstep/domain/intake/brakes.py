"""When terminations arrive far above the usual, new ones wait until somebody has looked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import Scope


class BrakeCause(StrEnum):
    """What came too often."""

    TERMINATIONS = "terminations"
    DISMISSALS = "dismissals"


class BrakeState(StrEnum):
    """A brake is on until everything that it holds has been decided."""

    ON = "on"
    RELEASED = "released"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, order=True)
class Channel:
    """Whose reports are counted together: a source's, or those of one of our own people.

    So nobody fills another's brake, and no flood of one holds whom others report. Where a source
    speaks for several partners, what it says of each is counted apart: it is another's flood.

    Args:
        reporter: the id of a user or a token; "" where a source signed.
        partner: of whose leavers; "" is of all that are not counted apart.
    """

    source: str
    reporter: str = ""
    partner: str = ""

    @property
    def stored(self) -> str:
        """In one text: neither the name of a source nor an id holds a slash."""
        if self.partner:
            return f"{self.source}/{self.reporter}/{self.partner}"
        return f"{self.source}/{self.reporter}" if self.reporter else self.source

    @classmethod
    def read(cls, stored: str) -> Channel:
        """What `stored` wrote."""
        source, _, more = stored.partition("/")
        reporter, _, partner = more.partition("/")
        return cls(source, reporter, partner)


@dataclass(frozen=True, slots=True)
class BrakeRule:
    """How many new spells of one channel may end within an hour; 0 is no limit.

    Dismissals have a count of their own, so that a single one passes while a mass import waits.
    """

    per_hour: int
    dismissals_per_hour: int

    @property
    def is_off(self) -> bool:
        return self.per_hour == 0


@dataclass(slots=True)
class Flow:
    """What came by one channel within the hour, counted on while events are admitted.

    Args:
        brake_id: its brake, if one is on.
        brake_cause: what came too often when it was set.
        is_local: whether our own people report through it, one leaver at a time.
    """

    dismissals: int = 0
    others: int = 0
    brake_id: str = ""
    is_local: bool = False
    brake_cause: BrakeCause | None = None

    def admit(self, kind: TerminationKind, rule: BrakeRule) -> BrakeCause | None:
        """Let a termination through and count it (None), or say what is too much."""
        few = rule.dismissals_per_hour
        if kind is TerminationKind.INVOLUNTARY:
            if few and self.dismissals >= few:
                return BrakeCause.DISMISSALS
            self.dismissals += 1
            return None
        single = self.is_local and (not few or self.dismissals + self.others < few)
        if not single and (self.brake_id or self.others >= rule.per_hour):
            return BrakeCause.TERMINATIONS
        self.others += 1
        return None

    def has_room(self, rule: BrakeRule, arrivals: int) -> bool:
        """Whether less than half of each limit is used up when all ``arrivals`` have passed."""
        few = rule.dismissals_per_hour
        roomy = 2 * (self.others + arrivals) < rule.per_hour
        return not self.brake_id and roomy and (not few or 2 * (self.dismissals + arrivals) < few)

    def told_to(self, scope: Scope) -> Flow:
        """As much of it as somebody may know: dismissals, and a brake that they set, are secret.

        What other partners report is absent for who may know of some partners only.
        """
        if scope.partners is not None:
            return Flow(is_local=self.is_local)
        if scope.sealed:
            return self
        is_secret = self.brake_cause is BrakeCause.DISMISSALS
        brake_id = "" if is_secret else self.brake_id
        return Flow(
            0, self.others, brake_id, self.is_local, None if is_secret else self.brake_cause
        )

    def observed(self, cause: BrakeCause) -> int:
        """How many came within the hour, the one that was too many included."""
        passed = self.dismissals if cause is BrakeCause.DISMISSALS else self.others
        return passed + 1


def allowed(rule: BrakeRule, cause: BrakeCause) -> int:
    """The limit that a cause goes by."""
    return rule.dismissals_per_hour if cause is BrakeCause.DISMISSALS else rule.per_hour
