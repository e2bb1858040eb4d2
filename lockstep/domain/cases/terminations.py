"""The normalised fact from HR about one spell, and what a later fact does to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from lockstep.domain.cases.leavers import LeaverKeys


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
    REHIRED = "rehired"
    """They work here again: ends the watch of the case that closed; nothing is taken again."""


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
    """One revision of HR's statement about one spell.

    Args:
        hired_at: when the employment began that the statement is about (for `rehired`: the new
            one); tells two employments apart that HR gives one spell.
        numbered_by: the source whose number ``worker_id`` is; "" says ``source``.
        case_id: which case a person here means; "" where they mean none, or HR speaks.
    """

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
    hired_at: datetime | date | None = None
    numbered_by: str = ""
    case_id: str = ""

    @property
    def whose_number(self) -> str:
        """The source whose number ``worker_id`` is."""
        return self.numbered_by or self.source

    def says_as(self, other: Termination) -> bool:
        """Whether two statements say the same, whoever delivered them and whenever recorded."""
        return _content(self) == _content(other)


def _content(said: Termination) -> tuple[object, ...]:
    return (
        said.action,
        said.worker_id,
        said.spell,
        said.kind,
        said.dates,
        frozenset(said.keys.keys),
        said.display_name,
        said.partner,
        said.site,
        said.hired_at,
    )
