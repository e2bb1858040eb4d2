"""Ways to sign in to a vendor, as rows: exactly one of them is given, whole."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

from connectors.http import Dialect
from connectors.kit.oauth import OAuthClient
from connectors.kit.options import Option, Values


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
    """A credential in a header, for instance ``Authorization: KISI-LOGIN {}``."""

    secret: Option[str]
    template: str = "Bearer {}"
    name: str = "Authorization"

    @property
    def options(self) -> tuple[Option[str], ...]:
        return (self.secret,)

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
