"""Everything that a ledger says, folded entry by entry.

Pure, and with the standard library alone; see `lockstep.evidence.ledger.fold`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from lockstep.evidence.format.plain import PlainError, instant_ms, plain_bytes
from lockstep.evidence.ledger.case_book import CaseBook
from lockstep.evidence.ledger.feeds import FeedBook
from lockstep.evidence.ledger.fold import (
    ACCOUNT_IN_DOUBT,
    CHANGES,
    MALFORMED,
    OPENINGS,
    Document,
    HistoryError,
    UnfitError,
    apply,
    history_error,
    needs_policy,
    step,
)
from lockstep.scorecard.facts import CaseFacts, Finding, ItemFacts

__all__ = [
    "History",
    "HistoryError",
    "apply",
    "facts_document",
    "facts_from_document",
    "needs_policy",
]

MAX_DOCUMENTS = 1000
"""Policies, and metric definitions, that one ledger may adopt."""

CASELESS = frozenset({"leaver_without_case", "orphan_account"})
"""Findings that may be about nobody's case; every other one is about the case that it names."""

_SILENT = frozenset(
    {
        "case:rescind_refused",
        "case:rehired",
        "case:barred",
        "case:restarted",
        "case:close_refused",
        "case:key_withdrawn",
        "revocation:fault",
        "revocation:needs_person",
        "revocation:woken",
        "decision:retry",
        "ledger:heartbeat",
        "ledger:facts_differed",
        "metric:reported",
        "hold:placed",
        "hold:released",
        "evidence:exported",
        "access:acted",
        "access:denied",
        "brake:set",
        "brake:decided",
        "system:paused",
        "system:resumed",
    }
)
"""Kinds that are known and change no fact."""


@dataclass(slots=True)
class History:
    """What is known after some entries of a ledger.

    Args:
        cases: facts by case id, in the order of opening.
        policies: documents of adopted policies by digest (SHA-256 of their RFC 8785 bytes).
        metrics: documents of adopted metric definitions by digest, likewise.
        findings: in the order in which they were raised; closing a case resolves its own, and
            what is said of accounts in doubt resolves those about them.
        feeds: which sources of HR are expected, and when each was heard.
        erased: subjects whose personal data were shredded.
        keys: verifier keys of the ledger, oldest first.
        hand_overs: what the entries of hand-overs say, oldest first.
        restored: how many times the ledger went back to a backup, and lost what came after.
        unknown: how many entries are of a kind that this version does not know.
    """

    cases: CaseBook = field(default_factory=CaseBook)
    policies: dict[str, Document] = field(default_factory=dict)
    metrics: dict[str, Document] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    feeds: FeedBook = field(default_factory=FeedBook)
    erased: set[str] = field(default_factory=set)
    keys: list[str] = field(default_factory=list)
    hand_overs: list[Mapping[str, str]] = field(default_factory=list)
    restored: int = 0
    unknown: int = 0
    _standing: dict[str, list[int]] = field(default_factory=dict)

    def add(self, leaf: int, entry: Document) -> None:
        """Take the next entry, in leaf order.

        Raises:
            HistoryError: if it cannot follow; see `apply`.
        """
        try:
            kind = entry["kind"]
            if kind in CHANGES or kind in OPENINGS:
                self._take(leaf, entry)
            note = _NOTES.get(kind)
            if note is not None:
                note(self, entry)
            elif kind not in CHANGES and kind not in OPENINGS and kind not in _SILENT:
                self.unknown += 1
        except MALFORMED as error:
            raise history_error(leaf, error) from None

    def _take(self, leaf: int, entry: Document) -> None:
        if entry["kind"] == "finding:raised" and "case" not in entry:
            if entry["data"]["finding"] not in CASELESS:
                raise UnfitError("it finds something about a case and names none")
            return
        case_id = _text(entry["case"])
        before = self.cases.get(case_id)
        policy = self.policies.get(entry["policy"]) if needs_policy(before, entry) else None
        after = step(before, leaf, entry, policy)
        if after is not None and after is not before:
            self.cases[case_id] = after
            if before is None:
                self.feeds.hear(after.source, min(after.received_at, after.opened_at))

    def _adopt_policy(self, entry: Document) -> None:
        _adopt(self.policies, entry["policy"], entry["data"]["document"])

    def _adopt_metric(self, entry: Document) -> None:
        _adopt(self.metrics, entry["data"]["digest"], entry["data"]["document"])

    def _expect_feeds(self, entry: Document) -> None:
        self.feeds.take_expected(entry)

    def _hear_feed(self, entry: Document) -> None:
        self.feeds.take_heard(entry)

    def _adopt_key(self, entry: Document) -> None:
        self.keys.append(_text(entry["data"]["vkey"]))

    def _hand_over(self, entry: Document) -> None:
        data = entry["data"]
        said = {name: _text(data[name]) for name in ("from", "to", "signature")}
        self.hand_overs.append(said)
        self.keys.append(said["to"])

    def _restore(self, _: Document) -> None:
        self.restored += 1

    def _erase(self, entry: Document) -> None:
        self.erased.add(_text(entry["subject"]))

    def _raise_finding(self, entry: Document) -> None:
        case_id = _text(entry.get("case", ""))
        finding = Finding(
            kind=_text(entry["data"]["finding"]),
            raised_at=instant_ms(entry["occurred_at"]),
            case_id=case_id,
            system=_text(entry.get("system", "")),
        )
        if case_id:
            self._standing.setdefault(case_id, []).append(len(self.findings))
        self.findings.append(finding)

    def _resolve(self, entry: Document) -> None:
        """A case that closes has dealt with its findings; whose an account is it cannot say."""
        places = self._standing.pop(entry["case"], [])
        doubts = [p for p in places if self.findings[p].kind == ACCOUNT_IN_DOUBT]
        self._resolve_places(entry, [p for p in places if p not in doubts])
        if doubts:
            self._standing[entry["case"]] = doubts

    def _resolve_doubts(self, entry: Document) -> None:
        """A person has picked; or the system was worked, or looked at, and nothing was in doubt."""
        if entry["kind"] == "watch:look" and {"in_doubt", "category"} & set(entry.get("data", ())):
            return
        places = self._standing.get(entry.get("case", ""), [])
        doubts = [
            place
            for place in places
            if self.findings[place].kind == ACCOUNT_IN_DOUBT
            and self.findings[place].system == entry.get("system")
        ]
        self._resolve_places(entry, doubts)
        for place in doubts:
            places.remove(place)

    def _resolve_places(self, entry: Document, places: Sequence[int]) -> None:
        at = instant_ms(entry["occurred_at"])
        for place in places:
            self.findings[place] = replace(self.findings[place], resolved_at=at)


_NOTES: Mapping[str, Callable[[History, Document], None]] = {
    "policy:adopted": History._adopt_policy,  # noqa: SLF001 - the table of its own methods
    "metric:adopted": History._adopt_metric,  # noqa: SLF001
    "feed:expected": History._expect_feeds,  # noqa: SLF001
    "feed:heard": History._hear_feed,  # noqa: SLF001
    "ledger:key_adopted": History._adopt_key,  # noqa: SLF001
    "ledger:key_handed_over": History._hand_over,  # noqa: SLF001
    "ledger:restored": History._restore,  # noqa: SLF001
    "subject:erased": History._erase,  # noqa: SLF001
    "finding:raised": History._raise_finding,  # noqa: SLF001
    "case:closed": History._resolve,  # noqa: SLF001
    "decision:pick": History._resolve_doubts,  # noqa: SLF001
    "revocation:outcome": History._resolve_doubts,  # noqa: SLF001
    "watch:look": History._resolve_doubts,  # noqa: SLF001
}
"""What an entry changes beside the facts of one case."""


def _adopt(into: dict[str, Document], digest: object, document: object) -> None:
    """Keep a document under its digest, which must be its own."""
    if type(document) is not dict or type(digest) is not str:
        raise TypeError
    try:
        is_its_own = hashlib.sha256(plain_bytes(document)).hexdigest() == digest
    except PlainError:
        is_its_own = False
    if not is_its_own:
        raise UnfitError("its digest is not that of its document")
    if len(into) >= MAX_DOCUMENTS:
        raise UnfitError(f"it adopts one more than {MAX_DOCUMENTS} documents")
    into[digest] = document


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError
    return value


_NOT_KEPT = {"items", "counts_from"}
_CASE = tuple(item.name for item in fields(CaseFacts) if item.name not in _NOT_KEPT)
_ITEM = tuple(item.name for item in fields(ItemFacts))


def facts_document(facts: CaseFacts) -> dict[str, Any]:
    """A case's facts as plain data, without loss; by name, because `asdict` copies everything."""
    document: dict[str, Any] = {name: getattr(facts, name) for name in _CASE}
    document["earlier"] = list(facts.earlier)
    document["items"] = [{name: getattr(item, name) for name in _ITEM} for item in facts.items]
    return document


def facts_from_document(document: Document) -> CaseFacts:
    """Read what `facts_document` wrote."""
    items = tuple(ItemFacts(**row) for row in document["items"])
    earlier = tuple(document.get("earlier", ()))  # rows of earlier releases have none
    return CaseFacts(**{**document, "items": items, "earlier": earlier})
