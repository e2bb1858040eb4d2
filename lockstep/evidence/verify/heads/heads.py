"""Signed heads of the ledger: the pack's own, older ones, and what others signed on them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lockstep.evidence.format.merkle import HASH_BYTES, is_consistent
from lockstep.evidence.format.notes import (
    Checkpoint,
    NoteError,
    VerifierKey,
    is_key_name,
    open_note,
    parse_checkpoint,
    split_note,
)
from lockstep.evidence.pack import layout
from lockstep.evidence.verify.forms import digest, read_json, sequence
from lockstep.evidence.verify.report import RefutedError, UnusableError, shown

_SEPARATOR = "---\n"
_BODY_LINES = 3
_COSIGNATURE = b"\x04"
_KEY_ID = 4
_TIME = struct.Struct(">Q")
_MAX_PROOF = 64
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


def read_head(note: str, keys: Collection[VerifierKey], origin: str) -> Checkpoint:
    """A head that one of ``keys`` has signed, of the ledger ``origin`` ("" for any).

    Raises:
        RefutedError: if it is not.
    """
    try:
        body, signed = open_note(note, keys)
        head = parse_checkpoint(body)
    except NoteError as error:
        raise RefutedError(str(error)) from None
    if not signed:
        raise RefutedError("it is not signed by the key that you gave")
    if all(key.name != head.origin for key in signed):
        raise RefutedError("it is of another log than its key signs for")
    if origin and head.origin != origin:
        raise RefutedError("it is of another log than the statement says")
    if body.count("\n") != _BODY_LINES:
        raise RefutedError("it says more than a head does")
    return head


def split_notes(text: str) -> Iterator[str]:
    """The notes of ``ledger/checkpoints.txt``; nothing where the file is empty."""
    if text:
        yield from text.split(_SEPARATOR)


def read_proofs(raw: bytes) -> Mapping[int, list[bytes]]:
    """The proofs of ``ledger/consistency.json`` by the older size.

    Raises:
        RefutedError: if the file cannot be read.
    """
    document = read_json(layout.CONSISTENCY, raw)
    try:
        proofs = {
            _size(size): [bytes.fromhex(digest(node)) for node in sequence(nodes)]
            for size, nodes in document.items()
        }
    except (ValueError, TypeError, AttributeError):
        raise RefutedError("ledger/consistency.json cannot be read") from None
    if any(len(nodes) > 2 * _MAX_PROOF for nodes in proofs.values()):
        raise RefutedError("ledger/consistency.json cannot be read")
    return proofs


def _size(text: str) -> int:
    """A number of entries, without sign or leading zero; raises ValueError."""
    if not _SIZE.fullmatch(text):
        raise ValueError
    return int(text)


@dataclass(frozen=True, slots=True)
class Continuity:
    """What is needed to say whether an older head is a prefix of the pack's tree."""

    head: Checkpoint
    roots: Mapping[int, bytes]
    proofs: Mapping[int, Sequence[bytes]]

    def check(self, old: Checkpoint) -> None:
        """Raise unless ``old`` is the head of the first leaves of the same tree.

        Raises:
            RefutedError: if it is not, or if the pack does not show it.
        """
        if old.size > self.head.size:
            raise RefutedError(
                f"it has {old.size} entries, this pack only {self.head.size}: an old pack is shown"
                " as new, or the ledger's tail was cut"
            )
        if old.size in self.roots:
            if self.roots[old.size] != old.root:
                raise RefutedError(
                    f"it has another root for the first {old.size} entries: history was rewritten"
                )
            return
        proof = self.proofs.get(old.size)
        if proof is None:
            raise RefutedError(
                f"the pack does not show that it continues from {old.size} entries: ask for one"
                " that was exported with this checkpoint as its previous one"
            )
        if not is_consistent(old.size, old.root, self.head.size, self.head.root, proof):
            raise RefutedError(
                f"the proof for the first {old.size} entries is wrong: history was rewritten"
            )


# --- witnesses ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """Whose cosignature makes a head WITNESSED: a plain note key or a timed one.

    ``is_timed`` are the keys of C2SP tlog-cosignature (type 4): they sign when they saw the head.
    """

    name: str
    public: bytes
    is_timed: bool

    @classmethod
    def parse(cls, text: str) -> WitnessKey:
        """Read ``name+hash+base64``.

        Raises:
            UnusableError: if it is no key of either kind.
        """
        try:
            name, key_hash, encoded = text.strip().split("+", 2)
            raw = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            raise UnusableError("a witness's key is written name+hash+base64") from None
        if raw[:1] != _COSIGNATURE:
            try:
                plain = VerifierKey.parse(text)
            except NoteError as error:
                raise UnusableError(f"the witness's key cannot be used: {error}") from None
            return cls(plain.name, plain.public, is_timed=False)
        key = cls(name, raw[1:], is_timed=True)
        if len(key.public) != HASH_BYTES or not is_key_name(name) or key.id.hex() != key_hash:
            raise UnusableError("the witness's key was copied wrongly")
        return key

    @property
    def id(self) -> bytes:
        """First four bytes of SHA-256(name, newline, type, key)."""
        if not self.is_timed:
            return VerifierKey(self.name, self.public).id
        raw = self.name.encode() + b"\n" + _COSIGNATURE + self.public
        return hashlib.sha256(raw).digest()[:_KEY_ID]

    def has_signed(self, body: str, signature: bytes) -> bool:
        """Whether ``signature``, without its key id, is this witness's over the head."""
        key = VerifierKey(self.name, self.public)
        if not self.is_timed:
            return key.verifies(body.encode(), signature)
        if len(signature) <= _TIME.size:
            return False
        message = f"cosignature/v1\ntime {_seen_at(signature)}\n{body}".encode()
        return key.verifies(message, signature[_TIME.size :])


class Cosigned(NamedTuple):
    """A witness that has signed the head; ``seen_at`` are seconds, None where it says no time."""

    name: str
    seen_at: int | None


def cosignatures(note: str, keys: Iterable[WitnessKey]) -> list[Cosigned]:
    """Those of ``keys`` that have signed the head, each once.

    Raises:
        RefutedError: if a signature line claims one of them and is wrong.
    """
    try:
        body, lines = split_note(note)
    except NoteError as error:
        raise RefutedError(str(error)) from None
    known = {(key.name, key.id): key for key in keys}
    signed: dict[bytes, Cosigned] = {}
    for name, raw in lines:
        key = known.get((name, raw[:_KEY_ID]))
        if key is None:
            continue
        if not key.has_signed(body, raw[_KEY_ID:]):
            raise RefutedError(f"the signature of the witness {shown(name)} is wrong")
        seen_at = _seen_at(raw[_KEY_ID:]) if key.is_timed else None
        signed.setdefault(key.public, Cosigned(name, seen_at))
    return list(signed.values())


def are_signature_lines(text: str) -> bool:
    """Whether a text is lines of signatures, as a note has at its end, and nothing else."""
    try:
        split_note(f"\n\n{text}")
    except NoteError:
        return False
    return True


def _seen_at(signature: bytes) -> int:
    seconds: int = _TIME.unpack_from(signature)[0]
    return seconds
