"""What a person has in the simulated Okta org, and how Okta writes it down.

Shapes follow the schemas User, UserFactor, OAuth2Client, OAuth2RefreshToken, Group, StandardRole,
UserDevice and AssignedAppLink of Okta's management specification.
"""

from collections.abc import Mapping
from typing import Any, Final

from sandbox.kit.accounts import Account, Item, stable_id
from sandbox.kit.clock import iso, now_ms

__all__ = ["OKTA_PARTS", "build_accounts"]

OKTA_PARTS: Final = (
    "sessions",
    "clients",
    "tokens",
    "grants",
    "factors",
    "groups",
    "roles",
    "devices",
    "apps",
    "events",
    "api_tokens",
)
ISSUER: Final = "https://okta.example.invalid/oauth2/default"
CLIENTS: Final = ("Agent Desktop", "Quality Review", "Roster Mobile", "Knowledge Base")
GROUPS: Final = ("Voice Agents", "Client Portal Users", "Cebu Site", "Night Shift", "Back Office")
APPS: Final = ("Agent Desktop", "Roster", "Learning")
FACTORS: Final = (("push", "OKTA"), ("token:software:totp", "GOOGLE"), ("webauthn", "FIDO"))
CREATED_MS: Final = 1_735_689_600_000  # 2025-01-01: everybody joined on the same made-up day


def build_accounts(person: Item, shape: Mapping[str, Any]) -> list[Account]:
    """The account of a person; two that share an employee number when the shape is ambiguous.

    Args:
        person: the seed record.
        shape: `status`, `roles`, `sessions`, `clients`, `factors`, `groups`, `app_groups`,
            `api_tokens`, `ambiguous`.
    """
    accounts = [_account(person, shape, twin=False)]
    if shape.get("ambiguous"):
        accounts.append(_account(person, shape, twin=True))
    return accounts


def _account(person: Item, shape: Mapping[str, Any], *, twin: bool) -> Account:
    worker = f"{person['worker_id']}{'#2' if twin else ''}"
    user_id = "00u" + stable_id("okta", worker)
    login = person.get("username") or person["email"]
    email = person["email"]
    if twin:
        login, email = f"rehire.{login}", f"rehire.{email}"
    number = person.get("employee_number", "")
    keys = [user_id, login, email, person["worker_id"], number]
    account = Account(
        id=user_id,
        person=person,
        keys=list(dict.fromkeys(key.lower() for key in keys if key)),
        doc=_user(user_id, person, shape, login=login, email=email),
        parts={name: [] for name in OKTA_PARTS},
    )
    _sign_ins(account, worker, shape)
    _entitlements(account, worker, shape)
    return account


def _user(user_id: str, person: Item, shape: Mapping[str, Any], *, login: str, email: str) -> Item:
    created = iso(CREATED_MS)
    return {
        "id": user_id,
        "status": shape.get("status", "ACTIVE"),
        "created": created,
        "activated": created,
        "statusChanged": iso(),
        "lastLogin": iso(),
        "lastUpdated": iso(),
        "passwordChanged": created,
        "type": {"id": "oty" + stable_id("okta", "type")},
        "profile": {
            "firstName": person.get("first_name", ""),
            "lastName": person.get("last_name", ""),
            "login": login,
            "email": email,
            "employeeNumber": person.get("employee_number", ""),
            "title": person.get("title", ""),
            "department": person.get("department", ""),
            "organization": person.get("partner", ""),
        },
        "credentials": {"provider": {"type": "OKTA", "name": "OKTA"}},
        "_links": {"self": {"href": f"/api/v1/users/{user_id}"}},
    }


def _sign_ins(account: Account, worker: str, shape: Mapping[str, Any]) -> None:
    """Sessions, OAuth clients with tokens and grants, factors and devices."""
    parts, created = account.parts, iso()
    for n in range(shape.get("sessions", 2)):
        secret = f"sandbox-session-{stable_id(worker, 'session', n, length=22)}"
        parts["sessions"].append({"id": secret, "created": created})
    for n in range(shape.get("clients", 2)):
        client_id = "0oa" + stable_id("okta", "client", n)
        name = CLIENTS[n % len(CLIENTS)]
        parts["clients"].append({"id": client_id, "client_name": name})
        parts["tokens"].append(
            {
                "id": "oar" + stable_id(worker, "token", n),
                "clientId": client_id,
                "created": created,
                "access": f"sandbox-access-{stable_id(worker, 'access', n, length=22)}",
            }
        )
        parts["grants"].append(
            {"id": "oag" + stable_id(worker, "grant", n), "clientId": client_id, "created": created}
        )
    for n in range(shape.get("factors", 2)):
        kind, provider = FACTORS[n % len(FACTORS)]
        parts["factors"].append(_factor(worker, n, kind=kind, provider=provider))
    parts["devices"].append(_device(worker, created))


def _factor(worker: str, n: int, *, kind: str, provider: str) -> Item:
    created = iso(CREATED_MS)
    return {
        "id": ("opf" if kind == "push" else "uft") + stable_id(worker, "factor", n),
        "factorType": kind,
        "provider": provider,
        "vendorName": provider,
        "status": "ACTIVE",
        "created": created,
        "lastUpdated": created,
    }


def _device(worker: str, created: str) -> Item:
    device_id = "guo" + stable_id(worker, "device")
    return {
        "id": "dau" + stable_id(worker, "device", "user"),
        "created": created,
        "device": {
            "id": device_id,
            "status": "ACTIVE",
            "created": created,
            "lastUpdated": created,
            "profile": {
                "displayName": f"Handset of {worker}",
                "platform": "ANDROID",
                "registered": True,
                "secureHardwarePresent": True,
            },
            "resourceType": "UDDevice",
            "resourceId": device_id,
        },
    }


def _entitlements(account: Account, worker: str, shape: Mapping[str, Any]) -> None:
    """Groups, admin roles and assigned applications."""
    parts = account.parts
    parts["groups"].append(_group("Everyone", "BUILT_IN"))
    for n in range(shape.get("groups", 3)):
        parts["groups"].append(_group(GROUPS[n % len(GROUPS)], "OKTA_GROUP"))
    for n in range(shape.get("app_groups", 0)):
        parts["groups"].append(_group(f"Directory Import {n + 1}", "APP_GROUP"))
    for kind in shape.get("roles", ()):
        parts["roles"].append(
            {
                "id": "ra1" + stable_id(worker, "role", kind),
                "label": kind.replace("_", " ").title(),
                "type": kind,
                "status": "ACTIVE",
                "created": iso(CREATED_MS),
                "lastUpdated": iso(CREATED_MS),
                "assignmentType": "USER",
            }
        )
    for n in range(shape.get("api_tokens", 0)):
        parts["api_tokens"].append(_api_token(account.id, worker, n))
    if account.doc["status"] == "DEPROVISIONED":
        return
    for n, label in enumerate(APPS):
        parts["apps"].append(_app_link(worker, n, label))


def _group(name: str, kind: str) -> Item:
    created = iso(CREATED_MS)
    is_import = kind == "APP_GROUP"
    return {
        "id": "00g" + stable_id("okta", "group", name),
        "created": created,
        "lastUpdated": created,
        "lastMembershipUpdated": created,
        "objectClass": ["okta:windows_security_principal" if is_import else "okta:user_group"],
        "type": kind,
        "profile": {"name": name, "description": f"Simulated group {name}"},
    }


def _api_token(user_id: str, worker: str, n: int) -> Item:
    """Schema ApiToken: what is listed, never the token itself."""
    created = iso(CREATED_MS)
    return {
        "id": "00T" + stable_id(worker, "api", n),
        "name": f"Export {n + 1}",
        "clientName": "Okta API",
        "userId": user_id,
        "tokenWindow": "P30D",
        "created": created,
        "lastUpdated": created,
        "expiresAt": iso(now_ms() + 30 * 86_400_000),
    }


def _app_link(worker: str, n: int, label: str) -> Item:
    app_id = "0oa" + stable_id("okta", "app", n)
    return {
        "id": "00u" + stable_id(worker, "app", n),
        "label": label,
        "linkUrl": f"https://okta.example.invalid/home/{app_id}",
        "logoUrl": "https://okta.example.invalid/logo.png",
        "appName": label.lower().replace(" ", "_"),
        "appInstanceId": app_id,
        "appAssignmentId": "0ua" + stable_id(worker, "app", n),
        "credentialsSetup": False,
        "hidden": False,
        "sortOrder": n,
    }
