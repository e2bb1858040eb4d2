"""The lists that Okta keeps of one user: where each is, and which of its items count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.okta.faults import fault_of
from connectors.okta.user import OktaUser
from lockstep.domain.systems.access import AccessKind
from lockstep.domain.systems.faults import FaultCategory

READ_USERS = "okta.users.read"
MANAGE_USERS = "okta.users.manage"
READ_GROUPS = "okta.groups.read"
MANAGE_GROUPS = "okta.groups.manage"
READ_ROLES = "okta.roles.read"
MANAGE_ROLES = "okta.roles.manage"


@dataclass(frozen=True, slots=True)
class Listing:
    """Where Okta lists one kind of access of a user, and which items count."""

    path: str
    operation: str
    needs: str
    ref: str
    counts: Callable[[Mapping[str, Any]], bool]


LISTINGS: Mapping[AccessKind, Listing] = {
    # Clients "for which the user has grants or tokens": one entry stands for both.
    AccessKind.TOKEN: Listing(
        "clients", "users.clients.list", READ_USERS, "client_id", lambda _: True
    ),
    # E-mail enrols itself for as long as the user has an address, so it can never be reset:
    # https://github.com/okta/okta-developer-docs/pull/2632
    AccessKind.FACTOR: Listing(
        "factors",
        "users.factors.list",
        READ_USERS,
        "id",
        lambda item: item.get("factorType") != "email" and item.get("status") != "NOT_SETUP",
    ),
    # A role that comes from a group ends with the membership; it has no call of its own.
    AccessKind.ROLE: Listing(
        "roles",
        "users.roles.list",
        READ_ROLES,
        "id",
        lambda item: item.get("assignmentType") != "GROUP",
    ),
    # APP_GROUP belongs to the app that imports it, BUILT_IN is Everyone: neither can be left
    # through the API, and neither lets anybody in once sign-in is blocked.
    AccessKind.GROUP: Listing(
        "groups",
        "users.groups.list",
        READ_USERS,
        "id",
        lambda item: item.get("type") not in {"APP_GROUP", "BUILT_IN"},
    ),
}


def known_refs(kind: AccessKind, refs: tuple[str, ...] | None, user: OktaUser) -> tuple[str, ...]:
    """What a list says of this user.

    Okta answers 404 for lists of a deactivated user (seen with factors:
    https://github.com/okta/okta-sdk-java/issues/646); for any other user 404 says nothing.

    Raises:
        ConnectorFault: unexpected answer.
    """
    if refs is not None:
        return refs
    if user.is_deactivated:
        return ()
    raise fault_of(FaultCategory.UNEXPECTED_ANSWER, LISTINGS[kind].operation, "404")
