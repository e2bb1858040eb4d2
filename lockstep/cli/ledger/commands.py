"""`lockstep ledger`: status, verify, key, checkpoint, rotate, accept-restore."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from lockstep.cli.context import (
    FAILED,
    UNUSABLE,
    ConfigOption,
    JsonOption,
    database_url,
    die,
    out,
    print_json,
    settings_or_die,
    whoami,
)
from lockstep.cli.ledger.view import entries_bar, print_state, print_verification, state_data
from lockstep.cli.runtime.init import write_private
from lockstep.domain.counting import counted
from lockstep.evidence.format.notes import (
    MAX_NOTE,
    FileSigner,
    NoteError,
    VerifierKey,
    parse_checkpoint,
    split_note,
)
from lockstep.evidence.ledger.entries import Actor, Entry, EntryKind
from lockstep.settings import Settings, SettingsError
from lockstep.settings.signing import parse_signer
from lockstep.storage.engine.database import StorageError
from lockstep.storage.engine.direct import Link, append_entry, connect
from lockstep.storage.ledger.check import Kept, Verification
from lockstep.storage.ledger.check import verify as verify_ledger
from lockstep.storage.ledger.head import HEAD_FILE, HeadFile
from lockstep.storage.ledger.keys import hand_over, read_chain
from lockstep.storage.ledger.sequencer import heartbeat
from lockstep.storage.ledger.state import Head, latest_head, read_state
from lockstep.storage.ledger.tree import restored_key
from lockstep.storage.score.refold import differing

_PATIENCE_S = 30
"""How long a fresh checkpoint may take; it needs a running worker."""
_LOOK_S = 0.2

ledger_app = typer.Typer(no_args_is_help=True, help="The ledger: its order, its heads, its key.")

KeyFile = Annotated[Path, typer.Argument(help="File of the new signing key.")]


class RestoreReason(StrEnum):
    """Why a database knows less than was signed. No free text: it stands in the ledger for ever."""

    BACKUP = "backup"
    FAILOVER = "failover"
    MOVED = "moved"


@ledger_app.command()
def status(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Show size, last head, what waits, who signs; exit 1 if nothing can be signed."""
    settings = settings_or_die(config)
    with linked(settings) as link:
        key = _configured_key(settings)
        state = read_state(link, settings.ledger_origin, key=key, file=head_file(settings))
    if as_json:
        print_json(state_data(settings, state, key))
    else:
        print_state(settings, state, key)
    raise typer.Exit(FAILED if state.refused else 0)


@ledger_app.command()
def verify(
    previous: Annotated[
        list[Path] | None,
        typer.Option(
            "--previous",
            exists=True,
            dir_okay=False,
            help="A checkpoint kept elsewhere; repeatable.",
        ),
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Hash every entry, compare with every head, fold anew; 0 verified, 1 refuted, 2 unusable."""
    settings = settings_or_die(config)
    kept = [_kept(path) for path in previous or ()]
    began = time.monotonic()
    with linked(settings, failure=UNUSABLE) as link, entries_bar("hashing") as progress:
        found = verify_ledger(
            link,
            settings.ledger_origin,
            file=head_file(settings),
            kept=kept,
            progress=progress,
        )
        _compare_facts(link, found)
    seconds = time.monotonic() - began
    if as_json:
        verdict = "verified" if found.is_good else "refuted"
        print_json(
            {"verdict": verdict, **asdict(found), "root": found.root.hex(), "seconds": seconds}
        )
    else:
        print_verification(found, seconds)
    raise typer.Exit(0 if found.is_good else FAILED)


def _compare_facts(link: Link, found: Verification) -> None:
    """Whether what the score is made of is what the entries come to."""
    if not found.is_good:
        return  # nothing follows from entries that were changed
    kept = differing(link)
    if kept.rewritten or kept.strays:
        others = kept.rewritten + len(kept.strays)
        found.tell(
            f"the kept facts of {counted(others, 'case')} are not what the entries say: a worker"
            " puts that right within a minute, or `lockstep ledger refold`"
        )


@ledger_app.command()
def key(
    new: Annotated[
        Path | None, typer.Option("--new", help="Write a new signing key to this file instead.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Print the verifier key: the auditor keeps it, and needs nothing else of ours."""
    settings = settings_or_die(config)
    if new is None:
        with _settled():
            print_plain(settings.open_signer().verifier.to_text())
        return
    made = FileSigner.generate(settings.ledger_origin)
    try:
        write_private(new, made.to_text() + "\n")
    except OSError as error:
        die(f"{new}: {error.strerror or type(error).__name__}", code=UNUSABLE)
    print_plain(made.verifier.to_text())


@ledger_app.command()
def checkpoint(
    sign: Annotated[
        bool, typer.Option("--sign", help="Ask the worker for a fresh one and wait for it.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Print the latest signed head: a few lines that fix everything that came before."""
    settings = settings_or_die(config)
    with linked(settings) as link:
        head = _fresh(link, settings) if sign else latest_head(link)
    if head is None:
        die("no head has been signed yet: is a worker running? See `lockstep ledger status`")
    typer.echo(head.note, nl=False)


@ledger_app.command()
def rotate(new_key: KeyFile, config: ConfigOption = None) -> None:
    """Hand the ledger over to a new key; the old one signs that. Repeat it if it was cut short."""
    settings = settings_or_die(config)
    with linked(settings) as link:
        old = settings.open_signer()
        try:
            new = parse_signer(new_key.read_text(), origin=settings.ledger_origin)
        except (OSError, UnicodeDecodeError, NoteError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            die(f"{new_key}: {reason}: make one with `lockstep ledger key --new`", code=UNUSABLE)
        chain = read_chain(link)
        if chain.newest is None:
            die("the ledger has no key yet: start a worker once, then rotate")
        if new.verifier == old.verifier:
            die("this is the ledger's key already: make a new one with `lockstep ledger key --new`")
        if chain.newest != new.verifier:  # else an earlier run was cut short after the entry
            chain.require(old.verifier)
            if any(term.key == new.verifier for term in chain.terms):
                die("this key has signed before: make a new one")
            append_entry(link, hand_over(settings.tenant, old, new.verifier, datetime.now(UTC)))
    out.print("Handed over. Heads are signed by the new key once it is in place:")
    _put_in_place(settings, old.verifier, new_key)
    out.print("Give your auditor the new key; packs prove the hand-over from the old one:")
    print_plain(new.verifier.to_text())


@ledger_app.command("accept-restore")
def accept_restore(
    reason: Annotated[RestoreReason, typer.Option("--reason", help="What happened.")],
    actor: Annotated[
        str, typer.Option("--as", help="Who decides \\[default: the operating system's user].")
    ] = "",
    config: ConfigOption = None,
) -> None:
    """Accept that the database knows less than was signed here; this stands in the ledger."""
    settings = settings_or_die(config)
    with linked(settings) as link:
        file = head_file(settings)
        lost = file.read()
        state = read_state(link, settings.ledger_origin, key=None, file=file)
        code, text = state.refused or ("", "the database is as it was left: nothing to accept")
        if lost is None or code != "restored":
            die(text)
        ring = settings.open_keyring()
        now = datetime.now(UTC)
        who = ring.blind_index("person", restored_key(lost), actor or whoami()).hex()[:32]
        append_entry(
            link,
            Entry(
                kind=EntryKind.LEDGER_RESTORED,
                key=restored_key(lost),
                tenant=settings.tenant,
                occurred_at=now,
                recorded_at=now,
                actor=Actor("person", who),
                data={
                    "size": lost.size,
                    "root": lost.root.hex(),
                    "found": state.leaves,
                    "reason": reason.value,
                },
            ),
        )
    out.print(
        f"Accepted, and recorded: the head of {lost.size} leaves is lost, the ledger goes on from "
        f"{state.leaves}."
    )
    out.print("Heads that auditors or anchors keep beyond that will not fit any more: tell them.")


# --- what commands share --------------------------------------------------------------------------


def head_file(settings: Settings) -> HeadFile:
    """What this machine has signed."""
    return HeadFile(settings.path(settings.data_dir) / HEAD_FILE, settings.ledger_origin)


def print_plain(text: str) -> None:
    """Something to copy: one line, however long."""
    out.print(text, markup=False, soft_wrap=True)


@contextlib.contextmanager
def _settled(failure: int = FAILED) -> Iterator[None]:
    """Known errors become one line."""
    try:
        yield
    except SettingsError as error:
        die(str(error), code=UNUSABLE)
    except StorageError as error:
        die(str(error), code=failure)
    except psycopg.errors.UndefinedTable:
        die("the schema is older than this release: run `lockstep migrate`", code=failure)
    except psycopg.Error as error:
        die(
            f"the database cannot be used ({type(error).__name__}): is `lockstep up` running? "
            "See `lockstep doctor`",
            code=failure,
        )


@contextlib.contextmanager
def linked(settings: Settings, *, failure: int = FAILED) -> Iterator[Link]:
    """A connection for one command; known errors become one line."""
    with (
        _settled(failure),
        connect(database_url(settings), application="lockstep-cli") as link,
    ):
        yield link


def _configured_key(settings: Settings) -> VerifierKey | None:
    """The configured key, or None where this process may not read it."""
    try:
        return settings.open_signer().verifier
    except SettingsError:
        return None


def _fresh(link: Link, settings: Settings) -> Head:
    """Ask by an entry, and wait for the head that covers it."""
    before = latest_head(link)
    size = before.size if before else 0
    asked = heartbeat(settings.tenant, size, datetime.now(UTC), asked=secrets.token_hex(8))
    append_entry(link, asked)
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        row = link.execute(
            """
            select 1 from ledger_leaves l join ledger_entries e on e.id = l.entry_id
             where e.key = %s and l.leaf_index < (select max(size) from checkpoints)
            """,
            (asked.key,),
        ).fetchone()
        head = latest_head(link)
        if row is not None and head is not None:
            return head
        time.sleep(_LOOK_S)
    return die(f"no fresh head within {_PATIENCE_S} s: see `lockstep ledger status`")


def _kept(path: Path) -> Kept:
    """A checkpoint from a file."""
    try:
        with path.open("rb") as file:
            note = file.read(MAX_NOTE + 1).decode()
        return Kept(str(path), parse_checkpoint(split_note(note)[0]), note)
    except (OSError, UnicodeDecodeError, NoteError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        die(
            f"{path}: {reason}: give a checkpoint as `lockstep ledger checkpoint` prints it", code=2
        )


def _put_in_place(settings: Settings, old: VerifierKey, new_key: Path) -> None:
    """Replace the key's file by the new one; the old key is kept beside it."""
    kind, _, place = settings.ledger.key.partition(":")
    path = settings.path(Path(place))
    retired = path.with_name(f"{path.name}.retired-{old.id.hex()}")
    try:
        replaced = kind == "file" and _replace(path, new_key.read_text(), retired)
    except OSError as error:  # for instance a secret that is mounted read-only
        out.print(f"  {path}: {error.strerror}", markup=False, soft_wrap=True)
        replaced = False
    if replaced:
        print_plain(f"  {path} is replaced; the old key is {retired}.")
        print_plain("  Destroy that one when no backup from before this day is kept.")
    else:
        print_plain(f"  give it to every worker as {settings.ledger.key}")


def _replace(path: Path, text: str, retired: Path) -> bool:
    """Put ``text`` into a private file of the same owner; what was there becomes ``retired``."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    write_private(fresh, text)
    owner = path.stat()
    with contextlib.suppress(PermissionError):
        os.chown(fresh, owner.st_uid, owner.st_gid)
    with contextlib.suppress(FileExistsError):  # kept by an earlier run that was cut short
        os.link(path, retired)
    fresh.replace(path)
    return True
