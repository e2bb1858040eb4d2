"""A user as Okta shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connectors.http import Answer, vendor_instant
from connectors.identity.okta_faults import unexpected

ACTIVE = "ACTIVE"
SUSPENDED = "SUSPENDED"
DEPROVISIONED = "DEPROVISIONED"


@dataclass(frozen=True, slots=True)
class OktaUser:
    """One user as the authoritative endpoint shows it.

    ``status`` stays Okta's text: a status that we do not know must count as open.
    ``status_changed`` and ``seen_at`` are instants in UTC, both by Okta's clock.
    """

    id: str
    status: str
    seen_at: datetime
    transitioning_to: str | None = None
    status_changed: datetime | None = None
    provider: str = ""
    profile: Mapping[str, object] = field(default_factory=dict, repr=False)

    @property
    def is_transitioning(self) -> bool:
        return self.transitioning_to is not None

    @property
    def is_blocked(self) -> bool:
        """Whether sign-in is off, for good or until somebody unsuspends."""
        return self.status in {SUSPENDED, DEPROVISIONED} and not self.is_transitioning

    @property
    def is_deactivated(self) -> bool:
        return self.status == DEPROVISIONED and not self.is_transitioning

    @property
    def is_directory_owned(self) -> bool:
        return self.provider in {"ACTIVE_DIRECTORY", "LDAP"}

    def attribute(self, name: str) -> str:
        """A profile attribute as trimmed text; empty when unset."""
        value = self.profile.get(name) if name else None
        return str(value).strip() if isinstance(value, str | int) else ""

    @property
    def login(self) -> str:
        return self.attribute("login")

    @property
    def email(self) -> str:
        return self.attribute("email")


def read_user(data: Any, answer: Answer, operation: str) -> OktaUser:
    """Read one user.

    Raises:
        ConnectorFault: unexpected answer, without an id and a status nothing can be said.
    """
    if not isinstance(data, dict):
        raise unexpected(operation, "no_object", answer)
    user_id, status = data.get("id"), data.get("status")
    if not isinstance(user_id, str) or not user_id or not isinstance(status, str):
        raise unexpected(operation, "no_id_or_status", answer)
    profile = data.get("profile")
    credentials = data.get("credentials")
    provider = credentials.get("provider") if isinstance(credentials, dict) else None
    transition = data.get("transitioningToStatus")
    return OktaUser(
        id=user_id,
        status=status,
        seen_at=answer.exchange.at_by_vendor,
        transitioning_to=None if transition is None else str(transition),
        status_changed=vendor_instant(data.get("statusChanged")),
        provider=str(provider.get("type", "")) if isinstance(provider, dict) else "",
        profile=profile if isinstance(profile, dict) else {},
    )
