"""Canonical bytes (RFC 8785) and the leaf hash of a Merkle tree (RFC 6962 section 2.1)."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime

import rfc8785

LEAF_PREFIX = b"\x00"


_EXACT = 2**53 - 1


def canonical_bytes(document: Mapping[str, object]) -> bytes:
    """Serialise by RFC 8785: sorted keys, no blanks, numbers that every language reads alike.

    What our entries are made of (ASCII keys, text, whole numbers) needs only sorting and the
    escapes that the standard library writes in the same way; everything else goes to the library.

    Raises:
        rfc8785.CanonicalizationError: for values that JSON cannot hold exactly.
    """
    if _is_plain(document):
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        try:
            return text.encode()
        except UnicodeEncodeError:
            pass  # a lone surrogate: the library says so in its own words
    return rfc8785.dumps(document)  # type: ignore[arg-type] # the library's alias is invariant


def _is_plain(value: object) -> bool:
    match value:
        case str() | bool() | None:
            return True
        case int():
            return -_EXACT <= value <= _EXACT
        case list():
            return all(_is_plain(item) for item in value)
        case dict():  # other alphabets sort by UTF-16 units, which Python does not do
            return all(
                isinstance(key, str) and key.isascii() and _is_plain(item)
                for key, item in value.items()
            )
        case _:
            return False


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 || entry); the prefix keeps a leaf from passing for an inner node."""
    return hashlib.sha256(LEAF_PREFIX + entry).digest()


def instant_text(moment: datetime) -> str:
    """UTC with whole milliseconds, for example ``2026-11-23T05:04:03.002Z``.

    Raises:
        ValueError: for a naive instant.
    """
    if moment.tzinfo is None:
        raise ValueError("an instant without a zone")
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def reference(salt: bytes, *parts: str) -> str:
    """A commitment to a vendor's id that reveals nothing without the subject's salt.

    HMAC-SHA256 keyed with the salt, cut to 128 bits, in hex. The ledger holds these instead of
    account names, key ids and device names, of which many carry a person's name.
    """
    message = b"\x00".join(part.encode() for part in parts)
    return hmac.new(salt, message, hashlib.sha256).hexdigest()[:32]
