"""Inclusion proofs from the database, against trees that are computed anew."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lockstep.evidence.format.merkle import is_consistent, root_from_inclusion, root_of
from lockstep.evidence.ledger.entries import EntryKind
from lockstep.storage.ledger.checkpoints import BrokenOrderError, Checkpoints
from lockstep.storage.ledger.proofs import Proofs
from tests.support.ledgers import LedgerBook, entry, settle


def grow(book: LedgerBook, parts: list[int]) -> None:
    """So many entries at a time, with a signed head after each."""
    for number in parts:
        book.append(*(entry() for _ in range(number)))
        book.append(entry(EntryKind.HOLD_PLACED, hold="h"))
        sequencer = book.sequencer()  # a new one waits for nothing before it signs
        settle(sequencer)
        sequencer.close()


@pytest.mark.parametrize("at_once", [1, 4, 4096])
@pytest.mark.parametrize("parts", [[1], [7, 1, 30], [64, 64, 3, 120]])
async def test_every_leaf_is_proved_under_the_newest_head(engine, book, parts, at_once):
    """With hashes from leaves, and with hashes from the frontiers of earlier heads."""
    grow(book, parts)
    head = await Checkpoints(engine).latest()
    assert head is not None
    leaves = [
        (index, hashlib.sha256(b"\x00" + body).digest()) for index, body in enumerate(book.bodies())
    ]
    proofs = await Proofs(engine, at_once=at_once).of(leaves, head)

    assert len(proofs) == head.size
    for proof in proofs:
        root = root_from_inclusion(proof.leaf, head.size, proof.leaf_hash, proof.path)
        assert root == head.root


@pytest.mark.parametrize("at_once", [1, 4096])
async def test_every_earlier_size_is_proved_to_be_a_beginning(engine, book, at_once):
    """What a witness asks for: the ledger has grown from there, and was not rewritten."""
    grow(book, [7, 30, 3])
    head = await Checkpoints(engine).latest()
    assert head is not None
    leaves = [hashlib.sha256(b"\x00" + body).digest() for body in book.bodies()]
    proofs = Proofs(engine, at_once=at_once)

    for old in range(1, head.size + 1):
        path = await proofs.growth(old, head)
        assert is_consistent(old, root_of(leaves[:old]), head.size, head.root, path)
    for beyond in (0, head.size + 1):
        with pytest.raises(BrokenOrderError):
            await proofs.growth(beyond, head)


async def test_a_leaf_beyond_the_head_has_no_proof(engine, book):
    """It waits for the next head."""
    grow(book, [3])
    head = await Checkpoints(engine).latest()
    assert head is not None
    assert await Proofs(engine).of([(head.size, b"\x00" * 32)], head) == []


async def test_a_changed_ledger_proves_nothing(engine, book, tmp_path: Path):
    """Rather no proof than one that leads elsewhere."""
    grow(book, [5])
    head = await Checkpoints(engine).latest()
    assert head is not None
    book.tamper("update ledger_entries set leaf_hash = '\\x00' where id = 2")
    with pytest.raises(BrokenOrderError):
        await Proofs(engine).of([(0, b"\x01" * 32)], head)
