"""SCIM 2.0 on the wire, without I/O: what is searched for, what is sent, what an answer means.

Rules from RFC 7643 (schema) and RFC 7644 (protocol).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lockstep.domain.access import Account
from lockstep.domain.leavers import Key, KeyKind, LeaverKeys

CONTENT_TYPE = "application/scim+json"
ENTERPRISE_USER = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
ERROR_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:Error"
PATCH_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
EMPLOYEE_NUMBER = f"{ENTERPRISE_USER}:employeeNumber"


class Profile(StrEnum):
    """How a server wants to be told that a user is no longer active."""

    RFC = "rfc"
    NO_PATH = "no-path"
    """The value is an object of attributes, as Okta's client sends it."""
    STRING = "string"
    """The value is the word ``False``, as Entra's client sent it for years."""


@dataclass(frozen=True, slots=True)
class Search:
    """One equality search; the value is personal data."""

    kind: KeyKind
    attribute: str
    value: str

    @property
    def filter(self) -> str:
        return equals(self.attribute, self.value)

    def hits(self, user: Mapping[str, Any]) -> bool:
        """Whether ``user`` really holds the value: some servers ignore filters.

        userName and e-mail addresses compare without regard to case (caseExact false), externalId
        and employeeNumber exactly: RFC 7643 sections 3.1, 4.1 and 4.3.
        """
        held = values_of(user, self.attribute)
        if self.attribute in {"userName", "emails.value"}:
            return self.value.casefold() in {value.casefold() for value in held}
        return self.value in held


def equals(attribute: str, value: str) -> str:
    """An ``eq`` filter. A SCIM string is a JSON string (RFC 7644 section 3.4.2.2)."""
    return f"{attribute} eq {json.dumps(value, ensure_ascii=False)}"


def searches_for(keys: LeaverKeys) -> tuple[Search, ...]:
    """Every search that ``keys`` allow, without repeating one, strongest key first.

    A worker id may be held as externalId (what most provisioning clients send) or as
    employeeNumber; an e-mail address often is the userName.
    """
    wanted: dict[tuple[str, str], Search] = {}
    for kind, attributes in (
        (KeyKind.WORKER_ID, ("externalId", EMPLOYEE_NUMBER)),
        (KeyKind.EMPLOYEE_NUMBER, (EMPLOYEE_NUMBER, "externalId")),
        (KeyKind.EXTERNAL_ID, ("externalId",)),
        (KeyKind.USERNAME, ("userName",)),
        (KeyKind.EMAIL, ("emails.value", "userName")),
    ):
        for value in keys.of_kind(kind):
            for attribute in attributes:
                wanted.setdefault((attribute, value), Search(kind, attribute, value))
    return tuple(wanted.values())


def values_of(user: Mapping[str, Any], attribute: str) -> tuple[str, ...]:
    """The strings a user holds for one searchable attribute."""
    match attribute:
        case "emails.value":
            emails = user.get("emails")
            listed = emails if isinstance(emails, list) else []
            found = [email.get("value") for email in listed if isinstance(email, dict)]
        case _ if attribute == EMPLOYEE_NUMBER:
            extension = user.get(ENTERPRISE_USER)
            found = [extension.get("employeeNumber")] if isinstance(extension, dict) else []
        case _:
            found = [user.get(attribute)]
    return tuple(value for value in found if isinstance(value, str) and value)


def account_of(user: Mapping[str, Any]) -> Account:
    """The account, with every identity key that the server holds for it."""
    held = (
        (KeyKind.EMPLOYEE_NUMBER, EMPLOYEE_NUMBER),
        (KeyKind.EXTERNAL_ID, "externalId"),
        (KeyKind.USERNAME, "userName"),
        (KeyKind.EMAIL, "emails.value"),
    )
    keys = [Key(kind, value) for kind, name in held for value in values_of(user, name)]
    return Account(str(user["id"]), locator=str(user.get("userName") or ""), known_keys=tuple(keys))


def contradicts(user: Mapping[str, Any], keys: LeaverKeys) -> bool:
    """Whether the account's own employee number says that it is somebody else's.

    Worker ids may come from another number range, so they can confirm but not contradict.
    """
    held, ours = values_of(user, EMPLOYEE_NUMBER), keys.employee_numbers
    return bool(held and ours) and not set(held) & {*ours, *keys.worker_ids}


def is_active(user: Mapping[str, Any]) -> bool | None:
    """Whether the user may sign in; None for a value that the schema does not allow.

    Some servers answer the strings "true" and "True". A user without ``active`` counts as active:
    what is not said to be closed is open.
    """
    active = user.get("active", True)
    if isinstance(active, bool):
        return active
    known = {"true": True, "false": False}
    return known.get(active.strip().lower()) if isinstance(active, str) else None


def version_of(user: Mapping[str, Any]) -> str | None:
    meta = user.get("meta")
    version = meta.get("version") if isinstance(meta, dict) else None
    return version if isinstance(version, str) and version else None


def patch(*operations: Mapping[str, object]) -> dict[str, object]:
    return {"schemas": [PATCH_SCHEMA], "Operations": list(operations)}


def deactivation(profile: Profile) -> dict[str, object]:
    """The PATCH body that ends sign-in, in the server's dialect."""
    match profile:
        case Profile.RFC:
            return patch({"op": "replace", "path": "active", "value": False})
        case Profile.NO_PATH:
            return patch({"op": "replace", "value": {"active": False}})
        case Profile.STRING:
            return patch({"op": "Replace", "path": "active", "value": "False"})


def deactivated(user: Mapping[str, Any], profile: Profile) -> dict[str, Any]:
    """The whole user for a PUT. Read-only attributes are left out; RFC 7643 section 4.1.2."""
    kept = {name: value for name, value in user.items() if name not in {"meta", "groups"}}
    return {**kept, "active": "False" if profile is Profile.STRING else False}


def leave_by_path(user_id: str) -> dict[str, object]:
    """RFC 7644 section 3.5.2.2: the filter in the path selects the one member to remove."""
    return patch({"op": "remove", "path": f"members[{equals('value', user_id)}]"})


def leave_by_value(user_id: str) -> dict[str, object]:
    """The dialect of servers that refuse a filter in the path.

    A server of the RFC that ignored ``value`` would empty the group, so this is never sent first.
    """
    return patch({"op": "remove", "path": "members", "value": [{"value": user_id}]})


def has_member(group: Mapping[str, Any], user_id: str) -> bool:
    members = group.get("members")
    listed = members if isinstance(members, list) else []
    return any(isinstance(one, dict) and one.get("value") == user_id for one in listed)


def says_error(data: object) -> bool:
    """Whether an answer is a SCIM error rather than some proxy's page (RFC 7644 section 3.12)."""
    return isinstance(data, dict) and ERROR_SCHEMA in (data.get("schemas") or ())
