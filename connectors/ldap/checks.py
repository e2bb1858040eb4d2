"""What would hinder a revocation in an LDAP directory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from connectors.kit.ldap import filters
from connectors.kit.ldap.channel import OpenDirectory, Query
from connectors.kit.ldap.finding import Finder
from connectors.kit.ldap.messages import Entry, Scope
from connectors.ldap.flavours import Flavour
from lockstep.domain.systems.access import Problem, ProblemSeverity

_ANY = filters.present("objectClass")
_NAMES = re.compile(r"NAME\s+(?:'([^']+)'|\(\s*((?:'[^']+'\s*)+)\))")


@dataclass(frozen=True, slots=True)
class About:
    """What one server says of itself.

    Args:
        attributes: names that its schema knows, in small letters; none where it shows no schema.
        has_people: whether anybody is seen below the base.
        base: the entry of the base, with what replication has reached.
        policy: the default password policy; None where none is named, or is not seen.
    """

    attributes: frozenset[str]
    has_people: bool
    reached: frozenset[str]
    lockout: bool | None


async def about(server: OpenDirectory, finder: Finder, policy: str) -> About:
    """Ask one server."""
    await server.who_am_i()
    root = await server.base(_entry("rootdse.get", "", ("subschemaSubentry",)))
    schema_at = root.one("subschemaSubentry") if root is not None else ""
    schema = await server.base(_entry("schema.get", schema_at, ("attributeTypes",), "subschema"))
    base = await server.base(_entry("base.get", finder.base, ("contextCSN",)))
    own = await server.base(_entry("policy.get", policy, ("pwdLockout",))) if policy else None
    return About(
        attributes=_known(schema),
        has_people=await finder.sample(server) is not None,
        reached=frozenset(base.all("contextCSN")) if base is not None else frozenset(),
        lockout=None if own is None else own.one("pwdLockout").upper() == "TRUE",
    )


def _entry(operation: str, dn: str, attributes: tuple[str, ...], of: str = "") -> Query:
    wanted = filters.equals("objectClass", of) if of else _ANY
    return Query(operation, dn, wanted, attributes, Scope.BASE, page=0)


def _known(schema: Entry | None) -> frozenset[str]:
    told: Iterable[str] = schema.all("attributeTypes") if schema is not None else ()
    found = (match for text in told for match in _NAMES.finditer(text))
    return frozenset(
        name.lower() for one in found for name in re.findall(r"[\w;-]+", one[1] or one[2])
    )


def problems(first: About, replicas: Sequence[About], flavour: Flavour) -> Iterator[Problem]:
    """What of it hinders."""
    if not first.has_people:
        yield Problem(
            "nobody_seen",
            "nobody is seen below the base",
            "Check base and person_class, and let our entry read people.",
        )
    for door in flavour.doors:
        if first.attributes and door.attribute.lower() not in first.attributes:
            yield Problem(
                "unknown_attribute",
                f"the server knows no attribute {door.attribute}",
                "Choose another flavour, or load the server's password policy.",
            )
    if flavour.policy and first.lockout is not True:
        said = "is not TRUE in" if first.lockout is False else "is not known of"
        yield Problem(
            "lock_without_effect",
            f"pwdLockout {said} the default policy: the lock alone would shut nothing",
            "Name the policy's entry as policy, and set pwdLockout TRUE. pwdEndTime shuts anyway.",
            ProblemSeverity.LIMITS,
        )
    if any(first.reached and not first.reached <= one.reached for one in replicas):
        yield Problem(
            "replica_behind",
            "a replica has not reached the provider's contextCSN",
            "Wait, then look at its replication; a leaver is proved only where it has arrived.",
            ProblemSeverity.LIMITS,
        )
