"""What only Slack's documents say: in which forms a user, a search and open sessions are shown."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.kit.pages import Item
from connectors.kit.paths import at


def address_of(user: Item) -> str:
    """``users.info`` keeps it in the profile, ``admin.users.list`` beside the id."""
    told = at(user, ("profile", "email")) or user.get("email")
    return told.strip() if isinstance(told, str) else ""


def addresses(user: Item) -> Iterable[str]:
    return [address_of(user)]


def name_of(user: Item) -> str:
    told = user.get("full_name") or user.get("real_name") or at(user, ("profile", "real_name"))
    return str(told or "")


def is_shut(user: Item) -> bool:
    """Deactivated: said as ``deleted`` of a user, as ``is_active`` in the list of them."""
    return user.get("deleted") is True or user.get("is_active") is False


def found_user(data: object) -> object:
    """One user, where a search shows it by itself; none where it says that there is none."""
    return [data["user"]] if isinstance(data, dict) and "user" in data else data


def with_sessions(data: object) -> object:
    """Whoever has a session open, with or without settings of its own.

    ``admin.users.session.getSettings`` leaves out whoever has none.
    """
    told = data if isinstance(data, dict) else {}
    settings, plain = told.get("session_settings"), told.get("no_settings_applied")
    if not isinstance(settings, list) and not isinstance(plain, list):
        return None
    users = [one.get("user_id") if isinstance(one, dict) else None for one in settings or ()]
    return [{"id": one} for one in (*users, *(plain or ()))]


def works_with(workflow: Item, user_id: str) -> bool:
    return user_id in _collaborators(workflow)


def has_another(workflow: Item) -> bool | None:
    return len(_collaborators(workflow)) > 1


def _collaborators(workflow: Item) -> list[object]:
    told = workflow.get("collaborators")
    return told if isinstance(told, list) else []
