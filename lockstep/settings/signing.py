"""Reading the ledger's signing key."""

from __future__ import annotations

import base64
import binascii

from lockstep.evidence.format.notes import FileSigner, NoteError

_SEED = 32
"""Bytes of an Ed25519 private key (RFC 8032)."""


def default_origin(tenant: str) -> str:
    """The name of a ledger that was given no other."""
    return f"{tenant}/lockstep-ledger"


def parse_signer(text: str, *, origin: str) -> FileSigner:
    """A signing key as `lockstep init` writes it, or just 32 random bytes in base64.

    Raises:
        NoteError: if it is neither, or the key of another ledger; quotes nothing secret.
    """
    signer = _seeded(text.strip(), origin) or FileSigner.parse(text)
    if signer.name != origin:
        raise NoteError(f"the key is named {signer.name}, but the ledger {origin}")
    return signer


def _seeded(text: str, origin: str) -> FileSigner | None:
    """A key from bare random bytes, as a shell script can make them."""
    try:
        seed = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return FileSigner(origin, seed) if len(seed) == _SEED else None
