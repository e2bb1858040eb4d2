"""What a later statement of HR changes of a case's facts.

Pure, and with the standard library alone, like the fold that it is a part of. Entries of earlier
releases moved the cutoff and nothing else; what they left as it was stays so, so that every pack
that was ever made says the same as on its day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lockstep.evidence.format.plain import instant_ms
from lockstep.scorecard.facts import CaseFacts

Document = Mapping[str, Any]

AMENDED = "case:amended"
DISMISSAL = "involuntary"


def says_all(entry: Document) -> bool:
    """Whether an amendment says everything that is in force: then it needs the case's policy."""
    return entry["kind"] == AMENDED and "termination" in entry["data"]


def is_said(data: Mapping[str, Any], name: str) -> bool:
    """Whether a member that may be left out is there; it is text then, and not empty.

    Raises:
        ValueError: if something else stands there: `true` is nobody, and no photograph.
    """
    if name in data and not _text(data[name]):
        raise ValueError
    return name in data


def amended(facts: CaseFacts, entry: Document) -> CaseFacts:
    """The cutoff, as the case works by it and as it counts."""
    data = entry["data"]
    shown = instant_ms(data["cutoff_at"])
    counts = shown < facts.cutoff_at or more_time_counts(facts, entry)
    scored = shown if counts else facts.cutoff_at
    first = first_cutoff(facts.first_cutoff_at, facts.kind, shown)
    return replace(facts, shown_cutoff_at=shown, cutoff_at=scored, first_cutoff_at=first)


def first_cutoff(before: int | None, kind: str, cutoff: int) -> int | None:
    """The earliest cutoff that ever stood while the case was a dismissal."""
    if kind != DISMISSAL:
        return before
    return cutoff if before is None else min(before, cutoff)


def more_time_counts(facts: CaseFacts, entry: Document) -> bool:
    """Said before the cutoff, by HR or by two people: else whoever is late could take more."""
    by_hr_or_two = entry["actor"]["type"] != "person" or is_said(entry["data"], "second_person")
    return by_hr_or_two and instant_ms(entry["recorded_at"]) < facts.cutoff_at


def restated(
    before: CaseFacts, after: CaseFacts, entry: Document, sla: Mapping[str, Any]
) -> CaseFacts:
    """Everything else that it says. ``after`` has the cutoff already.

    Args:
        before: the facts before the entry.
        after: the same with the cutoff that now counts.
        entry: one that `says_all`.
        sla: seconds by kind and tier, of the policy that the case has pinned.
    """
    data = entry["data"]
    kind = data["termination"]
    longer = more_time_counts(before, entry)
    items = []
    for item in after.items:
        seconds = sla[f"{kind}.{item.tier}"]
        if type(seconds) is not int or seconds < 0:
            raise TypeError
        allowed = seconds * 1000 if longer else min(item.sla_ms, seconds * 1000)
        items.append(item if allowed == item.sla_ms else replace(item, sla_ms=allowed))
    moved = after.cutoff_at != before.cutoff_at
    return replace(
        after,
        kind=kind,
        first_cutoff_at=first_cutoff(after.first_cutoff_at, kind, after.shown_cutoff_at),
        partner=_text(data["partner"]),
        site=_text(data["site"]),
        zone=_text(data["zone"]),
        # HR's lag runs from the statement that set the cutoff, whichever came later.
        recorded_at=instant_ms(data["hr_recorded_at"]) if moved else before.recorded_at,
        items=tuple(items),
    )


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError
    return value
