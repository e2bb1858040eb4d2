"""Proving tokens: ID tokens (OpenID Connect Core 1.0, 3.1.3.7) and logout tokens.

The libraries check signatures and claims; here stands what is demanded of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry, extract_compact
from joserfc.jwt import JWTClaimsRegistry

from connectors.openid.errors import UntrustedError

ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
)
"""Asymmetric ones only: never `none`, and never a secret that the provider shares with us."""
LEEWAY_S = 60
"""How far the provider's clock and ours may be apart."""
FRESH_S = 300
"""How old a logout token without an end may be: its providers send it at once."""
LONGEST_S = 86_400
"""A logout token lives for minutes; so long its id is remembered at most."""

_LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_LOGOUT_TYPES = frozenset({"", "jwt", "logout+jwt"})
_MOST_ID = 500


@dataclass(frozen=True, slots=True)
class Expected:
    """Who must have made a token, and for whom."""

    issuer: str
    client_id: str


@dataclass(frozen=True, slots=True)
class LogoutClaims:
    """What a logout token says: whose sessions end, or which one. ``jti`` names the token."""

    jti: str
    lasts_s: int
    """For how long from now it could be used again."""
    subject: str = field(repr=False)
    session: str = field(repr=False)


def key_id(token: str) -> str:
    """The `kid` of a token's header, unproved; "" where there is none.

    Raises:
        UntrustedError: if it is no token.
    """
    try:
        found = extract_compact(token.encode()).headers().get("kid", "")
    except (JoseError, ValueError, TypeError, RecursionError):
        raise UntrustedError("the token cannot be read") from None
    return found if isinstance(found, str) else ""


def prove_id_token(
    token: str, keys: KeySet, expected: Expected, *, nonce: str, access_token: str
) -> dict[str, Any]:
    """The claims of an ID token of the code flow; signature, issuer, audience, times, nonce.

    Raises:
        UntrustedError: naming the claim that is wrong.
    """
    proved = _signed(token, keys)
    essential = {
        "iss": {"essential": True, "value": expected.issuer},
        "aud": {"essential": True, "value": expected.client_id},
    }
    claims = CodeIDToken(
        proved.claims,
        proved.header,
        options=essential,
        params={
            "nonce": nonce,
            "client_id": expected.client_id,
            "access_token": access_token,
        },
    )
    _validated(lambda: claims.validate(leeway=LEEWAY_S))
    if not _is_id(claims["sub"]):
        raise UntrustedError("the claim 'sub' is wrong")
    return dict(claims)


def prove_logout_token(token: str, keys: KeySet, expected: Expected) -> LogoutClaims:
    """The claims of a logout token (OpenID Connect Back-Channel Logout 1.0, 2.6).

    Whether it was used before is not checked: `LogoutClaims.jti` is for that. Providers of the
    specification's drafts set no ``exp``: such a token ends `FRESH_S` after its ``iat``.

    Raises:
        UntrustedError: naming what is wrong.
    """
    proved = _signed(token, keys)
    claims = proved.claims
    if str(proved.header.get("typ", "")).lower() not in _LOGOUT_TYPES:
        raise UntrustedError("it is a token of another type")
    registry = JWTClaimsRegistry(
        leeway=LEEWAY_S,
        iss={"essential": True, "value": expected.issuer},
        aud={"essential": True, "value": expected.client_id},
        iat={"essential": True},
        exp={"essential": False},
        jti={"essential": True},
    )
    _validated(lambda: registry.validate(claims))
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(_LOGOUT_EVENT), dict):
        raise UntrustedError("the claim 'events' is wrong")
    if "nonce" in claims:
        raise UntrustedError("a logout token has no nonce: this is an ID token")
    found = {name: claims.get(name, "") for name in ("jti", "sub", "sid")}
    if not all(value == "" or _is_id(value) for value in found.values()):
        raise UntrustedError("the claims 'jti', 'sub' or 'sid' are wrong")
    if not found["sub"] and not found["sid"]:
        raise UntrustedError("neither 'sub' nor 'sid' says whose session ends")
    has_end = claims.get("exp") is not None
    ends = claims["exp"] if has_end else claims["iat"] + FRESH_S
    lasts_s = int(ends - time.time()) + 2 * LEEWAY_S
    if lasts_s > LONGEST_S:
        raise UntrustedError("the claim 'exp' is wrong")
    if not has_end and lasts_s < LEEWAY_S:
        raise UntrustedError("it has no 'exp', and its 'iat' is too long ago")
    return LogoutClaims(found["jti"], lasts_s, found["sub"], found["sid"])


def _signed(token: str, keys: KeySet) -> jwt.Token:
    # Providers add headers of their own; those that must be understood stand in `crit`.
    registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    try:
        return jwt.decode(token, keys, algorithms=list(ALGORITHMS), registry=registry)
    except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise UntrustedError(f"the signature does not hold ({type(error).__name__})") from None


def _validated(check: Callable[[], object]) -> None:
    """Run a library's check of claims; its texts may quote, so only the claim is named."""
    try:
        check()
    except JoseError as error:
        named = getattr(error, "claim", "") or type(error).__name__
        raise UntrustedError(f"the claim '{named}' is wrong") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UntrustedError(f"a claim is wrong ({type(error).__name__})") from None


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MOST_ID
