"""Whose signature counts: the keys that the reader gave, and those they handed over to."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from lockstep.evidence.format.notes import NoteError, VerifierKey
from lockstep.evidence.pack import layout
from lockstep.evidence.verify.forms import exact, read_json, sequence, text
from lockstep.evidence.verify.report import RefutedError

HANDOVER_HEAD = b"lockstep-handover/1\n"
"""Before the new key's text in what the old key signs."""

_MAX_HAND_OVERS = 1000


@dataclass(frozen=True, slots=True)
class HandOver:
    """One key handed over to the next; the old one has signed it."""

    old: VerifierKey
    new: VerifierKey
    signature: str


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one ledger.

    Args:
        trusted: those that the reader holds, and all that they handed over to.
        related: those, and the ones before them: good for heads that were signed earlier.
        used: the hand-overs that lead from the given keys to the trusted ones.
    """

    trusted: tuple[VerifierKey, ...]
    related: tuple[VerifierKey, ...]
    used: tuple[HandOver, ...]


def follow(given: Sequence[VerifierKey], raw: bytes | None) -> Keys:
    """Follow the hand-overs of ``ledger/keys.json`` from the keys that the reader gave.

    A hand-over keeps the name: a ledger's keys are named by its origin. One that its old key did
    not sign is worth nothing, and makes the file a fraud.

    Raises:
        RefutedError: if the file cannot be read, or a hand-over is not signed by its old key.
    """
    hand_overs = [] if raw is None else _read(raw)
    trusted = list(given)
    used = []
    for step in hand_overs:  # oldest first
        if step.old in trusted and step.new not in trusted:
            trusted.append(step.new)
            used.append(step)
    related = list(trusted)
    for step in reversed(hand_overs):
        if step.new in related and step.old not in related:
            related.append(step.old)
    return Keys(tuple(trusted), tuple(related), tuple(used))


def _read(raw: bytes) -> list[HandOver]:
    rows = read_json(layout.KEYS, raw)
    try:
        for row in sequence(rows):
            exact(row, "from", "to", "signature")
        texts = [(row["from"], row["to"], text(row["signature"])) for row in rows]
        steps = [
            HandOver(VerifierKey.parse(old), VerifierKey.parse(new), signature)
            for old, new, signature in texts
        ]
        signatures = [base64.b64decode(step.signature, validate=True) for step in steps]
    except NoteError as error:
        raise RefutedError(f"a key in ledger/keys.json cannot be read: {error}") from None
    except (ValueError, TypeError, AttributeError, binascii.Error):
        raise RefutedError("ledger/keys.json cannot be read") from None
    if any(
        (step.old.to_text(), step.new.to_text(), base64.b64encode(signature).decode()) != said
        for step, signature, said in zip(steps, signatures, texts, strict=True)
    ):
        raise RefutedError("ledger/keys.json spells a key or a signature in another way")
    if len(steps) > _MAX_HAND_OVERS:
        raise RefutedError("ledger/keys.json has more hand-overs than a ledger can have")
    for step, signature in zip(steps, signatures, strict=True):
        message = HANDOVER_HEAD + step.new.to_text().encode()
        if step.old.name != step.new.name or not step.old.verifies(message, signature):
            raise RefutedError(
                "ledger/keys.json has a hand-over that its old key did not sign:"
                f" from {step.old.to_text()} to {step.new.to_text()}"
            )
    return steps
