"""Which groups hold a user, seen from both sides.

A user's ``groups`` is optional in SCIM, a group's ``members`` may be hidden, cut short or written
in names, and a filter on members may be ignored or find nothing. So both sides are looked at, what
either shows stands, and that neither shows anything counts only where a side was seen to show.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from connectors.base import ConnectorFault, Transcript
from connectors.kit import steps
from connectors.kit.finding.proving import LIFE_S
from connectors.kit.memory import Memory
from connectors.scim import wire
from connectors.scim.beyond import holds_by_filter
from connectors.scim.client import PAGE, ScimClient, fault, path_of, refuses, status_of
from connectors.scim.members import (
    Largest,
    Member,
    Membership,
    Person,
    are_names,
    held_by,
    may_be_cut,
    members_of,
    own_groups,
)
from connectors.scim.pages import LONG_ANSWER_BYTES, Walk, ids_under
from lockstep.domain.systems.access import AccessKind, Unread
from lockstep.domain.systems.faults import FaultCategory

_SAMPLE = 10
_READ_AT_MOST = 3
_AT_ONCE = 8
_DENIED = frozenset({"200", "403"})
_NO_GROUPS = frozenset({"404", "405", "501"})


@dataclass(frozen=True, slots=True)
class Memberships:
    """The groups that hold one user, and why that may not be all."""

    found: tuple[Membership, ...]
    unread: Unread | None = None


@dataclass(frozen=True, slots=True)
class _Canary:
    """A member whom some group is known to hold."""

    group_id: str
    member: Member = field(repr=False)


@dataclass(slots=True)
class _Sight:
    """What one look at both sides has brought: it keeps what was seen before a fault."""

    found: dict[str, Membership] = field(repr=False)
    by_members: bool = False
    """Whether a group was seen to hold the user."""
    anothers: dict[str, bool] = field(default_factory=dict, repr=False)
    """Which of the user's names are somebody else's id."""
    shows: bool = False
    """Whether any group shows a member at all."""
    why_not: str = ""
    """Why an absence here proves nothing: a code of ours."""
    sampled: bool = False
    canary: _Canary | None = field(default=None, repr=False)
    is_bare: bool = False
    """The server lists no group at all, and no other side speaks of one."""


class ScimGroups:
    """Memberships of one server; it remembers for a day what was seen to work."""

    def __init__(self, client: ScimClient) -> None:
        self._client = client
        self._filters: tuple[str, ...] = ("members.value", "members")
        self._proved = Memory[str, bool](life_s=LIFE_S)
        self._worked = set[str]()
        self._by_name = False
        self._shown = Memory[str, bool](life_s=LIFE_S)
        self._longest = 0

    def forget(self) -> None:
        """Find out anew what this server can."""
        self._filters = ("members.value", "members")
        self._proved.forget()
        self._worked.clear()
        self._longest = 0

    async def of(self, user: dict[str, Any], transcript: Transcript) -> Memberships:
        """The groups that either side names, and whether that is known to be all."""
        own = own_groups(user)
        if own:
            self._shown.keep("own", True)
        sight = _Sight(found={one.group_id: one for one in own or ()})
        unread = None
        try:
            await self._by_members(Person.of(user), sight, transcript)
            if sight.why_not and not await self._own_tells(own, transcript):
                told = fault(FaultCategory.UNEXPECTED_ANSWER, "groups.list", sight.why_not)
                unread = steps.unread(AccessKind.GROUP, told)
        except ConnectorFault as told:
            unread = steps.unread(AccessKind.GROUP, told)
        return Memberships(tuple(sight.found.values()), unread)

    async def _by_members(self, person: Person, sight: _Sight, transcript: Transcript) -> None:
        """The groups' side: by a filter that was proved to find, else all of them."""
        for attribute in self._filters if self._client.supports("filter") else ():
            proved = await self._is_proved(attribute, sight, transcript)
            if self._by_name:
                break  # a filter compares one spelling of one name
            found = (
                await self._where(attribute, person.id, transcript) if proved is not False else None
            )
            if found and proved is None and not await self._heeds(attribute, transcript):
                found = None
            if found is None:
                self._filters = tuple(one for one in self._filters if one != attribute)
                continue
            if found and await self._is_a_group_too(person, transcript):
                break
            sight.found.update({one: Membership(one, person.id) for one in found})
            if found or proved:
                self._shown.keep("members", True)
                return
            break
        if not sight.is_bare:
            await self._listed(person, sight, transcript)

    async def _is_a_group_too(self, person: Person, transcript: Transcript) -> bool:
        """Whether a group has the user's number, and may stand within a group under it."""
        return person.id.isdigit() and await self.read(person.id, transcript) is not None

    async def _where(
        self, attribute: str, value: object, transcript: Transcript, *, one_page: bool = False
    ) -> list[str] | None:
        """Ids of the groups under one filter; None when the server refuses it."""
        # A filter that was seen to work and is denied now is news, not a missing feature.
        news = _DENIED if attribute in self._worked else frozenset[str]()
        only, further = wire.equals(attribute, value), not one_page
        return await ids_under(
            self._client, "/Groups", only, transcript, further=further, news=news
        )

    async def _is_proved(
        self, attribute: str, sight: _Sight, transcript: Transcript
    ) -> bool | None:
        """Whether a filter finds a known member, and heeds whom it is asked for.

        None where no group shows a member that could be asked for.
        """
        if self._proved.get(attribute):
            return True
        if not sight.sampled:
            sight.sampled = True
            await self._sample(sight, transcript)
        if sight.canary is None:
            return None
        canary = sight.canary
        groups = await self._where(attribute, wire.text(canary.member.value), transcript)
        if canary.group_id not in (groups or ()) or not await self._heeds(attribute, transcript):
            return False
        self._by_name = self._by_name or await self._is_a_name(canary.member, transcript)
        self._proved.keep(attribute, True)
        self._worked.add(attribute)
        return True

    async def _heeds(self, attribute: str, transcript: Transcript) -> bool:
        """Whether the server looks at the filter at all: no group holds a random id."""
        return await self._where(attribute, uuid4().hex, transcript, one_page=True) == []

    async def _sample(self, sight: _Sight, transcript: Transcript) -> None:
        """A group that shows a member, out of a few; those that show none are read by id."""
        walk = Walk(self._client, "/Groups", "groups.list", transcript, count=_SAMPLE)
        try:
            groups = await walk.few(lambda _: False)
            sight.is_bare = walk.whole and not groups and not sight.found
            for group in groups:
                self._by_name = self._by_name or are_names(members_of(group) or ())
                sight.canary = sight.canary or _canary_in(group)
            for group in groups[:_READ_AT_MOST] if sight.canary is None else ():
                read = await self.read(wire.id_of(group), transcript)
                sight.canary = sight.canary or _canary_in(read or {})
        except ConnectorFault as told:
            if not refuses(told):
                raise

    async def _is_a_name(self, member: Member, transcript: Transcript) -> bool:
        """Whether this server names members by something else than their ids."""
        try:
            return await self._client.get_user(wire.text(member.value), transcript) is None
        except ConnectorFault as told:
            if told.code == "other_user":
                return True
            if not refuses(told):
                raise
            return False

    async def _is_anothers(self, value: str, person: Person, transcript: Transcript) -> bool:
        """Whether a name of the person is the id of somebody else."""
        path = path_of("Users", value)
        answer = await self._client.call(
            "GET", path, "users.get", transcript, expect=(200, 400, 404)
        )
        return answer.status == 200 and wire.id_of(answer.data) not in {"", person.id}  # noqa: PLR2004 - HTTP's OK

    async def _listed(self, person: Person, sight: _Sight, transcript: Transcript) -> None:
        """Every group, and its members; a group that shows none is read by its id."""
        silent, empty, largest = list[str](), list[str](), Largest()
        walk = Walk(self._client, "/Groups", "groups.list", transcript)
        try:
            async for groups in walk.pages():
                for group in groups:
                    members = members_of(group)
                    if members is None:
                        silent.append(wire.id_of(group))
                    elif not members:
                        empty.append(wire.id_of(group))
                    else:
                        largest.see(wire.id_of(group), members)
                        await self._take(wire.id_of(group), members, person, sight, transcript)
        except ConnectorFault as told:
            if await self.are_none(told, transcript):
                return
            raise
        if not sight.shows:
            silent += empty
        async for group in self._read_each(silent, transcript):
            members = members_of(group) or ()
            largest.see(wire.id_of(group), members)
            await self._take(wire.id_of(group), members, person, sight, transcript)
        sight.why_not = self._why_not(sight, walk)
        self._longest = max(self._longest, largest.size)
        if not (sight.why_not or sight.by_members) and largest.size == self._longest:
            await self._beyond(largest, person, sight, transcript)

    async def _beyond(
        self, largest: Largest, person: Person, sight: _Sight, transcript: Transcript
    ) -> None:
        """Look for the person beyond the end of lists that may be cut.

        A server that has shown a longer list cuts none of these.
        """
        for group_id, known in largest.may_be_cut().items():
            members = members_of(await self.read(group_id, transcript) or {}) or ()
            await self._take(group_id, members, person, sight, transcript)
            shows_more = len(members) > largest.size and not may_be_cut(len(members))
            if group_id in sight.found or shows_more:
                continue
            holds = None
            if not self._by_name:
                holds = await holds_by_filter(self._client, group_id, known, person, transcript)
            if holds is None:
                sight.why_not = "members_may_be_cut"
                return
            if holds:
                sight.found[group_id] = Membership(group_id, person.id)

    def _why_not(self, sight: _Sight, walk: Walk) -> str:
        """Why it proves nothing that no group was seen to hold the user; "" if it does."""
        if sight.shows:
            self._shown.keep("members", True)
        if not walk.whole:
            return "list_not_whole"
        if not walk.seen:
            return ""  # no groups at all
        return "" if self._shown.get("members") else "members_never_seen"

    async def _take(
        self,
        group_id: str,
        members: Sequence[Member],
        person: Person,
        sight: _Sight,
        transcript: Transcript,
    ) -> None:
        sight.shows = sight.shows or bool(members)
        member, by_name = held_by(members, person)
        if member is None:
            return
        value = wire.text(member.value)
        if by_name and value not in sight.anothers:
            sight.anothers[value] = await self._is_anothers(value, person, transcript)
        if by_name and sight.anothers[value]:
            return
        sight.by_members = True
        sight.found[group_id] = Membership(group_id, member.value)

    async def _read_each(
        self, group_ids: list[str], transcript: Transcript
    ) -> AsyncIterator[dict[str, Any]]:
        for start in range(0, len(group_ids), _AT_ONCE):
            several = group_ids[start : start + _AT_ONCE]
            read = await asyncio.gather(*(self.read(one, transcript) for one in several))
            for group in read:
                if group is not None:
                    yield group

    async def read(self, group_id: str, transcript: Transcript) -> dict[str, Any] | None:
        """One group with its members; None when it is gone."""
        answer = await self._client.call(
            "GET",
            path_of("Groups", group_id),
            "groups.get",
            transcript,
            expect=(200, 404),
            most=LONG_ANSWER_BYTES,
        )
        if answer.status != 200 or not isinstance(answer.data, dict):  # noqa: PLR2004 - HTTP's OK
            return None
        return {**answer.data, "id": group_id}

    async def show_members(self, transcript: Transcript) -> bool:
        """Whether a group shows a member, out of a few; also where there is no group at all."""
        sight = _Sight(found={})
        with suppress(ConnectorFault):
            await self._sample(sight, transcript)
            return sight.canary is not None or sight.is_bare
        return True

    async def are_none(self, told: ConnectorFault, transcript: Transcript) -> bool:
        """Whether a missing list is right, because the server itself says that it has no groups.

        Groups are optional in SCIM; /ResourceTypes names what there is (RFC 7644 section 4).
        """
        if status_of(told) not in _NO_GROUPS:
            return False
        with suppress(ConnectorFault):
            page = await self._client.page("/ResourceTypes", "resource_types.list", transcript, {})
            names = {wire.text(wire.attribute(one, "name")).lower() for one in page.resources}
            return "user" in names and "group" not in names
        return False

    async def _own_tells(self, own: tuple[Membership, ...] | None, transcript: Transcript) -> bool:
        """Whether users' own ``groups`` may be believed: they were seen to name one."""
        if own is None:
            return False
        if not self._shown.get("own"):
            with suppress(ConnectorFault):
                page = await self._client.page(
                    "/Users", "users.list", transcript, {"startIndex": 1, "count": PAGE}
                )
                if any(own_groups(user) for user in page.resources):
                    self._shown.keep("own", True)
        return bool(self._shown.get("own"))


def _canary_in(group: dict[str, Any]) -> _Canary | None:
    for member in members_of(group) or ():
        if member.texts and wire.text(member.value):
            return _Canary(wire.id_of(group), member)
    return None
