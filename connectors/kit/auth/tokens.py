"""Tokens of OAuth 2.0: fetched once for all that wait, renewed in time, fetched anew when refused.

A flow of `httpx.Auth` and not a client of its own: the request of a token goes through the same
transport, proxy and bounds as the call that waits for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import UTC, datetime
from typing import Final

import httpx

from connectors.base import ConnectorFault
from connectors.http import Dialect, SessionAuth, retry_after
from lockstep.domain.systems.faults import FaultCategory, rule_for

_EARLY_S: Final = 60.0
Form = Callable[[], Mapping[str, str]]

_REFUSALS: Final = {
    "invalid_scope": FaultCategory.PERMISSION_MISSING,
    "insufficient_scope": FaultCategory.PERMISSION_MISSING,
    "temporarily_unavailable": FaultCategory.VENDOR_ERROR,
    "server_error": FaultCategory.VENDOR_ERROR,
    "authorization_pending": FaultCategory.VENDOR_ERROR,
    "slow_down": FaultCategory.RATE_LIMITED,
}
"""By the code that RFC 6749 section 5.2 and RFC 8628 name; any other is about the credential."""


class Tokens(SessionAuth):
    """One token for all callers.

    The token request is in no transcript: its answer is a credential, and even a digest of one
    has no business in evidence. A refusal raises `ConnectorFault` from the call that needed it.

    Args:
        url: of the token endpoint, checked by the caller.
        form: what is sent for one token; asked each time, because an assertion ends soon.
        dialect: the connector's, for its name.
        scope: what is asked for, to name it where it is refused.
        clock: monotonic seconds.

    Attributes:
        scopes: what the last token may do; empty when the vendor did not say.
    """

    def __init__(
        self,
        url: str,
        form: Form,
        *,
        dialect: Dialect,
        scope: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._form = form
        self._dialect = dialect
        self._scope = scope
        self._clock = clock
        self._fetching = asyncio.Lock()
        self._token = ""
        self._good_until = 0.0
        self.scopes: frozenset[str] = frozenset()

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self._token,) if self._token else ()

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
        return httpx.Request("POST", self._url, data=dict(self._form()), extensions=extensions)

    def _accept(self, answer: httpx.Response) -> None:
        try:
            grant = self._read(answer)
            token, lifetime = str(grant["access_token"]), float(str(grant.get("expires_in", 3600)))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise self._fault(answer, FaultCategory.UNEXPECTED_ANSWER) from None
        self._token = token
        self._good_until = self._clock() + max(lifetime - _EARLY_S, lifetime / 2)
        self.scopes = frozenset(str(grant.get("scope") or "").split())
        self._granted(grant)

    def _read(self, answer: httpx.Response) -> Mapping[str, object]:
        """What the answer grants; anything that is no JSON object raises like one without token."""
        if answer.status_code != httpx.codes.OK:
            raise self._refusal(answer)
        grant: Mapping[str, object] = answer.json()
        return grant

    def _granted(self, grant: Mapping[str, object]) -> None:
        """What else a grant says."""

    def _refusal(self, answer: httpx.Response) -> ConnectorFault:
        """The credential is wrong, a scope is missing, it is not yet time, or the server is down.

        Only the codes of the standard are read: a description may hold what we sent.
        """
        status = answer.status_code
        code = _code_of(answer) if status in {400, 401, 403} else ""
        category = _REFUSALS.get(code) or _category(status)
        missing = self._scope if category is FaultCategory.PERMISSION_MISSING else ""
        return self._fault(answer, category, code if code in _REFUSALS else "", missing or None)

    def _fault(
        self,
        answer: httpx.Response,
        category: FaultCategory,
        code: str = "",
        missing: str | None = None,
    ) -> ConnectorFault:
        wait = retry_after(answer.headers, self._dialect, datetime.now(UTC))
        return ConnectorFault(
            category,
            connector=self._dialect.connector,
            operation="oauth.token",
            code=code or str(answer.status_code),
            retry_after=wait if rule_for(category).transient else None,
            missing=missing,
        )


class OAuthClient(Tokens):
    """OAuth client credentials (RFC 6749 section 4.4)."""

    def __init__(
        self,
        url: str,
        client_id: str,
        client_secret: str,
        *,
        dialect: Dialect,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
        }
        super().__init__(url, lambda: form, dialect=dialect, clock=clock)


class RefreshTokens(Tokens):
    """A refresh token (RFC 6749 section 6), and the newer one that the vendor gives for it.

    A newer one lives in this process only: once it is gone, so is the access, unless the old one
    still works. `rotated` says that this vendor does so.
    """

    def __init__(
        self,
        url: str,
        client: Mapping[str, str],
        refresh_token: str,
        *,
        dialect: Dialect,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = dict(client)
        self._refresh = refresh_token
        self.rotated = False
        super().__init__(url, self._renewal, dialect=dialect, clock=clock)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (*super().secrets, self._refresh)

    def _renewal(self) -> dict[str, str]:
        return {**self._client, "grant_type": "refresh_token", "refresh_token": self._refresh}

    def _granted(self, grant: Mapping[str, object]) -> None:
        newer = grant.get("refresh_token")
        if isinstance(newer, str) and newer and newer != self._refresh:
            self._refresh, self.rotated = newer, True


def _code_of(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return ""
    return str(body.get("error", "")) if isinstance(body, dict) else ""


def _category(status: int) -> FaultCategory:
    """RFC 6749 section 5.2: a client that is unknown or not allowed gets 400 or 401."""
    if status in {400, 401, 403}:
        return FaultCategory.CREDENTIALS_REJECTED
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return FaultCategory.RATE_LIMITED
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return FaultCategory.VENDOR_ERROR
    return FaultCategory.UNEXPECTED_ANSWER


class ExchangedTokens(Tokens):
    """A token for a signed assertion in the header of an empty request, until an instant.

    Args:
        url: of the exchange.
        assertion: makes one, each time.
    """

    def __init__(
        self,
        url: str,
        assertion: Callable[[], str],
        *,
        dialect: Dialect,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._assertion = assertion
        super().__init__(url, dict, dialect=dialect, clock=clock)

    def _token_request(self, request: httpx.Request) -> httpx.Request:
        asked = super()._token_request(request)
        asked.headers["Authorization"] = f"Bearer {self._assertion()}"
        asked.headers["Accept"] = request.headers.get("Accept", "application/json")
        asked.headers["User-Agent"] = request.headers.get("User-Agent", "lockstep")
        return asked

    def _read(self, answer: httpx.Response) -> Mapping[str, object]:
        """The grant in the words of OAuth.

        Raises:
            ValueError: it is no grant.
        """
        if answer.status_code != httpx.codes.CREATED:
            raise self._refusal(answer)
        told = answer.json()
        ends = datetime.fromisoformat(str(told["expires_at"]))
        return {
            "access_token": told["token"],
            "expires_in": (ends - datetime.now(UTC)).total_seconds(),
        }
