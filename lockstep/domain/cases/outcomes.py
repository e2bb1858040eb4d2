"""What came of a revocation: nothing is "revoked" without a read-back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lockstep.domain.cases.clocks import UNKNOWN_CLOCK, VendorClock, whole_ms
from lockstep.domain.systems.access import Access, AccessKind, Action, Observation, Residual


class Outcome(StrEnum):
    """How one system's part of a case ended."""

    REVOKED = "revoked"
    ALREADY_ABSENT = "already_absent"
    NOT_FOUND = "not_found"
    ATTESTED = "attested"
    WAIVED = "waived"


class RevocationState(StrEnum):
    """Where one system's part of a case stands."""

    SCHEDULED = "scheduled"
    REVOKING = "revoking"
    RETRYING = "retrying"
    NEEDS_PERSON = "needs_person"
    SETTLED = "settled"
    STOPPED = "stopped"


class CaseStatus(StrEnum):
    """Where a case stands."""

    SCHEDULED = "scheduled"
    REVOKING = "revoking"
    NEEDS_PERSON = "needs_person"
    CLOSED = "closed"
    RESCINDED = "rescinded"


class EvidenceGrade(StrEnum):
    """How good the proof is, best first (design, "Words")."""

    A = "A"
    """The vendor's own record of the moment, and our read-back."""
    B = "B"
    """The API's answer, and our read-back."""
    C = "C"
    """A person, an artefact and a second person."""
    D = "D"
    """A person's word."""


@dataclass(frozen=True, slots=True)
class Closing:
    """The reckoning of one system: snapshot before, observation after.

    ``removed`` is everything that stood in the first snapshot and no longer stands. It is taken
    from the two looks, not from our calls, so that a reply that was lost or a worker that was
    killed neither hides an action nor counts one twice.
    """

    outcome: Outcome
    removed: tuple[Access, ...]
    accepted_at: datetime | None
    revoked_at: datetime
    confirmed_at: datetime
    grade: EvidenceGrade
    residuals: tuple[Residual, ...]


def reckon(
    *,
    before: Sequence[Access],
    after: Sequence[Observation],
    actions: Sequence[Action],
    confirmed_at: datetime,
    clock: VendorClock = UNKNOWN_CLOCK,
    stood_at: Mapping[str, datetime] | None = None,
) -> Closing:
    """Reckon a system whose read-back shows nothing standing; its instants in whole milliseconds.

    The vendor's record of a sign-in's end speaks for that sign-in and for nothing else: without an
    accepted action, whatever else stood, or has no record that counts, ended by our look.

    Args:
        before: what stood in all snapshots of this case in this system.
        after: the read-back of each account.
        actions: what the vendor accepted from us in this attempt.
        confirmed_at: when the read-back was complete (UTC).
        clock: the vendor's, as the calls of this attempt showed it; of an unknown one no record
            counts.
        stood_at: when the sign-in of an account, by its id, was last seen standing (UTC).

    Raises:
        ValueError: if anything still stands; that is no closing.
    """
    if any(not seen.is_closed for seen in after):
        raise ValueError("access still stands")
    confirmed_at = whole_ms(confirmed_at)
    last_seen = stood_at or {}
    records = [
        clock.believed(
            seen.off_since, stood_at=last_seen.get(seen.account_id), confirmed_at=confirmed_at
        )
        for seen in after
    ]
    recorded = [whole_ms(record) for record in records if record is not None]
    has_records = bool(records) and len(recorded) == len(records)
    accepted = [whole_ms(action.accepted_at) for action in actions]
    residuals = {residual.what: residual for seen in after for residual in seen.residuals}
    if not after:
        outcome = Outcome.NOT_FOUND
    elif before:
        outcome = Outcome.REVOKED
    else:
        outcome = Outcome.ALREADY_ABSENT
    only_sign_in = all(access.kind is AccessKind.SIGN_IN for access in before)
    is_told = bool(accepted) or (has_records and only_sign_in)
    # The sign-in's own record is one door; the last door we closed may be later.
    revoked_at = max([*accepted, *recorded]) if is_told else confirmed_at
    return Closing(
        outcome=outcome,
        removed=tuple(before),
        accepted_at=min(accepted, default=None),
        revoked_at=min(revoked_at, confirmed_at),
        confirmed_at=confirmed_at,
        grade=EvidenceGrade.A if has_records and is_told else EvidenceGrade.B,
        residuals=tuple(residuals.values()),
    )
