"""Calls and lists of Microsoft Graph, and the permission that each needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from connectors.entra import quirks
from connectors.kit.calls import Call, Filled, Listed
from connectors.kit.holdings import Close
from connectors.kit.pages import NextLink, Shape

USER = "User.Read.All"
DISABLE = "User.EnableDisableAccount.All"
GROUPS = "GroupMember.ReadWrite.All"
METHODS = "UserAuthenticationMethod.ReadWrite.All"
GRANTS = "DelegatedPermissionGrant.ReadWrite.All"
APP_ROLES = "AppRoleAssignment.ReadWrite.All"
ROLES = "RoleManagement.ReadWrite.Directory"
DEVICE = "Device.ReadWrite.All"
SEATS = "LicenseAssignment.ReadWrite.All"
SIGN_INS = "AuditLog.Read.All"
READ = "Directory.Read.All"

_FIELDS = quirks.selected(
    "id",
    "accountEnabled",
    "userPrincipalName",
    "mail",
    "otherMails",
    "proxyAddresses",
    "displayName",
    "createdDateTime",
    "lastPasswordChangeDateTime",
    "signInSessionsValidFromDateTime",
    "onPremisesSyncEnabled",
)
SELECTED: Final[Mapping[str, Filled]] = {"$select": _FIELDS}


def listed(path: str, operation: str, needs: str, **more: Any) -> Listed:
    """The address of the next page is the vendor's; only its query is used, at our own host."""
    params = more.pop("params", {})
    shape = Shape(at=("value",), **more.pop("shape", {}))
    call = Call("GET", path, f"{operation}.list", needs, params)
    return Listed(call, NextLink(**more), shape)


def of_user(name: str, operation: str, needs: str, **more: Any) -> Listed:
    return listed(f"/users/{{id}}/{name}", operation, needs, **more)


def deleting(path: str, operation: str, needs: str) -> Close:
    return Close((Call("DELETE", path, f"{operation}.delete", needs),))


FIND = Call("GET", "/users/{name}", "users.find", USER, SELECTED)
"""By user principal name: authoritative, and does not lag."""
SEARCH = Listed(
    Call("GET", "/users", "users.search", USER, {"$filter": "{filter}", **SELECTED}),
    NextLink(),
    Shape(at=("value",)),
)
REVOKE = Call(
    "POST",
    "/users/{id}/revokeSignInSessions",
    "users.revoke_sessions",
    "User.RevokeSessions.All",
    # The documented answer says {"value": true}; a known issue says that it may say nothing.
    begun=lambda data: not isinstance(data, dict) or data.get("value", True) is True,
)
