"""One OpenID provider over HTTP: discovery, keys, code exchange, userinfo."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from connectors.http import require_safe_url
from connectors.openid.client import Client
from connectors.openid.errors import ProviderAwayError, Said, UntrustedError
from connectors.openid.tokens import (
    Expected,
    LogoutClaims,
    key_id,
    prove_id_token,
    prove_logout_token,
)
from connectors.transport import vendor_transport

MAX_ANSWER_BYTES = 1024 * 1024
FRESH_S = 600.0
"""How long discovery and keys are believed without asking again."""
DOWN_S = 5.0
"""A provider that is down is asked again after this long: nobody waits behind others who wait."""
AGAIN_S = 30.0
"""An unknown key makes us ask anew, but not more often than this."""
NOT_US = frozenset({"invalid_client", "unauthorized_client"})
"""Errors of a token endpoint that does not know the client, or not by what it sent."""
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_OPTIONAL = ("userinfo_endpoint", "end_session_endpoint")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a provider says of itself (OpenID Connect Discovery 1.0, 3), as far as it is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    auth_methods: tuple[str, ...] = ("client_secret_basic",)
    names_itself: bool = False
    """Whether every answer at our door says whose it is (RFC 9207)."""
    response_types: tuple[str, ...] = ()
    challenge_methods: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ()
    """Of ID tokens. These three, and the next, are empty where the provider does not say."""
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Grant:
    """What a code was exchanged for."""

    id_token: str = field(repr=False)
    access_token: str = field(repr=False)


@dataclass(slots=True)
class _Known:
    metadata: Metadata
    keys: KeySet
    asked_at: float


class OpenIdProvider:
    """A client of one provider.

    Args:
        issuer: its issuer, with or without a slash at the end.
        client: who we are there, as it was registered.
        transport: replaced in tests.
    """

    def __init__(
        self,
        issuer: str,
        *,
        client: Client,
        timeout: timedelta = timedelta(seconds=10),
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = require_safe_url(issuer, option="issuer")
        self.client = client
        self._clock = clock
        self._known: _Known | None = None
        self._down: tuple[float, str] | None = None
        self._asking = asyncio.Lock()
        self._http = httpx.AsyncClient(
            transport=transport or vendor_transport(httpx.URL(self._issuer)),
            timeout=httpx.Timeout(timeout.total_seconds(), connect=5.0),
            headers={"User-Agent": "lockstep", "Accept": "application/json"},
            follow_redirects=False,
            trust_env=False,
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def metadata(self) -> Metadata:
        """What the provider says of itself; raises `ProviderAwayError`."""
        return (await self._current()).metadata

    async def authorization_url(
        self, *, redirect_uri: str, scopes: list[str], state: str, nonce: str, verifier: str
    ) -> str:
        """Where a browser goes to sign in (code flow with PKCE, RFC 7636, S256)."""
        found = await self.metadata()
        return str(
            prepare_grant_uri(
                found.authorization_endpoint,
                self.client.client_id,
                "code",
                redirect_uri=redirect_uri,
                scope=scopes,
                state=state,
                nonce=nonce,
                code_challenge=create_s256_code_challenge(verifier),
                code_challenge_method="S256",
            )
        )

    async def exchange(self, code: str, *, redirect_uri: str, verifier: str) -> Grant:
        """Exchange a code, once.

        Raises:
            UntrustedError: if the provider refuses it.
            ProviderAwayError: if there is no answer that can be used.
        """
        status, answer = await self.ask_for_tokens(
            code, redirect_uri=redirect_uri, verifier=verifier
        )
        said = Said.of(
            answer.get("error"),
            answer.get("error_description"),
            hidden=(self.client.secret, code, verifier),
        )
        if said.error in NOT_US:
            raise UntrustedError("the provider does not know us by what we sent", said=said)
        if httpx.codes.is_client_error(status):
            raise UntrustedError("the provider does not accept the code", said=said)
        if status != httpx.codes.OK:
            raise ProviderAwayError(f"the provider answered with {status}", said=said)
        tokens = {name: answer.get(name) for name in ("id_token", "access_token")}
        if not all(isinstance(value, str) and value for value in tokens.values()):
            raise UntrustedError("the provider gave no ID token")
        return Grant(str(tokens["id_token"]), str(tokens["access_token"]))

    async def ask_for_tokens(
        self, code: str, *, redirect_uri: str, verifier: str
    ) -> tuple[int, dict[str, Any]]:
        """Bring a code to the token endpoint; the status and what is answered, good or bad."""
        found = await self.metadata()
        body = prepare_token_request(
            "authorization_code", code=code, redirect_uri=redirect_uri, code_verifier=verifier
        )
        uri, headers, body = self.client.prepared(
            found.token_endpoint, body, offered=found.auth_methods
        )
        return await self._ask("POST", uri, headers=headers, content=body)

    async def claims(self, grant: Grant, *, nonce: str) -> dict[str, Any]:
        """What the ID token proves; raises `UntrustedError`."""
        known = await self._with_key(grant.id_token)
        return prove_id_token(
            grant.id_token,
            known.keys,
            self._expected(known),
            nonce=nonce,
            access_token=grant.access_token,
        )

    async def userinfo(self, grant: Grant, *, subject: str) -> dict[str, Any]:
        """Further claims of ``subject``; empty where the provider offers none.

        Raises:
            UntrustedError: if they are about somebody else (OpenID Connect Core 1.0, 5.3.2).
        """
        found = await self.metadata()
        if not found.userinfo_endpoint:
            return {}
        headers = {"Authorization": f"Bearer {grant.access_token}"}
        status, answer = await self._ask("GET", found.userinfo_endpoint, headers=headers)
        if status != httpx.codes.OK:
            said = Said.of(
                answer.get("error"), answer.get("error_description"), hidden=(grant.access_token,)
            )
            raise ProviderAwayError(f"the provider answered with {status}", said=said)
        if answer.get("sub") != subject:
            raise UntrustedError("the provider's further claims are about somebody else")
        return answer

    async def logout_claims(self, token: str) -> LogoutClaims:
        """What a logout token proves; raises `UntrustedError`."""
        known = await self._with_key(token)
        return prove_logout_token(token, known.keys, self._expected(known))

    async def end_session_url(self, back_to: str) -> str:
        """Where a browser ends its session at the provider; "" where that is not offered."""
        end = (await self.metadata()).end_session_endpoint
        if not end:
            return ""
        query = urlencode({"client_id": self.client.client_id, "post_logout_redirect_uri": back_to})
        return f"{end}{'&' if '?' in end else '?'}{query}"

    def _expected(self, known: _Known) -> Expected:
        return Expected(known.metadata.issuer, self.client.client_id)

    async def _with_key(self, token: str) -> _Known:
        """Metadata and keys; asked for anew where the token names a key that is not known."""
        wanted = key_id(token)
        known = await self._current()
        has_it = not wanted or any(key.kid == wanted for key in known.keys.keys)
        if has_it or self._clock() - known.asked_at < AGAIN_S:
            return known
        return await self._current(older_than=known.asked_at)

    async def _current(self, *, older_than: float | None = None) -> _Known:
        async with self._asking:
            known = self._known
            if known is not None:
                is_fresh = self._clock() - known.asked_at < FRESH_S
                if is_fresh and (older_than is None or known.asked_at > older_than):
                    return known
            if self._down is not None and self._clock() - self._down[0] < DOWN_S:
                raise ProviderAwayError(self._down[1])
            try:
                metadata = await self._discover()
                status, answer = await self._ask("GET", metadata.jwks_uri)
                self._known = _Known(metadata, _key_set(status, answer), self._clock())
            except ProviderAwayError as error:
                self._down = self._clock(), str(error)
                raise
            return self._known

    async def _discover(self) -> Metadata:
        url = f"{self._issuer}/.well-known/openid-configuration"
        status, answer = await self._ask("GET", url)
        if status != httpx.codes.OK:
            raise ProviderAwayError(f"the provider's discovery answered with {status}")
        if str(answer.get("issuer", "")).rstrip("/") != self._issuer:
            raise ProviderAwayError("the provider's discovery names another issuer")
        return _metadata(answer)

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: str | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """One call; the status and the JSON object of the answer, {} where it holds none."""
        raw = bytearray()
        try:
            async with self._http.stream(method, url, headers=headers, content=content) as response:
                async for chunk in response.aiter_bytes():
                    raw += chunk
                    if len(raw) > MAX_ANSWER_BYTES:
                        raise ProviderAwayError("the provider's answer is too large")
        except httpx.HTTPError as error:
            failure = ProviderAwayError(f"the provider cannot be reached ({type(error).__name__})")
        else:
            return response.status_code, _json_object(bytes(raw))
        raise failure  # outside of the handler: the error carries the request, with our secret


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _metadata(answer: Mapping[str, Any]) -> Metadata:
    given = {name: str(answer.get(name) or "") for name in (*_ENDPOINTS, *_OPTIONAL)}
    try:
        for name, url in given.items():
            if url or name in _ENDPOINTS:
                require_safe_url(url, option=name)
    except ValueError as error:
        raise ProviderAwayError(f"the provider's discovery: {error}") from None
    return Metadata(
        issuer=str(answer["issuer"]),
        **given,
        auth_methods=_listed(answer, "token_endpoint_auth_methods_supported")
        or ("client_secret_basic",),
        names_itself=answer.get("authorization_response_iss_parameter_supported") is True,
        response_types=_listed(answer, "response_types_supported"),
        challenge_methods=_listed(answer, "code_challenge_methods_supported"),
        algorithms=_listed(answer, "id_token_signing_alg_values_supported"),
        scopes=_listed(answer, "scopes_supported"),
    )


def _listed(answer: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = answer.get(name)
    return tuple(str(each) for each in found) if isinstance(found, list) else ()


def _key_set(status: int, answer: dict[str, Any]) -> KeySet:
    """The provider's signing keys; one that is not understood takes none of the others with it."""
    if status != httpx.codes.OK:
        raise ProviderAwayError(f"the provider's keys: it answered with {status}")
    listed = answer.get("keys")
    usable = [key for key in listed if _is_usable(key)] if isinstance(listed, list) else []
    found: list[Any] = []
    for key in usable:
        with contextlib.suppress(JoseError, ValueError, TypeError, KeyError):
            found += KeySet.import_key_set({"keys": [key]}).keys
    if not found:
        raise ProviderAwayError("the provider has no signing key that can be used")
    return KeySet(found)


def _is_usable(key: object) -> bool:
    """A public key for signatures; providers list others beside them."""
    return (
        isinstance(key, dict)
        and key.get("kty") in {"RSA", "EC"}
        and key.get("use", "sig") == "sig"
        and "d" not in key
    )
