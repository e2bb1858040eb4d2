"""`verify`: whatever somebody changes in the database, one of the signed heads contradicts it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from lockstep.evidence.format.notes import (
    Checkpoint,
    FileSigner,
    parse_checkpoint,
    sign_note,
    split_note,
)
from lockstep.evidence.ledger.entries import EntryKind
from lockstep.storage.ledger import check as ledger_check
from lockstep.storage.ledger.check import Kept, Problem, Verification, verify
from lockstep.storage.ledger.keys import hand_over
from tests.support.ledgers import ORIGIN, TENANT, LedgerBook, entry, settle, tree_of


@pytest.fixture
def ledger(book, monkeypatch) -> LedgerBook:
    """Thirty entries under ten heads, read in pages that do not fit them."""
    monkeypatch.setattr(ledger_check, "PAGE", 7)
    for number in range(10):
        grow(book, f"k{number}a", f"k{number}b", f"k{number}c")
    return book


def grow(book: LedgerBook, *keys: str) -> None:
    """Entries, the last of which asks for a head."""
    *quiet, last = keys
    book.append(*(entry(key=key, number=7) for key in quiet), entry(EntryKind.CASE_CLOSED, last))
    sequencer = book.sequencer()
    settle(sequencer)
    sequencer.close()


def check(book: LedgerBook, **rest: object) -> Verification:
    with book.link() as link:
        return verify(link, ORIGIN, file=book.head, **rest)


def place(book: LedgerBook, key: str) -> int:
    [(leaf,)] = book.ask(
        "select leaf_index from ledger_leaves l join ledger_entries e on e.id = l.entry_id"
        " where e.key = %s",
        key,
    )
    return leaf


def latest_note(book: LedgerBook) -> str:
    [(note,)] = book.ask("select note from checkpoints order by size desc limit 1")
    return bytes(note).decode()


def kept(note: str) -> Kept:
    return Kept("the auditor's copy", parse_checkpoint(split_note(note)[0]), note)


def test_an_honest_ledger_is_verified(ledger):
    """Every leaf and every head is looked at, and nothing is found."""
    seen = []
    found = check(
        ledger,
        kept=[kept(latest_note(ledger))],
        progress=lambda done, all_: seen.append((done, all_)),
    )

    assert found.problems == []
    assert (found.leaves, found.heads, found.unplaced, found.unsigned) == (32, 10, 0, 0)
    assert found.root == tree_of(ledger.bodies()).root()
    assert seen[-1] == (32, 32)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_an_empty_ledger_is_verified(book):
    """Nothing is not wrong."""
    found = check(book)

    assert found.is_good
    assert found.leaves == 0


def test_what_no_head_covers_yet_is_counted(ledger):
    """Entries without a place, and leaves after the last head, are told and are no problem."""
    ledger.append(entry(key="placed"))
    settle(ledger.sequencer())
    ledger.close()
    ledger.append(entry(key="waiting-1"), entry(key="waiting-2"))
    found = check(ledger)

    assert found.is_good
    assert (found.unplaced, found.unsigned) == (2, 1)


def test_an_edited_entry_is_named(ledger):
    """An entry that a superuser edits is found by its own hash, and its leaf is named."""
    leaf = place(ledger, "k4b")
    ledger.tamper(
        "update ledger_entries set body = replace(encode(body, 'escape'), '\"number\":7',"
        " '\"number\":8')::bytea where key = 'k4b'"
    )
    found = check(ledger)

    assert Problem(f"the entry of leaf {leaf} was changed after it was written", leaf) in (
        found.problems
    )


def test_an_edit_that_covers_its_tracks_is_found_by_the_next_head(ledger):
    """With the stored hash edited too, the heads tell between which of them it was; only there."""
    leaf = place(ledger, "k4b")
    ledger.tamper(
        "update ledger_entries set body = body || ' ' where key = 'k4b'",
        "update ledger_entries set leaf_hash = sha256('\\x00'::bytea || body) where key = 'k4b'",
    )
    [problem] = check(ledger).problems

    assert "is not what was signed" in problem.says
    assert f"among leaves {leaf - 1} to {leaf + 1}" in problem.says


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (["delete from ledger_entries where key = 'k4b'"], "has been removed"),
        (["delete from ledger_leaves where leaf_index = 13"], "leaf 13 is missing"),
        (
            [
                "update ledger_leaves set leaf_index = -1 where leaf_index = 13",
                "update ledger_leaves set leaf_index = 13 where leaf_index = 14",
                "update ledger_leaves set leaf_index = 14 where leaf_index = -1",
            ],
            "is not what was signed",
        ),
        (["update checkpoints set root = sha256(root) where size = 14"], "head of 14 leaves"),
        (["update checkpoints set note = 'x' where size = 14"], "head of 14 leaves"),
        (["update checkpoints set size = 15 where size = 14"], "head of 15 leaves"),
        (["update checkpoints set size = 99 where size = 14"], "head of 99 leaves was signed"),
        (["update ledger_leaves set leaf_index = 2000000 where leaf_index = 31"], "claims to end"),
        (["update ledger_leaves set leaf_index = 40 where leaf_index = 31"], "leaf 31 is missing"),
        (
            ["insert into ledger_leaves values (32, 9999)"],
            "the entry of leaf 32 has been removed",
        ),
    ],
)
def test_tampering_is_found(ledger, statements, words):
    """Removed, reordered, moved, forged: each leaves a contradiction."""
    ledger.tamper(*statements)
    found = check(ledger)

    assert any(words in problem.says for problem in found.problems), found.problems


def test_a_cut_tail_is_found_by_the_head_file_and_by_a_kept_head(ledger):
    """Entries, order and heads cut off together fit each other; what was kept outside does not."""
    note = latest_note(ledger)
    ledger.tamper(
        "delete from checkpoints where size > 20",
        "delete from ledger_entries where id in"
        " (select entry_id from ledger_leaves where leaf_index >= 20)",
        "delete from ledger_leaves where leaf_index >= 20",
    )
    with ledger.link() as link:
        assert verify(link, ORIGIN).is_good, "the premise: within the database all is well"
        found = verify(link, ORIGIN, file=ledger.head, kept=[kept(note)])

    assert [problem.says for problem in found.problems] == [
        "the auditor's copy covers 32 leaves, but there are 20: cut off",
        f"{ledger.head.path} covers 32 leaves, but there are 20: cut off",
    ]


def test_a_kept_head_of_another_tree_is_told(ledger):
    """A head that shows another tree of a size contradicts the ledger, whoever is right."""
    forged = sign_note(Checkpoint(ORIGIN, 12, bytes(32)).body(), ledger.signer)
    [problem] = check(ledger, kept=[kept(forged)]).problems

    assert problem.says == "the auditor's copy shows another tree of 12 leaves"


def test_a_kept_head_by_a_stranger_is_told(ledger):
    """A head that the ledger's key did not sign proves nothing, even if its root is right."""
    size, root, _ = ledger.heads()[-1]
    forged = sign_note(Checkpoint(ORIGIN, size, root).body(), FileSigner.generate(ORIGIN))
    [problem] = check(ledger, kept=[kept(forged)]).problems

    assert "is not signed by a key of this ledger" in problem.says


def test_a_head_by_a_key_that_was_handed_over_is_told(ledger):
    """Who keeps the old key cannot sign what came after it."""
    old = ledger.signer
    ledger.signer = FileSigner.generate(ORIGIN)
    ledger.append(hand_over(TENANT, old, ledger.signer.verifier, datetime.now(UTC)))
    grow(ledger, "after")
    assert check(ledger).is_good, "the premise: a hand-over is no problem"
    [(size, root)] = ledger.ask("select size, root from checkpoints order by size desc limit 1")
    note = sign_note(Checkpoint(ORIGIN, size, bytes(root)).body(), old)
    with ledger.link(superuser=True) as link:
        link.execute("set session_replication_role = replica")
        link.execute("update checkpoints set note = %s where size = %s", (note.encode(), size))

    assert any("key that was in force" in problem.says for problem in check(ledger).problems)


def test_many_problems_are_counted(ledger, monkeypatch):
    """The list is bounded; what is beyond it is counted and not forgotten."""
    monkeypatch.setattr(ledger_check, "MOST_PROBLEMS", 5)
    ledger.tamper("update ledger_entries set body = body || ' '")
    found = check(ledger)

    assert len(found.problems) == 5
    assert found.not_told > 20


def test_it_may_run_beside_the_sequencer(book, monkeypatch):
    """Heads that are signed while it runs are no contradiction."""
    monkeypatch.setattr(ledger_check, "PAGE", 5)
    for number in range(5):
        grow(book, f"a{number}")
    done = threading.Event()

    def go_on() -> None:
        number = 0
        while not done.is_set():
            grow(book, f"b{number}")
            number += 1

    growing = threading.Thread(target=go_on)
    growing.start()
    try:
        for _ in range(20):
            assert check(book).problems == []
    finally:
        done.set()
        growing.join(timeout=60)
