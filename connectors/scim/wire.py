"""SCIM 2.0 on the wire, without I/O: what is searched for, what is sent, what an answer means.

Rules from RFC 7643 (schema) and RFC 7644 (protocol). Servers are read more kindly than the RFCs
ask: attribute names in any case (RFC 7643 section 2.1 says so), ids of any JSON type, addresses as
bare strings (section 2.4), the enterprise extension under any spelling or flattened.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from connectors.kit.instants import told_instant
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Access, AccessKind, Account, Match, Observation, Unread
from lockstep.domain.systems.active import ActiveAccount
from lockstep.domain.systems.keys import comparable

CONTENT_TYPE = "application/scim+json"
PLAIN_CONTENT_TYPE = "application/json"
ENTERPRISE_USER = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
ERROR_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:Error"
PATCH_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
EXTERNAL_ID = "externalId"
EMPLOYEE_NUMBER = f"{ENTERPRISE_USER}:employeeNumber"
USER_NAME = "userName"
EMAIL = "emails.value"
HELD_AS = {
    EMPLOYEE_NUMBER: KeyKind.EMPLOYEE_NUMBER,
    EXTERNAL_ID: KeyKind.EXTERNAL_ID,
    USER_NAME: KeyKind.USERNAME,
    EMAIL: KeyKind.EMAIL,
}
"""The attributes that are searched, and the kind of key that a server holds in each."""
_EXACT = frozenset({EXTERNAL_ID, EMPLOYEE_NUMBER})
"""caseExact in RFC 7643 (sections 3.1 and 8.7.1): another spelling is another search."""


class Profile(StrEnum):
    """How a server wants to be told that a user is no longer active."""

    RFC = "rfc"
    NO_PATH = "no-path"
    """The value is an object of attributes, as some clients send it."""
    STRING = "string"
    """The value is the word ``False``, as one large provider's client sent it for years."""


@dataclass(frozen=True, slots=True)
class Query:
    """One equality search for one key of a leaver; the value is personal data."""

    kind: KeyKind
    attribute: str
    value: str

    @property
    def comparable(self) -> str:
        return comparable(HELD_AS[self.attribute], self.value)

    @property
    def spellings(self) -> tuple[str, ...]:
        """The value, and other cases of it where the attribute heeds case."""
        if self.attribute not in _EXACT:
            return (self.value,)
        return tuple(dict.fromkeys((self.value, self.value.lower(), self.value.upper())))

    def hits(self, user: Mapping[str, Any]) -> bool:
        """Whether ``user`` really holds the value: some servers ignore filters."""
        return self.comparable in comparables_of(user, self.attribute)


def equals(attribute: str, value: object) -> str:
    """An ``eq`` filter. A SCIM value is a JSON value (RFC 7644 section 3.4.2.2)."""
    return f"{attribute} eq {json.dumps(value, ensure_ascii=False)}"


def queries_for(keys: LeaverKeys) -> tuple[Query, ...]:
    """Every search that ``keys`` allow, without repeating one, strongest key first.

    A worker id may be held as externalId (what most provisioning clients send) or as
    employeeNumber; an e-mail address often is the userName.
    """
    wanted: dict[tuple[str, str], Query] = {}
    for kind, attributes in (
        (KeyKind.WORKER_ID, (EXTERNAL_ID, EMPLOYEE_NUMBER)),
        (KeyKind.EMPLOYEE_NUMBER, (EMPLOYEE_NUMBER, EXTERNAL_ID)),
        (KeyKind.EXTERNAL_ID, (EXTERNAL_ID,)),
        (KeyKind.USERNAME, (USER_NAME,)),
        (KeyKind.EMAIL, (EMAIL, USER_NAME)),
    ):
        for value in keys.of_kind(kind):
            for attribute in attributes:
                wanted.setdefault((attribute, value), Query(kind, attribute, value))
    return tuple(wanted.values())


def attribute(resource: object, name: str) -> Any:
    """The value of an attribute; its name is compared without regard to case."""
    if not isinstance(resource, dict):
        return None
    exact = resource.get(name)
    if exact is not None:
        return exact
    wanted = name.lower()
    found = (value for key, value in resource.items() if key.lower() == wanted)
    return next((value for value in found if value is not None), None)


def text(value: object) -> str:
    """An id or key as text, whatever its JSON type; "" for what can be neither."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int | float) else ""


def id_of(resource: object) -> str:
    return text(attribute(resource, "id"))


def values_of(user: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The values that a user holds for one searchable attribute, as text."""
    match name:
        case "emails.value":
            found = _addresses(user)
        case _ if name == EMPLOYEE_NUMBER:
            found = _employee_numbers(user)
        case _:
            value = text(attribute(user, name))
            return (value,) if value else ()
    return tuple(dict.fromkeys(value for value in found if value))


def comparables_of(user: Mapping[str, Any], name: str) -> set[str]:
    kind = HELD_AS[name]
    return {folded for value in values_of(user, name) if (folded := comparable(kind, value))}


_PLAIN = len("employeeNumber")
_MADE = ("created", "createdAt", "created_at", "creationTime")
_USED = ("lastLogin", "lastLoginAt", "lastSignInDateTime", "last_login", "lastActive")
"""Outside SCIM's schema, and common; shown to people who compare accounts, and to nobody else."""


def _addresses(user: Mapping[str, Any]) -> Iterator[str]:
    for name in ("emails", "email"):
        held = attribute(user, name)
        for one in held if isinstance(held, list) else [held]:
            yield from _addresses_in(one)


def _addresses_in(one: object) -> Iterator[str]:
    """A bare string, a complex value, or one whose address stands under another name."""
    if isinstance(one, dict):
        value = text(attribute(one, "value"))
        others = (text(other) for other in one.values())
        yield from [value] if value else [other for other in others if "@" in other]
    else:
        yield from (part.strip() for part in text(one).split(","))


def _employee_numbers(user: Mapping[str, Any]) -> Iterator[str]:
    for name, value in user.items():
        low = name.lower()
        if low.endswith("employeenumber") and (low.startswith("urn:") or len(low) == _PLAIN):
            yield text(value)
        elif isinstance(value, dict) and "enterprise" in low:
            yield text(attribute(value, "employeeNumber"))


def account_of(user: Mapping[str, Any]) -> Account:
    """The account, with every identity key that the server holds for it."""
    keys = [Key(kind, value) for name, kind in HELD_AS.items() for value in values_of(user, name)]
    return Account(id_of(user), locator=text(attribute(user, USER_NAME)), known_keys=tuple(keys))


def match_of(user: Mapping[str, Any], kind: KeyKind, *, groups: bool) -> Match:
    """What the server says of an account that a search returned."""
    account = account_of(user)
    name = attribute(user, "name")
    full = text(attribute(name, "formatted")) or " ".join(
        part for key in ("givenName", "familyName") if (part := text(attribute(name, key)))
    )
    return Match(
        account,
        kind,
        seen=seen_in(user, groups=groups),
        name=text(attribute(user, "displayName")) or full,
        created_at=told_instant(_first_of(user, _MADE)),
        last_used_at=told_instant(_first_of(user, _USED)),
    )


def active_of(user: Mapping[str, Any]) -> ActiveAccount:
    """The same, of an account that can sign in, for a list of all such."""
    match = match_of(user, KeyKind.ACCOUNT_ID, groups=False)
    return ActiveAccount(match.account, match.name, match.created_at, match.last_used_at)


def _first_of(user: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The first of these that ``meta`` or the user itself has; servers put it where they like."""
    places = (attribute(user, "meta"), user)
    found = (attribute(place, name) for place in places for name in names)
    return next((value for value in found if value is not None), None)


def seen_in(user: Mapping[str, Any], *, groups: bool) -> Observation | None:
    """The sign-in as a list shows it; None where the list does not say."""
    said = is_active(user)
    if attribute(user, "active") is None or said is None:
        return None
    return observed(user, active=said, groups=groups)


def observed(user: Mapping[str, Any], *, active: bool, groups: bool) -> Observation:
    """A look at the user's own record; its groups are a list of their own (``groups``)."""
    user_id = id_of(user)
    standing = (Access(AccessKind.SIGN_IN, user_id),) if active else ()
    unread = (Unread(AccessKind.GROUP),) if groups else ()
    return Observation(user_id, exists=True, standing=standing, unread=unread)


def is_active(user: Mapping[str, Any]) -> bool | None:
    """Whether the user may sign in; None for a value that the schema does not allow.

    Some servers answer the strings "true" and "True", or 1. A user without ``active`` counts as
    active: what is not said to be closed is open.
    """
    if not any(name.lower() == "active" for name in user):
        return True
    active = attribute(user, "active")
    if isinstance(active, bool):
        return active
    known = {"true": True, "false": False, "1": True, "0": False}
    return known.get(text(active).lower())


def version_of(user: Mapping[str, Any]) -> str | None:
    version = attribute(attribute(user, "meta"), "version")
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
    left_out = {"meta", "groups", "active"}
    kept = {name: value for name, value in user.items() if name.lower() not in left_out}
    name = next((name for name in user if name.lower() == "active"), "active")
    return {**kept, name: "False" if profile is Profile.STRING else False}


def listed(answer: object) -> list[dict[str, Any]] | None:
    """The resources of a ListResponse, each with an id (RFC 7644 section 3.4.2); None if none."""
    resources = attribute(answer, "Resources")
    if resources is None:
        return [] if total_of(answer) == 0 else None
    if not isinstance(resources, list):
        return None
    fine = all(isinstance(one, dict) and id_of(one) for one in resources)
    return resources if fine else None


def total_of(answer: object) -> int | None:
    """What a list claims as its total; some servers write a number as text, or none at all."""
    said = text(attribute(answer, "totalResults"))
    return int(said) if said.isascii() and said.isdigit() and len(said) <= _DIGITS else None


_DIGITS = 12


def says_error(data: object) -> bool:
    """Whether an answer is a SCIM error rather than some proxy's page (RFC 7644 section 3.12)."""
    schemas = attribute(data, "schemas")
    return isinstance(schemas, list) and ERROR_SCHEMA in schemas


def scim_type(data: object) -> str:
    told = attribute(data, "scimType")
    return told if isinstance(told, str) else ""


def distinct(resources: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {id_of(one): one for one in resources}
