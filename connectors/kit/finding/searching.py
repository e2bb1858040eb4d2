"""Making several searches of which one may fail: what the others found is not lost with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from connectors.base import ConnectorFault
from connectors.kit.steps import attempt, first_of, unread
from lockstep.domain.systems.access import AccessKind, Location, Match
from lockstep.domain.systems.faults import FaultCategory

T = TypeVar("T")
Search = Callable[[], Awaitable[T]]

_ENDS_ALL = frozenset({FaultCategory.CREDENTIALS_REJECTED, FaultCategory.RATE_LIMITED})
"""Every further search would be refused like this one."""
_HANGS = frozenset({FaultCategory.TIMEOUT, FaultCategory.UNREACHABLE})
"""Every further search may wait as long: whoever is found is not kept waiting for it."""


@dataclass(slots=True)
class Searching:
    """The searches for one leaver, and those of them that failed.

    Args:
        not_theirs: ids of accounts that are known to be somebody else's: whoever finds only them
            has found nobody.
    """

    not_theirs: Collection[str] = ()
    faults: list[ConnectorFault] = field(default_factory=list)

    def found(self, matches: Iterable[Match]) -> bool:
        """Whether somebody was found who may be the leaver."""
        return any(match.account.id not in self.not_theirs for match in matches)

    async def one(self, search: Search[T], *, found: Iterable[Match] = ()) -> T | ConnectorFault:
        """What a search returned, or why it did not; that of an earlier one, where it ends all.

        Args:
            search: makes the search.
            found: who was found so far.
        """
        ends = _ENDS_ALL | _HANGS if self.found(found) else _ENDS_ALL
        for fault in self.faults:
            if fault.category in ends:
                return fault
        told = await attempt(search())
        if isinstance(told, ConnectorFault):
            self.faults.append(told)
        return told

    async def each(self, searches: Iterable[Search[T]]) -> list[T | ConnectorFault]:
        """All at once; the answers in order, each with its own fault."""
        return list(await asyncio.gather(*(self.one(search) for search in searches)))

    def require_somebody(self, matches: Iterable[Match]) -> None:
        """Let nobody be concluded from searches of which one failed.

        Raises:
            ConnectorFault: of the searches, where none of them found anybody.
        """
        if self.faults and not self.found(matches):
            raise first_of(self.faults)

    def told(self, location: Location) -> Location:
        """The result, with what could not be searched.

        Raises:
            ConnectorFault: of the searches, where none of them found anybody, or where our
                credential is rejected, so that nothing can be closed either.
        """
        self.require_somebody(location.matches)
        if any(fault.category is FaultCategory.CREDENTIALS_REJECTED for fault in self.faults):
            raise first_of(self.faults)
        rows = (unread(AccessKind.SIGN_IN, fault) for fault in self.faults)
        return replace(location, unread=tuple(dict.fromkeys((*location.unread, *rows))))
