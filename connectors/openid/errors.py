"""Why nobody was signed in."""

from __future__ import annotations

from dataclasses import dataclass

_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Said:
    """What the provider itself said of an error (RFC 6749, 4.1.2.1 and 5.2).

    For the log and for administrators: bounded, in one line, without characters that control.
    """

    error: str = ""
    description: str = ""

    @classmethod
    def of(cls, error: object, description: object = "", *, hidden: tuple[str, ...] = ()) -> Said:
        """Read a provider's words; one that repeats any of ``hidden`` is dropped whole."""
        return cls(_plain(error, 60, hidden), _plain(description, _LONGEST, hidden))

    def __str__(self) -> str:
        return ": ".join(part for part in (self.error, self.description) if part)


NOTHING_SAID = Said()


class OpenIdError(Exception):
    """The provider's answer cannot be used; the text names the reason and quotes nothing of it.

    ``said`` are the provider's own words.
    """

    def __init__(self, reason: str, *, said: Said = NOTHING_SAID) -> None:
        super().__init__(reason)
        self.said = said


class ProviderAwayError(OpenIdError):
    """The provider cannot be reached, or does not answer as one."""


class UntrustedError(OpenIdError):
    """What came does not prove what it says."""


def _plain(text: object, longest: int, hidden: tuple[str, ...]) -> str:
    if not isinstance(text, str):
        return ""
    if any(secret in text for secret in hidden if secret):
        return "redacted"
    kept = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * longest])
    return " ".join(kept.split())[:longest]
