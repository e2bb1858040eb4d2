"""How the state of a case is told to people: the same words on the command line and in pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

from lockstep.domain.cases.outcomes import CaseStatus, Outcome, RevocationState
from lockstep.domain.systems.access import Proof
from lockstep.domain.systems.faults import FaultCategory, rule_for
from lockstep.evidence.ledger.entries import SEARCH
from lockstep.storage.records import CaseRow, CaseView, RevocationRow
from lockstep.storage.systems.outages import Outage

_WITHOUT_FAULT = {
    RevocationState.SCHEDULED: ("Waits for its first try.", "Wait."),
    RevocationState.REVOKING: ("Access is being revoked.", "Wait."),
    RevocationState.RETRYING: ("Will be tried again.", "Wait."),
    RevocationState.NEEDS_PERSON: ("Waits for a person.", "Retry, or attest."),
    RevocationState.STOPPED: ("Stopped: the case was called off.", ""),
}

_SETTLED = {
    Outcome.REVOKED: "Revoked, and read back.",
    Outcome.ALREADY_ABSENT: "Nothing was left to do: no access stood.",
    Outcome.NOT_FOUND: "Nobody was found there.",
    Outcome.ATTESTED: "A person said that access was ended.",
    Outcome.WAIVED: "Waived: access may stand.",
}
WAS_REVOKED = frozenset({Outcome.REVOKED, Outcome.ATTESTED})
"""Outcomes after which access was ended, by us or as a person says: only these took a time."""
NOT_OF_THIS_CASE = (
    "HR names an account there, and this case has no such system: nothing closes that account."
    " Look at it by hand."
)


def status_of(view: CaseView) -> str:
    """The case's status; a system that waits for a person shows through."""
    waiting = any(row.state == RevocationState.NEEDS_PERSON for row in view.revocations)
    if view.case.status == CaseStatus.REVOKING and waiting:
        return CaseStatus.NEEDS_PERSON.value
    return view.case.status


def reason_of(row: RevocationRow, case: CaseRow | None = None) -> str:
    """Why a system is as it is, in plain words; the vendor's own are in ``fault_text``."""
    if row.state == RevocationState.SETTLED:
        return _SETTLED[Outcome(row.outcome)] if row.outcome else "Settled."
    if row.fault:
        return rule_for(FaultCategory(row.fault)).reason
    if case is not None and case.status == CaseStatus.SCHEDULED:
        return "Waits for the cutoff."
    return _WITHOUT_FAULT[RevocationState(row.state)][0]


_PROOFS = {
    Proof.BY_ID: "by id",
    Proof.PROVED: "the search was proved to find",
    Proof.LISTED: "everybody was listed and compared",
    Proof.NOT_HELD: "the system holds no such keys",
    Proof.UNPROVED: "nothing shows that the search can find",
    Proof.FAILED: "the search failed",
}


def is_sought(row: RevocationRow) -> bool:
    """Whether the leaver was looked for there and is not found, or not for certain."""
    is_open = row.state not in {RevocationState.SETTLED, RevocationState.STOPPED}
    doubtful = {FaultCategory.UNKNOWN_WORKER, FaultCategory.AMBIGUOUS_MATCH}
    return (is_open and row.fault in doubtful) or row.outcome == Outcome.NOT_FOUND


def searched_words(searches: Sequence[tuple[str, str]], listed: int | None = None) -> str:
    """By which kinds of key a system was searched, and how it is known that this could find."""
    parts = [f"{by.replace('_', ' ')} ({_PROOFS[Proof(proof)]})" for by, proof in searches]
    if listed is not None:
        parts.append(f"{listed} accounts listed")
    return ", ".join(parts)


def contained_words(row: RevocationRow, unread: Sequence[tuple[str, str]] = ()) -> str:
    """That nobody signs in although not all is done; "" where that is not known to be so.

    ``unread``: kinds of lists that could not be read, and why.
    """
    if row.contained_at is None or row.state == RevocationState.SETTLED:
        return ""
    text = f"Sign-in shut at {row.contained_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, read back."
    whys: dict[str, list[str]] = {}
    for kind, category in unread:
        why = f": {rule_for(FaultCategory(category)).reason}" if category else "."
        named = "a search for accounts" if kind == SEARCH else kind.replace("_", " ")
        whys.setdefault(why, []).append(named)
    return " ".join(
        [text, *(f"Could not be read: {', '.join(kinds)}{why}" for why, kinds in whys.items())]
    ).replace("..", ".")


def looked_words(row: RevocationRow) -> str:
    """What a look settled without anything to be ended; "" where that is not how it ended."""
    if row.confirmed_at is None or row.outcome not in {Outcome.NOT_FOUND, Outcome.ALREADY_ABSENT}:
        return ""
    what = "nobody was found" if row.outcome == Outcome.NOT_FOUND else "no access stood"
    return f"{what} at {row.confirmed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def suggestion_of(row: RevocationRow) -> str:
    """What to do about it; "" where there is nothing to do."""
    if row.state == RevocationState.SETTLED:
        return ""
    if row.fault:
        return rule_for(FaultCategory(row.fault)).suggestion
    return _WITHOUT_FAULT[RevocationState(row.state)][1]


def outage_words(outage: Outage) -> str:
    """What is wrong with a system that holds up many, and what to do; by how many, where mixed."""
    if len(outage.faults) == 1:
        [(category, _)] = outage.faults
        rule = rule_for(category)
        return f"{rule.reason} {rule.suggestion}"
    return " ".join(f"{count}: {rule_for(category).reason}" for category, count in outage.faults)


def afterwards_words(outage: Outage) -> str:
    """What becomes of those who wait, once it is mended."""
    if outage.ends_by_itself:
        return "When it is mended, all of them are tried again by themselves, one after the other."
    return "When it is mended, retry those that are not tried again by themselves."
