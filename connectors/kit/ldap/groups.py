"""Groups that name a person, and leaving them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from connectors.base import ConnectorFault
from connectors.kit.ldap import filters
from connectors.kit.ldap.channel import Edits, OpenDirectory, Query, Result
from connectors.kit.ldap.filters import Filter
from connectors.kit.ldap.messages import Change, Entry, Scope
from connectors.kit.ldap.people import Naming
from connectors.kit.steps import carry_out
from lockstep.domain.systems.access import Access, AccessKind, Action
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.owned import Owned, OwnedKind

GROUPS = "groups.search"
LEAVE = "groups.leave"
OWNED = "owned.search"
_EVERYTHING = filters.present("objectClass")
# A group that must have a member refuses to lose its last one.
_LAST: Final[Mapping[int, FaultCategory]] = {
    Result.OBJECT_CLASS_VIOLATION: FaultCategory.PROTECTED_ACCOUNT
}


@dataclass(frozen=True, slots=True)
class Member:
    """One attribute of a group that names its members: by which value of theirs."""

    attribute: str
    value: str = ""
    """The member's attribute; "" for the name of the entry."""

    def of(self, entry: Entry) -> tuple[bytes, ...]:
        return entry.raw(self.value) if self.value else (entry.dn.encode(),)


@dataclass(frozen=True, slots=True)
class Membership:
    """One group that names the person by one attribute."""

    group: str
    dn: str = field(repr=False)
    attribute: str
    value: bytes = field(repr=False)

    def way(self, at: str = "") -> Access:
        where = f"@{at}" if at else ""
        return Access(AccessKind.GROUP, f"{self.group}/{self.attribute}{where}")


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of one directory.

    Args:
        naming: a group's immutable id.
        base: below which they are.
        members: how they name their members.
        wanted: which entries are groups.
        elsewhere: whether parts of the tree may be on other servers.
    """

    naming: Naming
    base: str = field(repr=False)
    members: tuple[Member, ...]
    wanted: Filter = _EVERYTHING
    elsewhere: bool = False

    async def of(self, server: OpenDirectory, person: Entry) -> list[Membership]:
        """Every membership that a group itself shows, one search for each way of naming."""
        held: list[Membership] = []
        for one in self.members:
            for value in one.of(person):
                entries = await self._named(server, one.attribute, value)
                held += [
                    Membership(self.naming.of(each), each.dn, one.attribute, value)
                    for each in entries
                ]
        return held

    async def _named(
        self, server: OpenDirectory, attribute: str, value: bytes
    ) -> tuple[Entry, ...]:
        wanted = filters.all_of(self.wanted, filters.equals(attribute, value))
        return await server.all(self._query(GROUPS, wanted, (self.naming.attribute,)))

    async def hidden(
        self, server: OpenDirectory, told: Iterable[str], held: Sequence[Membership]
    ) -> bool:
        """Whether the person's own entry tells of a group that no search showed."""
        seen = {plain(one.dn) for one in held}
        known = {one.group for one in held}
        for dn in told:
            if plain(dn) in seen:
                continue
            # The same name may be written in another way: its id decides.
            query = Query(GROUPS, dn, _EVERYTHING, (self.naming.attribute,), Scope.BASE, page=0)
            group = await server.base(query)
            if group is None or self.naming.of(group) not in known:
                return True
        return False

    async def leave(
        self, server: OpenDirectory, held: Iterable[Membership], ways: Iterable[Access]
    ) -> tuple[Action, ...]:
        """Leave those groups that stand in ``ways``, one after the other."""
        due = {way.ref: way for way in ways}
        steps = (
            partial(self._left, server, one, due[one.way().ref])
            for one in held
            if one.way().ref in due
        )
        return await carry_out(*steps, at_once=1)

    @staticmethod
    async def _left(server: OpenDirectory, one: Membership, way: Access) -> tuple[Action, ...]:
        edits = Edits(
            LEAVE,
            one.dn,
            ((Change.DELETE, one.attribute, (one.value,)),),
            missing="write members of groups",
        )
        try:
            exchange = await server.change(edits, faults=_LAST)
        except ConnectorFault as fault:
            if is_code(fault, Result.NO_SUCH_ATTRIBUTE, Result.NO_SUCH_OBJECT):
                return ()
            raise
        return (Action(way, exchange.answered_at, exchange.operation),)

    async def owned(
        self, server: OpenDirectory, person: Entry, attributes: Sequence[str]
    ) -> tuple[Owned, ...]:
        """Groups and other entries that name the person as their owner."""
        wanted = filters.any_of(*(filters.equals(one, person.dn) for one in attributes))
        shown = (self.naming.attribute, "cn", *attributes)
        entries = await server.all(self._query(OWNED, wanted, shown))
        return tuple(
            Owned(
                OwnedKind.GROUP,
                self.naming.of(one),
                one.one("cn"),
                has_other_owner=sum(len(one.raw(each)) for each in attributes) > 1,
            )
            for one in entries
        )

    def _query(self, operation: str, wanted: Filter, attributes: tuple[str, ...]) -> Query:
        return Query(
            operation,
            self.base,
            wanted,
            attributes,
            missing="read groups",
            elsewhere=self.elsewhere,
        )


def plain(dn: str) -> str:
    """A form of a name in which two that are equal mostly look so."""
    return ",".join(part.strip().lower() for part in dn.split(","))


def is_code(fault: ConnectorFault, *codes: Result) -> bool:
    """Whether a fault is of one of these codes."""
    return fault.code.partition("/")[0] in {code.name.lower() for code in codes}
