"""Calls to one SCIM 2.0 server, and what its dialect turns out to be.

A server's dialect is learned once per connector: what /ServiceProviderConfig promises, then what
the server refuses. Nothing is remembered about people.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from connectors.base import ConnectorFault, Transcript
from connectors.http import MAX_ANSWER_BYTES, Answer, VendorHttp
from connectors.scim import wire
from lockstep.domain.systems.faults import FaultCategory

KIND = "scim"
PAGE = 100
DONE = (200, 202, 204)
REFUSED = 400
GONE = 404
NO_METHOD = (405, 501)
STALE, VERSION_WANTED = 412, 428
ANY_VERSION = "*"
"""If-Match for a resource that shows no version (RFC 9110 section 13.1.1)."""
READ_ONLY = "mutability"
WRONG_ADDRESS = "wrong_address"
NO_LIST = frozenset({"not_a_list", "200.not_json"})
"""Codes of an answer that may come from another address than that of the service."""
_UNSUPPORTED_TYPE = (406, 415)
_CONFIG_S = 4.0
"""The configuration is a courtesy: a server that keeps it back is asked without it."""
_ELSEWHERE = (301, 302, 303, 307, 308, GONE, 410)
# A filter that a server does not accept: 400 invalidFilter (RFC 7644 section 3.4.2.2), 501, and
# whatever else servers answer to an attribute that they do not search.
_NO_FILTER = frozenset({"400", "403", "404", "405", "413", "414", "422", "500", "501"})
# The body is written in a way that the server does not read.
_OTHER_DIALECT = frozenset({"invalidPath", "invalidSyntax", "invalidValue"})
_NEEDS = {
    "GET": "read access to users and groups",
    "PATCH": "write access to users and groups",
    "PUT": "write access to users",
    "DELETE": "permission to delete users",
}


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of a list: what it shows, what it claims, and where it goes on."""

    resources: list[dict[str, Any]] = field(repr=False)
    total: int | None = None
    cursor: str = ""
    denied: bool = False
    """SCIM's own 404 instead of a list: nobody was found, or there is no list at all."""


class ScimClient:
    """Reads and writes of one server; every method raises `ConnectorFault` and nothing else."""

    def __init__(self, http: VendorHttp) -> None:
        self._http = http
        self._config: Mapping[str, Any] | None = None
        self.content_type = wire.CONTENT_TYPE

    async def aclose(self) -> None:
        await self._http.aclose()

    def forget(self) -> None:
        """Ask the server anew what it can; health does so, because people mend servers."""
        self._config = None
        self.content_type = wire.CONTENT_TYPE

    async def call(
        self, method: str, path: str, operation: str, transcript: Transcript, **sent: Any
    ) -> Answer:
        """`VendorHttp.call` in the content type that the server takes, naming what a 403 lacks."""
        try:
            return await self._call(method, path, operation, transcript, **sent)
        except ConnectorFault as refusal:
            told = refusal
        unread = status_of(told) in map(str, _UNSUPPORTED_TYPE) and "body" in sent
        if unread and self.content_type != wire.PLAIN_CONTENT_TYPE:
            self.content_type = wire.PLAIN_CONTENT_TYPE
            return await self.call(method, path, operation, transcript, **sent)
        if told.category is not FaultCategory.PERMISSION_MISSING:
            raise told
        missing, request_id = _NEEDS[method], told.request_id
        raise fault(told.category, operation, told.code, missing=missing, request_id=request_id)

    async def learn(self, transcript: Transcript) -> None:
        """Read /ServiceProviderConfig once; a missing, broken or slow one promises everything."""
        if self._config is not None:
            return
        self._config = {}
        with suppress(ConnectorFault, TimeoutError):
            async with asyncio.timeout(_CONFIG_S):
                answer = await self.call(
                    "GET", "/ServiceProviderConfig", "config.get", transcript, expect=(200,)
                )
            self._config = answer.data if isinstance(answer.data, dict) else {}

    def supports(self, feature: str) -> bool:
        """Whether the server promises ``patch`` or ``filter``; silence counts as a promise."""
        promise = wire.attribute(wire.attribute(self._config or {}, feature), "supported")
        return promise is not False and str(promise).lower() != "false"

    async def get_user(self, user_id: str, transcript: Transcript) -> Answer | None:
        """The user by id; None when a living server does not know the id."""
        answer = await self.call(
            "GET", path_of("Users", user_id), "users.get", transcript, expect=(200, GONE)
        )
        if answer.status == GONE:
            await self._lives(transcript, believed=wire.says_error(answer.data))
            return None
        if wire.id_of(answer.data) != user_id:
            raise fault(FaultCategory.UNEXPECTED_ANSWER, "users.get", "other_user")
        return answer

    async def probe(self, path: str, transcript: Transcript) -> Page:
        """One resource of a list: that the endpoint lives and we may read it."""
        operation = f"{path[1:].lower()}.list"
        return await self.page(path, operation, transcript, {"count": 1})

    async def page(
        self,
        path: str,
        operation: str,
        transcript: Transcript,
        params: Mapping[str, str | int],
        *,
        most: int = MAX_ANSWER_BYTES,
    ) -> Page:
        """One page of a list.

        Raises:
            ConnectorFault: also where no list stands at this address.
        """
        answer = await self.call(
            "GET",
            path,
            operation,
            transcript,
            expect=(200, *_ELSEWHERE, *NO_METHOD),
            params=params,
            most=most,
        )
        filtered = "filter" in params and path == "/Users"
        if answer.status == GONE and filtered and wire.says_error(answer.data):
            return Page([], 0, denied=True)
        if answer.status != 200:  # noqa: PLR2004 - HTTP's OK
            why = WRONG_ADDRESS if path == "/Users" else "no_such_list"
            raise fault(FaultCategory.MISCONFIGURED, operation, f"{answer.status}.{why}")
        resources = wire.listed(answer.data)
        if resources is None:
            raise fault(FaultCategory.UNEXPECTED_ANSWER, operation, "not_a_list")
        cursor = wire.text(wire.attribute(answer.data, "nextCursor"))
        return Page(resources, wire.total_of(answer.data), cursor)

    def refusal(self, answer: Answer) -> ConnectorFault:
        """A change that was refused for what it is, by SCIM's own detail (RFC 7644 table 9)."""
        told = wire.scim_type(answer.data)
        category = FaultCategory.UNEXPECTED_ANSWER
        if told == READ_ONLY:
            category = FaultCategory.MANAGED_ELSEWHERE
        elif answer.status in (*NO_METHOD, GONE) or told in _OTHER_DIALECT:
            category = FaultCategory.MISCONFIGURED
        elif answer.status >= 500:  # noqa: PLR2004 - the class of HTTP's server errors
            category = FaultCategory.VENDOR_ERROR
        code = self._http.clean(f"{answer.status}.{told}" if told else str(answer.status))
        exchange = answer.exchange
        return fault(category, exchange.operation, code, request_id=exchange.request_id)

    def clean(self, code: str) -> str:
        return self._http.clean(code)

    async def _call(
        self, method: str, path: str, operation: str, transcript: Transcript, **sent: Any
    ) -> Answer:
        return await self._http.call(
            method,
            path,
            operation=operation,
            transcript=transcript,
            content_type=self.content_type,
            **sent,
        )

    async def _lives(self, transcript: Transcript, *, believed: bool) -> None:
        """A wrong address answers 404 to everything: only a living endpoint is believed.

        Where the 404 was SCIM's own (``believed``), a list that the server refuses to give without
        a filter is a sign of life too.
        """
        try:
            await self.probe("/Users", transcript)
        except ConnectorFault as told:
            lives = believed and status_of(told) in {"400", "403", "405", "501"}
            if not lives or told.is_transient:
                raise


def refuses(told: ConnectorFault) -> bool:
    """Whether a filtered list was refused for its filter, or answered by no list at all."""
    if told.category in {FaultCategory.RATE_LIMITED, FaultCategory.CREDENTIALS_REJECTED}:
        return False
    return status_of(told) in _NO_FILTER or told.code in NO_LIST


def fault(category: FaultCategory, operation: str, code: str, **more: Any) -> ConnectorFault:
    """A fault of this connector; ``more`` is ``missing`` and ``request_id``."""
    return ConnectorFault(category, connector=KIND, operation=operation, code=code, **more)


def status_of(told: ConnectorFault) -> str:
    """The HTTP status of a refusal, as its code begins."""
    return told.code.partition(".")[0]


def path_of(resource: str, resource_id: str) -> str:
    return f"/{resource}/{quote(resource_id, safe='')}"
