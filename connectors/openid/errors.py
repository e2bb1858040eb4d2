"""Why nobody was signed in."""

from __future__ import annotations


class OpenIdError(Exception):
    """The provider's answer cannot be used; the text names the reason and quotes nothing of it."""


class ProviderAwayError(OpenIdError):
    """The provider cannot be reached, or does not answer as one."""


class UntrustedError(OpenIdError):
    """What came does not prove what it says."""
