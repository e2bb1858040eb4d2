"""A leaver's personal data, encrypted under a key of its own that can be destroyed."""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from lockstep.domain.leavers import Key, KeyKind, LeaverKeys
from lockstep.storage.keyring import Keyring, seal, unseal


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
        cls, ring: Keyring, subject_id: uuid.UUID, wrapped_key: bytes, private: bytes
    ) -> Subject:
        """Decrypt a stored subject; raises `KeyringError` if that is not possible."""
        key = ring.decrypt(wrapped_key, context=subject_id.bytes)
        document = json.loads(unseal(key, private, subject_id.bytes))
        keys = LeaverKeys(
            tuple(Key(KeyKind(kind), value, system) for kind, value, system in document["keys"])
        )
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
            "keys": [[key.kind.value, key.value, key.system] for key in self.keys.keys],
        }
        return seal(self.key, json.dumps(document).encode(), self.subject_id.bytes)

    def encrypt(self, document: Mapping[str, object], *, context: str) -> bytes:
        """Encrypt details of this leaver's case; gone for good when the key is destroyed."""
        return seal(self.key, json.dumps(document).encode(), context.encode())

    def decrypt(self, cipher: bytes, *, context: str) -> dict[str, object]:
        opened = json.loads(unseal(self.key, cipher, context.encode()))
        return dict(opened)
