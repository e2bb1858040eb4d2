"""One pack for each way of cheating; each is refuted by the step that is there for it.

"Operator" is whoever holds the signing key: what is changed by ``forge`` is signed by the true
key, and only recomputation or somebody else's memory can find it.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from lockstep.evidence.format.notes import FileSigner
from lockstep.evidence.format.plain import instant_text, plain_bytes
from lockstep.evidence.pack import layout
from lockstep.evidence.verify.report import Level, Verdict
from tests.evidence.ledgers import (
    DAY,
    ORIGIN,
    START,
    Book,
    place_of,
    story,
)
from tests.evidence.packs import files_of, make_pack, scope_of
from tests.evidence.verdicts import (
    check,
    drop,
    edit,
    failed,
    put,
    recount,
    told,
    verdict,
)


@pytest.fixture(scope="module")
def book() -> Book:
    return story()


def copy_of(book: Book) -> Book:
    return dataclasses.replace(book, entries=list(book.entries))


def earlier(raw: bytes) -> bytes:
    """An outcome with access off at the cutoff's very instant."""
    entry = json.loads(raw)
    entry["data"]["revoked_at"] = instant_text(START + 20 * DAY)
    return plain_bytes(entry)


# --- entries --------------------------------------------------------------------------------------


def lines_with(change: str, book: Book) -> list[bytes]:
    lines = list(book.entries)
    place = place_of(book, "clate", "revocation:outcome")
    match change:
        case "edited":
            lines[place] = earlier(lines[place])
        case "dropped":
            del lines[place]
        case "swapped":
            lines[place], lines[place + 1] = lines[place + 1], lines[place]
        case "added":
            lines.insert(place, lines[place].replace(b"outcome:", b"outcome:again:"))
        case "cut":
            del lines[-1]
    return lines


CHANGES = ["edited", "dropped", "swapped", "added", "cut"]


@pytest.mark.parametrize("change", CHANGES)
def test_entries_changed_after_signing(book: Book, tmp_path: Path, change: str) -> None:
    """The file is not as stated, and the tree is another one."""
    raw = b"".join(line + b"\n" for line in lines_with(change, book))
    report = check(tmp_path, make_pack(book, tamper=put(layout.ENTRIES, raw)), book)
    assert failed(report) == {3, 5}
    assert f"{layout.ENTRIES} was changed" in told(report, 3)
    assert report.level is Level.NONE


@pytest.mark.parametrize("change", CHANGES)
def test_entries_changed_under_a_new_statement(book: Book, tmp_path: Path, change: str) -> None:
    """The operator signs the statement anew: the signed head still knows the true tree."""
    raw = b"".join(line + b"\n" for line in lines_with(change, book))
    report = check(tmp_path, make_pack(book, forge=put(layout.ENTRIES, raw)), book)
    assert failed(report) == {5}
    word = "added or taken away" if change in {"dropped", "added", "cut"} else "changed or swapped"
    assert word in told(report, 5)


@pytest.mark.parametrize("change", CHANGES)
def test_history_rewritten_under_a_new_head(book: Book, tmp_path: Path, change: str) -> None:
    """The operator signs another tree: whoever kept a checkpoint notices."""
    other = copy_of(book)
    other.entries = lines_with(change, book)
    kept = book.checkpoint()
    report = check(tmp_path, make_pack(other, older=()), book, previous=kept)
    assert failed(report) == {6}
    assert "Your previous checkpoint" in told(report, 6)


def test_a_tree_signed_with_another_key(book: Book, tmp_path: Path) -> None:
    """A thief without the key writes everything anew: nothing is signed by yours."""
    thief = FileSigner.generate(ORIGIN)
    report = check(tmp_path, make_pack(book, signer=thief), book)
    assert failed(report) == {2, 4}
    assert "not signed by the key that you gave" in told(report, 2)
    assert "not signed by the key that you gave" in told(report, 4)


def test_a_head_signed_with_another_key(book: Book, tmp_path: Path) -> None:
    """The statement is the operator's, the head is not."""
    thief = FileSigner.generate(ORIGIN)
    note = book.checkpoint(signer=thief)
    report = check(tmp_path, make_pack(book, checkpoint=note), book)
    assert failed(report) == {4}


def test_an_old_pack_replayed_as_new(book: Book, tmp_path: Path) -> None:
    """A pack of an earlier head does not contain the head that the reader kept."""
    old = make_pack(book, size=57)
    assert check(tmp_path, old, book).is_verified
    report = check(tmp_path, old, book, previous=book.checkpoint(100))
    assert failed(report) == {6}
    assert "old pack is shown as new" in told(report, 6)


def test_a_pack_that_does_not_show_that_it_continues(book: Book, tmp_path: Path) -> None:
    """Asked for and not shown is not verified."""
    scope = scope_of(case_id="clate", sample_n=0, seed="")
    report = check(tmp_path, make_pack(book, scope=scope), book, previous=book.checkpoint(90))
    assert failed(report) == {6}
    assert "ask for one" in told(report, 6)


def test_a_wrong_consistency_proof(book: Book, tmp_path: Path) -> None:
    """A proof for another beginning proves nothing."""
    scope = scope_of(case_id="clate", sample_n=0, seed="")
    proofs = json.loads(files_of(make_pack(book, scope=scope, previous=90))[layout.CONSISTENCY])
    proofs["90"][0] = "00" * 32
    forge = put(layout.CONSISTENCY, json.dumps(proofs).encode())
    raw = make_pack(book, scope=scope, forge=forge)
    report = check(tmp_path, raw, book, previous=book.checkpoint(90))
    assert failed(report) == {6}


def test_an_older_head_of_another_tree(book: Book, tmp_path: Path) -> None:
    """Two trees of one size, both signed: the log has two faces."""
    other = copy_of(book)
    other.entries[3] = b'{"another":1}'
    forge = put(layout.CHECKPOINTS, other.checkpoint(10).encode())
    report = check(tmp_path, make_pack(book, forge=forge), book)
    assert failed(report) == {6}
    assert "a head in the pack" in told(report, 6).lower()


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [layout.README, layout.LEAVERS, layout.SCORE, layout.SAMPLE])
def test_a_file_changed(book: Book, tmp_path: Path, name: str) -> None:
    """Found by its digest, whatever the file is."""

    def change(files: dict[str, bytes]) -> None:
        files[name] = files[name] + b"\n"

    report = check(tmp_path, make_pack(book, tamper=change), book)
    assert failed(report) == {3}
    assert f"{name} was changed" in told(report, 3)


@pytest.mark.parametrize("name", [layout.README, layout.EXCEPTIONS, layout.CHECKPOINTS])
def test_a_file_removed(book: Book, tmp_path: Path, name: str) -> None:
    """The statement names it."""
    report = check(tmp_path, make_pack(book, tamper=drop(name)), book)
    assert failed(report) == {3}
    assert f"{name} is missing" in told(report, 3)


def test_a_file_added(book: Book, tmp_path: Path) -> None:
    """The statement does not name it."""
    report = check(tmp_path, make_pack(book, tamper=put("note.txt", b"trust me")), book)
    assert failed(report) == {3}
    assert "note.txt was added" in told(report, 3)


@pytest.mark.parametrize("name", [layout.EXCEPTIONS, layout.SAMPLE, layout.PERIOD_SCORE])
def test_a_file_left_out_by_the_operator(book: Book, tmp_path: Path, name: str) -> None:
    """A statement that does not name a file that every pack has is no excuse."""
    report = check(tmp_path, make_pack(book, forge=drop(name)), book)
    assert 3 in failed(report)
    assert "every pack has one" in told(report, 3)


def test_steps_whose_files_failed_are_not_done(book: Book, tmp_path: Path) -> None:
    """A changed score is not compared any more: it is known to be a lie."""
    report = check(tmp_path, make_pack(book, tamper=edit(layout.SCORE, b"0.00", b"9.99")), book)
    assert failed(report) == {3}
    assert verdict(report, 11) is Verdict.NOT_CHECKED
    assert verdict(report, 10) is Verdict.PASS


# --- population -----------------------------------------------------------------------------------


def row_of(raw: bytes, start: bytes) -> bytes:
    return next(row for row in raw.splitlines(keepends=True) if row.startswith(start))


@pytest.mark.parametrize(
    ("name", "row"),
    [
        (layout.LEAVERS, b"clate,"),
        (layout.LEAVERS, b"cwaived,"),
        (layout.LEAVER_SYSTEMS, b"clate,okta,"),
        (layout.EXCEPTIONS, b"clate,okta,late"),
        (layout.NOT_IN_POPULATION, b"cgone,"),
        (layout.SYSTEMS, b""),
    ],
)
def test_a_row_removed(book: Book, tmp_path: Path, name: str, row: bytes) -> None:
    """Named, even though the operator signed the shorter file."""

    def forge(files: dict[str, bytes]) -> None:
        gone = row_of(files[name], row) if row else files[name].splitlines(keepends=True)[-1]
        files[name] = files[name].replace(gone, b"")

    report = check(tmp_path, make_pack(book, forge=forge), book)
    assert failed(report) == {10}
    assert "is missing" in told(report, 10)
    assert row.decode().strip(",").replace(",", " ") in told(report, 10)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        (layout.LEAVERS, b"cnobody" + b"," * 26),
        (layout.LEAVERS, b"cgone" + b"," * 26),
        (layout.LEAVERS, b"cinvented" + b"," * 26),
        (layout.LEAVER_SYSTEMS, b"clate,other" + b"," * 16),
        (layout.EXCEPTIONS, b"clate,okta,waived" + b"," * 8),
        (layout.NOT_IN_POPULATION, b"clate" + b"," * 13),
    ],
)
@pytest.mark.parametrize("at_the_end", [True, False])
def test_a_row_added(
    book: Book, tmp_path: Path, name: str, row: bytes, *, at_the_end: bool
) -> None:
    """A row that does not follow from the entries is named, wherever it stands."""

    def forge(files: dict[str, bytes]) -> None:
        rows = files[name].splitlines(keepends=True)
        rows.insert(len(rows) if at_the_end else 1, row + b"\r\n")
        files[name] = b"".join(rows)

    report = check(tmp_path, make_pack(book, forge=forge), book)
    assert failed(report) == {10}
    assert "does not follow from the entries" in told(report, 10)
    assert "is missing" not in told(report, 10)


def test_a_row_told_twice(book: Book, tmp_path: Path) -> None:
    """A quick leaver cannot count two times."""

    def forge(files: dict[str, bytes]) -> None:
        row = row_of(files[layout.LEAVERS], b"cquick0")
        files[layout.LEAVERS] = files[layout.LEAVERS].replace(row, row + row)

    report = check(tmp_path, make_pack(book, forge=forge), book)
    assert failed(report) == {10}
    assert "cquick0 does not follow" in told(report, 10)


@pytest.mark.parametrize(
    ("name", "column", "change"),
    [
        (layout.LEAVERS, "state", (b",done,30.0000,", b",pending,30.0000,")),
        (layout.LEAVERS, "worst_ratio", (b",done,30.0000,", b",done,0.3000,")),
        (layout.LEAVERS, "within_sla", (b",30.0000,no,", b",30.0000,yes,")),
        (layout.LEAVERS, "late_seconds", (b",no,104400,", b",no,0,")),
        (layout.EXCEPTIONS, "late_ms", (b",93600000,", b",9,")),
        (layout.NOT_IN_POPULATION, "reason", (b",no_access,", b",rescinded,")),
        (layout.SYSTEMS, "sla_voluntary_s", (b",14400,14400\r", b",86400,14400\r")),
    ],
)
def test_a_cell_changed(
    book: Book, tmp_path: Path, name: str, column: str, change: tuple[bytes, bytes]
) -> None:
    """Named by file, case and column."""
    report = check(tmp_path, make_pack(book, forge=edit(name, *change)), book)
    assert failed(report) == {10}
    assert f"{name}: " in told(report, 10)
    assert f": {column} is " in told(report, 10)


def test_a_column_left_out(book: Book, tmp_path: Path) -> None:
    """Fewer columns would hide something from everybody."""
    forge = edit(layout.LEAVERS, b",late_seconds,", b",")
    report = check(tmp_path, make_pack(book, forge=forge), book)
    assert failed(report) == {10}


def test_many_differences_are_cut_off(book: Book, tmp_path: Path) -> None:
    """A report stays readable."""
    report = check(tmp_path, make_pack(book, forge=edit(layout.LEAVER_SYSTEMS, b"crm", b"c")), book)
    assert failed(report) == {10}

    def forge(files: dict[str, bytes]) -> None:
        files[layout.LEAVER_SYSTEMS] = files[layout.LEAVER_SYSTEMS].replace(b",yes,", b",no,")

    report = check(tmp_path, make_pack(book, forge=forge), book)
    assert len(report.steps[9].details) == 20


@pytest.mark.parametrize("name", ["leavers", "leaver_systems", "not_in_population"])
def test_a_count_in_the_statement(book: Book, tmp_path: Path, name: str) -> None:
    """What the statement counts is counted again."""
    report = check(tmp_path, make_pack(book, claim=recount(**{name: 999})), book)
    assert failed(report) == {10}
    assert name in told(report, 10)
