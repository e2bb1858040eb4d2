"""Whose signature counts: the ledger's own entries say which key is in force from which leaf on."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lockstep.evidence.format.notes import NoteError, Signer, VerifierKey
from lockstep.evidence.ledger.entries import Entry, EntryKind
from lockstep.storage.engine.direct import Link
from lockstep.storage.ledger.head import LedgerRefusedError

_ADOPTED = EntryKind.LEDGER_KEY_ADOPTED.value
_PREFIX = b"lockstep-handover/1\n"


def hand_over_message(new: VerifierKey) -> bytes:
    """What the old key signs to name the new one."""
    return _PREFIX + new.to_text().encode()


def adoption(tenant: str, key: VerifierKey, now: datetime) -> Entry:
    """The entry by which a new ledger names its first key; a ledger has one."""
    return Entry(
        kind=EntryKind.LEDGER_KEY_ADOPTED,
        key=_ADOPTED,
        tenant=tenant,
        occurred_at=now,
        recorded_at=now,
        data={"vkey": key.to_text()},
    )


def hand_over(tenant: str, old: Signer, new: VerifierKey, now: datetime) -> Entry:
    """The entry by which a key names its successor. Its own key lets a key have one only."""
    signature = old.sign(hand_over_message(new))
    return Entry(
        kind=EntryKind.LEDGER_KEY_HANDED_OVER,
        key=_hand_over_key(old.verifier),
        tenant=tenant,
        occurred_at=now,
        recorded_at=now,
        data={
            "from": old.verifier.to_text(),
            "to": new.to_text(),
            "signature": base64.b64encode(signature).decode(),
        },
    )


@dataclass(frozen=True, slots=True)
class Term:
    """A key, and the leaf that put it in force; None while that entry has no place yet."""

    key: VerifierKey
    leaf: int | None


@dataclass(frozen=True, slots=True)
class KeyChain:
    """The ledger's keys, oldest first; each was named by the one before it."""

    terms: tuple[Term, ...] = ()

    @property
    def newest(self) -> VerifierKey | None:
        """The last key named, whether or not its entry has a place yet."""
        return self.terms[-1].key if self.terms else None

    def at(self, size: int) -> VerifierKey | None:
        """The key that signs the head of ``size`` leaves."""
        found = self.terms[0].key if self.terms and self.terms[0].leaf is not None else None
        for term in self.terms:
            if term.leaf is not None and term.leaf < size:
                found = term.key
        return found

    def require(self, key: VerifierKey) -> None:
        """Refuse to sign by any other key than the newest.

        Raises:
            LedgerRefusedError: saying which key is expected.
        """
        if self.newest is None or self.newest == key:
            return
        if any(term.key == key for term in self.terms):
            raise LedgerRefusedError(
                "key_handed_over",
                f"the key was handed over to {self.newest.to_text()}: put that one in ledger.key",
            )
        raise LedgerRefusedError(
            "key_differs",
            f"ledger.key is not the ledger's key {self.newest.to_text()}: restore that one, or "
            "hand over to the new one with `lockstep ledger rotate`",
        )


def read_chain(link: Link) -> KeyChain:
    """The keys that the ledger names, each hand-over's signature checked.

    Raises:
        LedgerRefusedError: if an entry of the chain is not what it must be.
    """
    terms: list[Term] = []
    found = _read(link, _ADOPTED)
    while found is not None:
        data, leaf = found
        try:
            key = VerifierKey.parse(data["to"] if terms else data["vkey"])
            good = not terms or _is_signed(data, terms[-1].key, key)
        except (NoteError, KeyError, TypeError, AttributeError, binascii.Error, ValueError):
            good = False
        if not good or any(term.key == key for term in terms):
            raise LedgerRefusedError(
                "key_chain", "a hand-over of its key is wrong: run `lockstep ledger verify`"
            )
        terms.append(Term(key, leaf))
        found = _read(link, _hand_over_key(key))
    return KeyChain(tuple(terms))


def _is_signed(data: Any, old: VerifierKey, new: VerifierKey) -> bool:
    signature = base64.b64decode(data["signature"], validate=True)
    return data["from"] == old.to_text() and old.verifies(hand_over_message(new), signature)


def _hand_over_key(old: VerifierKey) -> str:
    return f"{EntryKind.LEDGER_KEY_HANDED_OVER.value}:{old.public.hex()}"


def _read(link: Link, key: str) -> tuple[Any, int | None] | None:
    row = link.execute(
        """
        select e.body, l.leaf_index from ledger_entries e
          left join ledger_leaves l on l.entry_id = e.id where e.key = %s
        """,
        (key,),
    ).fetchone()
    return None if row is None else (json.loads(bytes(row[0])).get("data"), row[1])
