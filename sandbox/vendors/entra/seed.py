"""What a person has in the simulated tenant, and how Microsoft Graph writes it down.

Shapes follow the resources of https://learn.microsoft.com/graph/api/resources: user, group, device,
oAuth2PermissionGrant, authenticationMethod, unifiedRoleAssignment, appRoleAssignment.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from sandbox.kit.accounts import Account, Item
from sandbox.kit.clock import iso, now_ms

__all__ = ["ENTRA_PARTS", "build_account", "guid"]

ENTRA_PARTS: Final = (
    "consents",
    "methods",
    "devices",
    "roles",
    "eligible",
    "groups",
    "apps",
    "licences",
    "owned",
)
DAY_MS: Final = 86_400_000
METHODS: Final = ("microsoftAuthenticator", "phone", "fido2", "softwareOath", "email")
GROUPS: Final = ("Agents", "Payroll", "Floor 3", "Escalations")


def guid(*parts: object) -> str:
    """An id that depends on the parts only."""
    return str(UUID(bytes=sha256(":".join(map(str, parts)).encode()).digest()[:16], version=4))


def build_account(person: Item, shape: Mapping[str, Any]) -> Account:
    """The person's user.

    Args:
        person: the seed record.
        shape: how many of each part; `rule_groups`, `synced_groups`, `mail_groups`,
            `group_licences`, `owned`, `enabled`, `synced`, `upn`, `proxies`.
    """
    worker, email = person["worker_id"], person["email"]
    user_id = guid("entra", worker)
    upn = shape.get("upn") or person.get("username") or email
    doc = {
        "id": user_id,
        "accountEnabled": shape.get("enabled", True),
        "userPrincipalName": upn,
        "mail": email,
        "otherMails": [],
        "proxyAddresses": [f"SMTP:{email}", *(f"smtp:{one}" for one in shape.get("proxies", ()))],
        "employeeId": person.get("employee_number") or None,
        "displayName": f"{person.get('first_name', '')} {person.get('last_name', '')}".strip(),
        "createdDateTime": iso(now_ms() - 200 * DAY_MS),
        "userType": shape.get("user_type", "Member"),
        "onPremisesSyncEnabled": True if shape.get("synced") else None,
        "lastPasswordChangeDateTime": iso(now_ms() - 200 * DAY_MS),
        "signInSessionsValidFromDateTime": iso(now_ms() - 200 * DAY_MS),
    }
    keys = [
        user_id,
        email,
        upn,
        worker,
        person.get("employee_number", ""),
        *shape.get("proxies", ()),
    ]
    account = Account(
        id=user_id,
        person=person,
        keys=list(dict.fromkeys(key.lower() for key in keys if key)),
        doc=doc,
        parts={part: [] for part in ENTRA_PARTS},
    )
    for part, make in _MAKERS.items():
        account.parts[part] = [make(user_id, n) for n in range(shape.get(part, _USUAL[part]))]
    account.parts["sessions"] = [{"id": guid(user_id, "session")}]
    _special(account, shape)
    return account


def _special(account: Account, shape: Mapping[str, Any]) -> None:
    kinds: dict[str, Item] = {
        "rule_groups": {"groupTypes": ["DynamicMembership"]},
        "synced_groups": {"onPremisesSyncEnabled": True},
        "mail_groups": {"mailEnabled": True},
    }
    for name, more in kinds.items():
        account.parts["groups"] += [
            {**_group(account.id, f"{name}{n}"), **more} for n in range(shape.get(name, 0))
        ]
    for n in range(shape.get("group_licences", 0)):
        licence = _licence(account.id, n)
        account.parts["licences"].append({**licence, "assignedByGroup": guid("licensing group")})


def _consent(user: str, n: int) -> Item:
    return {
        "id": guid(user, "consent", n).replace("-", "_"),
        "clientId": guid("client", n),
        "consentType": "Principal",
        "principalId": user,
        "resourceId": guid("graph"),
        "scope": "openid profile Mail.Read",
    }


def _method(user: str, n: int) -> Item:
    name = METHODS[n % len(METHODS)]
    return {
        "@odata.type": f"#microsoft.graph.{name}AuthenticationMethod",
        "id": guid(user, name, n),
    }


def _device(user: str, n: int) -> Item:
    return {
        "@odata.type": "#microsoft.graph.device",
        "id": guid(user, "device", n),
        "displayName": f"PC-{n + 1}",
        "accountEnabled": True,
    }


def _role(user: str, n: int) -> Item:
    return {
        "id": guid(user, "role", n).replace("-", "")[:22] + "-1",
        "principalId": user,
        "roleDefinitionId": guid("definition", n),
        "directoryScopeId": "/",
    }


def _eligible(user: str, n: int) -> Item:
    return {**_role(user, 50 + n), "id": guid(user, "eligible", n), "status": "Provisioned"}


def _group(user: str, n: object) -> Item:
    name = GROUPS[n % len(GROUPS)] if isinstance(n, int) else str(n)
    return {
        "@odata.type": "#microsoft.graph.group",
        "id": guid(user, "group", n),
        "displayName": name,
        "groupTypes": [],
        "mailEnabled": False,
        "onPremisesSyncEnabled": None,
    }


def _app(user: str, n: int) -> Item:
    return {
        "id": guid(user, "app", n).replace("-", "")[:28] + "_A",
        "principalId": user,
        "resourceId": guid("resource", n),
        "appRoleId": guid("no role"),
    }


def _licence(user: str, n: int) -> Item:
    del user
    return {
        "id": guid("licence", n),
        "skuId": guid("sku", n),
        "assignedByGroup": None,
        "state": "Active",
    }


def _owned(user: str, n: int) -> Item:
    kinds = ("application", "servicePrincipal", "group")
    return {
        "@odata.type": f"#microsoft.graph.{kinds[n % len(kinds)]}",
        "id": guid(user, "owned", n),
        "displayName": f"Owned {n + 1}",
        "createdDateTime": iso(now_ms() - 90 * DAY_MS),
    }


_MAKERS: Final = {
    "consents": _consent,
    "methods": _method,
    "devices": _device,
    "roles": _role,
    "eligible": _eligible,
    "groups": _group,
    "apps": _app,
    "licences": _licence,
    "owned": _owned,
}
_USUAL: Final = {
    "consents": 1,
    "methods": 2,
    "devices": 1,
    "roles": 0,
    "eligible": 0,
    "groups": 2,
    "apps": 1,
    "licences": 1,
    "owned": 0,
}
