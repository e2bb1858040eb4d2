"""`lockstep ledger`, as operations and an auditor use it."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from lockstep.cli.ledger import commands
from lockstep.cli.ledger.commands import ledger_app
from lockstep.cli.runtime.doctor import _ledger
from lockstep.evidence.format.notes import FileSigner, VerifierKey, open_note, parse_checkpoint
from lockstep.evidence.ledger.entries import EntryKind
from lockstep.settings import load_settings
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.ledger.head import LedgerRefusedError
from lockstep.storage.ledger.lock import LOCK
from tests.support.ledgers import ORIGIN, LedgerBook, entry, settle

SETTINGS = """
tenant = "acme"
keyring = "file:keyring.json"
data_dir = "."

[database]
mode = "external"
url = "file:db"

[ledger]
key = "file:ledger.key"

[systems.badge]
connector = "manual"
"""


@pytest.fixture
def home(tmp_path, database) -> Path:
    Keyring.generate().save(tmp_path / "keyring.json")
    (tmp_path / "db").write_text(database.app_url)
    (tmp_path / "lockstep.toml").write_text(SETTINGS)
    return tmp_path


@pytest.fixture
def book(home, database):
    """A ledger whose key and head file are those of the settings."""
    made = LedgerBook(database.app_url, database.superuser_url, home)
    (home / "ledger.key").write_text(made.signer.to_text())
    yield made
    made.close()


@pytest.fixture
def ledger(book) -> LedgerBook:
    """Two heads, and nobody who goes on."""
    grow(book, "a")
    grow(book, "b")
    return book


def grow(book: LedgerBook, *keys: str) -> None:
    book.append(*(entry(EntryKind.CASE_CLOSED, key=key, number=7) for key in keys))
    sequencer = book.sequencer()
    settle(sequencer)
    sequencer.close()


async def run(home: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    given = [*arguments, "--config", str(home / "lockstep.toml")]
    with capture_logs():
        done = await asyncio.to_thread(CliRunner().invoke, ledger_app, given)
    return done.exit_code, done.stdout, done.stderr


async def test_status_tells_how_the_ledger_is(home, ledger):
    """Size, head, key, who signs, and that nothing is anchored."""
    ledger.append(entry(key="waiting"))
    code, said, _ = await run(home, "status")
    _, for_script, _ = await run(home, "status", "--json")
    told = json.loads(for_script)

    assert code == 0
    assert "4 in order, 1 wait for a place" in said
    assert "none is the sequencer" in said
    assert "could rewrite it unseen" in said
    assert ledger.signer.verifier.to_text() in said
    assert (told["leaves"], told["unplaced"], told["sealing"]) == (4, 1, False)
    assert told["head"]["root"] == ledger.heads()[-1][1].hex()
    assert told["refused"] is None
    sequencer = ledger.sequencer()
    settle(sequencer)
    assert json.loads((await run(home, "status", "--json"))[1])["sealing"] is True


async def test_status_fails_when_nothing_can_be_signed(home, ledger):
    """With another key in the file, status says why and ends with 1."""
    (home / "ledger.key").write_text(FileSigner.generate(ORIGIN).to_text())
    code, said, _ = await run(home, "status")

    assert code == 1
    assert "refused" in said
    assert "ledger.key is not the ledger's key" in said


async def test_verify_says_verified(home, ledger):
    """Everything is hashed and compared; the words say what is not checked."""
    code, said, _ = await run(home, "verify")
    code_json, for_script, _ = await run(home, "verify", "--json")
    told = json.loads(for_script)

    assert (code, code_json) == (0, 0)
    assert "Verified" in said
    assert "Not checked" in said
    assert (told["verdict"], told["leaves"], told["heads"]) == ("verified", 4, 2)
    assert told["root"] == ledger.heads()[-1][1].hex()


async def test_verify_refutes_and_names_the_leaf(home, ledger):
    """An entry that a superuser edited is named, for people and for scripts."""
    ledger.tamper("update ledger_entries set body = body || ' ' where key = 'b'")
    code, said, _ = await run(home, "verify")
    _, for_script, _ = await run(home, "verify", "--json")
    told = json.loads(for_script)

    assert code == 1
    assert "the entry of leaf 3 was changed" in said
    assert told["verdict"] == "refuted"
    assert told["problems"][0]["leaf"] == 3


async def test_verify_compares_with_a_kept_checkpoint(home, ledger):
    """A tail that was cut, head file and all, is found by what the auditor kept."""
    _, note, _ = await run(home, "checkpoint")
    (home / "kept.txt").write_text(note)
    ledger.tamper(
        "delete from checkpoints where size > 3",
        "delete from ledger_entries where id in"
        " (select entry_id from ledger_leaves where leaf_index >= 3)",
        "delete from ledger_leaves where leaf_index >= 3",
    )
    (home / "ledger-head").unlink()

    assert (await run(home, "verify"))[0] == 0
    code, said, _ = await run(home, "verify", "--previous", str(home / "kept.txt"))
    assert code == 1
    assert "kept.txt covers 4 leaves, but there are 3: cut off" in said


async def test_verify_cannot_use_what_is_no_ledger(home, ledger):
    """No database, or a checkpoint that is none: 2, which is neither verified nor refuted."""
    (home / "kept.txt").write_text("hello\n")
    code, _, said = await run(home, "verify", "--previous", str(home / "kept.txt"))
    assert code == 2
    assert "kept.txt" in said
    (home / "db").write_text("postgresql://nobody@/nowhere?host=/nonexistent")
    code, _, said = await run(home, "verify")
    assert code == 2
    assert "the database cannot be used" in said


async def test_the_key_is_printed_for_the_auditor(home, ledger):
    """One line that parses as a verifier key, and never the signing key."""
    code, said, _ = await run(home, "key")

    assert code == 0
    assert VerifierKey.parse(said.strip()) == ledger.signer.verifier
    assert "PRIVATE" not in said


async def test_a_new_key_is_private_and_overwrites_nothing(home, ledger):
    """It is written for its owner only; an existing file stays."""
    code, said, _ = await run(home, "key", "--new", str(home / "new.key"))
    made = FileSigner.parse((home / "new.key").read_text())

    assert code == 0
    assert VerifierKey.parse(said.strip()) == made.verifier
    assert (home / "new.key").stat().st_mode & 0o777 == 0o600
    code, _, error = await run(home, "key", "--new", str(home / "new.key"))
    assert (code, made) == (2, FileSigner.parse((home / "new.key").read_text()))
    assert "exists" in error


async def test_the_latest_head_is_printed_as_signed(home, ledger):
    """The note's exact bytes, which anybody with the key can open."""
    code, note, _ = await run(home, "checkpoint")
    body, signers = open_note(note, [ledger.signer.verifier])

    assert code == 0
    assert signers
    assert parse_checkpoint(body).size == 4


async def test_a_fresh_head_is_asked_for(home, ledger):
    """`--sign` waits for a head that covers everything up to now."""
    done = threading.Event()

    def seal() -> None:
        sequencer = ledger.sequencer()
        while not done.is_set():
            sequencer.step()
            done.wait(0.05)

    sealing = threading.Thread(target=seal)
    sealing.start()
    try:
        code, note, _ = await run(home, "checkpoint", "--sign")
    finally:
        done.set()
        sealing.join(timeout=60)

    assert code == 0
    assert parse_checkpoint(open_note(note, [ledger.signer.verifier])[0]).size == 5
    assert ledger.kinds()[-1] == "ledger:heartbeat"


async def test_nobody_to_sign_is_said(home, ledger, monkeypatch):
    """Without a worker there is no fresh head, and the wait ends."""
    monkeypatch.setattr(commands, "_PATIENCE_S", 1)
    code, _, said = await run(home, "checkpoint", "--sign")

    assert code == 1
    assert "no fresh head within 1 s" in said


async def test_rotation(home, ledger):
    """The old key names the new one, the file is replaced, and the sequencer goes on by it."""
    settings = load_settings(home / "lockstep.toml")
    running = ledger.sequencer(open_signer=settings.open_signer)
    settle(running)
    await run(home, "key", "--new", str(home / "new.key"))
    code, said, _ = await run(home, "rotate", str(home / "new.key"))
    new = FileSigner.parse((home / "new.key").read_text())

    assert code == 0
    assert new.verifier.to_text() in said
    assert FileSigner.parse((home / "ledger.key").read_text()) == new
    assert (home / "ledger.key").stat().st_mode & 0o777 == 0o600
    [retired] = home.glob("ledger.key.retired-*")
    assert FileSigner.parse(retired.read_text()) == ledger.signer
    settle(running)
    running.close()
    assert (await run(home, "verify"))[0] == 0
    _, note, _ = await run(home, "checkpoint")
    assert open_note(note, [new.verifier])[1]
    assert not open_note(note, [ledger.signer.verifier])[1]


async def test_a_rotation_that_was_cut_short_is_finished(home, ledger):
    """The entry stands but the file is the old one: the same command ends it, without a second."""
    await run(home, "key", "--new", str(home / "new.key"))
    await run(home, "rotate", str(home / "new.key"))
    (home / "ledger.key").write_text(ledger.signer.to_text())
    code, _, _ = await run(home, "rotate", str(home / "new.key"))

    assert code == 0
    assert (home / "ledger.key").read_text() == (home / "new.key").read_text()
    grow_by_file(ledger, home)
    assert ledger.kinds().count("ledger:key_handed_over") == 1


def grow_by_file(book: LedgerBook, home: Path) -> None:
    settings = load_settings(home / "lockstep.toml")
    sequencer = book.sequencer(open_signer=settings.open_signer)
    settle(sequencer)
    sequencer.close()


@pytest.mark.parametrize("fault", ["same", "stranger", "retired", "unreadable", "other ledger"])
async def test_a_rotation_that_makes_no_sense_is_refused(home, ledger, fault):
    """By a key that is not the ledger's, to itself, back to an old one, to another's: no entry."""
    new = home / "new.key"
    new.write_text(FileSigner.generate(ORIGIN).to_text())
    if fault == "same":
        new.write_text(ledger.signer.to_text())
    if fault == "stranger":
        (home / "ledger.key").write_text(FileSigner.generate(ORIGIN).to_text())
    if fault == "retired":
        await run(home, "rotate", str(new))
        new.write_text(ledger.signer.to_text())
    if fault == "unreadable":
        new.write_text("PRIVATE+KEY+nonsense")
    if fault == "other ledger":
        new.write_text(FileSigner.generate("acme/another").to_text())
    before = ledger.ask("select count(*) from ledger_entries")
    key = (home / "ledger.key").read_text()
    code, _, said = await run(home, "rotate", str(new))

    assert code in {1, 2}
    assert said
    assert "PRIVATE" not in said
    assert ledger.ask("select count(*) from ledger_entries") == before
    assert (home / "ledger.key").read_text() == key


async def test_a_restore_is_accepted_and_recorded(home, ledger):
    """The sequencer refuses until a person has said why; the entry names sizes and no person."""
    ledger.tamper(
        "delete from checkpoints where size > 3",
        "delete from ledger_entries where id in"
        " (select entry_id from ledger_leaves where leaf_index >= 3)",
        "delete from ledger_leaves where leaf_index >= 3",
    )
    with pytest.raises(LedgerRefusedError):
        settle(ledger.sequencer())
    assert (await run(home, "status"))[0] == 1
    code, said, _ = await run(
        home, "accept-restore", "--reason", "backup", "--as", "dpo@example.com"
    )

    assert code == 0
    assert "head of 4 leaves is lost" in said
    settle(ledger.sequencer())
    ledger.close()
    [entry_] = [json.loads(b) for b in ledger.bodies() if b'"kind":"ledger:restored"' in b]
    assert entry_["data"] == {
        "found": 3,
        "reason": "backup",
        "root": entry_["data"]["root"],
        "size": 4,
    }
    assert "dpo" not in json.dumps(entry_)
    assert (await run(home, "status"))[0] == 0
    assert (await run(home, "verify"))[0] == 0


async def test_nothing_to_accept(home, ledger):
    """A ledger that is in order needs no acceptance, and gets no entry; nor one that is damaged."""
    code, _, said = await run(home, "accept-restore", "--reason", "backup")
    assert code == 1
    assert "nothing to accept" in said
    ledger.tamper("update checkpoints set root = sha256(root)")
    code, _, said = await run(home, "accept-restore", "--reason", "backup")
    assert code == 1
    assert "lockstep ledger verify" in said
    assert ledger.ask("select count(*) from ledger_entries") == [(4,)]


async def test_a_lock_that_is_held_is_no_progress(home, ledger):
    """Somebody holds the sequencer's lock and places nothing: doctor and status say since when."""
    ledger.append(entry(key="old"))
    ledger.tamper("update ledger_entries set recorded_at = now() - interval '1h' where key = 'old'")
    settings = load_settings(home / "lockstep.toml")
    with ledger.link() as holder:
        holder.execute("select pg_advisory_lock(%s)", (LOCK,))
        told = _ledger(settings)
        code, said, _ = await run(home, "status")
    assert (told.level, told.says.partition(" 2")[0]) == ("problem", "not in order since")
    assert "places nothing" in told.fix
    assert code == 0
    assert "one holds the sequencer's lock; not in order since 2" in " ".join(said.split())
    assert "Start `lockstep worker`" in _ledger(settings).fix, "without the lock, another remedy"


async def test_doctor_tells_in_one_line(home, ledger):
    """In order while a worker signs; a problem when none does, or when nothing can be signed."""
    settings = load_settings(home / "lockstep.toml")
    idle = _ledger(settings)
    assert (idle.level, idle.says.partition(";")[0]) == ("problem", "no worker signs it")
    sequencer = ledger.sequencer()
    settle(sequencer)
    fine = _ledger(settings)
    assert fine.level == "ok"
    assert fine.says.startswith("4 entries in order, 0 waiting; last head ")
    assert ledger.signer.verifier.id.hex() in fine.says
    ledger.append(entry(key="old"))
    ledger.tamper("update ledger_entries set recorded_at = now() - interval '1h' where key = 'old'")
    assert _ledger(settings).says.startswith("not in order since ")
    (home / "ledger.key").write_text(FileSigner.generate(ORIGIN).to_text())
    assert "is not the ledger's key" in _ledger(settings).says
    (home / "db").write_text("postgresql://nobody@/nowhere?host=/nonexistent")
    assert _ledger(settings).says == "cannot be looked at"
