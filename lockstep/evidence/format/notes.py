"""Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint), signed by Ed25519 keys.

The keys' texts are those of C2SP: a verifier key ``name+hash+base64`` to hand out, and a signing
key ``PRIVATE+KEY+name+hash+base64`` to keep.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519 = b"\x01"
_KEY_HASH = 4
_PUBLIC = 32
_SIGNATURE = 64
_PRIVATE_HEAD = "PRIVATE+KEY+"
MAX_NOTE = 64 * 1024


class NoteError(ValueError):
    """A key or a note that cannot be read, or a signature that does not fit."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """Whose signature a note must carry. ``name`` has no blanks and no plus."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read ``name+hash+base64``; raises `NoteError`."""
        name, key_hash, raw = _parts(text.strip())
        if raw[:1] != _ED25519 or len(raw) != 1 + _PUBLIC:
            raise NoteError("the key is not an Ed25519 verifier key")
        key = cls(name, raw[1:])
        if key.id.hex() != key_hash:
            raise NoteError("the key's hash does not fit the key: it was copied wrongly")
        return key

    @property
    def id(self) -> bytes:
        """First four bytes of SHA-256(name, newline, algorithm, key)."""
        raw = self.name.encode() + b"\n" + _ED25519 + self.public
        return hashlib.sha256(raw).digest()[:_KEY_HASH]

    def to_text(self) -> str:
        encoded = base64.b64encode(_ED25519 + self.public).decode()
        return f"{self.name}+{self.id.hex()}+{encoded}"

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether ``signature`` is this key's over ``message``."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class Signer(Protocol):
    """Signs; a file's key or a key management service."""

    @property
    def verifier(self) -> VerifierKey:
        """The public half."""
        ...

    def sign(self, message: bytes) -> bytes:
        """An Ed25519 signature (64 bytes). May block for the time of one call to a service."""
        ...


@dataclass(frozen=True, slots=True)
class FileSigner:
    """A signing key held in this process."""

    name: str
    private: bytes = field(repr=False)

    @classmethod
    def generate(cls, name: str) -> FileSigner:
        if not is_key_name(name):
            raise NoteError("a key's name has no blanks and no plus")
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> FileSigner:
        """Read ``PRIVATE+KEY+name+hash+base64``; raises `NoteError`, which quotes nothing."""
        head, _, rest = text.strip().partition(_PRIVATE_HEAD)
        if head or not rest:
            raise NoteError("this is no signing key: write one with `lockstep init`")
        name, key_hash, raw = _parts(rest)
        if raw[:1] != _ED25519 or len(raw) != 1 + _PUBLIC:
            raise NoteError("the key is not an Ed25519 signing key")
        signer = cls(name, raw[1:])
        if signer.verifier.id.hex() != key_hash:
            raise NoteError("the key's hash does not fit the key: it was copied wrongly")
        return signer

    @property
    def verifier(self) -> VerifierKey:
        key = Ed25519PrivateKey.from_private_bytes(self.private)
        return VerifierKey(self.name, key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        return Ed25519PrivateKey.from_private_bytes(self.private).sign(message)

    def to_text(self) -> str:
        encoded = base64.b64encode(_ED25519 + self.private).decode()
        return f"{_PRIVATE_HEAD}{self.name}+{self.verifier.id.hex()}+{encoded}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log: its name, how many leaves, and the root over them."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def sign_note(body: str, signer: Signer) -> str:
    """A signed note: the text, a blank line, and one signature line."""
    key = signer.verifier
    signature = base64.b64encode(key.id + signer.sign(body.encode())).decode()
    return f"{body}\n\N{EM DASH} {key.name} {signature}\n"


def add_signature(note: str, signer: Signer) -> str:
    """The same note with one more signature, for a hand-over or a witness."""
    body, _ = split_note(note)
    key = signer.verifier
    signature = base64.b64encode(key.id + signer.sign(body.encode())).decode()
    return f"{note}\N{EM DASH} {key.name} {signature}\n"


def split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """The signed text and its signature lines as (name, id and signature).

    Raises:
        NoteError: if this is no note.
    """
    if len(note) > MAX_NOTE:
        raise NoteError("the note is too long")
    body, blank, lines = note.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise NoteError("this is no signed note")
    signatures = []
    for line in lines[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if dash != "\N{EM DASH}" or not is_key_name(name):
            raise NoteError("a signature line of the note cannot be read")
        signatures.append((name, _base64(encoded)))
    return body + "\n", signatures


def open_note(note: str, keys: Iterable[VerifierKey]) -> tuple[str, list[VerifierKey]]:
    """The note's text, and those of ``keys`` whose signature it carries.

    A line by a known name and key id with a wrong signature refutes the note (C2SP signed-note).

    Raises:
        NoteError: if it cannot be read, or a signature by a known key is wrong.
    """
    body, signatures = split_note(note)
    known = {(key.name, key.id): key for key in keys}
    signed: list[VerifierKey] = []
    for name, raw in signatures:
        key = known.get((name, raw[:_KEY_HASH]))
        if key is None:
            continue
        if len(raw) != _KEY_HASH + _SIGNATURE or not key.verifies(body.encode(), raw[_KEY_HASH:]):
            raise NoteError(f"the signature of {name} is wrong")
        if key not in signed:
            signed.append(key)
    return body, signed


def parse_checkpoint(body: str) -> Checkpoint:
    """Read a checkpoint's text; further lines are allowed and left alone.

    Raises:
        NoteError: if it is no checkpoint.
    """
    lines = body.split("\n")
    if len(lines) < 4 or not lines[0] or lines[-1]:  # noqa: PLR2004 - three lines and the end
        raise NoteError("this is no checkpoint")
    origin, size, root = lines[:3]
    if not size.isascii() or not size.isdigit() or len(size) > 18 or size != str(int(size)):  # noqa: PLR2004
        raise NoteError("the checkpoint's size is no number")
    return Checkpoint(origin, int(size), _base64(root, size=32))


def is_key_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(char.isspace() for char in name)


def _parts(text: str) -> tuple[str, str, bytes]:
    name, _, rest = text.partition("+")
    key_hash, _, encoded = rest.partition("+")
    if not is_key_name(name):
        raise NoteError("a key is written name+hash+base64")
    return name, key_hash, _base64(encoded)


def _base64(text: str, *, size: int | None = None) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError("not base64") from None
    if size is not None and len(raw) != size:
        raise NoteError(f"a hash has {size} bytes")
    return raw
