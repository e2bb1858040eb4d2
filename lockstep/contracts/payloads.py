"""One dataclass in, one out. Small: ids and instants, never documents.

Histories outlive releases: add fields with defaults only, never rename or retype one.
All instants are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.outcomes import CaseStatus


@dataclass(frozen=True, slots=True)
class SystemPlan:
    """One system of a case, pinned from policy when the case opened.

    ``warn_s`` and ``due_s`` count from the cutoff, in seconds. ``at_home`` says that the first try
    is made by the worker that holds the workflow task (docs/decisions/0006).
    """

    system: str
    required: bool
    manual: bool
    warn_s: int
    due_s: int
    start_to_close_s: int
    at_home: bool = False


@dataclass(frozen=True, slots=True)
class DoorSoFar:
    """What had become of one system when its case's workflow was lost.

    Args:
        round: the highest of its activities of which there is a word; 0 for none.
        settled_at: when its outcome was confirmed (UTC); None while it is open.
        waits: a person was asked, and has not answered; nothing is tried before they do.
        overdue: a person was told that it takes too long, while it is tried on.
        guarded: looks at it since it settled.
        looks: the highest number of a look.
        in_doubt: a look has found an account of which a person must say whose it is.
        is_picked: they have said so, and nobody has looked since.
    """

    system: str
    round: int = 0
    opening: int = 1
    outcome: str = ""
    settled_at: datetime | None = None
    waits: bool = False
    overdue: bool = False
    guarded: int = 0
    looks: int = 0
    in_doubt: bool = False
    is_picked: bool = False


@dataclass(frozen=True, slots=True)
class CaseSoFar:
    """What had become of a case that had begun when its workflow was lost.

    Args:
        looked_at: when it was last looked at after it had closed (UTC).
        rehired: HR has said that they work here again.
    """

    doors: list[DoorSoFar]
    closings: int = 0
    closed_at: datetime | None = None
    looked_at: datetime | None = None
    rehired: bool = False

    @property
    def status(self) -> CaseStatus:
        """As the case shows it."""
        if self.closed_at is not None:
            return CaseStatus.CLOSED
        waits = any(door.waits or door.overdue for door in self.doors)
        return CaseStatus.NEEDS_PERSON if waits else CaseStatus.REVOKING


@dataclass(frozen=True, slots=True)
class CaseInput:
    """Starts a case. ``begun`` says that the cutoff had passed when it was opened.

    ``padding`` makes the inputs of all coming cases of one policy and partner equally long.
    ``so_far``: of a case that is taken up again, because its workflow was lost.
    """

    case_id: str
    cutoff: datetime
    begun: bool
    systems: list[SystemPlan]
    watch_s: list[int] = field(default_factory=list)
    partner: str = ""
    priority: int = 4
    padding: str = ""
    so_far: CaseSoFar | None = None


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case ended: a value of `CaseStatus`."""

    status: str


@dataclass(frozen=True, slots=True)
class TerminationChanged:
    """HR said something new; the database holds what. Only wakes the case up."""

    event_id: str


class BeginState(StrEnum):
    """What a case shall do at its cutoff."""

    BEGIN = "begin"
    WAIT = "wait"
    RESCINDED = "rescinded"


@dataclass(frozen=True, slots=True)
class BeginInput:
    case_id: str


@dataclass(frozen=True, slots=True)
class SystemTimes:
    """One system's times in seconds from the cutoff, as HR's newest word has them."""

    system: str
    warn_s: int
    due_s: int


@dataclass(frozen=True, slots=True)
class BeginResult:
    """``cutoff`` is the current one: HR may have moved it while the case slept.

    The rest is what HR may have corrected meanwhile, told once the case has begun: a priority of 0
    and a partner of "" say nothing. Before, their mere length would betray a coming dismissal.
    ``again``: systems that waited for better keys of the leaver, and now there are some.
    ``look``: settled systems that were not searched by the newest keys: they are looked at now.
    ``ahead_ms``: how long the cutoff is ahead by the database's clock, where the case has to wait.
    """

    state: BeginState
    cutoff: datetime
    times: list[SystemTimes] = field(default_factory=list)
    priority: int = 0
    partner: str = ""
    again: list[str] = field(default_factory=list)
    look: list[str] = field(default_factory=list)
    ahead_ms: int = 0


@dataclass(frozen=True, slots=True)
class RevokeInput:
    """One system's revocation.

    ``round`` counts activities of one system within a case; ``opening`` counts how often the
    system was opened: once, and once more whenever its access returned.
    """

    case_id: str
    system: str
    round: int
    opening: int = 1


@dataclass(frozen=True, slots=True)
class RevokeResult:
    """``outcome`` is a value of `Outcome`."""

    outcome: str


@dataclass(frozen=True, slots=True)
class HomeInput:
    """The first try of all these systems of a case, together; ``priority`` as of the case."""

    case_id: str
    systems: list[str]
    priority: int = 4


@dataclass(frozen=True, slots=True)
class HomeTry:
    """One system: its ``outcome``, or else the fault ``category`` and whether it is ``final``."""

    system: str
    outcome: str = ""
    category: str = ""
    final: bool = False


@dataclass(frozen=True, slots=True)
class HomeResult:
    """What came of each system that was asked for."""

    tries: list[HomeTry]


@dataclass(frozen=True, slots=True)
class RehearseInput:
    case_id: str
    system: str


@dataclass(frozen=True, slots=True)
class RehearseResult:
    """``accounts`` found and ``problems`` seen before the last day; counts only."""

    accounts: int
    problems: int


@dataclass(frozen=True, slots=True)
class WatchInput:
    """A later look. ``look`` numbers the look within the case, from 1.

    ``last``: HR has said that they work here again. What stands then had come back before, and is
    told; it is not taken again.
    """

    case_id: str
    system: str
    look: int
    opening: int = 1
    last: bool = False


@dataclass(frozen=True, slots=True)
class WatchResult:
    """``returned`` says that access stands again; ``in_doubt`` that a person must pick accounts."""

    returned: bool
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class NeedsPersonInput:
    """Tell operations. ``category`` is a value of `FaultCategory`."""

    case_id: str
    system: str
    round: int
    category: str
    overdue: bool = False
    opening: int = 1


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's decision about one system.

    Args:
        decision_id: also the update id, so that a repeated click decides once.
        reason: free text; encrypted in payloads and at rest, never in the ledger.
        artefact_digest: SHA-256 (hex) of the artefact that an attestation rests on.
        until: end of a waiver (UTC).
        accounts: of a pick: the vendor's ids of the leaver's accounts; may be none.
        others: of a pick: those that were shown and are not the leaver's. What was never shown is
            in neither, and stays in doubt.
        recovery: of a retry that nobody asked for: a value of `Recovery`, which says why Lockstep
            itself tries again; "" where a person decided.
    """

    decision_id: str
    kind: DecisionKind
    system: str
    actor: str
    reason: str
    second_person: str = ""
    artefact_digest: str = ""
    until: datetime | None = None
    accounts: list[str] = field(default_factory=list, repr=False)
    others: list[str] = field(default_factory=list, repr=False)
    recovery: str = ""


@dataclass(frozen=True, slots=True)
class DecisionInput:
    case_id: str
    round: int
    decision: Decision
    opening: int = 1


@dataclass(frozen=True, slots=True)
class DecisionResult:
    """``outcome`` is the value of `Outcome` that now stands; empty while the system is open."""

    outcome: str = ""


@dataclass(frozen=True, slots=True)
class CloseInput:
    """``closing`` numbers the closings of a case, from 1: a reopened case closes again.

    ``openings``: which opening of each system the workflow takes for settled, where not the first.
    ``asked``: for the how many-th time it asks for this closing.
    """

    case_id: str
    closing: int
    openings: dict[str, int] = field(default_factory=dict)
    asked: int = 1


@dataclass(frozen=True, slots=True)
class StillOpen:
    """A required system of which the database does not say that it is settled.

    ``unsearched``: it is settled, but was not searched by all keys of the leaver that are known.
    """

    system: str
    opening: int
    unsearched: bool = False


@dataclass(frozen=True, slots=True)
class CloseResult:
    """``open``: why the case was not closed, where it was not."""

    closed_at: datetime
    open: list[StillOpen] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Nothing:
    """The result of an activity that only records."""
