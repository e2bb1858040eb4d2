"""Checking packs in tests, and asking the report short questions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lockstep.evidence.format.notes import Checkpoint, sign_note
from lockstep.evidence.pack import layout
from lockstep.evidence.verify.check import verify_pack
from lockstep.evidence.verify.report import Report, Verdict
from tests.evidence.ledgers import ORIGIN, Book
from tests.evidence.packs import Files, tree_of


def check(tmp_path: Path, raw: bytes, book: Book, **held: Any) -> Report:
    """Check the bytes of a pack with the key of a book, unless another is given."""
    path = tmp_path / "pack.zip"
    path.write_bytes(raw)
    return verify_pack(path, **{"keys": [book.signer.verifier], **held})


def verdict(report: Report, number: int) -> Verdict:
    return report.steps[number - 1].verdict


def told(report: Report, number: int) -> str:
    """What a step says, details included."""
    step = report.steps[number - 1]
    return "\n".join([step.sentence, *step.details])


def failed(report: Report) -> set[int]:
    return {step.number for step in report.steps if step.verdict is Verdict.FAIL}


def warned(report: Report) -> set[int]:
    return {step.number for step in report.steps if step.verdict is Verdict.WARN}


def edit(name: str, old: bytes, new: bytes) -> Callable[[Files], None]:
    """Replace one place of one file."""

    def change(files: Files) -> None:
        assert files[name].count(old) >= 1
        files[name] = files[name].replace(old, new, 1)

    return change


def drop(name: str) -> Callable[[Files], None]:
    return lambda files: files.pop(name)


def put(name: str, raw: bytes) -> Callable[[Files], None]:
    return lambda files: files.update({name: raw})


def all_of(*changes: Callable[[Files], None]) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        for one in changes:
            one(files)

    return change


def rewrite(book: Book, lines: list[bytes]) -> Callable[[Files], None]:
    """An operator who writes another ledger and signs its head with the true key."""
    tree = tree_of(lines)
    note = sign_note(Checkpoint(ORIGIN, tree.size, tree.root()).body(), book.signer)
    return all_of(
        put(layout.ENTRIES, b"".join(line + b"\n" for line in lines)),
        put(layout.CHECKPOINT, note.encode()),
        put(layout.CHECKPOINTS, b""),
        put(layout.CONSISTENCY, b"{}\n"),
    )


def recount(**counts: int) -> Callable[[dict[str, Any]], None]:
    """The statement counts as the operator likes."""
    return lambda predicate: predicate["counts"].update(counts)
