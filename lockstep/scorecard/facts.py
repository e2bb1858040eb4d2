"""What the metric needs to know of a case, free of personal data and of where it came from.

Instants are whole milliseconds since 1970-01-01T00:00:00Z, durations whole milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """One system of one case.

    Args:
        tier: "0", "1" or "manual", as pinned in the case.
        sla_ms: the time that the pinned policy allows, from the cutoff.
        accounts: how many accounts the leaver had here (0 until somebody looked).
        outcome: "revoked", "already_absent", "not_found", "attested", "waived", or "" while open;
            `lockstep.scorecard.counting` makes it "called_off" where HR took it back too late.
        grade: evidence grade "A" to "D", or "" while there is none.
        off_at: R confirmed by V; None while access is not proved gone. A waiver leaves it None.
        read_back_at: V, or None.
        first_attempt_at: when we first acted, or None.
        waived_until: the end of a waiver that counts (given before the deadline, by two people,
            with an end), or None.
        waived_in_vain: whether a waiver was given that does not count.
        openings: 1, and one more for each time that access returned.
    """

    system: str
    category: str
    tier: str
    required: bool
    sla_ms: int
    accounts: int = 0
    outcome: str = ""
    grade: str = ""
    off_at: int | None = None
    read_back_at: int | None = None
    first_attempt_at: int | None = None
    waived_until: int | None = None
    waived_in_vain: bool = False
    openings: int = 1


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """One case: one termination of one spell of one leaver.

    Args:
        kind: "involuntary", "voluntary" or "contract_end".
        recorded_at: N, when HR recorded it.
        cutoff_at: E as it counts for the score.
        shown_cutoff_at: E as the case works by; differs where a later cutoff does not count.
        received_at: D, when we heard of it.
        closed_at: when the case was last closed, or None while open.
        rescinded: HR took it back before revocation began.
        policy: digest of the pinned policy.
        first_leaf: index in the ledger of the entry that opened the case.
        called_off_at: when HR's word that took it back was heard, or None; also None where an
            earlier release folded it.
        first_cutoff_at: the earliest cutoff that stood while it was a dismissal, or None.
        earlier: ids of cases of the same person that were open and had not begun, or were called
            off, when this one opened.
        counts_from: set by `lockstep.scorecard.counting` alone, and not kept: the earlier cutoff
            that a definition goes back to.
    """

    case_id: str
    subject: str
    kind: str
    source: str
    partner: str
    site: str
    zone: str
    recorded_at: int
    cutoff_at: int
    shown_cutoff_at: int
    received_at: int
    opened_at: int
    policy: str
    first_leaf: int
    items: tuple[ItemFacts, ...]
    begun_at: int | None = None
    closed_at: int | None = None
    rescinded: bool = False
    called_off_at: int | None = None
    first_cutoff_at: int | None = None
    earlier: tuple[str, ...] = ()
    counts_from: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong that caps the score while it stands."""

    kind: str
    """"access_returned", "leaver_without_case", "orphan_account" or "access_used"."""
    raised_at: int
    resolved_at: int | None = None
    case_id: str = ""
    system: str = ""


@dataclass(frozen=True, slots=True)
class Feed:
    """One source of HR that is expected to be heard.

    Args:
        expected_since: when it was expected for the first time ever; taking it out of the
            settings for a while does not begin its silence anew.
        heard_at: when it was last heard, or None.
    """

    source: str
    expected_since: int
    heard_at: int | None = None

    def age_ms(self, as_of: int) -> int:
        """How long it has been silent; what was never heard, since it was expected."""
        last = self.expected_since
        if self.heard_at is not None:
            last = max(last, self.heard_at)
        return max(0, as_of - last)
