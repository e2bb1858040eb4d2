"""What a user's own record says, where it takes more than a look at one field.

The status stays Okta's text: one that we do not know must count as open.
"""

from __future__ import annotations

from connectors.kit.pages import Item
from connectors.kit.paths import at

ACTIVE = "ACTIVE"
SUSPENDED = "SUSPENDED"
DEPROVISIONED = "DEPROVISIONED"


def is_transitioning(user: Item) -> bool:
    return user.get("transitioningToStatus") is not None


def is_blocked(user: Item) -> bool:
    """Whether sign-in is off, for good or until somebody unsuspends."""
    return user.get("status") in {SUSPENDED, DEPROVISIONED} and not is_transitioning(user)


def is_deactivated(user: Item) -> bool:
    return user.get("status") == DEPROVISIONED and not is_transitioning(user)


def directory_of(user: Item) -> str:
    """The directory that owns the user; empty where Okta does."""
    provider = str(at(user, ("credentials", "provider", "type")))
    return provider if provider in {"ACTIVE_DIRECTORY", "LDAP"} else ""


def profile(user: Item, name: str) -> str:
    value = at(user, ("profile", name))
    return value.strip() if isinstance(value, str) else ""


def name_of(user: Item) -> str:
    """For people to compare; Okta keeps no display name unless somebody fills it in."""
    parts = (profile(user, "firstName"), profile(user, "lastName"))
    return profile(user, "displayName") or " ".join(part for part in parts if part)
