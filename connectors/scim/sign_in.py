"""Ending a user's sign-in at a SCIM server, in whichever way the server takes.

PATCH is optional in SCIM (RFC 7644 section 3.5.2), and servers without it say so with 405, 501,
404 or a page of their framework; some apply it and answer 404 or 500. So an answer that says no is
followed by a look at the user, and then by the next way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from connectors.base import ConnectorFault, Transcript
from connectors.http import Answer
from connectors.kit.calls import actions
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
from connectors.scim.wire import Profile
from lockstep.domain.systems.access import Access, AccessKind, Action
from lockstep.domain.systems.faults import FaultCategory

_BROKEN = 500
_MISSING = frozenset({*NO_METHOD, GONE, _BROKEN})
_CONFLICT, _UNREADABLE = 409, 422
_EXPECTED = (
    *(*DONE, REFUSED, GONE, *NO_METHOD, _CONFLICT, STALE, VERSION_WANTED, _UNREADABLE, _BROKEN),
)


class Way(NamedTuple):
    """One way of writing ``active=false``."""

    method: str
    profile: Profile


_DELETE = Way("DELETE", Profile.RFC)


@dataclass(frozen=True, slots=True)
class _Tried:
    """What came of one write: accepted, closed by whatever means, or refused."""

    accepted: Answer | None = None
    refused: Answer | None = None
    user: Answer | None = None
    """The user as a later look found it, for the next way."""

    @property
    def is_closed(self) -> bool:
        return self.accepted is None and self.refused is None


class SignIn:
    """The door of one server.

    Args:
        profile: the configured dialect; it is tried first.
        deletes: DELETE instead of deactivation, where the settings say so.
    """

    def __init__(self, client: ScimClient, *, profile: Profile, deletes: bool) -> None:
        self._client = client
        self._deletes = deletes
        dialects = [profile, *(one for one in (Profile.RFC, Profile.NO_PATH) if one != profile)]
        self._ways = [*(Way("PATCH", one) for one in dialects), Way("PUT", profile)]
        self._sent = Memory[str, bool]()

    async def end(
        self, user_id: str, user: Answer | None, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Shut the sign-in of a user that was just read.

        A second DELETE can be stronger than the first, so an inactive user is left alone
        (`_try` looks before each write).
        """
        if user is None:
            return ()
        if self._deletes:
            return await self._delete(user_id, user, transcript)
        content_type = self._client.content_type
        try:
            return await self._deactivate(user_id, user, transcript)
        except ConnectorFault as told:
            if not _is_unread(told) or content_type == wire.PLAIN_CONTENT_TYPE:
                raise
            refusal = told
        # A few servers refuse the content type with a 400 instead of a 415.
        self._client.content_type = wire.PLAIN_CONTENT_TYPE
        try:
            return await self._deactivate(user_id, user, transcript)
        except ConnectorFault:
            self._client.content_type = content_type
        raise refusal

    async def _deactivate(
        self, user_id: str, user: Answer, transcript: Transcript
    ) -> tuple[Action, ...]:
        refusals: list[Answer] = []
        accepted: Answer | None = None
        no_patch = not self._client.supports("patch")
        doubted = self._sent.get(user_id)  # a server accepted it before, and did nothing
        for way in tuple(self._ways):
            if way.method == "PATCH" and no_patch:
                continue
            made = await self._try(way, user_id, user, transcript)
            if made.is_closed:
                return _shut(user_id, accepted)
            user = made.user or user
            if made.accepted is not None:
                accepted = accepted or made.accepted
                now = await self._client.get_user(user_id, transcript) if doubted else made.accepted
                if now is None or not _still_active(now):
                    self._learn(way, user_id)
                    return _shut(user_id, made.accepted)
            if made.refused is not None:
                refusals.append(made.refused)
                no_patch = no_patch or made.refused.status in _MISSING
        if accepted is not None:
            return _shut(user_id, accepted)
        raise self._client.refusal(_telling(refusals))

    def _learn(self, way: Way, user_id: str) -> None:
        """What worked comes first from now on; whom it was sent for is looked at next time."""
        self._ways.remove(way)
        self._ways.insert(0, way)
        self._sent.keep(user_id, True)

    async def _try(self, way: Way, user_id: str, user: Answer, transcript: Transcript) -> _Tried:
        """One way, by its method; after a conflict with the new version, then without any.

        A server that wants a version and shows none is told that any will do.
        """
        operation = "users.delete" if way.method == "DELETE" else "users.deactivate"
        now: Answer | None = user
        wanted = ""
        for versioned in (True, True, False):
            if now is None or wire.is_active(now.data) is False:
                return _Tried()
            shown = now.headers.get("etag") or wire.version_of(now.data)
            version = (shown if versioned else "") or wanted
            answer = await self._client.call(
                way.method,
                path_of("Users", user_id),
                operation,
                transcript,
                expect=_EXPECTED,
                headers={"If-Match": version} if version else {},
                **_body(way, now),
            )
            if answer.status in DONE:
                return _Tried(accepted=answer, user=now)
            if wire.scim_type(answer.data) == READ_ONLY:
                raise self._client.refusal(answer)
            if answer.status == VERSION_WANTED:
                wanted = ANY_VERSION
                continue
            if answer.status in {STALE, GONE, _CONFLICT, _BROKEN}:  # it may have been applied
                now = await self._client.get_user(user_id, transcript)
                if now is None or wire.is_active(now.data) is False:
                    return _Tried()
            if answer.status != STALE:
                return _Tried(refused=answer, user=now)
        raise fault(FaultCategory.VENDOR_ERROR, operation, f"{answer.status}.again")

    async def _delete(
        self, user_id: str, user: Answer, transcript: Transcript
    ) -> tuple[Action, ...]:
        made = await self._try(_DELETE, user_id, user, transcript)
        if made.refused is not None:
            raise self._client.refusal(made.refused)
        return _shut(user_id, made.accepted)


def _shut(user_id: str, answer: Answer | None) -> tuple[Action, ...]:
    return actions([Access(AccessKind.SIGN_IN, user_id)], answer)


def _body(way: Way, now: Answer) -> dict[str, object]:
    match way.method:
        case "DELETE":
            return {}
        case "PUT":
            return {"body": wire.deactivated(now.data, way.profile)}
        case _:
            return {"body": wire.deactivation(way.profile)}


def _still_active(answer: Answer) -> bool:
    """Whether the answer to a change, or a look after it, shows that nothing has changed."""
    if not isinstance(answer.data, dict) or wire.attribute(answer.data, "active") is None:
        return False
    return wire.is_active(answer.data) is True


def _telling(refusals: list[Answer]) -> Answer:
    """The refusal that says most: one of what was sent, before one that knows no such method."""
    read = (answer for answer in refusals if answer.status not in {*NO_METHOD, GONE})
    return next(read, refusals[0])


def _is_unread(told: ConnectorFault) -> bool:
    return told.code in {str(REFUSED), str(_UNREADABLE), str(_BROKEN)}
