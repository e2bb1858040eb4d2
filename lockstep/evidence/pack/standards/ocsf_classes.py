"""Which OCSF class tells of which kind of access, in 1.9.0 and in 1.8.0.

1.9.0 has put Account Change (3001) and User Access Management (3005) together as User Management
(3007); programmatic credentials had no activity of their own before. Source: the schema itself,
https://github.com/ocsf/ocsf-schema, folders events/iam and objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lockstep.domain.systems.access import AccessKind

CATEGORIES = {2: "Findings", 3: "Identity & Access Management"}

Json = dict[str, Any]
Members = Callable[[Json, Sequence[str], str], Json]
"""(user, commitments of what was closed, system) to the members that the class asks for."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A class and an activity. ``takes_list``: one event can hold all of a kind."""

    class_uid: int
    class_name: str
    activity_id: int
    activity: str
    says: str
    members: Members
    takes_list: bool = False


def _user_alone(user: Json, _refs: Sequence[str], _system: str) -> Json:
    return {"user": user}


def _credentials(user: Json, refs: Sequence[str], _system: str) -> Json:
    held = [{"uid": ref, "type": "API credential"} for ref in refs]
    return {"user": user | {"programmatic_credentials": held}}


def _factors(user: Json, refs: Sequence[str], system: str) -> Json:
    # Which factor it was is not in the ledger, and OCSF has no place for a factor's id.
    unknown = {"factor_type_id": 0, "factor_type": "Unknown", "provider": system}
    return {"user": user, "auth_factors": [dict(unknown) for _ in refs]}


def _roles(user: Json, refs: Sequence[str], system: str) -> Json:
    return {
        "user": user,
        "iam_roles": [{"uid": ref} for ref in refs],
        "resources": [{"name": system}],
    }


def _privileges(user: Json, refs: Sequence[str], system: str) -> Json:
    return {"user": user, "privileges": list(refs), "resources": [{"name": system}]}


def _group(user: Json, refs: Sequence[str], system: str) -> Json:
    return {"group": {"uid": refs[0], "domain": system}, "users": [user]}


def _group_before(user: Json, refs: Sequence[str], system: str) -> Json:
    return {"group": {"uid": refs[0], "domain": system}, "user": user}


def _session(user: Json, refs: Sequence[str], system: str) -> Json:
    return {"user": user, "session": {"uid": refs[0]}, "service": {"name": system}}


def _entity(type_id: int, type_: str) -> Members:
    def members(user: Json, refs: Sequence[str], _system: str) -> Json:
        return {"entity": {"uid": refs[0], "type_id": type_id, "type": type_, "user": user}}

    return members


_OTHER = 99
_AUTHENTICATION = (3002, "Authentication")
_ENTITY = (3004, "Entity Management")
_GROUP = (3006, "Group Management")
_USER = (3007, "User Management")
_ACCOUNT_BEFORE = (3001, "Account Change")
_ACCESS_BEFORE = (3005, "User Access Management")

_BOTH: dict[str, Shape] = {
    AccessKind.SESSION: Shape(*_AUTHENTICATION, 2, "Logoff", "Session ended", _session),
    AccessKind.DEVICE: Shape(*_ENTITY, 9, "Disable", "Device cut off", _entity(1, "Device")),
    AccessKind.CREDENTIAL: Shape(
        *_ENTITY, 9, "Disable", "Badge disabled", _entity(_OTHER, "Badge")
    ),
}
_NOW = _BOTH | {
    AccessKind.SIGN_IN: Shape(*_USER, 5, "Disable", "Sign-in blocked", _user_alone),
    AccessKind.TOKEN: Shape(
        *(*_USER, 19, "Remove Programmatic Credentials", "Tokens removed", _credentials),
        takes_list=True,
    ),
    AccessKind.SECRET: Shape(
        *(*_USER, 19, "Remove Programmatic Credentials", "Secrets removed", _credentials),
        takes_list=True,
    ),
    AccessKind.FACTOR: Shape(
        *(*_USER, 13, "Disable MFA Factors", "Factors removed", _factors), takes_list=True
    ),
    AccessKind.ROLE: Shape(*_USER, 17, "Remove Roles", "Roles removed", _roles, takes_list=True),
    AccessKind.GROUP: Shape(*_GROUP, 4, "Remove User", "Removed from a group", _group),
    AccessKind.ASSIGNMENT: Shape(
        *(*_USER, 15, "Remove Privileges", "Assignments removed", _privileges), takes_list=True
    ),
    AccessKind.SEAT: Shape(
        *(*_USER, 15, "Remove Privileges", "Seats freed", _privileges), takes_list=True
    ),
}
_BEFORE = _BOTH | {
    AccessKind.SIGN_IN: Shape(*_ACCOUNT_BEFORE, 5, "Disable", "Sign-in blocked", _user_alone),
    AccessKind.TOKEN: Shape(*_ENTITY, 4, "Delete", "Token removed", _entity(_OTHER, "Token")),
    AccessKind.SECRET: Shape(*_ENTITY, 4, "Delete", "Secret removed", _entity(_OTHER, "Secret")),
    AccessKind.FACTOR: Shape(
        *(*_ACCOUNT_BEFORE, 11, "MFA Factor Disable", "Factors removed", _factors), takes_list=True
    ),
    AccessKind.ROLE: Shape(
        *(*_ACCESS_BEFORE, 2, "Revoke Privileges", "Roles removed", _privileges), takes_list=True
    ),
    AccessKind.GROUP: Shape(*_GROUP, 4, "Remove User", "Removed from a group", _group_before),
    AccessKind.ASSIGNMENT: Shape(
        *(*_ACCESS_BEFORE, 2, "Revoke Privileges", "Assignments removed", _privileges),
        takes_list=True,
    ),
    AccessKind.SEAT: Shape(
        *(*_ACCESS_BEFORE, 2, "Revoke Privileges", "Seats freed", _privileges), takes_list=True
    ),
}
_SHAPES: Mapping[str, Mapping[str, Shape]] = {"1.9.0": _NOW, "1.8.0": _BEFORE}


def shapes_for(version: str) -> Mapping[str, Shape]:
    """The shape of each kind of access in a version of OCSF."""
    return _SHAPES[version]
