"""Who may ask the API: bearer tokens of the settings; nothing is allowed that no right allows."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from lockstep.domain.intake.remit import EVERYBODY, Remit
from lockstep.domain.rights import Permission, Principal

MIN_LENGTH = 32
"""Characters; `openssl rand -base64 32` writes 44."""
MAX_LENGTH = 512


class TokenError(ValueError):
    """A token that cannot be used; the text never quotes it."""


class Denied(Exception):  # noqa: N818 - an answer, not an error of ours
    """Not allowed: ``status`` 401 without a known token, 403 without the right.

    ``name`` is the token's name where it is known: it may be logged, the token may not.
    """

    def __init__(self, status: int, *, name: str = "") -> None:
        super().__init__("missing or wrong token" if status == 401 else "missing right")  # noqa: PLR2004
        self.status = status
        self.name = name


@dataclass(frozen=True, slots=True)
class _Token:
    digest: bytes = field(repr=False)
    principal: Principal


class Tokens:
    """The tokens of the settings; holds their SHA-256 only.

    Args:
        book: by name, the token and its rights.
        owners: by name, blind indexes of the keys of whoever holds it.
        remits: by name, of whose people it knows; one that is not there, of everybody.

    Raises:
        TokenError: for a token that is too short, too long, unprintable, or there twice.
    """

    def __init__(
        self,
        book: Mapping[str, tuple[str, Collection[Permission]]],
        owners: Mapping[str, frozenset[bytes]] | None = None,
        remits: Mapping[str, Remit] | None = None,
    ) -> None:
        self._tokens: list[_Token] = []
        for name, (secret, rights) in sorted(book.items()):
            digest = digest_of(checked(secret))
            for other in self._tokens:
                if hmac.compare_digest(other.digest, digest):
                    raise TokenError(f"the same as that of {other.principal.name}")
            remit = (remits or {}).get(name, EVERYBODY)
            principal = Principal(
                user_id=name,
                name=name,
                permissions=frozenset(rights),
                partners=remit.partners,
                speaks=remit,
                own_keys=(owners or {}).get(name, frozenset()),
                token=True,
            )
            self._tokens.append(_Token(digest, principal))

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def find(self, given: str) -> Principal | None:
        """Whose token ``given`` is; None if it is none of ours.

        Every token is compared, whichever matched: neither which one it was nor how much of it
        was right shows in the time that this takes.
        """
        digest = digest_of(given)
        found: Principal | None = None
        for token in self._tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token.principal
        return found

    def check(self, authorization: str | None, permission: Permission) -> Principal:
        """Who asks by an ``Authorization: Bearer`` header.

        Raises:
            Denied: 401 without a known token, 403 if it lacks ``permission``.
        """
        found = self.find(given) if (given := bearer(authorization)) else None
        if found is None:
            raise Denied(401)
        if not found.may(permission):
            raise Denied(403, name=found.name)
        return found


def bearer(authorization: str | None) -> str:
    """What an ``Authorization: Bearer`` header carries; "" where it is something else."""
    scheme, _, given = (authorization or "").strip().partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def checked(secret: str) -> str:
    """The token, if it is one.

    Raises:
        TokenError: saying what is wrong, never quoting it.
    """
    if len(secret) < MIN_LENGTH:
        raise TokenError(f"shorter than {MIN_LENGTH} characters")
    if len(secret) > MAX_LENGTH:
        raise TokenError(f"longer than {MAX_LENGTH} characters")
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise TokenError("holds a blank, or what is not printable ASCII")
    return secret


def digest_of(text: str) -> bytes:
    """SHA-256 of a random secret: enough where there is nothing to guess."""
    return hashlib.sha256(text.encode(errors="replace")).digest()
