"""What a person has in the simulated Google Workspace, and how the Admin SDK writes it down.

Shapes follow the schemas User, Token, Asp, RoleAssignment and Group of the discovery document.
"""

from collections.abc import Mapping
from typing import Any, Final

from sandbox.kit.accounts import Account, Item, stable_id, stable_number
from sandbox.kit.clock import iso, now_ms

__all__ = ["GOOGLE_PARTS", "build_account"]

GOOGLE_PARTS: Final = ("tokens", "asps", "roles", "groups")
DAY_MS: Final = 86_400_000


def build_account(person: Item, shape: Mapping[str, Any]) -> Account:
    """The person's user.

    Args:
        person: the seed record.
        shape: `tokens asps roles groups suspended archived aliases`.
    """
    worker, email = person["worker_id"], person["email"]
    user_id = str(stable_number("google", worker))
    first, last = person.get("first_name", ""), person.get("last_name", "")
    number, aliases = person.get("employee_number", ""), list(shape.get("aliases", ()))
    doc = {
        "kind": "admin#directory#user",
        "id": user_id,
        "primaryEmail": email,
        "name": {"givenName": first, "familyName": last, "fullName": f"{first} {last}".strip()},
        "isAdmin": False,
        "suspended": shape.get("suspended", False),
        "archived": shape.get("archived", False),
        "creationTime": iso(now_ms() - 200 * DAY_MS),
        "lastLoginTime": iso(now_ms() - DAY_MS),
        "emails": [{"address": one} for one in (email, *aliases)],
        "recoveryEmail": f"{worker}@home.example".lower(),
        "recoveryPhone": "+15555550100",
    }
    if aliases:
        doc["aliases"] = aliases
    if number:
        doc["externalIds"] = [{"type": "organization", "value": number}]
    keys = [user_id, email, *aliases, worker, number]
    return Account(
        id=user_id,
        person=person,
        keys=list(dict.fromkeys(key.lower() for key in keys if key)),
        doc=doc,
        parts={
            "sessions": [{"id": stable_id(user_id, "session")}],
            "tokens": [_token(user_id, n) for n in range(shape.get("tokens", 1))],
            "asps": [_asp(user_id, n) for n in range(shape.get("asps", 0))],
            "roles": [_role(user_id, n) for n in range(shape.get("roles", 0))],
            "groups": [_group(user_id, n) for n in range(shape.get("groups", 2))],
        },
    )


def _token(user: str, n: int) -> Item:
    client = f"{stable_number('client', n)}.apps.googleusercontent.com"
    return {
        "kind": "admin#directory#token",
        "id": client,
        "clientId": client,
        "userKey": user,
        "anonymous": False,
        "displayText": f"App {n + 1}",
        "nativeApp": False,
        "scopes": ["https://www.googleapis.com/auth/drive"],
    }


def _asp(user: str, n: int) -> Item:
    return {
        "kind": "admin#directory#asp",
        "id": n + 1,
        "codeId": n + 1,
        "name": f"Mail program {n + 1}",
        "creationTime": str(now_ms()),
        "lastTimeUsed": "0",
        "userKey": user,
    }


def _role(user: str, n: int) -> Item:
    number = str(stable_number(user, "role", n))
    return {
        "kind": "admin#directory#roleAssignment",
        "id": number,
        "roleAssignmentId": number,
        "roleId": str(stable_number("role", n)),
        "assignedTo": user,
        "assigneeType": "user",
        "scopeType": "CUSTOMER",
    }


def _group(user: str, n: int) -> Item:
    return {
        "kind": "admin#directory#group",
        "id": stable_id(user, "group", n, length=15).lower(),
        "email": f"group-{n + 1}@northwind.example.com",
        "name": f"Group {n + 1}",
        "description": "",
        "adminCreated": True,
        "directMembersCount": "3",
    }
