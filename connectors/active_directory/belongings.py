"""What stays because of an account: what it manages, and what signs in or acts through it."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.kit.ldap import filters
from connectors.kit.ldap.channel import OpenDirectory, Query
from connectors.kit.ldap.messages import Entry, Scope
from connectors.kit.ldap.people import OBJECT_GUID
from lockstep.domain.systems.owned import Owned, OwnedKind

MANAGED = "owned.managed"
OWN = "owned.own_record"
TRUSTS = "owned.trusts"
_SERVICE = "servicePrincipalName"
_DELEGATES = "msDS-AllowedToDelegateTo"
_ACTS_FOR = "msDS-AllowedToActOnBehalfOfOtherIdentity"
_RETRIEVES = "msDS-GroupMSAMembership"


async def managed(server: OpenDirectory, person: Entry, root: str) -> tuple[Owned, ...]:
    """Groups, computers and units whose managedBy it is."""
    wanted = filters.equals("managedBy", person.dn)
    entries = await server.all(_query(MANAGED, root, wanted, ("objectGUID", "cn", "name")))
    return tuple(Owned(OwnedKind.GROUP, OBJECT_GUID.of(one), _name(one)) for one in entries)


async def own(server: OpenDirectory, person: Entry) -> tuple[Owned, ...]:
    """Services that run as the account, and services that it may act towards for anybody."""
    wanted = filters.present("objectClass")
    shown = (_SERVICE, _DELEGATES)
    entry = await server.base(Query(OWN, person.dn, wanted, shown, Scope.BASE, page=0))
    if entry is None:
        return ()
    services = (Owned(OwnedKind.SERVICE_ACCOUNT, one, one) for one in entry.all(_SERVICE))
    return *services, *(Owned(OwnedKind.KEY, one, one) for one in entry.all(_DELEGATES))


async def trusts(server: OpenDirectory, person: Entry, root: str) -> tuple[Owned, ...]:
    """Whose password it may fetch (gMSA), and at whom it may act for others."""
    shown = ("objectSid",)
    about = Query(OWN, person.dn, filters.present("objectClass"), shown, Scope.BASE, page=0)
    entry = await server.base(about)
    sid = next(iter(entry.raw("objectSid")), b"") if entry is not None else b""
    if not sid:
        raise server.odd(TRUSTS, "no_sid")
    wanted = filters.any_of(filters.present(_ACTS_FOR), filters.present(_RETRIEVES))
    found = await server.all(
        _query(TRUSTS, root, wanted, ("objectGUID", "cn", "name", _ACTS_FOR, _RETRIEVES))
    )
    return tuple(one for entry in found for one in _named_in(entry, sid))


def _named_in(entry: Entry, sid: bytes) -> Iterator[Owned]:
    """A descriptor that holds the bytes of the account's SID names it."""
    rows = ((_RETRIEVES, OwnedKind.SERVICE_ACCOUNT), (_ACTS_FOR, OwnedKind.KEY))
    for attribute, kind in rows:
        if any(sid in value for value in entry.raw(attribute)):
            yield Owned(kind, f"{OBJECT_GUID.of(entry)}/{attribute}", _name(entry))


def _query(operation: str, root: str, wanted: bytes, attributes: tuple[str, ...]) -> Query:
    return Query(operation, root, wanted, attributes, missing="read the domain", elsewhere=True)


def _name(entry: Entry) -> str:
    return entry.one("cn") or entry.one("name")
