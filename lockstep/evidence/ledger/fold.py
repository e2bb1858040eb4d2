"""The fold of one case: entry after entry into facts.

Pure, and with the standard library alone: the sequencer's projection, the exporter and the
verifier must come to the same facts, the last of them on a machine that has nothing of ours.
The rules are written for strangers in docs/evidence-format.md, "From entries to facts".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lockstep.evidence.format.plain import instant_ms
from lockstep.evidence.ledger.amendments import (
    AMENDED,
    amended,
    first_cutoff,
    is_said,
    restated,
    says_all,
)
from lockstep.scorecard.facts import CaseFacts, ItemFacts

ACCESS_RETURNED = "access_returned"
ACCOUNT_IN_DOUBT = "account_in_doubt"
"""A later look found an account that may be the leaver's: a person picks."""
RETURNED_BEFORE_REHIRE = "returned_before_rehire"
"""Access stood when HR said that they work here again: told, and changes no fact."""
NOT_AS_ITS_KIND = "it does not say what its kind must say"

_TERMINATIONS = frozenset({"involuntary", "voluntary", "contract_end"})
_LONGEST_S = 10**9
MOST_EARLIER = 100
"""Earlier cases of one person that an opening may name."""
_TIERS = frozenset({"0", "1", "manual"})
_PROVED = frozenset({"revoked", "already_absent", "not_found"})
_PROOF_GRADES = frozenset({"A", "B"})
_WORD_GRADES = frozenset({"C", "D"})

Document = Mapping[str, Any]


class HistoryError(ValueError):
    """An entry that cannot be part of a ledger; the message names its leaf."""


class UnfitError(ValueError):
    """Why an entry cannot follow on those before it; becomes a `HistoryError`."""


MALFORMED = (KeyError, TypeError, ValueError, AttributeError, OverflowError)
"""What reading members of an entry of another shape raises."""


def history_error(leaf: int, error: Exception) -> HistoryError:
    """Name the leaf; quote nothing, because an entry from outside can say anything."""
    reason = error if isinstance(error, UnfitError) else NOT_AS_ITS_KIND
    return HistoryError(f"entry {leaf}: {reason}")


def apply(
    facts: CaseFacts | None, leaf: int, entry: Document, policy: Document | None
) -> CaseFacts | None:
    """The facts of a case after one more of its entries.

    Args:
        facts: the case before; None before its first entry.
        leaf: the entry's index in the ledger.
        entry: the parsed entry; it names a case.
        policy: the document of the policy that the entry names; needed where a case opens, and
            where HR states it anew (`needs_policy`).

    Raises:
        HistoryError: if the entry lacks what its kind must say, opens a case twice, or speaks of
            a case or a system that was not opened.
    """
    try:
        return step(facts, leaf, entry, policy)
    except MALFORMED as error:
        raise history_error(leaf, error) from None


def step(
    facts: CaseFacts | None, leaf: int, entry: Document, policy: Document | None
) -> CaseFacts | None:
    """As `apply`, but raises any of `MALFORMED`."""
    kind = entry["kind"]
    opening = OPENINGS.get(kind)
    if facts is None and opening is not None:
        return opening(leaf, entry, policy)
    change = CHANGES.get(kind)
    if facts is None and change is not None:
        raise UnfitError("it speaks of a case that was not opened")
    if change is None and opening is not None:
        raise UnfitError("it opens a case that is open already")
    if facts is None or change is None:
        return facts
    changed = change(facts, entry)
    return _restated(facts, changed, entry, policy) if says_all(entry) else changed


def needs_policy(facts: CaseFacts | None, entry: Document) -> bool:
    """Whether folding an entry takes the document of the policy that it names."""
    return facts is None or says_all(entry)


def _restated(
    before: CaseFacts, after: CaseFacts, entry: Document, policy: Document | None
) -> CaseFacts:
    if policy is None or entry["policy"] != before.policy:
        raise UnfitError("its policy is not the one that its case has pinned")
    if entry["data"]["termination"] not in _TERMINATIONS:
        raise UnfitError(NOT_AS_ITS_KIND)
    return restated(before, after, entry, policy["sla_s"])


def _opened(leaf: int, entry: Document, policy: Document | None) -> CaseFacts:
    if policy is None:
        raise UnfitError("its policy was not adopted before")
    data = entry["data"]
    kind = data["termination"]
    names = data["systems"]
    if kind not in _TERMINATIONS or type(names) is not list or len(set(names)) != len(names):
        raise UnfitError(NOT_AS_ITS_KIND)
    rows = {row["system"]: row for row in policy["systems"]}
    if not rows.keys() >= set(names):
        raise UnfitError("it names a system that its policy does not have")
    sla = policy["sla_s"]
    facts = _case(leaf, entry, tuple(_item(rows[name], sla, kind) for name in names))
    waits = data.get("waits", False)  # for what HR has said since, and is not heard yet
    if type(waits) is not bool:
        raise UnfitError(NOT_AS_ITS_KIND)
    if facts.cutoff_at <= facts.opened_at and not waits:
        facts = replace(facts, begun_at=facts.opened_at)  # at once, without an entry of its own
    return facts


def _rescinded_first(leaf: int, entry: Document, _: Document | None) -> CaseFacts:
    """A tombstone: HR took back what we had not heard of. No clock ever ran."""
    return replace(_case(leaf, entry, ()), rescinded=True, first_cutoff_at=None)


def _case(leaf: int, entry: Document, items: tuple[ItemFacts, ...]) -> CaseFacts:
    data = entry["data"]
    cutoff = instant_ms(data["cutoff_at"])
    return CaseFacts(
        case_id=_text(entry["case"]),
        subject=_text(entry["subject"]),
        kind=_text(data["termination"]),
        source=_text(data["source"]),
        partner=_text(data["partner"]),
        site=_text(data["site"]),
        zone=_text(data["zone"]),
        recorded_at=instant_ms(data["hr_recorded_at"]),
        cutoff_at=cutoff,
        shown_cutoff_at=cutoff,
        received_at=instant_ms(data["received_at"]),
        opened_at=instant_ms(entry["recorded_at"]),
        policy=_text(entry["policy"]),
        first_leaf=leaf,
        items=items,
        first_cutoff_at=first_cutoff(None, data["termination"], cutoff),
        earlier=_earlier(data),
    )


def _earlier(data: Document) -> tuple[str, ...]:
    found = data.get("earlier", [])
    if type(found) is not list or len(found) > MOST_EARLIER:
        raise UnfitError(NOT_AS_ITS_KIND)
    return tuple(_text(case_id) for case_id in found)


def _item(row: Document, sla: Document, kind: str) -> ItemFacts:
    seconds = sla[f"{kind}.{row['tier']}"]
    if (
        row["tier"] not in _TIERS
        or type(row["required"]) is not bool
        or type(seconds) is not int
        or not 0 <= seconds <= _LONGEST_S
    ):
        raise UnfitError("its policy cannot be read")
    return ItemFacts(
        system=_text(row["system"]),
        category=_text(row["category"]),
        tier=row["tier"],
        required=row["required"],
        sla_ms=seconds * 1000,
    )


def _rescinded(facts: CaseFacts, entry: Document) -> CaseFacts:
    """What has begun is not taken back. Until then it is, also after the cutoff: it was stopped.

    Nothing was revoked then and nothing will be, so nobody could ever prove the case closed. What
    that is worth, the definition says: from when HR's word counts is a fact. The first one counts.
    """
    at = min(instant_ms(entry["occurred_at"]), instant_ms(entry["recorded_at"]))
    if facts.rescinded or facts.begun_at is not None:
        return facts
    return replace(facts, rescinded=True, called_off_at=at)


def _begun(facts: CaseFacts, entry: Document) -> CaseFacts:
    return replace(facts, begun_at=instant_ms(entry["occurred_at"]))


def _closed(facts: CaseFacts, entry: Document) -> CaseFacts:
    return replace(facts, closed_at=instant_ms(entry["occurred_at"]))


# --- one system of a case -----------------------------------------------------------------------


def _attempted(facts: CaseFacts, entry: Document) -> CaseFacts:
    data = entry["data"]
    place, item = _find(facts, entry["system"])
    first = item.first_attempt_at
    if first is None:
        first = instant_ms(entry["occurred_at"])
    attempted = _progressed(
        item,
        _count(data["accounts"]),
        item.outcome,
        item.grade,
        off_at=item.off_at,
        read_back_at=item.read_back_at,
        first_attempt_at=first,
    )
    return _with_item(facts, place, attempted)


def _settled(facts: CaseFacts, entry: Document) -> CaseFacts:
    """A proof settles, whatever stood before: also a waiver, also a person's word."""
    data = entry["data"]
    place, item = _find(facts, entry["system"])
    outcome, grade = data["outcome"], data["grade"]
    if outcome not in _PROVED or grade not in _PROOF_GRADES:
        raise UnfitError(NOT_AS_ITS_KIND)
    settled = _progressed(
        item,
        _count(data["accounts"]),
        outcome,
        grade,
        off_at=instant_ms(data["revoked_at"]),
        read_back_at=instant_ms(data["confirmed_at"]),
        first_attempt_at=item.first_attempt_at,
    )
    return _with_item(facts, place, settled)


def _attested(facts: CaseFacts, entry: Document) -> CaseFacts:
    data = entry["data"]
    place, item = _find(facts, entry["system"])
    grade, at = data["grade"], instant_ms(entry["occurred_at"])
    has_artefact, has_second = is_said(data, "artefact_sha256"), is_said(data, "second_person")
    if grade not in _WORD_GRADES:
        raise UnfitError(NOT_AS_ITS_KIND)
    if item.outcome:
        return facts
    if not (has_artefact and has_second):
        grade = "D"  # whatever it claims: C is a person, an artefact and a second person
    return _with_item(facts, place, replace(item, outcome="attested", grade=grade, off_at=at))


def _waived(facts: CaseFacts, entry: Document) -> CaseFacts:
    data = entry["data"]
    place, item = _find(facts, entry["system"])
    at = instant_ms(entry["occurred_at"])
    until = instant_ms(data["until"]) if "until" in data else None
    has_second = is_said(data, "second_person")
    if item.outcome:
        return facts
    in_time = at < facts.cutoff_at + item.sla_ms
    if in_time and until is not None and has_second:
        changed = replace(item, outcome="waived", waived_until=until)
    else:
        changed = replace(item, outcome="waived", waived_in_vain=True)
    return _with_item(facts, place, changed)


def _found(facts: CaseFacts, entry: Document) -> CaseFacts:
    if entry["data"]["finding"] != ACCESS_RETURNED:
        return facts
    place, item = _find(facts, entry["system"])
    reopened = replace(
        item, openings=item.openings + 1, outcome="", grade="", off_at=None, read_back_at=None
    )
    return replace(_with_item(facts, place, reopened), closed_at=None)


def _find(facts: CaseFacts, system: object) -> tuple[int, ItemFacts]:
    for place, item in enumerate(facts.items):
        if item.system == system:
            return place, item
    raise UnfitError("it speaks of a system that its case does not have")


# The next two are called for most entries of a ledger; `replace` takes twice their time.


def _progressed(
    item: ItemFacts,
    accounts: int,
    outcome: str,
    grade: str,
    *,
    off_at: int | None,
    read_back_at: int | None,
    first_attempt_at: int | None,
) -> ItemFacts:
    return ItemFacts(
        item.system,
        item.category,
        item.tier,
        item.required,
        item.sla_ms,
        accounts,
        outcome,
        grade,
        off_at,
        read_back_at,
        first_attempt_at,
        item.waived_until,
        item.waived_in_vain,
        item.openings,
    )


def _with_item(facts: CaseFacts, place: int, item: ItemFacts) -> CaseFacts:
    items = list(facts.items)
    items[place] = item
    return CaseFacts(
        facts.case_id,
        facts.subject,
        facts.kind,
        facts.source,
        facts.partner,
        facts.site,
        facts.zone,
        facts.recorded_at,
        facts.cutoff_at,
        facts.shown_cutoff_at,
        facts.received_at,
        facts.opened_at,
        facts.policy,
        facts.first_leaf,
        tuple(items),
        facts.begun_at,
        facts.closed_at,
        facts.rescinded,
        facts.called_off_at,
        facts.first_cutoff_at,
        facts.earlier,
    )


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError
    return value


def _count(value: object) -> int:
    if type(value) is not list:
        raise TypeError
    return len(value)


OPENINGS: Mapping[str, Callable[[int, Document, Document | None], CaseFacts]] = {
    "case:opened": _opened,
    "case:rescinded": _rescinded_first,
}
CHANGES: Mapping[str, Callable[[CaseFacts, Document], CaseFacts]] = {
    AMENDED: amended,
    "case:rescinded": _rescinded,
    "case:begun": _begun,
    "case:closed": _closed,
    "revocation:attempt": _attempted,
    "revocation:outcome": _settled,
    "decision:attest": _attested,
    "decision:waive": _waived,
    "finding:raised": _found,
}
