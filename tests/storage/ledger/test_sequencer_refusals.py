"""What makes the sequencer refuse to sign: another key, another past, a changed present."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
import pytest

from lockstep.evidence.format.canonical import leaf_hash
from lockstep.evidence.format.notes import FileSigner, VerifierKey
from lockstep.evidence.ledger.entries import EntryKind
from lockstep.storage.engine.direct import append_entry
from lockstep.storage.ledger.head import LedgerRefusedError
from lockstep.storage.ledger.keys import hand_over, read_chain
from lockstep.storage.ledger.tree import restored_key
from tests.support.ledgers import (
    ORIGIN,
    TENANT,
    LedgerBook,
    advisory_locks,
    entry,
    settle,
)


def refused(book: LedgerBook, code: str, **changes: object) -> str:
    """A new sequencer refuses for this reason, writes nothing, and lets others try; its words."""
    before = written(book)
    sequencer = book.sequencer(**changes)
    with pytest.raises(LedgerRefusedError) as caught:
        settle(sequencer)
    assert caught.value.code == code
    assert written(book) == before
    assert advisory_locks(book) == 0
    return str(caught.value)


def written(book: LedgerBook) -> list[tuple]:
    """Order and heads, whatever state they are in."""
    order = book.ask("select leaf_index, entry_id from ledger_leaves order by leaf_index")
    return order + book.ask("select size, root, note from checkpoints order by size")


def grown(book: LedgerBook, *keys: str) -> None:
    """Entries with a head over each of them."""
    for key in keys:
        book.append(entry(EntryKind.CASE_CLOSED, key=key))
        sequencer = book.sequencer()
        settle(sequencer)
        sequencer.close()


def test_another_key_is_refused(book):
    """A key that the ledger never named signs nothing; the error says which one is expected."""
    grown(book, "a")
    stranger = FileSigner.generate(ORIGIN)
    book.append(entry(EntryKind.CASE_CLOSED, key="b"))

    said = refused(book, "key_differs", open_signer=lambda: stranger)

    assert book.signer.verifier.to_text() in said
    assert "lockstep ledger rotate" in said


def test_a_key_that_cannot_be_read_is_refused(book):
    """Whatever is wrong with the key file is said in its own words."""

    def unreadable():
        raise ValueError("ledger.key: there is no such file")

    assert "ledger.key: there is no such file" in refused(
        book, "key_unusable", open_signer=unreadable
    )


def test_a_hand_over_lets_the_new_key_sign_and_no_longer_the_old(book):
    """From the entry of the hand-over on, heads carry the new key's signature."""
    grown(book, "a")
    old, new = book.signer, FileSigner.generate(ORIGIN)
    book.append(hand_over(TENANT, old, new.verifier, datetime.now(UTC)))
    running = book.sequencer(open_signer=lambda: book.signer)
    with pytest.raises(LedgerRefusedError, match="was handed over to") as caught:
        settle(running)
    assert caught.value.code == "key_handed_over"

    book.signer = new  # the file is replaced; the same process goes on
    settle(running)

    with book.link() as link:
        chain = read_chain(link)
    sizes = [size for (size,) in book.ask("select size from checkpoints order by size")]
    assert [chain.at(size) for size in sizes] == [old.verifier, new.verifier]
    book.trusted = lambda: [old.verifier, new.verifier]
    assert [reason for _, _, reason in book.heads()] == ["case:closed", "ledger:key_handed_over"]
    running.close()
    refused(book, "key_handed_over", open_signer=lambda: old)


def test_a_running_sequencer_notices_a_hand_over(book):
    """The old key signs nothing that covers the hand-over, not even in the same pass."""
    sequencer = book.sequencer()
    settle(sequencer)
    new = FileSigner.generate(ORIGIN)
    book.append(hand_over(TENANT, book.signer, new.verifier, datetime.now(UTC)))
    book.append(entry(EntryKind.CASE_CLOSED, key="after"))

    with pytest.raises(LedgerRefusedError):
        settle(sequencer)

    assert [size for size, _, _ in book.heads()] == [2]
    assert book.unplaced() == 0


def test_a_key_has_one_successor(book):
    """A second hand-over by the same key does not stand."""
    grown(book, "a")
    first, second = FileSigner.generate(ORIGIN), FileSigner.generate(ORIGIN)
    now = datetime.now(UTC)
    book.append(hand_over(TENANT, book.signer, first.verifier, now))

    with book.link() as link:
        assert not append_entry(link, hand_over(TENANT, book.signer, second.verifier, now))
        assert read_chain(link).newest == first.verifier


@pytest.mark.parametrize("fault", ["signature", "from", "back"])
def test_a_hand_over_that_is_not_signed_by_the_old_key_is_refused(book, fault):
    """A forged successor, a hand-over from another key, or back to an earlier one stops it all."""
    grown(book, "a")
    new, other = FileSigner.generate(ORIGIN), FileSigner.generate(ORIGIN)
    to = book.signer.verifier if fault == "back" else new.verifier
    said = hand_over(TENANT, book.signer, to, datetime.now(UTC))
    if fault == "signature":
        said.data["signature"] = base64.b64encode(other.sign(b"x")).decode()
    if fault == "from":
        said.data["from"] = other.verifier.to_text()
    book.append(said)

    refused(book, "key_chain")


@dataclass
class Backup:
    """Everything in the ledger's tables at one moment."""

    book: LedgerBook

    def __post_init__(self) -> None:
        tables = ("ledger_entries", "ledger_leaves", "checkpoints")
        self.marks = {
            table: self.book.ask(f"select coalesce(max({column}), -1) from {table}")[0][0]
            for table, column in zip(tables, ("id", "leaf_index", "size"), strict=True)
        }

    def restore(self) -> None:
        columns = {"ledger_entries": "id", "ledger_leaves": "leaf_index", "checkpoints": "size"}
        self.book.tamper(
            *(
                f"delete from {table} where {columns[table]} > {mark}"
                for table, mark in self.marks.items()
            )
        )


def test_a_database_restored_from_an_old_backup_is_refused(book):
    """The head file remembers what was signed; the error says what is missing and what to do."""
    grown(book, "a")
    backup = Backup(book)
    grown(book, "b", "c")
    backup.restore()

    said = refused(book, "restored")

    assert "head of 5 leaves was signed" in said
    assert "has 3 leaves" in said
    assert "lockstep ledger accept-restore" in said


def test_a_restored_database_that_has_grown_again_is_refused(book):
    """As many leaves as before, but others: another tree of a size that was signed."""
    grown(book, "a")
    backup = Backup(book)
    grown(book, "b")
    backup.restore()
    somewhere_else = book.head.path.with_name("another-machine")
    elsewhere = book.sequencer(head=type(book.head)(somewhere_else, ORIGIN))
    book.append(entry(EntryKind.CASE_CLOSED, key="x"), entry(EntryKind.CASE_CLOSED, key="y"))
    settle(elsewhere)
    elsewhere.close()

    assert "shows another tree" in refused(book, "restored")


def test_a_restore_that_was_accepted_is_signed_over(book):
    """After a person has said so, in the ledger itself, the sequencer goes on from here."""
    grown(book, "a")
    backup = Backup(book)
    grown(book, "b")
    backup.restore()
    lost = book.head.read()
    book.append(entry(EntryKind.LEDGER_RESTORED, key=restored_key(lost)))

    settle(book.sequencer())

    assert book.kinds()[-1] == "ledger:restored"
    assert book.heads()[-1][0] == book.head.read().size == 4


def test_another_acceptance_does_not_do(book):
    """Accepting one loss does not accept the next."""
    grown(book, "a")
    backup = Backup(book)
    grown(book, "b")
    backup.restore()
    lost = book.head.read()
    book.append(entry(EntryKind.LEDGER_RESTORED, key=restored_key(lost)))
    grown(book, "c", "d")
    backup.restore()

    refused(book, "restored")


def test_a_machine_that_has_signed_nothing_may_begin(book):
    """Another machine takes over without a head file, and has one from then on."""
    grown(book, "a")
    book.head.path.unlink()
    grown(book, "b")

    assert book.head.read().size == 4


@pytest.mark.parametrize("text", ["", "nonsense", f"{ORIGIN}\n5\nAAAA\n"])
def test_a_head_file_that_cannot_be_read_is_refused(book, text):
    """A damaged head file is not taken for a missing one."""
    grown(book, "a")
    book.head.path.write_text(text)

    assert "restore it" in refused(book, "head_unreadable")


def test_the_head_file_of_another_ledger_is_refused(book):
    """Two ledgers must not share a data folder."""
    grown(book, "a")
    book.head.path.write_text(book.head.path.read_text().replace("acme", "other"))

    refused(book, "head_of_another")


def test_no_head_is_signed_that_cannot_be_remembered(book):
    """Where the head file cannot be written, entries are placed and nothing is signed."""
    book.head.path.parent.joinpath("ledger-head").mkdir()
    sequencer = book.sequencer()
    with pytest.raises(LedgerRefusedError, match=r"ledger-head cannot be read"):
        settle(sequencer)
    book.head.path.rmdir()
    blocked = type(book.head)(book.head.path / "no" / "folder", ORIGIN)
    book.head.path.write_text("a file where a folder should be")
    other = book.sequencer(head=blocked)
    with pytest.raises(LedgerRefusedError):
        settle(other)

    assert book.heads() == []


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("update checkpoints set frontier = sha256(frontier)", "head_broken"),
        ("update checkpoints set frontier = sha256('x') || sha256('y')", "head_broken"),
        ("update checkpoints set root = sha256(root)", "head_broken"),
        ("update checkpoints set note = sha256(note)", "head_broken"),
        ("update checkpoints set note = 'x'", "head_broken"),
        ("delete from ledger_leaves where leaf_index = 2", "tail_missing"),
        ("delete from ledger_leaves where leaf_index = 1", "order_broken"),
        ("update ledger_leaves set leaf_index = 99 where leaf_index = 2", "order_broken"),
    ],
)
def test_a_tree_that_is_not_as_it_was_left_is_refused(book, statement, code):
    """Whoever changes order or heads behind our back stops the signing."""
    grown(book, "a")
    assert [size for size, _, _ in book.heads()] == [3]
    book.tamper(statement)

    refused(book, code)


def test_an_entry_that_is_gone_is_noticed(book):
    """A leaf after the last head whose entry is missing stops the signing."""
    sequencer = book.sequencer()
    settle(sequencer)
    book.append(entry(key="quiet"))
    settle(sequencer)
    sequencer.close()
    book.tamper("delete from ledger_entries where key = 'quiet'")

    with pytest.raises(LedgerRefusedError) as caught:
        settle(book.sequencer())
    assert caught.value.code == "entry_missing"


def test_a_head_signed_under_another_name_is_refused(book):
    """The ledger's name never changes."""
    grown(book, "a")
    refused(book, "origin_differs", origin="acme/another")


def test_an_entry_that_changed_before_it_was_placed_is_refused(book):
    """What is sealed is what was hashed when it was written."""
    settle(book.sequencer())
    book.close()
    book.append(entry(key="honest"))
    book.tamper("update ledger_entries set body = body || ' ' where key = 'honest'")

    assert "was changed before it was sealed" in refused(book, "entry_altered")


class Impostor(FileSigner):
    """Says one key and signs by another."""

    @property
    def verifier(self) -> VerifierKey:
        return VerifierKey(ORIGIN, bytes(32))


def test_a_key_service_that_signs_by_another_key_is_noticed(book):
    """Nothing is stored that the ledger's key does not verify."""
    impostor = Impostor(ORIGIN, book.signer.private)
    sequencer = book.sequencer(open_signer=lambda: impostor)

    with pytest.raises(LedgerRefusedError) as caught:
        settle(sequencer)

    assert caught.value.code == "signature_wrong"
    assert book.heads() == []
    assert book.head.read() is None


def test_stored_leaf_hashes_are_those_of_the_bytes(book):
    """The premise of the checks above: an honest entry fits its own hash."""
    body = entry(key="k").to_bytes()
    book.append(entry(key="k2"))
    [(stored, raw)] = book.ask("select leaf_hash, body from ledger_entries where key = 'k2'")

    assert leaf_hash(bytes(raw)) == bytes(stored) != leaf_hash(body)


def test_the_application_cannot_take_a_place_back(book):
    """The role that the sequencer works with can neither move a leaf nor replace a head."""
    grown(book, "a")
    for statement in ("delete from ledger_leaves", "update checkpoints set root = 'x'"):
        with book.link() as link, pytest.raises(psycopg.errors.InsufficientPrivilege):
            link.execute(statement.encode())
