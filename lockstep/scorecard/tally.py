"""Count judged cases of one window, in one pass and little memory, and make their score."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction

from lockstep.scorecard.definition import Definition
from lockstep.scorecard.facts import CaseFacts, Feed, Finding
from lockstep.scorecard.judging import (
    ItemResult,
    Verdict,
    credit_parts,
    deciding,
    penalty_of,
    weigh,
)
from lockstep.scorecard.measures import Durations, ExactSum, wilson_lower
from lockstep.scorecard.numbers import DAY_MS, HOUR_MS
from lockstep.scorecard.scores import CapHit, Exposure, Score, Window

_POPULATION = frozenset({"leaver_without_case", "orphan_account"})
_NOTHING = Fraction(0)


def belongs(case: CaseFacts, verdict: Verdict, window: Window) -> bool:
    """Whether a case is of a window: by its cutoff; an older one for as long as it is open."""
    if case.cutoff_at < window.start:
        return verdict.open_items > 0
    return case.cutoff_at < window.end


class Tally:
    """The running figures of a window; `add` every case, then `score`.

    Args:
        named: ids of the cases that findings name; `seen` tells which of them were counted.
    """

    def __init__(
        self,
        definition: Definition,
        *,
        window: Window,
        as_of: int,
        named: Iterable[str] = (),
    ) -> None:
        self._definition = definition
        self._window = window
        self._as_of = as_of
        self._named = frozenset(named)
        self.seen: set[str] = set()
        self._excluded: Counter[str] = Counter()
        self._n = self._pending = self._within = self._early = self._overdue = 0
        self._clean = 0
        self._credit, self._penalty = ExactSum(), Fraction(0)
        self._ttr, self._lag, self._operational = Durations(), Durations(), Durations()
        self._account_ms = self._tier0_ms = self._leaver_ms = 0
        self._waived = self._in_vain = 0
        self._grades: defaultdict[str, int] = defaultdict(int)
        self._policies: set[str] = set()
        self._long = 0
        self._tier0_count = 0
        self._tier0_worst: CapHit | None = None

    def add(self, case: CaseFacts, items: Sequence[ItemResult]) -> None:
        """Count one case by its judged systems; one outside the window is passed over."""
        verdict = weigh(case, items, self._as_of, self._definition)
        if belongs(case, verdict, self._window):
            self.count(case, items, verdict)

    def count(self, case: CaseFacts, items: Sequence[ItemResult], verdict: Verdict) -> None:
        """Count one case that is known to belong to the window, and has been weighed."""
        if case.case_id in self._named:
            self.seen.add(case.case_id)
        if not verdict.counts:
            self._excluded[verdict.state] += 1
            return
        self._policies.add(case.policy)
        self._long += self._definition.has_rules and _has_long(case, items, self._definition)
        self._count_items(items)
        if verdict.state == "pending":
            self._pending += 1
        else:
            self._count_scored(case, items, verdict)

    def _count_scored(self, case: CaseFacts, items: Sequence[ItemResult], verdict: Verdict) -> None:
        is_open = verdict.open_items > 0
        lag = case.recorded_at - case.cutoff_at
        lag = max(lag, 0)
        self._n += 1
        self._within += verdict.worst_ttr_ms <= verdict.worst_sla_ms
        self._credit.add(*credit_parts(verdict, self._definition))
        self._ttr.add(verdict.ttr_ms, is_open=is_open)
        self._lag.add(lag, is_open=False)
        self._operational.add(max(verdict.ttr_ms - lag, 0), is_open=is_open)
        if verdict.open_late_ms:
            self._overdue += 1
            self._penalty += penalty_of(verdict, self._definition)
            self._count_tier0(case, items, verdict)
        if not is_open:
            self._early += verdict.ttr_ms == 0 and _is_early(case, items)
            self._clean += verdict.grade < "D"

    def _count_items(self, items: Sequence[ItemResult]) -> None:
        waived = in_vain = False
        longest = 0
        for facts, ttr, _, _, _, is_open, exposure in items:
            if facts.waived_until is not None:
                waived = True
            if facts.waived_in_vain:
                in_vain = True
            if not is_open:
                self._grades[facts.grade] += 1
            if exposure:
                self._account_ms += exposure
                longest = max(longest, ttr)
                if facts.tier == "0":
                    self._tier0_ms += exposure
        self._leaver_ms += longest
        self._waived += waived
        self._in_vain += in_vain

    def _count_tier0(self, case: CaseFacts, items: Sequence[ItemResult], verdict: Verdict) -> None:
        late = verdict.tier0_late_ms
        if late <= self._definition.open_tier0_after_hours * HOUR_MS:
            return
        self._tier0_count += 1
        worst = self._tier0_worst
        if worst is None or (-late, case.case_id) < (-worst.since_ms, worst.case_id):
            system = min(
                row.system
                for row in deciding(items)
                if row.is_open and row.facts.tier == "0" and row.late_ms == late
            )
            limit = self._definition.open_tier0_limit
            self._tier0_worst = CapHit("open_tier0", limit, 0, case.case_id, system, late)

    def score(
        self,
        *,
        findings: Sequence[Finding] = (),
        ledger_ok: bool = True,
        feeds: Sequence[Feed] = (),
    ) -> Score:
        """The score of what was added.

        Args:
            findings: those that bear on this tally; see `lockstep.scorecard.metric.breakdowns`.
            ledger_ok: whether the ledger was verified; nothing is scored where it is not.
            feeds: the sources of HR that are expected; where there are none, nobody can know
                whether HR is silent.
        """
        definition, n = self._definition, self._n
        quality = self._credit.total() / n if n else None
        base = None
        if quality is not None:
            base = max(_NOTHING, definition.max_score - definition.slope * (1 - quality))
        penalty = min(definition.penalty_limit, self._penalty)
        caps = self._caps(findings)
        unscored = self._unscored(ledger_ok=ledger_ok, feeds=feeds)
        exact = None
        if base is not None and not unscored:
            exact = max(_NOTHING, min([base - penalty, *(hit.limit for hit in caps)]))
        wilson = None
        if n:
            places = definition.rate_places
            wilson = wilson_lower(self._within, n, definition.wilson_z, places=places)
        label = self._label(wilson)
        return Score(
            definition=definition,
            window=self._window,
            as_of=self._as_of,
            n=n,
            excluded=dict(self._excluded),
            pending=self._pending,
            within_sla=self._within,
            early=self._early,
            quality=quality,
            base=base,
            penalty=penalty,
            caps=caps,
            exact=exact,
            unscored=unscored,
            wilson=wilson,
            label=label,
            audit_proof_allowed=not unscored and (label == "assured" or self._is_flawless()),
            long_sla=self._long,
            ttr=self._ttr.spread(p95_from=definition.p95_from),
            hr_lag=self._lag.spread(p95_from=definition.p95_from),
            operational=self._operational.spread(p95_from=definition.p95_from),
            exposure=Exposure(self._account_ms, self._tier0_ms, self._leaver_ms),
            open_overdue=self._overdue,
            waived=self._waived,
            waived_in_vain=self._in_vain,
            grades={grade or "none": count for grade, count in self._grades.items()},
            policies=tuple(sorted(self._policies)),
            ledger_ok=ledger_ok,
            feeds=tuple(sorted(feeds, key=lambda feed: feed.source)),
        )

    def _unscored(self, *, ledger_ok: bool, feeds: Sequence[Feed]) -> tuple[str, ...]:
        longest = self._definition.feed_age_days * DAY_MS
        reasons = {
            "ledger_unverified": not ledger_ok,
            "hr_feed_stale": any(feed.age_ms(self._as_of) > longest for feed in feeds),
            "no_leavers": not self._n,
        }
        return tuple(name for name, holds in reasons.items() if holds)

    def _label(self, wilson: Fraction | None) -> str:
        definition = self._definition
        if self._n < definition.limited_from:
            return "indicative"
        if self._n < definition.assured_from:
            return "limited"
        is_assured = wilson is not None and wilson >= definition.assured_bound and not self._long
        return "assured" if is_assured else "measured"

    def _is_flawless(self) -> bool:
        """A small year without a miss, every case closed on evidence that a pack can carry."""
        span = self._window.end - self._window.start
        return (
            span >= self._definition.window_days * DAY_MS
            and not self._pending
            and not self._long
            and self._clean == self._within == self._n
        )

    def _caps(self, findings: Sequence[Finding]) -> tuple[CapHit, ...]:
        definition = self._definition
        standing = [finding for finding in findings if self._stands(finding)]
        patience = definition.population_after_hours * HOUR_MS
        hits = [
            self._finding_cap(
                "population",
                definition.population_limit,
                [
                    finding
                    for finding in standing
                    if finding.kind in _POPULATION and self._as_of - finding.raised_at > patience
                ],
            ),
            self._tier0_cap(),
            self._finding_cap(
                "access_used",
                definition.access_used_limit,
                [finding for finding in standing if finding.kind == "access_used"],
            ),
        ]
        return tuple(sorted([hit for hit in hits if hit], key=lambda hit: (hit.limit, hit.code)))

    def _stands(self, finding: Finding) -> bool:
        """Raised by the end of the window, or about a case of it, and not resolved yet."""
        if finding.raised_at > self._as_of:
            return False
        if finding.resolved_at is not None and finding.resolved_at <= self._as_of:
            return False
        return finding.raised_at <= self._window.end or finding.case_id in self.seen

    def _finding_cap(
        self, code: str, limit: Fraction, findings: Sequence[Finding]
    ) -> CapHit | None:
        if not findings:
            return None
        worst = min(findings, key=lambda row: (row.raised_at, row.case_id, row.system))
        since = self._as_of - worst.raised_at
        return CapHit(code, limit, len(findings), worst.case_id, worst.system, since)

    def _tier0_cap(self) -> CapHit | None:
        worst = self._tier0_worst
        return replace(worst, count=self._tier0_count) if worst else None


def _has_long(case: CaseFacts, items: Sequence[ItemResult], definition: Definition) -> bool:
    """Whether policy allows a system more time than is sane: being in time means little then."""
    return any(
        row.facts.sla_ms > definition.sane_ms(case.kind, row.facts.tier) for row in deciding(items)
    )


def _is_early(case: CaseFacts, items: Sequence[ItemResult]) -> bool:
    ends = [row.facts.off_at for row in deciding(items)]
    return all(end is not None and end < case.cutoff_at for end in ends)
