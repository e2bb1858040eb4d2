"""Who may ask the API: bearer tokens, each with rights; nothing is allowed that no right allows."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

MIN_LENGTH = 32
"""Characters; `openssl rand -base64 32` writes 44."""
MAX_LENGTH = 512


class Right(StrEnum):
    """What a token may do."""

    SCORE = "score"
    """Read the metric."""
    REPORT = "report"
    """Report the other metrics of the dimension."""
    EXPORT = "export"
    """Order and download evidence packs."""
    IDENTIFIED = "identified"
    """Order packs that name people."""


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
    name: str
    digest: bytes = field(repr=False)
    rights: frozenset[Right]


class Tokens:
    """The tokens of this installation; holds their SHA-256 only.

    Args:
        book: by name, the token and its rights.

    Raises:
        TokenError: for a token that is too short, too long, unprintable, or there twice.
    """

    def __init__(self, book: Mapping[str, tuple[str, Collection[Right]]]) -> None:
        self._tokens: list[_Token] = []
        for name, (secret, rights) in sorted(book.items()):
            digest = _digest(checked(secret))
            for other in self._tokens:
                if hmac.compare_digest(other.digest, digest):
                    raise TokenError(f"the same as that of {other.name}")
            self._tokens.append(_Token(name, digest, frozenset(rights)))

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def check(self, authorization: str | None, right: Right) -> str:
        """The name of the token that an ``Authorization: Bearer`` header carries.

        Every token is compared, whichever matched: neither which one it was nor how much of it
        was right shows in the time that this takes.

        Raises:
            Denied: 401 without a known token, 403 if it lacks ``right``.
        """
        scheme, _, given = (authorization or "").strip().partition(" ")
        digest = _digest(given.strip())
        found: _Token | None = None
        for token in self._tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token
        if found is None or scheme.lower() != "bearer":
            raise Denied(401)
        if right not in found.rights:
            raise Denied(403, name=found.name)
        return found.name


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


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()
