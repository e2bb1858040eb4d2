"""Bearer tokens by OAuth client credentials (RFC 6749 section 4.4).

A flow of `httpx.Auth` and not a client of its own: the request of a token goes through the same
transport, proxy and bounds as the call that waits for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime

import httpx

from connectors.base import ConnectorFault
from connectors.http import Dialect, retry_after
from lockstep.domain.systems.faults import FaultCategory, rule_for

_EARLY_S = 60.0


class OAuthClient(httpx.Auth):
    """Fetches one token for all callers and renews it before its end.

    The token request is in no transcript: its answer is a credential, and even a digest of one
    has no business in evidence. A refusal raises `ConnectorFault` from the call that needed it.

    Args:
        url: of the token endpoint, checked by the caller.
        client_id: of the client.
        client_secret: of the client.
        dialect: the connector's, for its name.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        client_secret: str,
        *,
        dialect: Dialect,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
        }
        self._dialect = dialect
        self._clock = clock
        self._fetching = asyncio.Lock()
        self._token = ""
        self._good_until = 0.0
        self.scopes: frozenset[str] = frozenset()
        """What the last token may do; empty when the vendor did not say."""

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        refused = ""
        for _ in range(2):
            async with self._fetching:
                # Whoever waited here finds the token that the first caller fetched.
                if self._token in ("", refused) or self._clock() >= self._good_until:
                    grant = yield self._token_request(request)
                    await grant.aread()
                    self._accept(grant)
                refused = self._token
            request.headers["Authorization"] = f"Bearer {refused}"
            answer = yield request
            # A 401 applied nothing, so that one more try with a new token is safe.
            if answer.status_code != httpx.codes.UNAUTHORIZED:
                return

    def _token_request(self, request: httpx.Request) -> httpx.Request:
        # A request built by hand has no timeout of its own: it takes the waiting call's.
        timeout = request.extensions.get("timeout")
        extensions = {} if timeout is None else {"timeout": timeout}
        return httpx.Request("POST", self._url, data=self._form, extensions=extensions)

    def _accept(self, answer: httpx.Response) -> None:
        if answer.status_code != httpx.codes.OK:
            raise self._fault(answer, _category(answer.status_code))
        try:
            grant = answer.json()
            token, lifetime = str(grant["access_token"]), float(grant.get("expires_in", 3600))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise self._fault(answer, FaultCategory.UNEXPECTED_ANSWER) from None
        self._token = token
        self._good_until = self._clock() + max(lifetime - _EARLY_S, lifetime / 2)
        self.scopes = frozenset(str(grant.get("scope") or "").split())

    def _fault(self, answer: httpx.Response, category: FaultCategory) -> ConnectorFault:
        wait = retry_after(answer.headers, self._dialect, datetime.now(UTC))
        return ConnectorFault(
            category,
            connector=self._dialect.connector,
            operation="oauth.token",
            code=str(answer.status_code),
            retry_after=wait if rule_for(category).transient else None,
        )


def _category(status: int) -> FaultCategory:
    """RFC 6749 section 5.2: a client that is unknown or not allowed gets 400 or 401."""
    if status in {400, 401, 403}:
        return FaultCategory.CREDENTIALS_REJECTED
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return FaultCategory.RATE_LIMITED
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return FaultCategory.VENDOR_ERROR
    return FaultCategory.UNEXPECTED_ANSWER
