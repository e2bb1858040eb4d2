"""What a reader gives to a check, from the command line: keys and files."""

from __future__ import annotations

from pathlib import Path

from lockstep.evidence.format.notes import MAX_NOTE, NoteError, VerifierKey, split_note
from lockstep.evidence.verify.heads.heads import WitnessKey
from lockstep.evidence.verify.report import UnusableError

_MAX_FILE = 1024 * 1024


def read_key(text: str) -> VerifierKey:
    """A verifier key, written out or in a file.

    Raises:
        UnusableError: if it is none.
    """
    try:
        return VerifierKey.parse(_text_or_file(text))
    except NoteError as error:
        raise UnusableError(f"the key cannot be used: {error}") from None


def read_witness(text: str) -> WitnessKey:
    """A witness's key, written out or in a file; raises `UnusableError`."""
    return WitnessKey.parse(_text_or_file(text))


def read_note(path: Path) -> str:
    """A signed checkpoint that the reader kept.

    Raises:
        UnusableError: if the file is none.
    """
    try:
        note = read_file(path).decode()
        split_note(note)
    except (UnicodeDecodeError, NoteError):
        raise UnusableError(f"{path} is no signed checkpoint") from None
    return note


def read_file(path: Path) -> bytes:
    """A small file; raises `UnusableError`."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise UnusableError(f"{path} cannot be read: {error.strerror}") from None
    if len(raw) > _MAX_FILE:
        raise UnusableError(f"{path} is larger than such a file is")
    return raw


def _text_or_file(text: str) -> str:
    """A key has two plus signs; anything else is taken for the name of a file."""
    if text.count("+") > 1 and len(text) < MAX_NOTE:
        return text
    try:
        return read_file(Path(text)).decode().strip()
    except UnicodeDecodeError:
        raise UnusableError(f"{text} holds no key") from None
