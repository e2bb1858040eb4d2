"""Ways to sign in to a vendor, as rows: exactly one of them is given, whole.

OAuth client credentials are a flow of `httpx.Auth` and not a client of their own: the request of a
token goes through the same transport, proxy and bounds as the call that waits for it.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from connectors.base import ConnectorFault
from connectors.http import Dialect, retry_after
from connectors.kit.options import Option, Values
from lockstep.domain.systems.faults import FaultCategory, rule_for

_EARLY_S = 60.0


class OAuthClient(httpx.Auth):
    """Fetches one token for all callers and renews it before its end (RFC 6749 section 4.4).

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


@dataclass(frozen=True, slots=True)
class SignedIn:
    """How calls carry the credential: in headers, or by a flow that fetches tokens."""

    headers: dict[str, str] = field(default_factory=dict, repr=False)
    flow: OAuthClient | None = None

    @property
    def scopes(self) -> frozenset[str]:
        """What the last token may do; empty where nobody says."""
        return self.flow.scopes if self.flow is not None else frozenset()


@dataclass(frozen=True, slots=True)
class Header:
    """A credential in a header, for instance ``Authorization: Bearer {}``."""

    secret: Option[str]
    template: str = "Bearer {}"
    name: str = "Authorization"

    @property
    def options(self) -> tuple[Option[str], ...]:
        return (self.secret,)

    @property
    def mark(self) -> str:
        """What stands before the credential wherever the header is shown."""
        return self.template.partition("{")[0] or f"{self.name}:"

    def sign_in(self, values: Values, base_url: str, dialect: Dialect) -> SignedIn:  # noqa: ARG002 - as the others
        return SignedIn({self.name: self.template.format(values[self.secret])})


@dataclass(frozen=True, slots=True)
class Basic:
    """A name and a password (RFC 7617)."""

    user: Option[str]
    password: Option[str]

    @property
    def options(self) -> tuple[Option[str], ...]:
        return (self.user, self.password)

    def sign_in(self, values: Values, base_url: str, dialect: Dialect) -> SignedIn:  # noqa: ARG002 - as the others
        pair = f"{values[self.user]}:{values[self.password]}".encode()
        return SignedIn({"Authorization": f"Basic {base64.b64encode(pair).decode()}"})


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """An OAuth client that fetches tokens from ``path`` below the system's address."""

    client_id: Option[str]
    client_secret: Option[str]
    path: str = "/oauth/token"

    @property
    def options(self) -> tuple[Option[str], ...]:
        return (self.client_id, self.client_secret)

    def sign_in(self, values: Values, base_url: str, dialect: Dialect) -> SignedIn:
        pair = (values[self.client_id], values[self.client_secret])
        return SignedIn(flow=OAuthClient(f"{base_url}{self.path}", *pair, dialect=dialect))


Auth = Header | Basic | ClientCredentials


def bearer(secret: Option[str]) -> Header:
    """``Authorization: Bearer …``."""
    return Header(secret)


def choose(ways: Sequence[Auth], values: Values) -> Auth:
    """The one way that the settings give.

    Raises:
        ValueError: naming the option, unless exactly one way is given, whole.
    """
    begun = [way for way in ways if values.given(*way.options)]
    said = " or ".join(" and ".join(one.name for one in way.options) for way in ways)
    if not begun:
        raise ValueError(f"{ways[0].options[0].name}: give {said}")
    if len(begun) > 1:
        raise ValueError(f"{values.given(*begun[1].options)[0]}: give {said}, not both")
    (way,) = begun
    for option in way.options:
        if not values[option]:
            raise ValueError(f"{option.name}: missing: give {said}")
    return way
