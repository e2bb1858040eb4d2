"""Taking one member out of SCIM groups, and nobody else.

There is no PUT here: it would write everybody's membership, not only the leaver's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from connectors.base import ConnectorFault, Transcript
from connectors.http import Answer
from connectors.kit import steps
from connectors.kit.calls import actions
from connectors.kit.finding.proving import LIFE_S
from connectors.kit.memory import Memory
from connectors.scim import wire
from connectors.scim.client import (
    ANY_VERSION,
    DONE,
    GONE,
    NO_METHOD,
    READ_ONLY,
    REFUSED,
    STALE,
    VERSION_WANTED,
    ScimClient,
    fault,
    path_of,
)
from connectors.scim.groups import ScimGroups
from connectors.scim.members import Membership, members_of
from lockstep.domain.systems.access import Access, AccessKind, Action
from lockstep.domain.systems.faults import FaultCategory

_OPERATION = "groups.remove_member"
_VERSIONED = (STALE, VERSION_WANTED)
_TRIES = 3
_COLLEAGUES = "colleagues"
COLLEAGUES_REMOVED = "colleagues_removed"


class Leaving:
    """The exits of one server's groups."""

    def __init__(self, client: ScimClient, groups: ScimGroups) -> None:
        self._client = client
        self._groups = groups
        self._one_by_one = asyncio.Lock()
        self._first = asyncio.Lock()
        self._spares = Memory[str, bool](life_s=LIFE_S)
        self._emptied = ""
        self._sent = Memory[tuple[str, str], bool]()

    async def leave(
        self, user_id: str, membership: Membership, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Take the user out of one group; a member or group that is gone is left already.

        Until this server was seen to spare colleagues, one group at a time: the filter in the path
        may be ignored, and then everybody goes.
        """
        if not self._spares.get(_COLLEAGUES):
            async with self._first:
                if not self._spares.get(_COLLEAGUES):
                    return await self._watched(user_id, membership, transcript)
        return await self._leave(user_id, membership, transcript)

    async def _watched(
        self, user_id: str, membership: Membership, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Leave, and look whether colleagues stayed, where the members can be looked at.

        All of them gone is the server's doing; some may have left by another's.
        """
        group_id, named = membership.group_id, wire.text(membership.value)
        others, after = set[str](), set[str]()
        with suppress(ConnectorFault):
            others = (await self._members(group_id, transcript) or set()) - {named}
        left = await self._leave(user_id, membership, transcript)
        if not others or not left:
            return left
        with suppress(ConnectorFault):
            after = await self._members(group_id, transcript) or set()
            if others <= after:
                self._spares.keep(_COLLEAGUES, True)
            if not others & after:
                self._emptied = self._client.clean(f"{COLLEAGUES_REMOVED}.{group_id}")
        self._stop_if_emptied(left)
        return left

    async def _leave(
        self, user_id: str, membership: Membership, transcript: Transcript
    ) -> tuple[Action, ...]:
        group_id = membership.group_id
        self._stop_if_emptied()
        answer = await self._ask(group_id, _path_form(membership), transcript)
        if wire.scim_type(answer.data) == "noTarget":
            return ()
        if answer.status in DONE:
            if await self._is_in_vain(user_id, membership, transcript):
                return await self._by_value(membership, transcript)
            return actions([Access(AccessKind.GROUP, group_id)], answer)
        if answer.status in NO_METHOD or wire.scim_type(answer.data) == READ_ONLY:
            raise self._client.refusal(answer)
        if answer.status == GONE:  # of the group, of the member, or of PATCH
            members = await self._members(group_id, transcript)
            if members is None or wire.text(membership.value) not in members:
                return ()  # the read-back decides
        return await self._by_value(membership, transcript)

    async def _by_value(self, membership: Membership, transcript: Transcript) -> tuple[Action, ...]:
        """The dialect of servers that refuse a filter in the path.

        A server of the RFC ignores ``value`` and empties the group. So this is never sent first,
        only where the members can be seen, one group at a time, and the group is looked at right
        after: if colleagues went too, a person is told and no further group is touched.
        """
        group_id = membership.group_id
        async with self._one_by_one:
            self._stop_if_emptied()
            before = await self._members(group_id, transcript)
            if before is None:
                return ()  # the group itself is gone
            named = wire.text(membership.value)
            if named not in before:
                raise fault(FaultCategory.UNEXPECTED_ANSWER, _OPERATION, "members_unseen")
            answer = await self._ask(group_id, _value_form(membership), transcript)
            if answer.status not in DONE:
                raise self._client.refusal(answer)
            left = actions([Access(AccessKind.GROUP, group_id)], answer)
            for _ in range(2):  # nothing else would tell
                with suppress(ConnectorFault):
                    after = await self._members(group_id, transcript)
                    if after is None or before - after - {named}:
                        self._emptied = self._client.clean(f"{COLLEAGUES_REMOVED}.{group_id}")
                    break
            else:
                raise self._told(f"colleagues_unseen.{group_id}", left)
            self._stop_if_emptied(left)
            return left

    def _stop_if_emptied(self, left: tuple[Action, ...] = ()) -> None:
        if self._emptied:
            raise self._told(self._emptied, left)

    def _told(self, code: str, left: tuple[Action, ...]) -> ConnectorFault:
        told = fault(FaultCategory.UNEXPECTED_ANSWER, _OPERATION, self._client.clean(code))
        return steps.with_actions(told, left)

    async def _members(self, group_id: str, transcript: Transcript) -> set[str] | None:
        """The members that the group shows, as it names them; None when the group is gone."""
        group = await self._groups.read(group_id, transcript)
        if group is None:
            return None
        return {wire.text(member.value) for member in members_of(group) or ()}

    async def _ask(
        self, group_id: str, body: Mapping[str, object], transcript: Transcript
    ) -> Answer:
        """One change; where the server wants to know of which version, of the one it shows now."""
        headers: dict[str, str] = {}
        for _ in range(_TRIES):
            answer = await self._client.call(
                "PATCH",
                path_of("Groups", group_id),
                _OPERATION,
                transcript,
                expect=(*DONE, REFUSED, GONE, *NO_METHOD, *_VERSIONED, 422),
                headers=headers,
                body=body,
            )
            if answer.status not in _VERSIONED:
                return answer
            group = await self._groups.read(group_id, transcript)
            headers = {"If-Match": wire.version_of(group or {}) or ANY_VERSION}
        raise fault(FaultCategory.VENDOR_ERROR, _OPERATION, f"{answer.status}.again")

    async def _is_in_vain(
        self, user_id: str, membership: Membership, transcript: Transcript
    ) -> bool:
        """Whether the server accepts the path form and does nothing; looked at the second time."""
        key = (membership.group_id, user_id)
        if not self._sent.get(key):
            self._sent.keep(key, True)
            return False
        members = await self._members(membership.group_id, transcript)
        return members is not None and wire.text(membership.value) in members


def _path_form(membership: Membership) -> dict[str, Any]:
    """RFC 7644 section 3.5.2.2: the filter in the path selects the one member to remove."""
    named = wire.equals("value", wire.text(membership.value))
    return wire.patch({"op": "remove", "path": f"members[{named}]"})


def _value_form(membership: Membership) -> dict[str, Any]:
    return wire.patch({"op": "remove", "path": "members", "value": [{"value": membership.value}]})
