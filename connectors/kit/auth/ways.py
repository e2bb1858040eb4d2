"""Ways to sign in to a vendor, as rows: exactly one of them is given, whole."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

from connectors.http import Dialect, SessionAuth
from connectors.kit.auth.assertions import JWT_BEARER, Signer
from connectors.kit.auth.certificates import client_context
from connectors.kit.auth.clients import Authority, certified
from connectors.kit.auth.cookies import Cookies
from connectors.kit.auth.tokens import ExchangedTokens, OAuthClient, RefreshTokens, Tokens
from connectors.kit.options import Option, Values


@dataclass(frozen=True, slots=True)
class SignedIn:
    """How calls carry the credential: in headers, by a flow, or below them, in the TLS itself."""

    headers: dict[str, str] = field(default_factory=dict, repr=False)
    flow: SessionAuth | None = None
    tls: ssl.SSLContext | None = None

    @property
    def scopes(self) -> frozenset[str]:
        """What the last token may do; empty where nobody says."""
        return self.flow.scopes if isinstance(self.flow, Tokens) else frozenset()

    @property
    def rotates(self) -> bool:
        """Whether the vendor has replaced the refresh token that the settings hold."""
        return isinstance(self.flow, RefreshTokens) and self.flow.rotated


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


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """An OAuth client at an authority of its own, with a secret."""

    authority: Authority
    secret: Option[str]

    @property
    def options(self) -> tuple[Option[str], ...]:
        return (self.secret,)

    def sign_in(self, values: Values, base_url: str, dialect: Dialect) -> SignedIn:  # noqa: ARG002 - as the others
        proof = {"client_secret": values[self.secret]}
        return SignedIn(flow=self.authority.tokens(values, lambda: proof, dialect))


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """The same with a private key, whose certificate the authority knows (RFC 7523)."""

    authority: Authority
    certificate: Option[str]
    key: Option[str]

    @property
    def options(self) -> tuple[Option[str], ...]:
        return (self.certificate, self.key)

    def sign_in(self, values: Values, base_url: str, dialect: Dialect) -> SignedIn:  # noqa: ARG002 - as the others
        client, url = values[self.authority.client_id], self.authority.url(values)
        claims = {"iss": client, "sub": client, "aud": url}
        try:
            proof = certified(values[self.certificate], values[self.key], claims)
        except ValueError as error:
            raise ValueError(f"{self.certificate.name}: {error}") from None
        return SignedIn(flow=self.authority.tokens(values, proof, dialect))


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A client that was once let in by a person, and holds a refresh token since."""

    client_id: Option[str]
    client_secret: Option[str]
    refresh_token: Option[str]
    path: str = "/oauth/token"

    @property
    def options(self) -> tuple[Option[str], ...]:
        return (self.client_id, self.client_secret, self.refresh_token)

    def sign_in(self, values: Values, base_url: str, dialect: Dialect) -> SignedIn:
        client = {
            "client_id": values[self.client_id],
            "client_secret": values[self.client_secret],
        }
        url = _endpoint(self.path, base_url)
        flow = RefreshTokens(url, client, values[self.refresh_token], dialect=dialect)
        return SignedIn(flow=flow)


@dataclass(frozen=True, slots=True)
class JwtBearer:
    """A signed assertion for a token (RFC 7523), as service accounts sign in.

    Args:
        issuer: who signs: the service account, or the id of the client.
        key: the private key, PEM.
        subject: on whose behalf (Google's delegation); the issuer where it is None or empty.
        path: of the token endpoint, below the system's address; or a whole address.
        scope: what is asked for, separated by spaces.
        audience: whom the assertion is for; the token endpoint where it is empty.
        key_id: which key, where the vendor knows several.
        scope_in_claims: whether the scope stands in the assertion (Google) or beside it.
        token_at: the option with the whole address of the token endpoint, instead of ``path``.
    """

    issuer: Option[str]
    key: Option[str]
    subject: Option[str] | None = None
    path: str = "/oauth/token"
    scope: str = ""
    audience: str = ""
    key_id: Option[str] | None = None
    scope_in_claims: bool = False
    token_at: Option[str] | None = None

    @property
    def options(self) -> tuple[Option[str], ...]:
        return (self.issuer, self.key)

    def sign_in(self, values: Values, base_url: str, dialect: Dialect) -> SignedIn:
        url = values[self.token_at] if self.token_at else _endpoint(self.path, base_url)
        issuer = values[self.issuer]
        subject = values[self.subject] if self.subject is not None else ""
        claims = {"iss": issuer, "sub": subject or issuer, "aud": self.audience or url}
        beside = {} if self.scope_in_claims or not self.scope else {"scope": self.scope}
        if self.scope_in_claims:
            claims["scope"] = self.scope
        key_id = values[self.key_id] if self.key_id is not None else ""
        try:
            signer = Signer(values[self.key], key_id=key_id)
        except ValueError as error:
            raise ValueError(f"{self.key.name}: {error}") from None

        def form() -> dict[str, str]:
            assertion = signer.signed(claims)
            return {"grant_type": JWT_BEARER, "assertion": assertion, **beside}

        return SignedIn(flow=Tokens(url, form, dialect=dialect, scope=self.scope))


@dataclass(frozen=True, slots=True)
class SignedExchange:
    """A token for a signed assertion that the header carries, as an app's installation fetches one.

    Args:
        issuer: who signs.
        key: the private key, PEM.
        within: what the path names.
        path: of the exchange; ``{}`` stands for ``within``.
    """

    issuer: Option[str]
    key: Option[str]
    within: Option[str]
    path: str

    @property
    def options(self) -> tuple[Option[str], ...]:
        return (self.issuer, self.key, self.within)

    def sign_in(self, values: Values, base_url: str, dialect: Dialect) -> SignedIn:
        claims = {"iss": values[self.issuer]}
        try:
            signer = Signer(values[self.key])
        except ValueError as error:
            raise ValueError(f"{self.key.name}: {error}") from None
        url = f"{base_url}{self.path.format(values[self.within])}"
        flow = ExchangedTokens(url, lambda: signer.signed(claims), dialect=dialect)
        return SignedIn(flow=flow)


@dataclass(frozen=True, slots=True)
class CookieSession:
    """A session by a name and a password, as web consoles have one; see `Cookies`."""

    user: Option[str]
    password: Option[str]
    login: str
    logout: str = ""
    names: tuple[str, str] = ("username", "password")
    csrf: str = ""

    @property
    def options(self) -> tuple[Option[str], ...]:
        return (self.user, self.password)

    def sign_in(self, values: Values, base_url: str, dialect: Dialect) -> SignedIn:
        user, password = self.names
        body = {user: values[self.user], password: values[self.password]}
        logout = f"{base_url}{self.logout}" if self.logout else ""
        flow = Cookies(
            f"{base_url}{self.login}", body, logout=logout, csrf=self.csrf, dialect=dialect
        )
        return SignedIn(flow=flow)


@dataclass(frozen=True, slots=True)
class MutualTls:
    """A client certificate (RFC 8446), PEM; its secrets may be references to files.

    Args:
        certificate: with the chain that leads to what the vendor knows.
        key: its private key, without a passphrase.
        authority: of the vendor's own certificate, where that is none that the machine knows.
    """

    certificate: Option[str]
    key: Option[str]
    authority: Option[str] | None = None

    @property
    def options(self) -> tuple[Option[str], ...]:
        return (self.certificate, self.key)

    def sign_in(self, values: Values, base_url: str, dialect: Dialect) -> SignedIn:  # noqa: ARG002 - as the others
        if not base_url.startswith("https:"):
            raise ValueError(f"{self.certificate.name}: needs an address of https")
        authority = values[self.authority] if self.authority is not None else ""
        try:
            tls = client_context(values[self.certificate], values[self.key], authority)
        except ValueError as error:
            raise ValueError(f"{self.certificate.name}: {error}") from None
        return SignedIn(tls=tls)


Auth = (
    Header
    | Basic
    | ClientCredentials
    | ClientSecret
    | ClientCertificate
    | RefreshToken
    | JwtBearer
    | SignedExchange
    | CookieSession
    | MutualTls
)


def _endpoint(path: str, base_url: str) -> str:
    return path if path.startswith("https:") else f"{base_url}{path}"


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
