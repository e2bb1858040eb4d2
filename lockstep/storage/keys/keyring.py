"""Keys that encrypt personal data and payloads, and the index key that finds without revealing."""

from __future__ import annotations

import base64
import hmac
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12
_KEY_BYTES = 32
_ID_BYTES = 1
_KEY_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


class KeyringError(ValueError):
    """A keyring that cannot be read, or a ciphertext that none of its keys opens."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """Key-encryption keys by id, one of them current, and the blind-index key.

    Old keys stay for reading; everything new is written with the current one. The index key
    never changes, because it finds existing rows. ``unbound`` names the keys under which Temporal's
    payloads are also read in the form of 0.1, which said nothing of where they belong: the keys of
    a keyring from then, until its owner says ``"unbound": []``.
    """

    current: str
    keys: Mapping[str, bytes] = field(repr=False)
    index: bytes = field(repr=False)
    unbound: frozenset[str] = frozenset()

    @classmethod
    def generate(cls, key_id: str = "k1") -> Keyring:
        return cls(key_id, {key_id: secrets.token_bytes(_KEY_BYTES)}, secrets.token_bytes(32))

    @classmethod
    def parse(cls, text: str) -> Keyring:
        """Read the JSON form.

        Raises:
            KeyringError: saying what is wrong, never quoting the text.
        """
        try:
            document = json.loads(text)
            keys = {
                str(name): base64.b64decode(value, validate=True)
                for name, value in document["keys"].items()
            }
            current = str(document["current"])
            index = base64.b64decode(document["index"], validate=True)
            unbound = _names(document.get("unbound", list(keys)))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise KeyringError("the keyring is not what `lockstep init` writes") from None
        if not all(_KEY_NAME.fullmatch(name) for name in keys):  # it stands in every ciphertext
            raise KeyringError("a key's name may have 40 characters: A-Z, a-z, 0-9, _ and -")
        if current not in keys:
            raise KeyringError("the keyring's current key is not among its keys")
        if any(len(key) != _KEY_BYTES for key in [*keys.values(), index]):
            raise KeyringError("every key of the keyring must be 32 bytes in base64")
        if not unbound <= keys.keys():
            raise KeyringError('the keyring\'s "unbound" names a key that it does not have')
        return cls(current, keys, index, unbound)

    def to_text(self) -> str:
        encoded = {name: base64.b64encode(key).decode() for name, key in self.keys.items()}
        index = base64.b64encode(self.index).decode()
        document = {"current": self.current, "keys": encoded, "index": index}
        return json.dumps({**document, "unbound": sorted(self.unbound)}, indent=1)

    def save(self, path: Path) -> None:
        """Write with owner-only rights; refuses to overwrite, because that would lose data."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(self.to_text())

    def encrypt(self, plain: bytes, *, context: bytes) -> bytes:
        """AES-256-GCM under the current key; ``context`` must be the same when decrypting."""
        name = self.current.encode()
        return bytes([len(name)]) + name + seal(self.keys[self.current], plain, context)

    def decrypt(self, cipher: bytes, *, context: bytes) -> bytes:
        """Open with the key that the ciphertext names.

        Raises:
            KeyringError: unknown key, wrong context or altered bytes.
        """
        name, sealed = _parts(cipher)
        key = self.keys.get(name)
        if key is None:
            raise KeyringError("the keyring lacks the key of this ciphertext")
        return unseal(key, sealed, context)

    def may_be_unbound(self, cipher: bytes) -> bool:
        """Whether this ciphertext's key is one that also wrote payloads without a place."""
        return _parts(cipher)[0] in self.unbound

    def blind_index(self, *parts: str) -> bytes:
        """A keyed digest by which a row is found without storing what it is found by."""
        message = b"\x00".join(part.encode() for part in parts)
        return hmac.new(self.index, message, sha256).digest()


def _parts(cipher: bytes) -> tuple[str, bytes]:
    """The name of a ciphertext's key, and what that key sealed."""
    size = cipher[0] if cipher else 0
    name = cipher[_ID_BYTES : _ID_BYTES + size].decode("ascii", "replace")
    return name, cipher[_ID_BYTES + size :]


def _names(value: object) -> frozenset[str]:
    if not isinstance(value, list):
        raise TypeError("a list of key names")
    return frozenset(str(name) for name in value)


def seal(key: bytes, plain: bytes, context: bytes) -> bytes:
    """AES-256-GCM with a random nonce in front (NIST SP 800-38D)."""
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plain, context)


def unseal(key: bytes, cipher: bytes, context: bytes) -> bytes:
    """Open what `seal` closed.

    Raises:
        KeyringError: if key, context or bytes are not the same.
    """
    try:
        return AESGCM(key).decrypt(cipher[:_NONCE], cipher[_NONCE:], context)
    except (InvalidTag, ValueError):
        raise KeyringError("the ciphertext does not open: wrong key or altered") from None
