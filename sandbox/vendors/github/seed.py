"""What a person has in the simulated GitHub organisation, and how GitHub writes it down."""

from collections.abc import Mapping
from typing import Any, Final

from sandbox.kit.accounts import Account, Item, stable_id, stable_number
from sandbox.kit.clock import iso, now_ms

__all__ = ["API", "GITHUB_PARTS", "build_account", "simple_user"]

API: Final = "https://api.github.com"
_LINKS: Final = (
    "avatar",
    "html",
    "followers",
    "following",
    "gists",
    "starred",
    "subscriptions",
    "organizations",
    "repos",
    "events",
    "received_events",
)

GITHUB_PARTS: Final = ("credentials", "tokens")
DAY_MS: Final = 86_400_000


def simple_user(number: int, login: str) -> Item:
    """A user as lists show one."""
    home = f"{API}/users/{login}"
    return {
        "login": login,
        "id": number,
        "node_id": f"U_{number}",
        "gravatar_id": "",
        "url": home,
        **{f"{name}_url": f"{home}/{name}" for name in _LINKS},
        "type": "User",
        "site_admin": False,
    }


def _stamp(days: int) -> str:
    """Whole seconds, as GitHub writes instants."""
    return f"{iso(now_ms() - days * DAY_MS)[:19]}Z"


def build_account(person: Item, shape: Mapping[str, Any]) -> Account:
    """The person's user.

    Args:
        person: the seed record.
        shape: `role`, `state` (active, pending, none), `outside`, `in_enterprise`, `credentials`,
            `tokens`, `linked`, `verified`, `deploy_keys`, `apps`, `login`.
    """
    worker, email = person["worker_id"], person["email"]
    number = stable_number("github", worker) % 10**9
    login = shape.get("login") or f"gh-{stable_id('github', worker, length=8).lower()}"
    state = "none" if shape.get("outside") else shape.get("state", "active")
    parts: dict[str, list[Item]] = {
        "membership": [] if state == "none" else [_membership(shape, state)],
        "outside": [{"id": number}] if shape.get("outside") else [],
        "enterprise": [{"id": number}] if shape.get("in_enterprise", state == "active") else [],
        "credentials": [_credential(number, login, n) for n in range(shape.get("credentials", 2))],
        "tokens": [_token(number, login, n) for n in range(shape.get("tokens", 1))],
        "identities": [_identity(number, email)] if shape.get("linked", True) else [],
        "emails": [{"id": email}] if shape.get("verified", True) else [],
        "deploy_keys": [_deploy_key(number, login, n) for n in range(shape.get("deploy_keys", 0))],
        "apps": [{"id": number, "slug": f"{login}-bot"}] if shape.get("apps") else [],
    }
    words = (str(number), email, login, f"U_{number}", worker)
    return Account(
        id=str(number),
        person=person,
        keys=list(dict.fromkeys(word.lower() for word in words)),
        doc={
            **simple_user(number, login),
            "name": f"{person.get('first_name', '')} {person.get('last_name', '')}".strip(),
            "email": None,
            "created_at": _stamp(900),
        },
        parts=parts,
    )


def _membership(shape: Mapping[str, Any], state: str) -> Item:
    return {"id": "membership", "state": state, "role": shape.get("role", "member")}


def _credential(number: int, login: str, n: int) -> Item:
    kind = "SSH key" if n % 2 else "personal access token"
    ref = stable_number(number, "credential", n) % 10**9
    return {
        "id": ref,
        "login": login,
        "credential_id": ref,
        "authorized_credential_id": ref + 1,
        "credential_type": kind,
        "token_last_eight": "71c3fc11",
        "credential_authorized_at": _stamp(30),
        "credential_accessed_at": _stamp(1),
        "scopes": ["repo"],
    }


def _token(number: int, login: str, n: int) -> Item:
    return {
        "id": stable_number(number, "token", n) % 10**9,
        "owner": {"id": number, "login": login},
        "repository_selection": "all",
        "access_granted_at": _stamp(30),
        "token_id": stable_number(number, "token id", n) % 10**9,
        "token_name": f"laptop {n + 1}",
        "token_expired": False,
        "token_expires_at": None,
        "token_last_used_at": None,
    }


def _identity(number: int, email: str) -> Item:
    return {
        "id": stable_id("identity", number, length=24),
        "samlIdentity": {"nameId": email, "username": email, "emails": [{"value": email}]},
        "scimIdentity": None,
    }


def _deploy_key(number: int, login: str, n: int) -> Item:
    return {
        "id": stable_number(number, "deploy key", n) % 10**9,
        "key": "ssh-ed25519 AAAA",
        "title": f"deploy {n + 1}",
        "verified": True,
        "created_at": _stamp(60),
        "read_only": False,
        "added_by": login,
        "last_used": _stamp(1),
    }
