"""What a person has in the simulated Kisi organisation, and how Kisi writes it down.

Shapes follow the schemas User, Login, RoleAssignment, CardAssignment and TeamMembership of Kisi's
API description (https://api.kisi.io/docs; copy at api-evangelist/kisi).
"""

from collections.abc import Mapping
from typing import Any, Final

from sandbox.kit.accounts import Account, Item, stable_number
from sandbox.kit.clock import iso

__all__ = ["KISI_PARTS", "build_account"]

KISI_PARTS: Final = ("logins", "role_assignments", "card_assignments", "team_memberships")
ORGANIZATION_ID: Final = 4711
TEAM: Final = {"id": 301, "resource_type": "Team", "name": "Cebu Floor 3"}
PLACES: Final = ("Cebu Site", "Cebu Server Room", "Cebu Training Wing")
JOINED_MS: Final = 1_735_689_600_000  # 2025-01-01: everybody joined on the same made-up day


def build_account(person: Item, shape: Mapping[str, Any]) -> Account:
    """The person's user with logins, roles, card and team.

    Args:
        person: the seed record.
        shape: `access_enabled`, `scim_access_enabled`, `owner`, `logins`, `roles`, `cards`,
            `teams`, `links`.
    """
    worker, email = person["worker_id"], person["email"]
    number = stable_number("kisi", worker)
    name = f"{person.get('first_name', '')} {person.get('last_name', '')}".strip() or email
    names = (person.get("username", ""), person.get("employee_number", ""))
    keys, stamp = (str(number), email, worker, *names), iso()
    account = Account(
        id=str(number),
        person=person,
        keys=list(dict.fromkeys(key.lower() for key in keys if key)),
        doc={
            "id": number,
            "resource_type": "User",
            "name": name,
            "email": email,
            "created_at": iso(JOINED_MS),
            "updated_at": stamp,
            "metadata": {},
            "image": None,
            "otp_required_for_login": False,
            "password_flow_enabled": True,
            "access_enabled": shape.get("access_enabled", True),
            "last_accessed_at": stamp,
            "scim_access_enabled": shape.get("scim_access_enabled", True),
            "notes": None,
            "organization_id": ORGANIZATION_ID,
            "confirmed": True,
            "groups_count": 0,
        },
        parts={part: [] for part in (*KISI_PARTS, "group_links")},
    )
    _fill(account, shape, stamp)
    return account


def _fill(account: Account, shape: Mapping[str, Any], stamp: str) -> None:
    parts = account.parts
    user_id = account.doc["id"]
    user = {
        "id": user_id,
        "resource_type": "User",
        "email": account.doc["email"],
        "name": account.doc["name"],
    }
    for n in range(shape.get("logins", 2)):
        parts["logins"].append(_login(user, n, stamp))
    for n in range(shape.get("roles", 2)):
        parts["role_assignments"].append(_role(user, n, stamp))
    for n in range(shape.get("cards", 1)):
        parts["card_assignments"].append(_card(user_id, n, stamp))
    for n in range(shape.get("links", 0)):
        parts["group_links"].append(_link(user, n, stamp))
    for n in range(shape.get("teams", 1)):
        parts["team_memberships"].append(
            {
                "id": stable_number(user_id, "team", n),
                "resource_type": "TeamMembership",
                "created_at": stamp,
                "updated_at": stamp,
                "team_id": TEAM["id"],
                "team": TEAM,
                "member_type": "User",
                "member_id": user_id,
                "member": user,
            }
        )


def _login(user: Item, n: int, stamp: str) -> Item:
    device = n == 0
    brand, model, system = ("Samsung", "A54", "Android") if device else (None, None, None)
    return {
        "id": stable_number(user["id"], "login", n),
        "created_at": stamp,
        "updated_at": stamp,
        "type": "device" if device else "api",
        "name": "Phone" if device else "Reporting script",
        "primary": device,
        "expire": device,
        "last_used_at": stamp,
        "device_brand": brand,
        "device_model": model,
        "os_name": system,
        "user_id": user["id"],
        "user": user,
        "app": {"name": None, "version": None},
        "user_agent": {"name": None, "version": None},
        "device": {"brand": brand, "model": model},
        "os": {"name": system, "version": None},
    }


def _link(user: Item, n: int, stamp: str) -> Item:
    group = {"id": 100 + n, "resource_type": "Group", "name": PLACES[n % len(PLACES)]}
    return {
        "id": stable_number(user["id"], "link", n),
        "resource_type": "GroupLink",
        "name": f"Visitors {n + 1}",
        "email": None,
        "phone": None,
        "last_used_at": None,
        "link_enabled": True,
        "quick_response_code_type": None,
        "valid_from": None,
        "valid_until": None,
        "created_at": stamp,
        "updated_at": stamp,
        "group_id": group["id"],
        "group": group,
        "created_by_type": "User",
        "created_by_id": user["id"],
        "created_by": user,
        "issued_by_id": user["id"],
    }


def _role(user: Item, n: int, stamp: str) -> Item:
    place = {"id": 100 + n, "resource_type": "Group", "name": PLACES[n % len(PLACES)]}
    return {
        "id": stable_number(user["id"], "role", n),
        "resource_type": "RoleAssignment",
        "created_at": stamp,
        "updated_at": stamp,
        "role_id": "group_basic",
        "notify": False,
        "applies_to_type": "Group",
        "applies_to_id": place["id"],
        "applies_to": place,
        "assignee_type": "User",
        "assignee_id": user["id"],
        "assignee": user,
        "created_by_type": None,
        "created_by_id": None,
        "user_id": user["id"],
        "assignee_team_id": None,
        "guest_id": None,
    }


def _card(user_id: int, n: int, stamp: str) -> Item:
    return {
        "id": stable_number(user_id, "card assignment", n),
        "resource_type": "CardAssignment",
        "created_at": stamp,
        "updated_at": stamp,
        "status": "activated",
        "two_factor_pin": None,
        "send_two_factor_pin_notification": False,
        "assignee_type": "User",
        "assignee_id": user_id,
        "card_id": stable_number(user_id, "card", n),
        "created_by_type": None,
        "created_by_id": None,
        "guest_id": None,
        "user_id": user_id,
    }
