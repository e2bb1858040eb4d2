"""A whole ledger: documents, keys, findings, erasures, and very many cases in little memory."""

from __future__ import annotations

import dataclasses
import json

import pytest

from lockstep.evidence.format.notes import FileSigner
from lockstep.evidence.ledger.case_book import CaseBook
from lockstep.evidence.ledger.entries import EntryKind
from lockstep.evidence.ledger.fold import CHANGES, OPENINGS
from lockstep.evidence.ledger.history import _NOTES, _SILENT, History, HistoryError
from lockstep.scorecard.facts import Finding
from tests.evidence.ledgers import DAY, HOUR, ORIGIN, START, Book, digest_of, handover, story

CUTOFF = START + 10 * DAY


def read(book: Book) -> History:
    history = History()
    for leaf, raw in enumerate(book.entries):
        history.add(leaf, json.loads(raw))
    return history


def test_every_kind_that_we_write_is_known() -> None:
    """A new kind is either folded or said to change nothing; never forgotten."""
    folded = {*CHANGES, *OPENINGS, *_NOTES, *_SILENT}
    assert {kind.value for kind in EntryKind} - folded == set()


def test_documents_are_kept_by_digest() -> None:
    """Policies by their RFC 8785 digest, definitions by theirs."""
    book = Book().begin()
    history = read(book)
    assert history.policies == {book.policy_digest: book.policy}
    assert history.metrics == {book.definition.digest: book.definition.as_document()}


@pytest.mark.parametrize("kind", ["policy:adopted", "metric:adopted"])
def test_a_document_under_a_foreign_digest_is_refused(kind: str) -> None:
    """An entry cannot adopt one document and name another."""
    book = Book()
    data = {"version": "x", "document": dict(book.policy, version="x"), "digest": "0" * 64}
    book.say(kind, policy="0" * 64, data=data)
    with pytest.raises(HistoryError, match="digest is not that of its document"):
        read(book)


def test_keys_are_kept_oldest_first() -> None:
    """Adopted, then handed over."""
    book = Book().begin()
    new = FileSigner.generate(ORIGIN)
    book.say("ledger:key_handed_over", data=handover(book.signer, new))
    history = read(book)
    assert history.keys == [book.signer.verifier.to_text(), new.verifier.to_text()]
    assert history.hand_overs == [handover(book.signer, new)]


def test_closing_a_case_resolves_its_findings() -> None:
    """And no others."""
    book = Book().begin()
    for case in ("c1", "c2"):
        book.open(case, CUTOFF)
        book.outcome(case, "okta", CUTOFF)
        data = {"finding": "access_returned", "look": 1}
        book.say("finding:raised", case=case, system="okta", at=CUTOFF + DAY, data=data)
    book.close("c1", CUTOFF + 2 * DAY)
    assert read(book).findings == [
        Finding("access_returned", CUTOFF + DAY, CUTOFF + 2 * DAY, "c1", "okta"),
        Finding("access_returned", CUTOFF + DAY, None, "c2", "okta"),
    ]


def test_a_finding_about_no_case_is_kept() -> None:
    """An orphan account, a leaver without a case."""
    book = Book().begin()
    book.say("finding:raised", system="okta", at=CUTOFF, data={"finding": "orphan_account"})
    assert read(book).findings == [Finding("orphan_account", CUTOFF, None, "", "okta")]


def test_erased_subjects_are_remembered() -> None:
    """By their pseudonym; the facts stay."""
    book = Book().begin()
    book.open("c1", CUTOFF)
    book.say("subject:erased", case="c1", at=CUTOFF)
    history = read(book)
    assert history.erased == {"subject-of-c1"}
    assert "c1" in history.cases


def test_unknown_kinds_are_counted() -> None:
    """A newer ledger may say more than this version understands, but not unnoticed."""
    book = Book().begin()
    book.say("new:kind")
    book.say("ledger:heartbeat")
    assert read(book).unknown == 1


def test_an_entry_without_a_kind_is_refused() -> None:
    """With the leaf's number."""
    with pytest.raises(HistoryError, match="entry 7"):
        History().add(7, {})


def test_cases_stand_in_the_order_of_their_opening() -> None:
    """Whatever happens to them later."""
    book = Book().begin()
    for case in ("c3", "c1", "c2"):
        book.open(case, CUTOFF)
    book.outcome("c3", "okta", CUTOFF)
    assert list(read(book).cases) == ["c3", "c1", "c2"]


@pytest.mark.parametrize("hot", [0, 1, 3])
def test_packed_cases_are_the_same_cases(hot: int) -> None:
    """However few are held as objects, nothing is lost."""
    book = story()
    wanted = dict(read(book).cases.items())
    history = History(cases=CaseBook(hot=hot))
    for leaf, raw in enumerate(book.entries):
        history.add(leaf, json.loads(raw))
    assert dict(history.cases.items()) == wanted
    assert len(history.cases) == len(wanted)


def test_a_case_book_is_a_mapping() -> None:
    """Cases can be replaced and taken out."""
    history = read(story())
    cases = CaseBook(hot=1)
    for case_id, facts in history.cases.items():
        cases[case_id] = facts
    changed = dataclasses.replace(cases["copen"], partner="west")
    cases["copen"] = changed
    del cases["clate"]

    assert cases["copen"] == changed
    assert "clate" not in cases
    with pytest.raises(KeyError):
        cases["clate"]


def test_a_ledger_cannot_adopt_documents_without_end() -> None:
    """They are held in memory."""
    book = Book()
    history = History()
    for number in range(1001):
        policy = dict(book.policy, version=str(number))
        data = {"version": str(number), "document": policy}
        entry = book.say("policy:adopted", policy=digest_of(policy), data=data, at=START + HOUR)
        if number < 1000:
            history.add(number, entry)
    with pytest.raises(HistoryError, match="more than 1000"):
        history.add(1000, entry)


def test_a_restored_ledger_says_so() -> None:
    """What was recorded after the backup is gone; nobody should overlook it."""
    book = Book().begin()
    book.say("ledger:restored", key="ledger:restored:9:00")
    assert read(book).restored == 1
