"""Honest packs are verified, step by step, and say how far."""

from __future__ import annotations

import hashlib
import hmac
import json
import zipfile
from pathlib import Path

import pytest

from lockstep.evidence.format.notes import FileSigner
from lockstep.evidence.format.plain import plain_bytes
from lockstep.evidence.pack import layout
from lockstep.evidence.verify.check import PLAN, verify_pack
from lockstep.evidence.verify.report import Level, UnusableError, Verdict
from lockstep.evidence.verify.zip.archive import Limits
from tests.evidence.ledgers import AS_OF, END, ORIGIN, START, Book, digest_of, handover, story
from tests.evidence.packs import files_of, make_pack, scope_of, zip_of
from tests.evidence.verdicts import check, failed, told, verdict, warned


@pytest.fixture(scope="module")
def book() -> Book:
    return story()


def test_a_full_pack_is_verified(book: Book, tmp_path: Path) -> None:
    """Every step passes that can be done with a key alone."""
    report = check(tmp_path, make_pack(book), book)

    assert report.is_verified
    assert report.exit_code == 0
    assert report.level is Level.UNANCHORED
    passed = {step.number for step in report.steps if step.verdict is Verdict.PASS}
    assert passed == {1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12}
    assert verdict(report, 7) is verdict(report, 13) is Verdict.NOT_CHECKED


def test_steps_are_numbered_and_speak_in_sentences(book: Book, tmp_path: Path) -> None:
    """A reader without tools can follow them."""
    report = check(tmp_path, make_pack(book), book)
    assert [step.number for step in report.steps] == list(range(1, len(PLAN) + 1))
    for step in report.steps:
        assert step.title
        assert step.sentence[0].isupper() or step.sentence[0].isdigit()
        assert step.sentence.endswith(".")


def test_the_report_is_plain_data(book: Book, tmp_path: Path) -> None:
    """For a script; with what the check does not cover."""
    document = json.loads(json.dumps(check(tmp_path, make_pack(book), book).as_document()))
    assert document["verified"] is True
    assert document["level"] == "UNANCHORED"
    assert document["facts"]["tenant"] == "acme"
    assert len(document["steps"]) == len(PLAN)
    assert any("lie" in sentence for sentence in document["not_checked_by_this"])


@pytest.mark.parametrize(
    "scope",
    [
        {"partner": "süd"},
        {"case_id": "clate", "sample_n": 0, "seed": ""},
        {"case_id": "cgone", "sample_n": 0, "seed": ""},
        {"sample_n": 0, "seed": ""},
        {"sample_n": 1000},
        {"start": START + 40 * 86_400_000},
        {"end": AS_OF + 90 * 86_400_000},
        {"ocsf": "1.8.0"},
    ],
    ids=str,
)
def test_packs_of_any_scope_are_verified(
    book: Book, tmp_path: Path, scope: dict[str, object]
) -> None:
    """One partner, one case, no sample, everybody in it, another period, one that goes on."""
    report = check(tmp_path, make_pack(book, scope=scope_of(**scope)), book)
    assert failed(report) == set()
    is_of_a_part = "partner" in scope or "case_id" in scope
    assert warned(report) == ({11} if is_of_a_part else set())


def test_an_empty_ledger_is_verified(tmp_path: Path) -> None:
    """No leavers is an answer too: without a score."""
    book = Book().begin()
    report = check(tmp_path, make_pack(book, older=()), book)
    assert report.is_verified
    assert "no_leavers" in told(report, 11)


def test_a_previous_checkpoint_is_a_beginning_of_the_tree(book: Book, tmp_path: Path) -> None:
    """Of an earlier tree, of the same tree, and of none."""
    for size in (0, 1, 50, len(book.entries)):
        report = check(tmp_path, make_pack(book), book, previous=book.checkpoint(size))
        assert report.is_verified
        assert "so does the one that you kept" in told(report, 6)


def test_a_head_inside_withheld_entries_is_proved(book: Book, tmp_path: Path) -> None:
    """By the consistency proof that the pack brings along for it."""
    scope = scope_of(case_id="clate", sample_n=0, seed="")
    older = [size for size in range(4, len(book.entries)) if size % 7 == 0]
    report = check(tmp_path, make_pack(book, scope=scope, older=older), book)
    assert verdict(report, 6) is Verdict.PASS


def test_a_key_that_was_handed_over(book: Book, tmp_path: Path) -> None:
    """Holding the old key or the new one, a reader verifies what the new one signed."""
    new = FileSigner.generate(ORIGIN)
    book = Book(signer=book.signer, entries=list(book.entries))
    step = handover(book.signer, new)
    book.say("ledger:key_handed_over", data=step, at=AS_OF - 60_000)
    raw = make_pack(book, signer=new, keys=[step], older=())
    old_note = book.checkpoint(20)

    for key in (book.signer.verifier, new.verifier):
        report = check(tmp_path, raw, book, keys=[key], previous=old_note)
        assert failed(report) == set()
        assert warned(report) == set()
    assert "handed over" in told(check(tmp_path, raw, book), 2)


def test_names_are_confirmed_by_the_ledger(tmp_path: Path) -> None:
    """HMAC-SHA256 of the identity under its opening is what the opening entry says."""
    identity, opening = '{"display_name":"Ada Muster"}', "ab" * 32
    answer = hmac.new(bytes.fromhex(opening), identity.encode(), hashlib.sha256).hexdigest()
    book = Book().begin()
    book.run("c1", START + 86_400_000, identity=answer)
    scope = scope_of(identified=True)
    raw = make_pack(book, scope=scope, older=(), people={"c1": (identity, opening)})
    report = check(tmp_path, raw, book)
    assert verdict(report, 13) is Verdict.PASS
    assert "1 name is confirmed" in told(report, 13)


def test_names_of_an_older_pack_are_read_where_it_has_them(tmp_path: Path) -> None:
    """Before there were two files, one had the columns that the ledger confirms."""
    identity, opening = '{"display_name":"Ada Muster"}', "ab" * 32
    answer = hmac.new(bytes.fromhex(opening), identity.encode(), hashlib.sha256).hexdigest()
    book = Book().begin()
    book.run("c1", START + 86_400_000, identity=answer)

    def forge(files: dict[str, bytes]) -> None:
        files[layout.PEOPLE] = files.pop(layout.COMMITMENTS)

    people = {"c1": (identity, opening)}
    raw = make_pack(book, scope=scope_of(identified=True), older=(), people=people, forge=forge)
    assert verdict(check(tmp_path, raw, book), 13) is Verdict.PASS


def test_two_policies_live_side_by_side(tmp_path: Path) -> None:
    """Each case is judged by the one that it pinned."""
    book = Book().begin()
    book.run("c1", START + 86_400_000, after=5 * 3_600_000)
    looser = json.loads(plain_bytes(book.policy))
    looser["sla_s"]["voluntary.0"] = 24 * 3600
    book.adopt(looser)
    first, book.policy = digest_of(book.policy), looser
    book.run("c2", START + 2 * 86_400_000, after=5 * 3_600_000)
    raw = make_pack(book, older=())
    leavers = files_of(raw)[layout.LEAVERS].decode().splitlines()

    assert check(tmp_path, raw, book).is_verified
    assert [first in row for row in leavers[1:]] == [True, False]
    assert [",no," in row for row in leavers[1:]] == [True, False]


def test_stored_files_are_files_too(book: Book, tmp_path: Path) -> None:
    """A pack need not be packed tightly."""
    path = tmp_path / "pack.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, raw in files_of(make_pack(book)).items():
            archive.writestr(zipfile.ZipInfo(name), raw)
    assert verify_pack(path, keys=[book.signer.verifier]).is_verified


def test_large_files_have_a_form_of_their_own(book: Book, tmp_path: Path) -> None:
    """Headers in 64 bits are read where a size needs them, and refused where none does."""
    path = tmp_path / "pack.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in files_of(make_pack(book)).items():
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                member.write(raw)
    keys = [book.signer.verifier]
    assert verify_pack(path, keys=keys, limits=Limits(wide=0)).is_verified
    report = verify_pack(path, keys=keys)
    assert failed(report) == {1}
    assert "64-bit field" in told(report, 1)


@pytest.mark.parametrize("raw", [b"", b"PK", b"no archive at all", b"%PDF-1.7\n" * 100])
def test_what_is_no_archive_is_unusable(book: Book, tmp_path: Path, raw: bytes) -> None:
    """Neither verified nor refuted."""
    path = tmp_path / "pack.zip"
    path.write_bytes(raw)
    with pytest.raises(UnusableError):
        verify_pack(path, keys=[book.signer.verifier])


def test_without_key_nothing_can_be_verified(book: Book, tmp_path: Path) -> None:
    """Otherwise a pack would vouch for itself."""
    with pytest.raises(UnusableError, match="key"):
        check(tmp_path, make_pack(book), book, keys=[])


def test_a_missing_file_is_unusable(book: Book, tmp_path: Path) -> None:
    """With the system's reason."""
    with pytest.raises(UnusableError, match="No such file"):
        verify_pack(tmp_path / "none.zip", keys=[book.signer.verifier])


def test_a_newer_definition_that_was_not_used_is_mentioned(tmp_path: Path) -> None:
    """Nobody should choose the definition that suits a period."""
    book = Book().begin()
    book.run("c1", START + 86_400_000)
    document = book.definition.as_document() | {"version": "99"}
    book.say("metric:adopted", at=END, data={"digest": digest_of(document), "document": document})
    report = check(tmp_path, make_pack(book, older=()), book)
    assert verdict(report, 8) is Verdict.WARN


def test_what_a_reader_should_know_is_said(tmp_path: Path) -> None:
    """Unknown kinds, a restored backup, another key's name: no failure, and no silence."""
    book = Book()
    book.say("ledger:key_adopted", data={"vkey": FileSigner.generate(ORIGIN).verifier.to_text()})
    book.begin()
    book.entries.pop(1)
    book.say("future:kind")
    book.say("ledger:restored", key="ledger:restored:9:00")
    report = check(tmp_path, make_pack(book, older=()), book)
    assert warned(report) == {9}
    for word in ("kinds", "backup", "another key"):
        assert word in told(report, 9)


def test_a_hand_over_that_the_ledger_does_not_record_is_mentioned(
    book: Book, tmp_path: Path
) -> None:
    """It is signed, so it is no fraud; but it should stand in the ledger."""
    new = FileSigner.generate(ORIGIN)
    raw = make_pack(book, signer=new, keys=[handover(book.signer, new)], older=())
    assert warned(check(tmp_path, raw, book)) == {9}


def test_the_order_of_files_does_not_matter(book: Book, tmp_path: Path) -> None:
    """Packs of other writers may have another one."""
    files = sorted(files_of(make_pack(book)).items(), reverse=True)
    assert check(tmp_path, zip_of(files), book).is_verified


def test_a_silent_ledger_is_mentioned(tmp_path: Path) -> None:
    """A heart beats every day: a day without one means a stop, or a tail that was cut."""
    book = story()
    book.entries.pop()
    assert verdict(check(tmp_path, make_pack(book), book), 9) is Verdict.WARN
    report = check(tmp_path, make_pack(book), book)
    assert "its tail was cut" in told(report, 9)
