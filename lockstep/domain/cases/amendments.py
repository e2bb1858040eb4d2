"""What a later statement of HR changes of a case: everything that it says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from lockstep.domain.cases.terminations import Termination, TerminationKind


@dataclass(frozen=True, slots=True)
class Standing:
    """What is in force of a case.

    Args:
        recorded_at: N, when HR recorded the statement that set ``cutoff_at``.
    """

    kind: TerminationKind
    partner: str
    site: str
    zone: str
    recorded_at: datetime
    cutoff_at: datetime


def amended(before: Standing, said: Termination, cutoff: datetime, *, movable: bool) -> Standing:
    """What is in force after ``said``, which asks for ``cutoff``.

    A cutoff moves only while it has not come. HR's lag is measured from the statement that set
    it, so one that leaves the cutoff where it is does not begin that clock anew. Of a partner or
    site that is left out nothing is said: the earlier one stays.
    """
    moves = movable and cutoff != before.cutoff_at
    return Standing(
        kind=said.kind,
        partner=said.partner or before.partner,
        site=said.site or before.site,
        zone=said.dates.zone,
        recorded_at=said.recorded_at if moves else before.recorded_at,
        cutoff_at=cutoff if moves else before.cutoff_at,
    )


def time_allowed(before: timedelta, by_kind: timedelta, *, counts: bool) -> timedelta:
    """The time that a system has after the kind of a case was corrected.

    A shorter one counts at once, like an earlier cutoff. A longer one only where it ``counts``:
    said before the cutoff, by HR or by two people. Else whoever is late could call the leaver
    something that has more time.
    """
    return by_kind if counts else min(before, by_kind)
