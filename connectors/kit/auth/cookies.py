"""A session by cookie: log in, renew once for all that wait, log out at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime
from typing import Final

import httpx

from connectors.base import ConnectorFault
from connectors.http import Dialect, SessionAuth, retry_after
from lockstep.domain.systems.faults import FaultCategory, rule_for

_OK: Final = frozenset({200, 201, 204})
_REFUSED: Final = frozenset({400, 401, 403})


class Cookies(SessionAuth):
    """One session for all callers.

    Logging in is in no transcript, as the request of a token is in none. Only the cookies of the
    answer to it are kept: those of later answers could mix one leaver's calls with another's.

    Args:
        login: address that takes the body and answers with a cookie.
        body: name and password, sent as JSON.
        logout: address that ends the session by POST; "" where there is none.
        csrf: a header of the answer that goes back with each call; "" for none.
        dialect: the connector's.
    """

    def __init__(
        self,
        login: str,
        body: Mapping[str, str],
        *,
        logout: str = "",
        csrf: str = "",
        dialect: Dialect,
    ) -> None:
        self._login = login
        self._body = dict(body)
        self._logout = logout
        self._csrf = csrf
        self._dialect = dialect
        self._renewing = asyncio.Lock()
        self._headers: dict[str, str] = {}

    @property
    def secrets(self) -> tuple[str, ...]:
        values = (each.partition("=")[2] for each in self._headers.get("Cookie", "").split("; "))
        return tuple(value for value in (*values, self._headers.get(self._csrf, "")) if value)

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        refused: dict[str, str] = {}
        for _ in range(2):
            async with self._renewing:
                # Whoever waited here finds the session that the first caller began.
                if self._headers == refused:
                    answer = yield self._request(self._login, request, self._body)
                    await answer.aread()
                    self._headers = self._begun(answer)
                refused = self._headers
            request.headers.update(refused)
            answer = yield request
            # A 401 applied nothing, so that one more try with a new session is safe.
            if answer.status_code != httpx.codes.UNAUTHORIZED:
                return

    def ending(self) -> httpx.Request | None:
        """Ends the session, where one was begun and the vendor lets us."""
        if not (self._headers and self._logout):
            return None
        request = httpx.Request("POST", self._logout, headers=self._headers)
        self._headers = {}
        return request

    def _request(self, url: str, waiting: httpx.Request, body: Mapping[str, str]) -> httpx.Request:
        timeout = waiting.extensions.get("timeout")
        extensions = {} if timeout is None else {"timeout": timeout}
        return httpx.Request("POST", url, json=dict(body), extensions=extensions)

    def _begun(self, answer: httpx.Response) -> dict[str, str]:
        status = answer.status_code
        if status not in _OK:
            raise self._fault(answer, _category(status), str(status))
        cookies = "; ".join(f"{name}={value}" for name, value in answer.cookies.items())
        if not cookies:
            raise self._fault(answer, FaultCategory.UNEXPECTED_ANSWER, "no_cookie")
        token = answer.headers.get(self._csrf, "") if self._csrf else ""
        return {"Cookie": cookies, **({self._csrf: token} if token else {})}

    def _fault(self, answer: httpx.Response, category: FaultCategory, code: str) -> ConnectorFault:
        wait = retry_after(answer.headers, self._dialect, datetime.now(UTC))
        return ConnectorFault(
            category,
            connector=self._dialect.connector,
            operation="session.login",
            code=code,
            retry_after=wait if rule_for(category).transient else None,
        )


def _category(status: int) -> FaultCategory:
    if status in _REFUSED:
        return FaultCategory.CREDENTIALS_REJECTED
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return FaultCategory.RATE_LIMITED
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return FaultCategory.VENDOR_ERROR
    return FaultCategory.UNEXPECTED_ANSWER
