"""What hinders a revocation in Tailscale, and what a person can do about it.

Scopes: https://tailscale.com/kb/1623/trust-credentials.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from connectors.base import ConnectorFault
from connectors.vpn.tailscale_records import Item, instant_of
from lockstep.domain.access import Problem, ProblemSeverity
from lockstep.domain.faults import rule_for

SCOPES: Final[Mapping[str, str]] = {
    "users": "users",
    "devices": "devices:core",
    "keys": "auth_keys",
}
"""What revoking needs, by the area of the API."""

_EXPIRY_WARNING: Final = timedelta(days=14)
_SIGHT_SCOPES: Final = ("api_access_tokens", "oauth_keys:read")
"""Without these a kind of key is not shown. Suspending ends API keys all the same (kb/1145)."""


def problem_of(fault: ConnectorFault) -> Problem:
    if fault.missing:
        return _scope_problem(fault.missing)
    # A passing trouble blocks too: what could not be checked is not ready.
    return Problem(fault.category.value, str(fault), rule_for(fault.category).suggestion)


def _scope_problem(scope: str, severity: ProblemSeverity = ProblemSeverity.BLOCKS) -> Problem:
    return Problem(
        f"permission_missing.{scope}",
        f"The credential lacks the scope {scope}.",
        f"Give the trust credential the scope {scope}, or use an API key of an Owner, Admin or"
        " IT admin.",
        severity,
    )


def ungranted(granted: frozenset[str]) -> list[Problem]:
    """What a token says that it may not do; nothing when it does not say what it may."""
    if not granted or "all" in granted:
        return []
    readable = granted | {f"{scope}:read" for scope in granted}
    if "all:read" in granted:
        readable |= set(_SIGHT_SCOPES)
    problems = [_scope_problem(each) for each in SCOPES.values() if each not in granted]
    unseen = [each for each in _SIGHT_SCOPES if each not in readable]
    return problems + [_scope_problem(each, ProblemSeverity.LIMITS) for each in unseen]


def expiry_problems(api_key: str, keys: Iterable[Item]) -> list[Problem]:
    """An API key ends after 90 days at most; its own id is the third part of its text."""
    parts = api_key.split("-")
    own_id = parts[2] if len(parts) > 3 else ""  # noqa: PLR2004 - tskey-api-<id>-<secret>
    ends = [instant_of(key.get("expires")) for key in keys if own_id and key["id"] == own_id]
    if not any(end and end - datetime.now(UTC) < _EXPIRY_WARNING for end in ends):
        return []
    return [
        Problem(
            "credential_expires",
            "The API key ends within two weeks.",
            "Create a trust credential, which does not end, and set client_id and client_secret;"
            " or replace api_key.",
            ProblemSeverity.LIMITS,
        )
    ]
