"""Signed assertions (RFC 7523): short-lived, each of its own, made by joserfc."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFETIME_S: Final = 300
_EARLIER_S: Final = 10
"""A peer whose clock is a little behind ours must not find an assertion of the future."""


class Signer:
    """Signs with one private key.

    Args:
        pem: the key: RSA (RS256) or elliptic on P-256 (ES256).
        key_id: named in the header, where the peer knows several keys.
        header: what else stands there, for instance a certificate's digest.
        rsa: how an RSA key signs: RS256, or PS256 where the peer asks for it.
        clock: seconds since 1970.

    Raises:
        ValueError: it is no such key; nothing of it is quoted.
    """

    def __init__(
        self,
        pem: str,
        *,
        key_id: str = "",
        header: Mapping[str, str] | None = None,
        rsa: str = "RS256",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._key, self._algorithm = _read(pem, rsa)
        named = {"kid": key_id} if key_id else {}
        self._header = {"alg": self._algorithm, **named, **(header or {})}
        self._clock = clock

    def signed(self, claims: Mapping[str, str]) -> str:
        """The claims with their time and an id that no other assertion has."""
        now = int(self._clock()) - _EARLIER_S
        dated = {**claims, "iat": now, "exp": now + _LIFETIME_S, "jti": secrets.token_hex(16)}
        return jwt.encode(dict(self._header), dated, self._key, algorithms=[self._algorithm])


def _read(pem: str, rsa: str) -> tuple[RSAKey | ECKey, str]:
    # A key that came through JSON or an environment may have its line ends written out.
    text = pem.replace("\\n", "\n")
    for kind, algorithm in ((RSAKey, rsa), (ECKey, "ES256")):
        try:
            key = kind.import_key(text)
        except (JoseError, ValueError, TypeError):
            continue
        if key.is_private:
            return key, algorithm
    raise ValueError("an RSA or P-256 private key, PEM, without a passphrase")
