"""The domain controllers of a domain, as its configuration names them."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.kit.ldap import filters
from connectors.kit.ldap.channel import OpenDirectory, Query
from connectors.kit.ldap.groups import plain
from connectors.kit.ldap.messages import Entry, Scope

ROOT = "rootdse.get"
CONTROLLERS = "controllers.list"
_SHOWN = (
    "currentTime",
    "dnsHostName",
    "defaultNamingContext",
    "configurationNamingContext",
    "isSynchronized",
)


@dataclass(frozen=True, slots=True)
class Domain:
    """What a controller says of itself when a connection to it is opened."""

    controller: str
    root: str
    configuration: str
    synchronized: bool


async def domain_of(server: OpenDirectory) -> Domain:
    """Ask it; its answer tells its clock too.

    Raises:
        ConnectorFault: it is no controller.
    """
    query = Query(ROOT, "", filters.present("objectClass"), _SHOWN, Scope.BASE, page=0)
    entry = await server.base(query) or Entry("", {})
    told = Domain(
        entry.one("dnsHostName").lower(),
        entry.one("defaultNamingContext"),
        entry.one("configurationNamingContext"),
        entry.one("isSynchronized").upper() != "FALSE",
    )
    if not told.root or not told.configuration:
        raise server.odd(ROOT, "no_domain")
    return told


async def controllers_of(server: OpenDirectory, domain: Domain) -> tuple[str, ...]:
    """Names of all that hold the domain, those that take no writes too.

    Raises:
        ConnectorFault: they cannot all be named.
    """
    sites = f"CN=Sites,{domain.configuration}"
    holds = ("msDS-hasMasterNCs", "hasMasterNCs", "msDS-hasFullReplicaNCs")
    roles = await server.all(_query(sites, "nTDSDSA", holds))
    servers = await server.all(_query(sites, "server", ("dNSHostName",)))
    names = {plain(one.dn): one.one("dNSHostName").lower() for one in servers}
    told = []
    for role in roles:
        parts = {plain(part) for name in holds for part in role.all(name)}
        if parts and plain(domain.root) not in parts:
            continue  # of another domain of the forest
        name = names.get(plain(role.dn.partition(",")[2]), "")
        if not name:
            raise server.odd(CONTROLLERS, "no_name")
        told.append(name)
    if domain.controller and domain.controller not in told:
        raise server.odd(CONTROLLERS, "not_all")
    return tuple(sorted(set(told)))


def _query(base: str, of: str, attributes: tuple[str, ...]) -> Query:
    return Query(
        CONTROLLERS,
        base,
        filters.equals("objectClass", of),
        attributes,
        missing="read the Configuration partition",
    )
