"""A leaver's personal data, encrypted under a key of its own that can be destroyed."""

from __future__ import annotations

import hmac
import json
import secrets
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.evidence.format.canonical import canonical_bytes
from lockstep.storage.keys.keyring import Keyring, seal, unseal

_IDENTITY = b"lockstep-identity/1"


class SubjectErasedError(LookupError):
    """The leaver's personal data were destroyed: nothing that needs them can be done any more."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One leaver. ``salt`` keys the commitments that the ledger holds instead of names."""

    subject_id: uuid.UUID
    key: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    keys: LeaverKeys = field(repr=False)
    display_name: str = field(repr=False)
    spell: str = field(repr=False)

    @classmethod
    def new(cls, keys: LeaverKeys, display_name: str, spell: str) -> Subject:
        return cls(
            subject_id=uuid.uuid4(),
            key=secrets.token_bytes(32),
            salt=secrets.token_bytes(32),
            keys=keys,
            display_name=display_name,
            spell=spell,
        )

    @classmethod
    def open(
        cls, ring: Keyring, subject_id: uuid.UUID, wrapped_key: bytes | None, private: bytes | None
    ) -> Subject:
        """Decrypt a stored subject.

        Raises:
            SubjectErasedError: if its key was destroyed.
            KeyringError: if the ring does not open it.
        """
        if wrapped_key is None or private is None:
            raise SubjectErasedError("the leaver's data were erased")
        key = ring.decrypt(wrapped_key, context=subject_id.bytes)
        document = json.loads(unseal(key, private, subject_id.bytes))
        keys = LeaverKeys(_keys(document["keys"]), _keys(document.get("withdrawn", ())))
        return cls(
            subject_id=subject_id,
            key=key,
            salt=bytes.fromhex(document["salt"]),
            keys=keys,
            display_name=document["display_name"],
            spell=document["spell"],
        )

    def wrapped_key(self, ring: Keyring) -> bytes:
        return ring.encrypt(self.key, context=self.subject_id.bytes)

    def private(self) -> bytes:
        """Name and keys as ciphertext."""
        document = {
            "salt": self.salt.hex(),
            "display_name": self.display_name,
            "spell": self.spell,
            "keys": _stored(self.keys.keys),
            **({"withdrawn": _stored(self.keys.withdrawn)} if self.keys.withdrawn else {}),
        }
        return seal(self.key, json.dumps(document).encode(), self.subject_id.bytes)

    @property
    def worker_id(self) -> str:
        return next(iter(self.keys.worker_ids), "")

    def identity(self) -> bytes:
        """Who this is, as RFC 8785 bytes: what the ledger is committed to, and a pack may disclose.

        Keys are sorted as text, those that were withdrawn among them; a key that belongs to no one
        system has "" for it.
        """
        said = (*self.keys.keys, *self.keys.withdrawn)
        keys = sorted([key.kind.value, key.value, key.system or ""] for key in said)
        return canonical_bytes(
            {
                "display_name": self.display_name,
                "worker_id": self.worker_id,
                "spell": self.spell,
                "keys": keys,
            }
        )

    def opening(self) -> bytes:
        """Opens the identity's commitment and no other: the salt, which keys them all, stays."""
        return hmac.new(self.salt, _IDENTITY, sha256).digest()

    def commitment(self) -> str:
        """HMAC-SHA256 of the identity, keyed with the opening, in hex; stands in the ledger."""
        return commitment_of(self.identity(), self.opening())

    def encrypt(self, document: Mapping[str, object], *, context: str) -> bytes:
        """Encrypt details of this leaver's case; gone for good when the key is destroyed."""
        return seal(self.key, json.dumps(document).encode(), context.encode())

    def decrypt(self, cipher: bytes, *, context: str) -> dict[str, object]:
        opened = json.loads(unseal(self.key, cipher, context.encode()))
        return dict(opened)


def commitment_of(identity: bytes, opening: bytes) -> str:
    """What the ledger holds of an identity; whoever is shown both parts can reckon it again."""
    return hmac.new(opening, identity, sha256).hexdigest()


def _stored(keys: Iterable[Key]) -> list[list[str | None]]:
    return [[key.kind.value, key.value, key.system] for key in keys]


def _keys(stored: Iterable[tuple[str, str, str | None]]) -> tuple[Key, ...]:
    return tuple(Key(KeyKind(kind), value, system) for kind, value, system in stored)
