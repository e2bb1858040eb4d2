"""An account of Instant as its answers show it."""

from __future__ import annotations

from typing import Any, Final

from connectors.base import ConnectorFault
from connectors.http import Answer, vendor_instant
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.access import Access, AccessKind, Account, Match, Observation
from lockstep.domain.systems.faults import FaultCategory

KIND: Final = "instant"
_SESSIONS: Final = "all"
"""Instant ends all sessions at once and names none of them."""
_SEAT: Final = "seat"
"""Only accounts that were seeded with a seat have one; switching off frees it."""


def require_account(answer: Answer, account_id: str) -> None:
    """Really ok is the account itself, not a 200."""
    data = answer.data
    if not isinstance(data, dict) or data.get("id") != account_id:
        raise faulted(
            FaultCategory.UNEXPECTED_ANSWER,
            answer.exchange.operation,
            "other_account",
            answer.exchange.request_id,
        )


def matched(account: dict[str, Any], found_by: KeyKind, *held: Key) -> Match:
    account_id = account.get("id")
    if not isinstance(account_id, str) or not account_id:
        raise faulted(FaultCategory.UNEXPECTED_ANSWER, "accounts.find", "no_id")
    return Match(Account(account_id, known_keys=held), found_by, observed(account_id, account))


def observed(account_id: str, account: dict[str, Any]) -> Observation:
    standing = _standing(account)
    off_since = None if standing else vendor_instant(account.get("changed_at"))
    return Observation(account_id, exists=True, standing=standing, off_since=off_since)


def _standing(account: dict[str, Any]) -> tuple[Access, ...]:
    """What still works; anything but a plain "off" and a plain "none" counts as standing."""
    ways = []
    if account.get("signed_in") is not False:
        ways.append(Access(AccessKind.SIGN_IN, str(account["id"])))
    if account.get("sessions") not in (0, []):
        ways.append(Access(AccessKind.SESSION, _SESSIONS))
    if account.get("seat", False) is not False:
        ways.append(Access(AccessKind.SEAT, _SEAT))
    return tuple(ways)


def faulted(
    category: FaultCategory, operation: str, code: str, request_id: str | None = None
) -> ConnectorFault:
    return ConnectorFault(
        category, connector=KIND, operation=operation, code=code, request_id=request_id
    )
