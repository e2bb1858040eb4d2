"""Calls to one SCIM 2.0 server, and what its dialect turns out to be.

A server's dialect is learned once per connector: what /ServiceProviderConfig promises, then what
the server refuses. Nothing is remembered about people.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, TypeVar, cast
from urllib.parse import quote
from uuid import uuid4

from connectors.base import ConnectorFault, Transcript
from connectors.http import Answer, VendorHttp
from connectors.saas import scim_wire as wire
from connectors.saas.scim_wire import Profile, Search
from lockstep.domain.access import Access, AccessKind, Action
from lockstep.domain.faults import FaultCategory

KIND = "scim"
PAGE = 100
MOST_PAGES = 50
_AT_ONCE = 8
_DONE = (200, 202, 204)
_REFUSED = 400
_GONE = 404
_STALE = 412
_NO_METHOD = (405, 501)
_NO_CONFIG = (400, 403, 404, 405, 501)
# A filter that a server does not accept: 400 invalidFilter (RFC 7644 section 3.4.2.2), or 501.
_NO_FILTER = (400, 501)
# The attribute is owned by somebody else; or written in a way that the server does not read.
_READ_ONLY = "mutability"
_OTHER_DIALECT = frozenset({"invalidPath", "invalidSyntax", "invalidValue"})
_NEEDS = {
    "GET": "read access to users and groups",
    "PATCH": "write access to users and groups",
    "PUT": "write access to users",
    "DELETE": "permission to delete users",
}
_T = TypeVar("_T")


class ScimClient:
    """Reads and writes of one server; every method raises `ConnectorFault` and nothing else."""

    def __init__(self, http: VendorHttp, *, profile: Profile) -> None:
        self._http = http
        self._profile = profile
        self._config: Mapping[str, Any] | None = None
        self._has_patch = True
        self._member_filters: tuple[str, ...] = ("members.value", "members")
        self._filters_proven = False

    async def aclose(self) -> None:
        await self._http.aclose()

    async def call(
        self, method: str, path: str, operation: str, transcript: Transcript, **sent: Any
    ) -> Answer:
        """`VendorHttp.call` in SCIM's content type, naming what a 403 lacks."""
        try:
            return await self._http.call(
                method,
                path,
                operation=operation,
                transcript=transcript,
                content_type=wire.CONTENT_TYPE,
                **sent,
            )
        except ConnectorFault as refusal:
            if refusal.category is not FaultCategory.PERMISSION_MISSING:
                raise
            told = refusal
        missing, request_id = _NEEDS[method], told.request_id
        raise fault(told.category, operation, told.code, missing=missing, request_id=request_id)

    async def supports(self, feature: str, transcript: Transcript) -> bool:
        """Whether the server promises ``patch`` or ``filter``; silence counts as a promise."""
        if self._config is None:
            answer = await self.call(
                "GET",
                "/ServiceProviderConfig",
                "config.get",
                transcript,
                expect=(200, *_NO_CONFIG),
            )
            known = answer.status not in _NO_CONFIG and isinstance(answer.data, dict)
            self._config = answer.data if known else {}
        promise = self._config.get(feature)
        return not (isinstance(promise, dict) and promise.get("supported") is False)

    async def search(self, search: Search, transcript: Transcript) -> list[dict[str, Any]] | None:
        """Users under one filter; None when the server refuses or ignores the filter."""
        operation, only = "users.search", search.filter
        page = await self._page("/Users", transcript, operation=operation, only=only)
        if page is None or not all(search.hits(user) for user in page[0]):
            return None
        users, total = page
        if total <= len(users):
            return users
        return await self._pages("/Users", transcript, operation=operation, only=only)

    async def everybody(self, transcript: Transcript) -> list[dict[str, Any]]:
        return await self._pages("/Users", transcript, operation="users.list") or []

    async def get_user(self, user_id: str, transcript: Transcript) -> Answer | None:
        """The user by id; None when the server does not know the id."""
        answer = await self.call(
            "GET", _path("Users", user_id), "users.get", transcript, expect=(200, _GONE)
        )
        if answer.status == _GONE:
            if not wire.says_error(answer.data):
                # A wrong address answers 404 to everything: only a living endpoint is believed.
                await self.probe("/Users", transcript)
            return None
        if not isinstance(answer.data, dict) or str(answer.data.get("id")) != user_id:
            raise fault(FaultCategory.UNEXPECTED_ANSWER, "users.get", "other_user")
        return answer

    async def probe(self, path: str, transcript: Transcript) -> None:
        """One resource of a list: that the endpoint lives and we may read it."""
        operation = f"{path[1:].lower()}.list"
        answer = await self.call(
            "GET", path, operation, transcript, expect=(200,), params={"count": 1}
        )
        _resources(answer, operation)

    async def end_sign_in(
        self, user_id: str, user: Answer | None, transcript: Transcript, *, delete: bool
    ) -> list[Action]:
        """Deactivate or delete; a version conflict is read again and repeated once."""
        operation = "users.delete" if delete else "users.deactivate"
        for _ in range(2):
            # A second DELETE can be stronger than the first, so an inactive user is left alone.
            if user is None or not active(user):
                return []
            if delete:
                answer = await self._change("DELETE", user_id, user, operation, transcript)
            else:
                answer = await self._deactivate(user_id, user, transcript)
            if answer.status == _GONE:
                return []
            if answer.status != _STALE:
                return [_action(AccessKind.SIGN_IN, user_id, answer)]
            user = await self.get_user(user_id, transcript)
        raise fault(FaultCategory.VENDOR_ERROR, operation, f"{_STALE}.twice")

    async def groups_of(self, user_id: str, transcript: Transcript) -> tuple[str, ...]:
        """Ids of the groups that hold the user: User.groups is optional, /Groups is the source."""
        if self._member_filters and await self.supports("filter", transcript):
            for attribute in self._member_filters:
                found = await self._groups_where(attribute, user_id, transcript)
                if found is not None and await self._honours(attribute, found, transcript):
                    self._member_filters = (attribute,)
                    return tuple(_id(group) for group in found)
            self._member_filters = ()
        groups = await self._pages("/Groups", transcript, operation="groups.list") or []
        # Some servers leave members out of lists; such a group is read by its id.
        silent = [_id(group) for group in groups if "members" not in group]
        full = [group for group in groups if "members" in group]
        full += await together(self._get_group(group_id, transcript) for group_id in silent)
        return tuple(_id(group) for group in full if wire.has_member(group, user_id))

    async def leave(self, group_id: str, user_id: str, transcript: Transcript) -> list[Action]:
        """Take one member out of one group; a member or group that is gone is left already.

        There is no PUT here: it would write everybody's membership, not only the leaver's.
        """
        for body in (wire.leave_by_path(user_id), wire.leave_by_value(user_id)):
            answer = await self.call(
                "PATCH",
                _path("Groups", group_id),
                "groups.remove_member",
                transcript,
                expect=(*_DONE, _REFUSED, _GONE, *_NO_METHOD),
                body=body,
            )
            if answer.status == _GONE or _scim_type(answer) == "noTarget":
                return []
            if answer.status in _DONE:
                return [_action(AccessKind.GROUP, group_id, answer)]
            if answer.status in _NO_METHOD or _scim_type(answer) == _READ_ONLY:
                break
        raise self._refusal(answer)

    async def _deactivate(self, user_id: str, user: Answer, transcript: Transcript) -> Answer:
        """PATCH, or PUT the whole user where the server has no PATCH."""
        operation = "users.deactivate"
        if self._has_patch and await self.supports("patch", transcript):
            body: Mapping[str, object] = wire.deactivation(self._profile)
            answer = await self._send("PATCH", user_id, user, operation, transcript, body=body)
            if answer.status not in _NO_METHOD:
                return answer
            self._has_patch = False
        body = wire.deactivated(user.data, self._profile)
        return await self._change("PUT", user_id, user, operation, transcript, body=body)

    async def _change(
        self,
        method: str,
        user_id: str,
        user: Answer,
        operation: str,
        transcript: Transcript,
        **sent: Any,
    ) -> Answer:
        answer = await self._send(method, user_id, user, operation, transcript, **sent)
        if answer.status in _NO_METHOD:
            raise self._refusal(answer)
        return answer

    async def _send(
        self,
        method: str,
        user_id: str,
        user: Answer,
        operation: str,
        transcript: Transcript,
        **sent: Any,
    ) -> Answer:
        version = user.headers.get("etag") or wire.version_of(user.data)
        answer = await self.call(
            method,
            _path("Users", user_id),
            operation,
            transcript,
            expect=(*_DONE, _REFUSED, _GONE, _STALE, *_NO_METHOD),
            headers={"If-Match": version} if version else {},
            **sent,
        )
        if answer.status == _REFUSED:
            raise self._refusal(answer)
        return answer

    def _refusal(self, answer: Answer) -> ConnectorFault:
        """A change that was refused for what it is, by SCIM's own detail (RFC 7644 table 9)."""
        told = _scim_type(answer)
        category = FaultCategory.UNEXPECTED_ANSWER
        if told == _READ_ONLY:
            category = FaultCategory.MANAGED_ELSEWHERE
        elif answer.status in _NO_METHOD or told in _OTHER_DIALECT:
            category = FaultCategory.MISCONFIGURED
        code = self._http.clean(f"{answer.status}.{told}" if told else str(answer.status))
        exchange = answer.exchange
        return fault(category, exchange.operation, code, request_id=exchange.request_id)

    async def _groups_where(
        self, attribute: str, user_id: str, transcript: Transcript
    ) -> list[dict[str, Any]] | None:
        # Only ids are asked for: the members of a large group would pass the bound of an answer.
        return await self._pages(
            "/Groups",
            transcript,
            operation="groups.search",
            only=wire.equals(attribute, user_id),
            attributes="id",
        )

    async def _honours(
        self, attribute: str, found: list[dict[str, Any]], transcript: Transcript
    ) -> bool:
        """Whether the server looks at the filter at all: no group holds a random id."""
        if found and not self._filters_proven:
            nobodys = await self._groups_where(attribute, uuid4().hex, transcript)
            self._filters_proven = not nobodys
        return self._filters_proven or not found

    async def _get_group(self, group_id: str, transcript: Transcript) -> dict[str, Any]:
        answer = await self.call(
            "GET", _path("Groups", group_id), "groups.get", transcript, expect=(200, _GONE)
        )
        return (
            {**answer.data, "id": group_id} if isinstance(answer.data, dict) else {"id": group_id}
        )

    async def _pages(
        self,
        path: str,
        transcript: Transcript,
        *,
        operation: str,
        only: str | None = None,
        attributes: str | None = None,
    ) -> list[dict[str, Any]] | None:
        """Every resource of a list; None when the server refuses the filter.

        Raises:
            ConnectorFault: also for a list that is longer than the bound or never ends.
        """
        found: dict[str, dict[str, Any]] = {}
        start = 1
        for _ in range(MOST_PAGES):
            page = await self._page(
                path, transcript, operation=operation, only=only, attributes=attributes, start=start
            )
            if page is None:
                return None
            resources, total = page
            known = len(found)
            found.update({_id(one): one for one in resources})
            start += len(resources)
            if start > total:
                return list(found.values())
            if len(found) == known:
                break  # an empty or repeated page before the end: what it hides is unknown
        raise fault(FaultCategory.UNEXPECTED_ANSWER, operation, "list_without_end")

    async def _page(
        self,
        path: str,
        transcript: Transcript,
        *,
        operation: str,
        only: str | None = None,
        attributes: str | None = None,
        start: int = 1,
    ) -> tuple[list[dict[str, Any]], int] | None:
        """One page and the total; None when the server refuses the filter."""
        params: dict[str, str | int] = {"startIndex": start, "count": PAGE}
        params |= {"filter": only} if only else {}
        params |= {"attributes": attributes} if attributes else {}
        expect = (200, _GONE, *_NO_FILTER) if only else (200, _GONE)
        answer = await self.call("GET", path, operation, transcript, expect=expect, params=params)
        if answer.status in _NO_FILTER:
            return None
        if answer.status == _GONE:
            # Groups are optional. For users only SCIM's own error means "none found".
            if path == "/Groups" or wire.says_error(answer.data):
                return [], 0
            raise fault(FaultCategory.UNEXPECTED_ANSWER, operation, str(_GONE))
        return _resources(answer, operation)


def active(user: Answer) -> bool:
    """Whether the user may sign in.

    Raises:
        ConnectorFault: the answer says neither yes nor no.
    """
    said = wire.is_active(user.data)
    if said is None:
        raise fault(FaultCategory.UNEXPECTED_ANSWER, "users.get", "active")
    return said


def fault(category: FaultCategory, operation: str, code: str, **more: Any) -> ConnectorFault:
    """A fault of this connector; ``more`` is ``missing`` and ``request_id``."""
    return ConnectorFault(category, connector=KIND, operation=operation, code=code, **more)


async def together(work: Iterable[Awaitable[_T]]) -> list[_T]:
    """A few at a time, all of them to the end; then the first fault, if any."""
    a_few = asyncio.Semaphore(_AT_ONCE)

    async def one(job: Awaitable[_T]) -> _T:
        async with a_few:
            return await job

    results = await asyncio.gather(*(one(job) for job in work), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast("list[_T]", results)


def _resources(answer: Answer, operation: str) -> tuple[list[dict[str, Any]], int]:
    """The resources of a ListResponse and the total it claims (RFC 7644 section 3.4.2)."""
    data = answer.data if isinstance(answer.data, dict) else {}
    resources = answer.objects("Resources")
    total = data.get("totalResults", len(resources) if "Resources" in data else None)
    if not isinstance(total, int) or not all(one.get("id") for one in resources):
        raise fault(FaultCategory.UNEXPECTED_ANSWER, operation, "not_a_list")
    return resources, total


def _scim_type(answer: Answer) -> str:
    told = answer.data.get("scimType") if isinstance(answer.data, dict) else None
    return told if isinstance(told, str) else ""


def _action(kind: AccessKind, ref: str, answer: Answer) -> Action:
    exchange = answer.exchange
    return Action(Access(kind, ref), answer.answered_at, exchange.operation, exchange.request_id)


def _path(resource: str, resource_id: str) -> str:
    return f"/{resource}/{quote(resource_id, safe='')}"


def _id(resource: Mapping[str, Any]) -> str:
    return str(resource["id"])
