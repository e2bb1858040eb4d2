"""The normalised fact from HR about one spell, and what a later fact does to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from lockstep.domain.leavers import LeaverKeys


class TerminationKind(StrEnum):
    """Why the spell ends; decides the SLA class and the priority."""

    INVOLUNTARY = "involuntary"
    VOLUNTARY = "voluntary"
    CONTRACT_END = "contract_end"

    @property
    def priority(self) -> int:
        """Temporal priority key, 1 most urgent: a dismissal overtakes a lay-off."""
        return 1 if self is TerminationKind.INVOLUNTARY else 4


class TerminationAction(StrEnum):
    """What HR did."""

    TERMINATED = "terminated"
    AMENDED = "amended"
    RESCINDED = "rescinded"


@dataclass(frozen=True, slots=True)
class EndDates:
    """HR's civil dates, each with its own meaning; at least one is given.

    Args:
        zone: IANA zone in which the civil dates are meant.
        access_ends_at: HR's explicit instant (UTC); wins over every date.
        last_working_day: the last day on which the person works.
        garden_leave_start: the first day of paid absence without access.
        employment_ends_on: the last day of the employment or contract.
    """

    zone: str
    access_ends_at: datetime | None = None
    last_working_day: date | None = None
    garden_leave_start: date | None = None
    employment_ends_on: date | None = None


@dataclass(frozen=True, slots=True)
class Termination:
    """One revision of HR's statement about one spell."""

    tenant: str
    source: str
    event_id: str
    action: TerminationAction
    revision: int
    worker_id: str
    spell: str
    kind: TerminationKind
    recorded_at: datetime
    dates: EndDates
    keys: LeaverKeys
    display_name: str = ""
    partner: str = ""
    site: str = ""


class Verdict(StrEnum):
    """What a further statement about a known spell does."""

    OPEN = "open"
    TOMBSTONE = "tombstone"
    """A rescind came before what it rescinds: remember it, open nothing."""
    DUPLICATE = "duplicate"
    OUTDATED = "outdated"
    AMEND = "amend"
    RESCIND = "rescind"
    TOO_LATE = "too_late"
    """The case is past its cutoff: recorded, nothing is ever re-enabled."""


@dataclass(frozen=True, slots=True)
class KnownCase:
    """What intake must know of an existing case to judge a further statement."""

    revision: int
    last_event_id: str
    is_rescinded: bool
    cutoff_passed: bool


def judge(
    action: TerminationAction, revision: int, event_id: str, known: KnownCase | None
) -> Verdict:
    """Decide what one statement does to what is known; order and repetition must not matter.

    A revision below or equal to the known one never changes anything, whatever it says: HR's
    revision is the only clock that all deliveries share.
    """
    if known is None:
        return Verdict.TOMBSTONE if action is TerminationAction.RESCINDED else Verdict.OPEN
    if event_id == known.last_event_id or revision == known.revision:
        return Verdict.DUPLICATE
    if revision < known.revision:
        return Verdict.OUTDATED
    if known.is_rescinded:
        is_again = action is TerminationAction.RESCINDED
        return Verdict.RESCIND if is_again else Verdict.OPEN  # a revision counts in any case
    if action is TerminationAction.RESCINDED:
        return Verdict.TOO_LATE if known.cutoff_passed else Verdict.RESCIND
    return Verdict.AMEND
