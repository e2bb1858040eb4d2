"""Accounts of a database: found by reading the catalogue whole, proved on each server by itself."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial

from connectors.abilities import Place as EachPlace
from connectors.base import ConnectorFault, Transcript
from connectors.kit.abilities.gaps import gap
from connectors.kit.finding.listed import found_in
from connectors.kit.finding.searching import Searching
from connectors.kit.sql import SqlServer
from connectors.kit.steps import attempt, unread
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Account,
    Action,
    Exchange,
    Health,
    Location,
    Match,
    Observation,
    Problem,
    Proof,
    Search,
)
from lockstep.domain.systems.active import ActiveAccount, ActivePage, ListEnd
from lockstep.domain.systems.faults import FaultCategory, rule_for

PRIMARY = "primary"
ON_COPIES = (AccessKind.SIGN_IN, AccessKind.SESSION)
"""What a copy must show by itself: all else it has from the primary."""
_SILENT = frozenset({FaultCategory.UNREACHABLE, FaultCategory.TIMEOUT})


class DatabaseAccounts(ABC):
    """One database: a primary, and the copies of it that people can connect to.

    Args:
        system: the configured system's id.
        servers: by address; the primary's is "".
        held: the kinds of key that the catalogue holds.
    """

    def __init__(
        self, system: str, servers: Mapping[str, SqlServer], held: Collection[KeyKind]
    ) -> None:
        self._system = system
        self._servers = servers
        self._primary = servers[""]
        self._held = frozenset({KeyKind.ACCOUNT_ID, *held})

    @abstractmethod
    async def _everybody(self, transcript: Transcript) -> list[Match]:
        """Every account that the primary's catalogue has."""

    @abstractmethod
    async def _on(self, at: str, account_id: str, transcript: Transcript) -> Observation:
        """What one server says, copies of sign-in and sessions only."""

    @abstractmethod
    async def _problems(self, at: str, transcript: Transcript) -> Iterable[Problem]:
        """What would hinder a revocation on one server."""

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        """List every account and compare: a catalogue is read whole, or not at all."""
        ids = [Key(KeyKind.ACCOUNT_ID, each) for each in keys.account_ids(self._system)]
        wanted = [key for key in (*ids, *keys.keys) if key.kind in self._held]
        wanted = [key for key in wanted if key.kind is not KeyKind.ACCOUNT_ID or key in ids]
        if not wanted:
            return Location((), ())
        searching = Searching(not_theirs)
        listed = await searching.one(partial(self._everybody, transcript))
        if isinstance(listed, ConnectorFault):
            failed = (Search(key.kind, key.value, Proof.FAILED) for key in wanted)
            return searching.told(Location((), tuple(failed)))
        # We are an account ourselves: a catalogue without any was not the catalogue.
        proof = Proof.LISTED if listed else Proof.UNPROVED
        searches = tuple(Search(key.kind, key.value, proof) for key in wanted)
        return Location(found_in(listed, wanted), searches, listed=len(listed))

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        """The primary, and each copy by a session of its own: all of them let people in."""
        looks = await asyncio.gather(
            *(attempt(self._on(at, account.id, transcript)) for at in self._servers)
        )
        first, *copies = looks
        if isinstance(first, ConnectorFault):
            raise first
        standing, missed = [*first.standing], [*first.unread]
        for look in copies:
            if isinstance(look, ConnectorFault):
                # Whom a copy lets in is not known; it may lag behind, or be cut off.
                missed += [unread(kind, look) for kind in ON_COPIES]
            else:
                standing += look.standing
                missed += look.unread
        return replace(first, standing=tuple(standing), unread=tuple(dict.fromkeys(missed)))

    async def health(self, transcript: Transcript) -> Health:
        """Reach every server, and see what we may do on the primary."""
        looks = await asyncio.gather(
            *(attempt(self._problems(at, transcript)) for at in self._servers)
        )
        problems: list[Problem] = []
        for told in looks:
            if isinstance(told, ConnectorFault):
                fix = rule_for(told.category).suggestion
                problems.append(Problem(told.category.value, str(told), fix))
            else:
                problems += told
        reachable = not (isinstance(looks[0], ConnectorFault) and looks[0].category in _SILENT)
        return Health(reachable, tuple(dict.fromkeys(problems)))

    async def list_active(self, transcript: Transcript) -> AsyncIterator[ActivePage]:
        """Every account that may log in."""
        listed = await attempt(self._everybody(transcript))
        if isinstance(listed, ConnectorFault):
            yield ActivePage((), ListEnd(0, (gap("accounts", listed),)))
            return
        active = (one for one in listed if one.seen is None or one.seen.signs_in)
        accounts = tuple(ActiveAccount(one.account, one.name) for one in active)
        yield ActivePage(accounts, ListEnd(len(listed)))

    async def places(self, transcript: Transcript) -> tuple[EachPlace, ...]:  # noqa: ARG002 - settings name them
        """The primary, and every copy that the settings name."""
        return tuple(EachPlace(at or PRIMARY) for at in self._servers)

    async def read_back_at(
        self, place: EachPlace, account: Account, transcript: Transcript
    ) -> Observation:
        """What one server says."""
        at = "" if place.ref == PRIMARY else place.ref
        return await self._on(at, account.id, transcript)


def at_place(ref: str, at: str) -> str:
    """A way in, by the server where it stands; one on the primary is told by itself."""
    return f"{ref}@{at}" if at else ref


def stands_at(way: Access, at: str) -> bool:
    """Whether it stands on this server."""
    return way.ref.partition("@")[2] == at


def actions(ways: Iterable[Access], exchange: Exchange) -> tuple[Action, ...]:
    """One statement closed these."""
    return tuple(Action(way, exchange.answered_at, exchange.operation) for way in ways)
