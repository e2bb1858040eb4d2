"""A sequencer killed between any two steps leaves one order, and one tree for each size."""

from __future__ import annotations

import contextlib
import random
from collections import defaultdict

import psycopg
import pytest

from lockstep.evidence.format.notes import FileSigner, parse_checkpoint
from lockstep.evidence.ledger.entries import EntryKind
from lockstep.storage.ledger.head import HeadFile
from lockstep.storage.ledger.sequencer import Sequencer
from tests.support.ledgers import ORIGIN, LedgerBook, entry, plain, settle

POINTS = ("order", "order-cut", "signing", "signing-cut", "head", "head-cut")
"""Where it dies: within the order's transaction, before or amid signing, after the head file.
With -cut the server ends the session there, so that even a commit already sent does not count."""


class Died(BaseException):
    """The end of the process, as far as the sequencer is concerned."""


class Trap:
    """Kills the sequencer once, at one point."""

    def __init__(self, book: LedgerBook) -> None:
        self.book = book
        self.point = ""
        self.signed: dict[int, set[bytes]] = defaultdict(set)

    def passing(self, point: str) -> None:
        if self.point.partition("-")[0] != point:
            return
        cut, self.point = self.point.endswith("-cut"), ""
        if not cut:
            raise Died
        with psycopg.connect(plain(self.book.superuser_url), autocommit=True) as link:
            link.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'lockstep-sequencer' and datname = current_database()"
            )

    def sequencer(self) -> Sequencer:
        return self.book.sequencer(
            open_signer=lambda: Signing(self), head=Heading(self), fold=self.fold
        )

    def fold(self, *_):
        self.passing("order")


class Signing:
    """The ledger's key; it remembers every head that it was ever asked to sign."""

    def __init__(self, trap: Trap) -> None:
        self._trap = trap
        self.verifier = trap.book.signer.verifier

    def sign(self, message: bytes) -> bytes:
        self._trap.passing("signing")
        head = parse_checkpoint(message.decode())
        self._trap.signed[head.size].add(head.root)
        return self._trap.book.signer.sign(message)


class Heading(HeadFile):
    """The head file; the process dies right after it was written."""

    def __init__(self, trap: Trap) -> None:
        super().__init__(trap.book.head.path, ORIGIN)
        object.__setattr__(self, "_trap", trap)

    def write(self, size: int, root: bytes) -> None:
        super().write(size, root)
        self._trap.passing("head")


def closed(book: LedgerBook, *keys: str) -> None:
    """Entries that ask for a head, and one that is folded, so that every point is passed."""
    book.append(*(entry(EntryKind.CASE_CLOSED, key=key) for key in keys))
    book.append(entry(EntryKind.CASE_BEGUN, key=f"{keys[0]}-begun", case_id="c1"))


def run_until_it_dies(sequencer: Sequencer) -> None:
    with contextlib.suppress(Died, psycopg.Error):
        settle(sequencer)
    sequencer.close()


def assert_whole(
    book: LedgerBook, trap: Trap, keys: list[str], *, signed_elsewhere: bool = False
) -> None:
    assert sorted(key for key in book.mine() if not key.endswith("-begun")) == sorted(keys)
    assert book.unplaced() == 0
    heads = {size: root for size, root, _ in book.heads()}
    assert max(heads) == len(book.order())
    assert book.head.read().size == max(heads)
    for size, roots in trap.signed.items():
        assert len(roots) == 1, f"two trees of {size} leaves were signed"
        assert heads.get(size, *roots) in roots
    assert signed_elsewhere or heads.keys() <= trap.signed.keys()


@pytest.mark.parametrize("point", POINTS)
def test_killed_once(book, point):
    """Nothing is lost or doubled, and what was signed before stays true."""
    trap = Trap(book)
    settle(trap.sequencer())
    book.close()
    closed(book, "a", "b")
    trap.point = point
    run_until_it_dies(trap.sequencer())
    assert trap.point == "", "it never passed there"
    closed(book, "c")
    settle(trap.sequencer())

    assert_whole(book, trap, ["a", "b", "c"])


@pytest.mark.parametrize("point", POINTS)
def test_a_step_that_failed_is_forgotten(book, point):
    """The same process goes on from what is stored, not from what it had in mind."""
    trap = Trap(book)
    sequencer = trap.sequencer()
    settle(sequencer)
    closed(book, "a", "b")
    sequencer.close()  # else it would wait a second before the next head
    trap.point = point
    with pytest.raises((Died, psycopg.Error)):
        settle(sequencer)
    other = book.sequencer()
    closed(book, "c")
    settle(other)
    other.close()
    closed(book, "d")
    settle(sequencer)

    assert_whole(book, trap, ["a", "b", "c", "d"], signed_elsewhere=True)


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_its_very_first_step(book, point):
    """A ledger that dies while it is born is born all the same."""
    trap = Trap(book)
    closed(book, "a")
    trap.point = point
    run_until_it_dies(trap.sequencer())
    settle(trap.sequencer())

    assert_whole(book, trap, ["a"])
    assert book.kinds().count("ledger:key_adopted") == 1


def test_killed_again_and_again(book):
    """Forty deaths at points of chance, while entries keep coming."""
    chance = random.Random(20261123)
    trap = Trap(book)
    keys = []
    for number in range(40):
        new = [f"k{number}-{each}" for each in range(chance.randrange(1, 4))]
        closed(book, *new)
        keys += new
        trap.point = chance.choice(POINTS)
        run_until_it_dies(trap.sequencer())
    trap.point = ""
    settle(trap.sequencer())

    assert_whole(book, trap, keys)


def test_a_head_that_was_never_stored_is_signed_again_and_the_same(book):
    """Died between head file and checkpoint: the next one signs the same bytes over that size."""
    trap = Trap(book)
    closed(book, "a")
    trap.point = "head"
    run_until_it_dies(trap.sequencer())
    lost = book.head.read()
    assert book.heads() == []
    settle(trap.sequencer())

    assert [(size, root) for size, root, _ in book.heads()] == [(lost.size, lost.root)]


def test_a_trap_that_made_two_trees_would_be_noticed(book):
    """The guard itself: two roots for one size are told apart."""
    trap = Trap(book)
    signer = Signing(trap)
    for root in ("A", "B"):
        signer.sign(f"{ORIGIN}\n5\n{root * 43}=\n".encode())

    settle(trap.sequencer())

    with pytest.raises(AssertionError, match="two trees of 5 leaves"):
        assert_whole(book, trap, [])


def test_two_keys_differ(book):
    """The premise: generated keys are not the same."""
    assert FileSigner.generate(ORIGIN).verifier != book.signer.verifier
