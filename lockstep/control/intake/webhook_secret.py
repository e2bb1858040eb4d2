"""The secret that a sender of webhooks signs with (Standard Webhooks 1.0, "Signature scheme")."""

from __future__ import annotations

import base64

MIN_KEY, MAX_KEY = 24, 64
"""Bytes of a secret."""


def webhook_key(secret: str) -> bytes:
    """The key's bytes; the signing library would take anything, down to one guessable byte.

    Raises:
        ValueError: saying what is wrong, never quoting the secret.
    """
    text = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise ValueError("a webhook secret is written as whsec_ and base64") from None
    if not MIN_KEY <= len(key) <= MAX_KEY:
        raise ValueError(f"a webhook secret holds {MIN_KEY} to {MAX_KEY} bytes")
    return key
