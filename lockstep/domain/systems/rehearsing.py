"""What a rehearsal's search shows: whom or what a person will be asked about on the last day."""

from __future__ import annotations

from collections.abc import Iterator

from lockstep.domain.cases.leavers import LeaverKeys
from lockstep.domain.systems.access import Location
from lockstep.domain.systems.faults import FaultCategory, rule_for
from lockstep.domain.systems.finding import Absence, Finding, absence, not_read


def doubts(
    location: Location,
    finding: Finding,
    keys: LeaverKeys,
    *,
    system: str,
    found: bool,
    accept_single_key: bool,
) -> list[dict[str, str]]:
    """Each with its code, in words for people, and what to do.

    Args:
        location: what the search told.
        finding: whose the accounts are.
        keys: of the leaver.
        system: that was searched.
        found: whether an account is known to be the leaver's.
        accept_single_key: see `absence`.
    """
    rows = list(_unsearched(location))
    if not_read(location, keys, system=system):
        rows.append(("named_account_not_read", FaultCategory.UNKNOWN_WORKER))
    if finding.in_doubt:
        rows.append(("in_doubt", FaultCategory.AMBIGUOUS_MATCH))
    elif not found:
        proved = absence(
            location, accept_single_key=accept_single_key, withdrawn=keys.withdrawn_of(system)
        )
        if proved is not Absence.PROVED:
            rows.append((proved, FaultCategory.UNKNOWN_WORKER))
    return [
        {"code": code, "summary": rule_for(category).reason, "fix": rule_for(category).suggestion}
        for code, category in rows
    ]


def _unsearched(location: Location) -> Iterator[tuple[str, FaultCategory]]:
    for category in dict.fromkeys(row.category for row in location.unread):
        yield "search_failed", category or FaultCategory.UNEXPECTED_ANSWER
