"""Who we are to a provider: client authentication (OpenID Connect Core 1.0, 9)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote, urlencode

from authlib.oauth2.auth import ClientAuth as Prepared
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from connectors.openid.errors import UntrustedError

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_S = 60
_BY_CURVE = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class ClientAuth(StrEnum):
    """How a client proves who it is, as it was registered at the provider."""

    BASIC = "client_secret_basic"
    POST = "client_secret_post"
    KEY = "private_key_jwt"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A private key by which the provider knows us, and its id there ("" where it has none)."""

    key: RSAKey | ECKey = field(repr=False)
    key_id: str = ""

    @classmethod
    def read(cls, pem: str, *, key_id: str = "") -> ClientKey:
        """Read a PEM.

        Raises:
            ValueError: if it is no private RSA or EC key, or too weak a one.
        """
        for kind in (RSAKey, ECKey):
            try:
                found = kind.import_key(pem)
            except (JoseError, ValueError, TypeError):
                continue
            if found.is_private:
                made = cls(found, key_id)
                made.algorithm  # noqa: B018 - a curve that no algorithm knows shows here
                return made
        raise ValueError("it is no private RSA or EC key in PEM without a passphrase")

    @property
    def algorithm(self) -> str:
        if isinstance(self.key, RSAKey):
            return "RS256"
        curve = str(self.key.curve_name)
        if curve not in _BY_CURVE:
            raise ValueError(f"an EC key is on {', '.join(_BY_CURVE)}, not on {curve}")
        return _BY_CURVE[curve]


@dataclass(frozen=True, slots=True)
class Client:
    """A registration at a provider.

    Args:
        secret: for `ClientAuth.BASIC` and `ClientAuth.POST`.
        key: for `ClientAuth.KEY`.
        registered: as the registration says; None leaves it to what is there and what the
            provider offers, with `ClientAuth.BASIC` before `ClientAuth.POST` (RFC 6749, 2.3.1).

    Raises:
        ValueError: naming what does not fit together.
    """

    client_id: str
    secret: str = field(default="", repr=False)
    key: ClientKey | None = field(default=None, repr=False)
    registered: ClientAuth | None = None

    def __post_init__(self) -> None:
        needs_secret = self.registered in {ClientAuth.BASIC, ClientAuth.POST}
        if needs_secret and not self.secret:
            raise ValueError(f"client_auth: {self.registered} needs client_secret")
        if self.registered is ClientAuth.KEY and self.key is None:
            raise ValueError("client_auth: private_key_jwt needs client_key")
        if self.registered is ClientAuth.NONE and (self.secret or self.key):
            raise ValueError(
                "client_auth: none is a public client: leave client_secret and client_key out"
            )
        if self.secret and self.key is not None and self.registered is None:
            raise ValueError("client_auth: say which is registered, client_secret or client_key")

    def method(self, offered: Collection[str]) -> ClientAuth:
        """How we prove who we are at a provider that offers these methods."""
        if self.registered is not None:
            return self.registered
        if self.key is not None:
            return ClientAuth.KEY
        if not self.secret:
            return ClientAuth.NONE
        only_post = ClientAuth.POST in offered and ClientAuth.BASIC not in offered
        return ClientAuth.POST if only_post else ClientAuth.BASIC

    def prepared(
        self, endpoint: str, body: str, *, offered: Collection[str]
    ) -> tuple[str, Mapping[str, str], str]:
        """Address, headers and body of a call to the token endpoint."""
        method = self.method(offered)
        if method is ClientAuth.KEY:
            return endpoint, _FORM, f"{body}&{urlencode(self._asserted(endpoint))}"
        auth = Prepared(self.client_id, self.secret, method.value)
        if method is ClientAuth.BASIC:  # there, and only there, twice encoded
            auth = Prepared(quote(self.client_id, safe=""), quote(self.secret, safe=""))
        uri, headers, body = auth.prepare("POST", endpoint, dict(_FORM), body)
        return str(uri), dict(headers), str(body)

    def _asserted(self, endpoint: str) -> dict[str, str]:
        return {
            "client_id": self.client_id,
            "client_assertion_type": _ASSERTION,
            "client_assertion": self._assertion(endpoint),
        }

    def _assertion(self, endpoint: str) -> str:
        """A token of our own for one call (RFC 7523, 3)."""
        assert self.key is not None  # noqa: S101 - `__post_init__` has seen to it
        now = int(time.time())
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": endpoint,
            "jti": secrets.token_urlsafe(24),
            "iat": now,
            "exp": now + _ASSERTION_S,
        }
        header = {"alg": self.key.algorithm, "typ": "JWT"}
        if self.key.key_id:
            header["kid"] = self.key.key_id
        try:
            return jwt.encode(header, claims, self.key.key, algorithms=[self.key.algorithm])
        except (JoseError, ValueError) as error:
            raise UntrustedError(f"our key cannot sign ({type(error).__name__})") from None
