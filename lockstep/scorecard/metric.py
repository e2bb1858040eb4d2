"""The access-revocation metric (reference: audit, section 5): one door to its parts.

Pure: the same facts, definition and instant give the same score, everywhere and for ever.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from lockstep.scorecard.counting import Counting
from lockstep.scorecard.definition import Definition
from lockstep.scorecard.facts import CaseFacts, Feed, Finding
from lockstep.scorecard.judging import CaseResult, ItemResult, judge, judge_items, weigh
from lockstep.scorecard.scores import CapHit, Exposure, Score, Window, official_window, reading_of
from lockstep.scorecard.tally import Tally, belongs

__all__ = [
    "DIMENSIONS",
    "CapHit",
    "CaseResult",
    "Exposure",
    "ItemResult",
    "Score",
    "Window",
    "breakdowns",
    "judge",
    "official_window",
    "reading_of",
    "score",
]

DIMENSIONS: Final = ("partner", "site", "category", "system", "kind")
"""What the score is broken down by."""


def score(
    cases: Iterable[CaseFacts],
    definition: Definition,
    *,
    window: Window,
    as_of: int,
    findings: Sequence[Finding] = (),
    ledger_ok: bool = True,
    feeds: Sequence[Feed] = (),
    called_off: Iterable[CaseFacts] = (),
) -> Score:
    """Score a window.

    Cases are taken one by one, so a stream will do; those outside the window are passed over.

    Args:
        cases: of the tenant, or the part of it that is looked at.
        definition: the parameters.
        window: which cutoffs are asked for; `official_window` for the published score.
        as_of: the instant at which open work is censored, in milliseconds since the epoch.
        findings: all of the tenant; those that stand at ``as_of`` cap the score.
        ledger_ok: False where the ledger could not be verified: there is no score then.
        feeds: the sources of HR that are expected: there is no score while one is silent too long.
        called_off: cases that HR took back, of any time; others may stand among them. A case that
            goes on from one of them runs on its clock.
    """
    tally = Tally(definition, window=window, as_of=as_of, named=_named(findings))
    counting = Counting(definition, called_off)
    for case in cases:
        counted = counting.of(case, as_of)
        tally.add(counted, judge_items(counted, as_of))
    return tally.score(findings=findings, ledger_ok=ledger_ok, feeds=feeds)


def breakdowns(
    cases: Iterable[CaseFacts],
    definition: Definition,
    *,
    window: Window,
    as_of: int,
    findings: Sequence[Finding] = (),
    ledger_ok: bool = True,
    feeds: Sequence[Feed] = (),
    called_off: Iterable[CaseFacts] = (),
) -> dict[str, dict[str, Score]]:
    """The score per partner, site, category, system and kind of leaver, sorted by name.

    By category and by system, every case is reduced to the systems concerned. A finding bears on
    the groups that its case or its system is in; where that is not known, it bears on all: what
    cannot be placed must not flatter anybody.
    """
    groups = _Groups(definition, window=window, as_of=as_of, named=_named(findings))
    counting = Counting(definition, called_off)
    for case in cases:
        groups.add(counting.of(case, as_of))
    return {
        dimension: {
            name: tally.score(
                findings=[row for row in findings if groups.bears(row, dimension, name)],
                ledger_ok=ledger_ok,
                feeds=feeds,
            )
            for name, tally in sorted(groups.tallies[dimension].items())
        }
        for dimension in DIMENSIONS
    }


def _named(findings: Sequence[Finding]) -> frozenset[str]:
    return frozenset(finding.case_id for finding in findings if finding.case_id)


class _Groups:
    def __init__(
        self, definition: Definition, *, window: Window, as_of: int, named: frozenset[str]
    ) -> None:
        self._definition = definition
        self._window = window
        self._as_of = as_of
        self._named = named
        self.tallies: dict[str, dict[str, Tally]] = {name: {} for name in DIMENSIONS}
        self._categories: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, case: CaseFacts) -> None:
        items = judge_items(case, self._as_of)
        whole = weigh(case, items, self._as_of, self._definition)
        if not belongs(case, whole, self._window):
            return
        for dimension, name in (
            ("partner", case.partner),
            ("site", case.site),
            ("kind", case.kind),
        ):
            self._tally(dimension, name).count(case, items, whole)
        by_category: defaultdict[str, list[ItemResult]] = defaultdict(list)
        for row in items:
            category = row.facts.category
            by_category[category].append(row)
            self._categories[row.system].add(category)
            self._add_part(case, [row], "system", row.system)
        for category, rows in by_category.items():
            self._add_part(case, rows, "category", category)

    def _add_part(
        self, case: CaseFacts, rows: Sequence[ItemResult], dimension: str, name: str
    ) -> None:
        part = weigh(case, rows, self._as_of, self._definition)
        if belongs(case, part, self._window):
            self._tally(dimension, name).count(case, rows, part)

    def _tally(self, dimension: str, name: str) -> Tally:
        tallies = self.tallies[dimension]
        if name not in tallies:
            tallies[name] = Tally(
                self._definition, window=self._window, as_of=self._as_of, named=self._named
            )
        return tallies[name]

    def bears(self, finding: Finding, dimension: str, name: str) -> bool:
        """Whether a finding bears on a group, or may do so."""
        if finding.system and dimension == "system":
            return finding.system == name or finding.system not in self.tallies["system"]
        if finding.system and dimension == "category":
            return name in self._categories.get(finding.system, {name})
        tallies: Mapping[str, Tally] = self.tallies[dimension]
        known = {group for group, tally in tallies.items() if finding.case_id in tally.seen}
        return not known or name in known
