"""What a score would be if every case had pinned one and the same policy.

A policy that was changed within a window gave its later cases other systems and other times. Each
case keeps what it pinned; beside the score stands what it would be under each of these policies,
so that nobody loosens one and calls the better score progress.

A system that a policy requires and a case does not have is open there: nothing proves that access
was taken, and what is missing counts against us.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final, NamedTuple

from lockstep.scorecard.counting import Counting
from lockstep.scorecard.definition import Definition
from lockstep.scorecard.facts import CaseFacts, Feed, Finding, ItemFacts
from lockstep.scorecard.judging import judge_items, weigh
from lockstep.scorecard.scores import UnderPolicy, Window
from lockstep.scorecard.tally import Tally, belongs

KINDS: Final = ("involuntary", "voluntary", "contract_end")
MOST: Final = 20
"""So many policies are compared, the first by digest."""


class PolicyError(ValueError):
    """A policy that cannot be read; only one that was not ours can be so."""


class _System(NamedTuple):
    category: str
    tier: str
    required: bool


@dataclass(frozen=True, slots=True)
class PolicyTerms:
    """What a policy asks: its systems, and milliseconds by kind of leaver and tier."""

    digest: str
    systems: Mapping[str, _System]
    sla_ms: Mapping[str, int]

    @classmethod
    def of(cls, digest: str, document: Mapping[str, Any]) -> PolicyTerms:
        """Read a policy's document.

        Raises:
            PolicyError: if it cannot be read.
        """
        try:
            rows = [
                (
                    str(row["system"]),
                    _System(str(row["category"]), str(row["tier"]), row["required"]),
                )
                for row in document["systems"]
            ]
            sla_ms = {name: seconds * 1000 for name, seconds in document["sla_s"].items()}
        except (KeyError, TypeError, AttributeError):
            raise PolicyError(digest) from None
        asked = {f"{kind}.{system.tier}" for kind in KINDS for _, system in rows}
        if not asked <= sla_ms.keys() or not all(type(sla_ms[name]) is int for name in asked):
            raise PolicyError(digest)
        return cls(digest, dict(rows), sla_ms)

    def applied(self, case: CaseFacts) -> CaseFacts:
        """The case as if it had pinned this policy; what that does not know decides nothing."""
        if case.policy == self.digest:
            return case
        items = [self._applied(item, case.kind) for item in case.items]
        known = {item.system for item in case.items}
        items += [
            ItemFacts(name, row.category, row.tier, row.required, self._sla(case.kind, row.tier))
            for name, row in sorted(self.systems.items())
            if row.required and name not in known
        ]
        return replace(case, items=tuple(items))

    def missing(self, case: CaseFacts) -> set[str]:
        """Systems that it requires and the case does not have."""
        required = {name for name, row in self.systems.items() if row.required}
        return required - {item.system for item in case.items}

    def _applied(self, item: ItemFacts, kind: str) -> ItemFacts:
        row = self.systems.get(item.system)
        if row is None:
            return replace(item, required=False)
        sla_ms = self._sla(kind, row.tier)
        return replace(item, tier=row.tier, required=row.required, sla_ms=sla_ms)

    def _sla(self, kind: str, tier: str) -> int:
        return self.sla_ms[f"{kind}.{tier}"]


def _system(row: Mapping[str, Any]) -> _System:
    return _System(str(row["category"]), str(row["tier"]), row["required"])


def under_policies(
    cases: Iterable[CaseFacts],
    definition: Definition,
    terms: Sequence[PolicyTerms],
    *,
    window: Window,
    as_of: int,
    findings: Sequence[Finding] = (),
    ledger_ok: bool = True,
    feeds: Sequence[Feed] = (),
    called_off: Iterable[CaseFacts] = (),
) -> tuple[UnderPolicy, ...]:
    """The score under each of these policies, of the cases that the score itself counts.

    Args:
        cases: those that were scored.
        definition: the same as for the score.
        terms: of the policies that those cases have pinned.
        window: as for the score.
        as_of: as for the score.
        findings: as for the score.
        ledger_ok: as for the score.
        feeds: as for the score.
        called_off: as for the score.
    """
    counting = Counting(definition, called_off)
    named = frozenset(finding.case_id for finding in findings if finding.case_id)
    terms = sorted(terms, key=lambda each: each.digest)[:MOST]
    tallies = [Tally(definition, window=window, as_of=as_of, named=named) for _ in terms]
    pinned: Counter[str] = Counter()
    missing: dict[str, set[str]] = {each.digest: set() for each in terms}
    for told in cases:
        case = counting.of(told, as_of)
        verdict = weigh(case, judge_items(case, as_of), as_of, definition)
        if not verdict.counts or not belongs(case, verdict, window):
            continue
        pinned[case.policy] += 1
        for each, tally in zip(terms, tallies, strict=True):
            missing[each.digest] |= each.missing(case)
            other = each.applied(case)
            items = judge_items(other, as_of)
            tally.count(other, items, weigh(other, items, as_of, definition))
    found = []
    for each, tally in zip(terms, tallies, strict=True):
        score = tally.score(findings=findings, ledger_ok=ledger_ok, feeds=feeds)
        value: Fraction | None = score.value
        lacks = tuple(sorted(missing[each.digest]))
        found.append(UnderPolicy(each.digest, pinned[each.digest], value, lacks))
    return tuple(found)
