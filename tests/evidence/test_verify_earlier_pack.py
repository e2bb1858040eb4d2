"""A hash in place of an entry is a commitment: a later pack opens what an earlier one withheld."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockstep.evidence.format.plain import instant_text
from lockstep.evidence.verify.__main__ import main
from lockstep.evidence.verify.report import Report, UnusableError, Verdict
from tests.evidence.ledgers import AS_OF, DAY, HOUR, START, Book
from tests.evidence.packs import make_pack, scope_of
from tests.evidence.verdicts import check, failed, put, told, verdict

LATER = AS_OF + 40 * DAY
WHOLE = {"sample_n": 0, "seed": ""}


@pytest.fixture(scope="module")
def grown() -> tuple[Book, int]:
    """A ledger, and how large it was when the earlier pack was made."""
    book = Book().begin()
    for number in range(4):
        book.run(f"cquick{number}", START + (5 + number) * DAY)
    book.run("clate", START + 30 * DAY, after=20 * DAY)
    book.run("cother", START + 31 * DAY, partner="süd")
    book.open("cmoved", AS_OF + DAY, noticed=AS_OF - 2 * DAY)
    book.open("ccoming", AS_OF + 20 * DAY, noticed=AS_OF - 2 * DAY)
    book.say("brake:set", at=AS_OF - DAY, data={"brake": "b1"})
    book.say("ledger:heartbeat", at=AS_OF - HOUR)
    size = len(book.entries)
    book.say("case:begun", case="ccoming", at=AS_OF + 20 * DAY)
    for system in ("crm", "gate", "okta"):
        book.revoke("ccoming", system, AS_OF + 20 * DAY + HOUR)
    book.say("ledger:heartbeat", at=LATER - HOUR)
    return book, size


def opened(
    tmp_path: Path, grown: tuple[Book, int], earlier: bytes, later: bytes | None = None
) -> Report:
    """The later pack's check, with the earlier one at hand."""
    book, size = grown
    path = tmp_path / "earlier.zip"
    path.write_bytes(earlier)
    scope = scope_of(as_of=LATER, **WHOLE)
    raw = make_pack(book, scope=scope, older=(size,)) if later is None else later
    return check(tmp_path, raw, book, earlier=path)


def made(grown: tuple[Book, int], hide: set[str], **scope: object) -> bytes:
    book, size = grown
    return make_pack(book, scope=scope_of(**WHOLE, **scope), size=size, older=(), hide=hide)


def test_what_was_to_come_might_be_withheld(grown: tuple[Book, int], tmp_path: Path) -> None:
    """Cases whose cutoff was after the earlier pack's instant: it was as it said."""
    report = opened(tmp_path, grown, made(grown, {"cmoved", "ccoming"}, coming=False))
    assert report.is_verified
    assert verdict(report, 6) is Verdict.PASS
    assert "what that withheld is shown here, and might be: 2" in told(report, 6)


def test_a_late_leaver_who_was_hidden_comes_to_light(
    grown: tuple[Book, int], tmp_path: Path
) -> None:
    """Its cutoff had passed when it was called one to come."""
    report = opened(tmp_path, grown, made(grown, {"clate", "ccoming"}, coming=False))
    assert failed(report) == {6}
    cutoff = instant_text(START + 30 * DAY)
    assert f"case clate as one to come: its cutoff was {cutoff}" in told(report, 6)
    assert "ccoming" not in told(report, 6)


def test_a_case_hidden_from_its_partner_comes_to_light(
    grown: tuple[Book, int], tmp_path: Path
) -> None:
    """The partner's own; those of others are rightly hashes."""
    honest = opened(tmp_path, grown, made(grown, set(), partner="nord"))
    assert honest.is_verified
    report = opened(tmp_path, grown, made(grown, {"clate"}, partner="nord"))
    assert failed(report) == {6}
    assert "case clate, which it claimed to show" in told(report, 6)
    assert "cother" not in told(report, 6)


def test_what_is_withheld_again_stays_unknown(grown: tuple[Book, int], tmp_path: Path) -> None:
    """A later pack that hides the same leaves opens nothing, and says so."""
    book, size = grown
    scope = scope_of(as_of=LATER, partner="nord", **WHOLE)
    later = make_pack(book, scope=scope, older=(size,), previous=size, hide={"clate"})
    report = opened(tmp_path, grown, made(grown, {"clate"}, partner="nord"), later)
    assert report.is_verified
    assert verdict(report, 6) is Verdict.WARN
    assert "withheld here too: of these nothing is known" in told(report, 6)


def test_an_earlier_pack_of_another_history(grown: tuple[Book, int], tmp_path: Path) -> None:
    """Its head must be of the same tree, like any that the reader kept."""
    book, size = grown
    other = Book(signer=book.signer, entries=list(book.entries[: size - 1]))
    other.say("ledger:heartbeat", at=AS_OF - 2 * HOUR)
    earlier = make_pack(other, scope=scope_of(**WHOLE), older=())
    report = opened(tmp_path, grown, earlier)
    assert failed(report) == {6}
    assert "Your earlier pack's head does not fit" in told(report, 6)


@pytest.mark.parametrize("kind", ["no pack", "another's", "damaged"])
def test_an_earlier_pack_that_proves_nothing(
    grown: tuple[Book, int], tmp_path: Path, kind: str
) -> None:
    """The reader's own file is of no use: exit 2, and nothing is said of the later pack."""
    book, size = grown
    raw = {
        "no pack": b"nothing of the kind",
        "another's": make_pack(Book().begin(), older=()),
        "damaged": make_pack(book, size=size, tamper=put("ledger/entries.jsonl", b"x\n")),
    }[kind]
    with pytest.raises(UnusableError):
        opened(tmp_path, grown, raw)


def test_the_single_file_takes_it_too(
    grown: tuple[Book, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the same option as the installed command."""
    book, size = grown
    earlier, later = tmp_path / "earlier.zip", tmp_path / "later.zip"
    earlier.write_bytes(made(grown, {"clate"}, coming=False))
    later.write_bytes(make_pack(book, scope=scope_of(as_of=LATER, **WHOLE), older=(size,)))
    key = book.signer.verifier.to_text()

    assert main([str(later), "--key", key, "--earlier", str(earlier)]) == 1
    assert "withheld what it had to show" in capsys.readouterr().out
