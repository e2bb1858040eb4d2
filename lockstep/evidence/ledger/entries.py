"""Entries of the ledger: what happened, pseudonymous, one idempotency key each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from lockstep.domain.systems.access import (
    Access,
    Account,
    Action,
    Exchange,
    Location,
    Residual,
    Unread,
)
from lockstep.domain.systems.finding import Finding, Judged
from lockstep.evidence.format.canonical import canonical_bytes, instant_text, leaf_hash, reference

FORMAT_VERSION = 1


class EntryKind(StrEnum):
    """subject:action of an entry. Public: never rename, only retire."""

    POLICY_ADOPTED = "policy:adopted"
    FEED_EXPECTED = "feed:expected"
    FEED_HEARD = "feed:heard"
    CASE_OPENED = "case:opened"
    CASE_AMENDED = "case:amended"
    CASE_RESCINDED = "case:rescinded"
    CASE_RESCIND_REFUSED = "case:rescind_refused"
    CASE_REHIRED = "case:rehired"
    CASE_KEY_WITHDRAWN = "case:key_withdrawn"
    CASE_BEGUN = "case:begun"
    CASE_RESTARTED = "case:restarted"
    CASE_BARRED = "case:barred"
    CASE_CLOSED = "case:closed"
    CASE_CLOSE_REFUSED = "case:close_refused"
    REVOCATION_ATTEMPT = "revocation:attempt"
    REVOCATION_FAULT = "revocation:fault"
    REVOCATION_OUTCOME = "revocation:outcome"
    REVOCATION_NEEDS_PERSON = "revocation:needs_person"
    REVOCATION_WOKEN = "revocation:woken"
    DECISION_RETRY = "decision:retry"
    DECISION_ATTEST = "decision:attest"
    DECISION_WAIVE = "decision:waive"
    DECISION_PICK = "decision:pick"
    WATCH_LOOK = "watch:look"
    FINDING_RAISED = "finding:raised"
    LEDGER_KEY_ADOPTED = "ledger:key_adopted"
    LEDGER_KEY_HANDED_OVER = "ledger:key_handed_over"
    LEDGER_HEARTBEAT = "ledger:heartbeat"
    LEDGER_RESTORED = "ledger:restored"
    LEDGER_FACTS_DIFFERED = "ledger:facts_differed"
    METRIC_ADOPTED = "metric:adopted"
    METRIC_REPORTED = "metric:reported"
    SUBJECT_ERASED = "subject:erased"
    HOLD_PLACED = "hold:placed"
    HOLD_RELEASED = "hold:released"
    EVIDENCE_EXPORTED = "evidence:exported"
    ACCESS_ACTED = "access:acted"
    ACCESS_DENIED = "access:denied"
    BRAKE_SET = "brake:set"
    BRAKE_DECIDED = "brake:decided"
    SYSTEM_PAUSED = "system:paused"
    SYSTEM_RESUMED = "system:resumed"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acted. ``ref`` of a person is a commitment, like every other personal reference."""

    type: str = "lockstep"
    ref: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the ledger before it is serialised.

    Args:
        key: idempotency key; the same fact written twice has the same key and stands once.
        occurred_at: when it happened, by the clock named in ``data`` or ours (UTC).
        subject: the random id of the leaver; never derived from personal data.
        policy: digest of the policy pinned in the case.
        data: kind-specific; no names, no free text, no floats.
    """

    kind: EntryKind
    key: str
    tenant: str
    occurred_at: datetime
    recorded_at: datetime
    case_id: str = ""
    subject: str = ""
    system: str = ""
    policy: str = ""
    actor: Actor = Actor()
    data: Mapping[str, object] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The exact bytes that are stored, hashed and exported; empty members are left out."""
        document: dict[str, object] = {
            "v": FORMAT_VERSION,
            "kind": self.kind.value,
            "key": self.key,
            "tenant": self.tenant,
            "occurred_at": instant_text(self.occurred_at),
            "recorded_at": instant_text(self.recorded_at),
            "actor": {
                "type": self.actor.type,
                **({"ref": self.actor.ref} if self.actor.ref else {}),
            },
        }
        optional = {
            "case": self.case_id,
            "subject": self.subject,
            "system": self.system,
            "policy": self.policy,
            "data": dict(self.data),
        }
        document.update({name: value for name, value in optional.items() if value})
        return canonical_bytes(document)


def sealed(entry: Entry) -> tuple[bytes, bytes]:
    """The entry's canonical bytes and its leaf hash."""
    raw = entry.to_bytes()
    return raw, leaf_hash(raw)


def access_data(salt: bytes, system: str, standing: Sequence[Access]) -> list[dict[str, str]]:
    """Standing access as evidence: its kind in clear, its vendor id as a commitment."""
    return [
        {"kind": item.kind.value, "ref": reference(salt, system, item.kind.value, item.ref)}
        for item in standing
    ]


def account_data(salt: bytes, system: str, accounts: Sequence[Account]) -> list[str]:
    """Accounts as commitments to their immutable ids."""
    return [reference(salt, system, "account", account.id) for account in accounts]


def exchange_data(exchanges: Sequence[Exchange], *, dropped: int = 0) -> dict[str, object]:
    """Calls to the vendor, as an auditor finds them in the vendor's own log."""
    rows: list[dict[str, object]] = []
    for call in exchanges:
        row: dict[str, object] = {"op": call.operation, "status": call.status}
        row["at"] = instant_text(call.answered_at)
        if call.request_id:
            row["request_id"] = call.request_id
        if call.date_header:
            row["date"] = call.date_header
        if call.skew and (skew_ms := call.skew // timedelta(milliseconds=1)):
            row["skew_ms"] = skew_ms
        if call.digest:
            row["sha256"] = call.digest
        rows.append(row)
    return {"calls": rows, **({"calls_dropped": dropped} if dropped else {})}


def residual_data(residuals: Sequence[Residual]) -> list[dict[str, object]]:
    """What outlives the revocation, with its bound in seconds where somebody has stated one."""
    return [
        {"what": residual.what}
        if residual.bound_s is None
        else {"what": residual.what, "bound_s": residual.bound_s}
        for residual in residuals
    ]


def accepted_data(actions: Sequence[Action]) -> list[dict[str, str]]:
    """What the vendor accepted from us: the kind of access, the call, and when it answered."""
    rows = []
    for action in actions:
        row = {
            "kind": action.access.kind.value,
            "op": action.operation,
            "at": instant_text(action.accepted_at),
        }
        if action.request_id:
            row["request_id"] = action.request_id
        rows.append(row)
    return rows


def search_data(location: Location) -> dict[str, object]:
    """How the leaver was searched for, and how it is known that each search can find."""
    rows = [{"by": search.kind.value, "proof": search.proof.value} for search in location.searches]
    return {
        "keys_tried": [kind.value for kind in location.keys_tried],
        **({"searches": rows} if rows else {}),
        **({"listed": location.listed} if location.listed is not None else {}),
    }


def aside_data(salt: bytes, system: str, finding: Finding) -> dict[str, object]:
    """Accounts that a search found and nobody touched, with the reason; left out where none is."""

    def rows(judged: Sequence[Judged]) -> list[dict[str, str]]:
        return [
            {
                "account": reference(salt, system, "account", one.match.account.id),
                "by": one.match.found_by.value,
                "why": one.reason.value,
            }
            for one in judged
        ]

    said = {"set_aside": rows(finding.set_aside), "in_doubt": rows(finding.in_doubt)}
    return {name: found for name, found in said.items() if found}


def picks_data(
    salt: bytes, system: str, *, accounts: Sequence[str], others: Sequence[str]
) -> dict[str, object]:
    """Which of the accounts that were shown a person called the leaver's, and which not."""
    given = {"accounts": accounts, "others": others}
    return {
        name: sorted(reference(salt, system, "account", account) for account in ids)
        for name, ids in given.items()
    }


SEARCH = "search"
"""What `unread_data` calls a search for accounts that failed."""


def unread_data(unread: Sequence[Unread], searches: Sequence[Unread] = ()) -> dict[str, object]:
    """What could not be read, with the category of the fault; left out where nothing is.

    Args:
        unread: lists of ways in.
        searches: searches for accounts that failed.
    """
    named = [(row.kind.value, row.category) for row in unread]
    named += [(SEARCH, row.category) for row in searches]
    rows = [{"kind": kind, **({"category": why.value} if why else {})} for kind, why in named]
    return {"unread": rows} if rows else {}
