"""Anchor ``witness``: k of n sign one line of history, and nothing else counts."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.anchors.base import (
    AnchorCheckpoint,
    AnchorConflict,
    AnchorFault,
)
from connectors.anchors.witness import WitnessAnchor
from lockstep.evidence.format.merkle import consistency_proof, root_of
from lockstep.evidence.format.notes import Checkpoint, FileSigner, sign_note
from lockstep.evidence.verify.heads.heads import WitnessKey, cosignatures
from tests.connectors.anchors.peers import (
    ORIGIN,
    SIGNER,
    Answer,
    Asked,
    HttpPeer,
    SimulatedWitness,
    build,
    free_port,
)


@dataclass
class Log:
    """A ledger in small: heads of every size, and proofs between them."""

    leaves: list[bytes] = field(
        default_factory=lambda: [hashlib.sha256(bytes([n])).digest() for n in range(40)]
    )
    proofs: int = 0

    def head(self, size: int) -> AnchorCheckpoint:
        note = sign_note(Checkpoint(ORIGIN, size, root_of(self.leaves[:size])).body(), SIGNER)

        async def grown_from(old: int) -> list[bytes]:
            self.proofs += 1
            part = self.leaves
            return consistency_proof(old, size, lambda first, n: root_of(part[first : first + n]))

        return AnchorCheckpoint(ORIGIN, size, note.encode(), datetime.now(UTC), grown_from)


def asking(home: Path, *witnesses: tuple[SimulatedWitness, str], needed: int = 1) -> WitnessAnchor:
    settings = {"witnesses": [f"{one.key} {url}" for one, url in witnesses], "needed": needed}
    anchor = build("witness", settings, home=home)
    assert isinstance(anchor, WitnessAnchor)
    return anchor


async def test_a_witness_signs_head_after_head(tmp_path: Path) -> None:
    """The first without a proof, each later one with it, and the same one again."""
    log, witness = Log(), SimulatedWitness()
    with HttpPeer(witness.answer) as peer:
        anchor = asking(tmp_path, (witness, peer.url))
        for size in (3, 8, 8, 21):
            checkpoint = log.head(size)
            receipt = await anchor.publish(checkpoint)
            [one] = cosignatures(
                checkpoint.note.decode() + receipt.decode(), [WitnessKey.parse(witness.key)]
            )
            assert one == (witness.signer.name, witness.seconds)
        await anchor.aclose()

    assert log.proofs == 2
    assert len(peer.asked) == 4


async def test_a_worker_that_starts_anew_asks_where_the_witness_is(tmp_path: Path) -> None:
    """What it signed last is said by its 409, and proved from there."""
    log, witness = Log(), SimulatedWitness()
    with HttpPeer(witness.answer) as peer:
        for size in (5, 13):
            anchor = asking(tmp_path, (witness, peer.url))
            await anchor.publish(log.head(size))
            await anchor.aclose()

    assert len(peer.asked) == 3
    assert witness.head is not None
    assert witness.head.size == 13


@pytest.mark.parametrize("size", [13, 20])
async def test_another_history_is_a_conflict(tmp_path: Path, size: int) -> None:
    """Of the same size or a larger one: the witness keeps to the first that it signed."""
    log, other, witness = Log(), Log(), SimulatedWitness()
    other.leaves[4] = b"\x07" * 32
    with HttpPeer(witness.answer) as peer:
        anchor = asking(tmp_path, (witness, peer.url))
        await anchor.publish(log.head(13))
        with pytest.raises(AnchorConflict):
            await anchor.publish(other.head(size))
        await anchor.aclose()


async def test_k_of_n_are_enough(tmp_path: Path) -> None:
    """One is down, one is another's: the two that sign make the head witnessed."""
    log = Log()
    first, second, third = SimulatedWitness(), SimulatedWitness(), SimulatedWitness()
    third.log = FileSigner.generate(ORIGIN).verifier
    with ExitStack() as stack:
        urls = [stack.enter_context(HttpPeer(one.answer)).url for one in (first, second, third)]
        down = (SimulatedWitness(), f"http://127.0.0.1:{free_port()}")
        known = list(zip((first, second, third), urls, strict=True))
        anchor = asking(tmp_path, *known, down, needed=2)
        receipt = (await anchor.publish(log.head(9))).decode()
        await anchor.aclose()
        stricter = asking(tmp_path, *known, down, needed=3)
        with pytest.raises(AnchorFault, match="2 of 3 needed witnesses signed") as caught:
            await stricter.publish(log.head(11))
        await stricter.aclose()

    assert len(receipt.splitlines()) == 2
    assert "403" in caught.value.code
    assert caught.value.transient  # the one that is down may come back


LIES = {
    "nothing": lambda witness, asked: (200, {}, b""),
    "another's line": lambda witness, asked: SimulatedWitness().answer(asked),
    "another head's line": lambda witness, asked: (200, {}, witness.signed("x\n1\ny\n").encode()),
    "no lines": lambda witness, asked: (200, {}, b"all is well\n"),
    "no text": lambda witness, asked: (200, {}, b"\xff\xfe"),
    "a size that leads nowhere": lambda witness, asked: (409, {}, b"0\n"),
    "no size": lambda witness, asked: (409, {}, b"all is well\n"),
    "a larger head": lambda witness, asked: (409, {}, b"39\n"),
    "too much": lambda witness, asked: (200, {}, b"x" * 70_000),
    "elsewhere": lambda witness, asked: (302, {"Location": "http://127.0.0.1:1/"}, b""),
    "not known": lambda witness, asked: (404, {}, b""),
}


@pytest.mark.parametrize("lie", LIES)
async def test_what_is_no_cosignature_counts_nothing(tmp_path: Path, lie: str) -> None:
    """Whatever a witness answers instead, it is a fault, and no receipt."""
    witness = SimulatedWitness()

    def answer(asked: Asked) -> Answer:
        return LIES[lie](witness, asked)

    with HttpPeer(answer) as peer:
        anchor = asking(tmp_path, (witness, peer.url))
        with pytest.raises(AnchorFault) as caught:
            await anchor.publish(Log().head(9))
        await anchor.aclose()

    assert not isinstance(caught.value, AnchorConflict)
    assert "all is well" not in caught.value.code


@pytest.mark.parametrize(
    ("witnesses", "needed"),
    [
        ([], 1),
        (["KEY"], 1),
        (["KEY http://witness.example"], 1),
        (["a+b+c https://witness.example"], 1),
        (["PLAIN https://witness.example"], 1),
        (["KEY https://a.example", "KEY https://b.example"], 1),
        (["KEY https://a.example"], 0),
        (["KEY https://a.example"], 2),
    ],
)
def test_settings_that_cannot_witness_are_refused(
    tmp_path: Path, witnesses: list[str], needed: int
) -> None:
    """Nobody, in clear, twice the same, or more than there are."""
    one = SimulatedWitness()
    plain = one.signer.verifier.to_text()
    given = [text.replace("KEY", one.key).replace("PLAIN", plain) for text in witnesses]
    with pytest.raises(ValueError, match=r"witnesses|needed"):
        build("witness", {"witnesses": given, "needed": needed}, home=tmp_path)
