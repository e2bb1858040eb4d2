"""What can go wrong in a system, and what that means for retry and for people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FaultCategory(StrEnum):
    """Closed set; the category alone decides whether a machine or a person goes on."""

    UNREACHABLE = "unreachable"
    """No answer: connection refused, TLS failure, name not found."""
    TIMEOUT = "timeout"
    """No answer in time: whether the change was applied is unknown until it is read back."""
    RATE_LIMITED = "rate_limited"
    VENDOR_ERROR = "vendor_error"
    """The vendor says that the fault is its own (5xx)."""
    NOT_APPLIED = "not_applied"
    """The vendor accepted, yet the read-back still shows access."""
    CREDENTIALS_REJECTED = "credentials_rejected"
    """Our own credential is wrong, expired or revoked."""
    PERMISSION_MISSING = "permission_missing"
    PROTECTED_ACCOUNT = "protected_account"
    """Last owner, primary administrator: the vendor refuses until somebody else takes over."""
    AMBIGUOUS_MATCH = "ambiguous_match"
    """The keys point at accounts of different people."""
    MANAGED_ELSEWHERE = "managed_elsewhere"
    """A directory or identity provider owns the account and would undo our change."""
    UNKNOWN_WORKER = "unknown_worker"
    """A system was searched by keys that it does not know, and by none that it must know."""
    UNEXPECTED_ANSWER = "unexpected_answer"
    """An answer that the vendor's documentation does not allow."""
    MISCONFIGURED = "misconfigured"
    MANUAL = "manual"
    """The system has no connector: a person acts and attests."""
    PAUSED = "paused"
    """Operations have paused the system: nothing was tried."""
    INTERNAL = "internal"
    """A fault of Lockstep itself."""


class Audience(StrEnum):
    """Who can mend a fault."""

    NOBODY = "nobody"
    OPERATIONS = "operations"
    SYSTEM_OWNER = "system_owner"
    HR = "hr"
    ENGINEERING = "engineering"


class Recovery(StrEnum):
    """What shows that a system's trouble is over. Public: the ledger names these."""

    HEALTHY = "health_good"
    """Its health, which was bad, is good again."""
    RESUMED = "pause_lifted"
    WORKED = "revocation_succeeded"
    """A revocation there took access away after the fault, and read it back."""

    @property
    def words(self) -> str:
        """In plain words, after "again because"."""
        return _RECOVERIES[self]


_RECOVERIES = {
    Recovery.HEALTHY: "the system's health is good again",
    Recovery.RESUMED: "the system's pause was lifted",
    Recovery.WORKED: "another revocation succeeded in the system",
}
_ANY = frozenset(Recovery)
_PROVED = _ANY - {Recovery.RESUMED}
"""A pause that ends says nothing of the vendor's own waiting time."""
_SYSTEM_WIDE = _ANY - {Recovery.WORKED}
"""That one leaver's answers could be judged says nothing of another's."""
_NEVER: frozenset[Recovery] = frozenset()


@dataclass(frozen=True, slots=True)
class FaultRule:
    """The consequences of one category.

    Args:
        transient: whether the machine goes on by itself.
        reason: what is wrong, in plain words for whoever must decide.
        of_system: whether the fault is the system's, whoever the leaver is. All others are about
            one leaver, or our own: they are in no one else's way.
        mended_by: what shows that the cause is gone, so that everybody whom it holds up is tried
            again without a person. Empty where a person has to decide about the leaver.
    """

    transient: bool
    audience: Audience
    reason: str
    suggestion: str
    of_system: bool = False
    mended_by: frozenset[Recovery] = _NEVER


_RULES: dict[FaultCategory, FaultRule] = {
    FaultCategory.UNREACHABLE: FaultRule(
        True,
        Audience.SYSTEM_OWNER,
        "The system does not answer.",
        "Wait, or check network and address: lockstep doctor.",
        of_system=True,
        mended_by=_ANY,
    ),
    FaultCategory.TIMEOUT: FaultRule(
        True,
        Audience.SYSTEM_OWNER,
        "The system did not answer in time.",
        "Wait: the change is read back before anything is repeated.",
        of_system=True,
        mended_by=_ANY,
    ),
    FaultCategory.RATE_LIMITED: FaultRule(
        True,
        Audience.NOBODY,
        "The system takes no more calls from us for now.",
        "Wait until the vendor's reset time, or ask for a higher limit.",
        of_system=True,
        mended_by=_PROVED,
    ),
    FaultCategory.VENDOR_ERROR: FaultRule(
        True,
        Audience.SYSTEM_OWNER,
        "The system reports a fault of its own.",
        "Wait, and look at the vendor's status page.",
        of_system=True,
        mended_by=_ANY,
    ),
    FaultCategory.NOT_APPLIED: FaultRule(
        True,
        Audience.SYSTEM_OWNER,
        "The system accepted the change, but the access still stands.",
        "Look for a directory sync or a rule that gives the access back.",
        of_system=True,
    ),
    FaultCategory.CREDENTIALS_REJECTED: FaultRule(
        False,
        Audience.OPERATIONS,
        "The system rejects our own credential.",
        "Renew the credential of this system, then retry.",
        of_system=True,
        mended_by=_ANY,
    ),
    FaultCategory.PERMISSION_MISSING: FaultRule(
        False,
        Audience.OPERATIONS,
        "Our credential lacks a permission.",
        "Grant the missing permission, then retry.",
        of_system=True,
        mended_by=_ANY,
    ),
    FaultCategory.PROTECTED_ACCOUNT: FaultRule(
        False,
        Audience.SYSTEM_OWNER,
        "The account is protected, such as a last owner.",
        "Hand the ownership to somebody else, then retry.",
    ),
    FaultCategory.AMBIGUOUS_MATCH: FaultRule(
        False,
        Audience.HR,
        "It is in doubt whose the accounts are that were found.",
        "Pick which accounts are the leaver's: lockstep pick, or on the case's page.",
    ),
    FaultCategory.MANAGED_ELSEWHERE: FaultRule(
        False,
        Audience.SYSTEM_OWNER,
        "Another directory owns the account.",
        "Revoke in the directory that owns the account, then retry.",
    ),
    FaultCategory.UNKNOWN_WORKER: FaultRule(
        False,
        Audience.HR,
        "Nobody was found there by these keys, and that settles nothing yet.",
        "Add keys: lockstep case correct; withdraw a wrong one: case withdraw-key. Or attest.",
    ),
    FaultCategory.UNEXPECTED_ANSWER: FaultRule(
        False,
        Audience.ENGINEERING,
        "The system gave an answer that we cannot judge.",
        "Revoke by hand and attest; report the vendor's answer to us.",
        of_system=True,
        mended_by=_SYSTEM_WIDE,
    ),
    FaultCategory.MISCONFIGURED: FaultRule(
        False,
        Audience.OPERATIONS,
        "The settings of this system are wrong.",
        "Run lockstep doctor; check the address and the version segment, and the other settings, "
        "then retry.",
        of_system=True,
        mended_by=_ANY,
    ),
    FaultCategory.MANUAL: FaultRule(
        False,
        Audience.SYSTEM_OWNER,
        "This system is worked by hand.",
        "Revoke by hand, then attest with an artefact.",
    ),
    FaultCategory.PAUSED: FaultRule(
        True,
        Audience.OPERATIONS,
        "The system is paused for maintenance.",
        "Wait for the pause to end, or resume the system.",
    ),
    FaultCategory.INTERNAL: FaultRule(
        True,
        Audience.ENGINEERING,
        "Lockstep itself failed.",
        "Look at the worker's log; the work is being repeated.",
    ),
}


OF_SYSTEM = frozenset(category for category, rule in _RULES.items() if rule.of_system)
"""Faults of a system, whoever the leaver is."""


def mended(recovery: Recovery) -> frozenset[FaultCategory]:
    """The faults whose cause ``recovery`` shows to be gone."""
    return frozenset(name for name, rule in _RULES.items() if recovery in rule.mended_by)


def rule_for(category: FaultCategory) -> FaultRule:
    """Say what follows from a fault of ``category``."""
    return _RULES[category]
