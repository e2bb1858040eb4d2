"""Judge one case: how long access outlived the cutoff, against the time that policy allows.

Results are named tuples and not dataclasses: a year of a large tenant is a million of them, and
a tuple is made four times as fast as a frozen dataclass.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, NamedTuple

from lockstep.scorecard.counting import CALLED_OFF
from lockstep.scorecard.definition import GRADES, Definition
from lockstep.scorecard.facts import CaseFacts, ItemFacts
from lockstep.scorecard.numbers import WEEK_MS

CaseState = Literal[
    "done", "overdue", "called_off", "pending", "rescinded", "no_access", "untouched", "future"
]

_NOTHING = Fraction(0)
SCORED = frozenset({"done", "overdue", "called_off"})
_COUNTED = SCORED | {"pending"}


class ItemResult(NamedTuple):
    """One system of one case, judged. Instants and durations are whole milliseconds.

    Attributes:
        facts: what was judged.
        ttr_ms: from the cutoff to access proved gone, never below 0; to `as_of` while open.
        sla_ms: the time allowed from the cutoff; a waiver that counts has extended it.
        due_at: the cutoff plus `sla_ms`.
        late_ms: from `due_at` to access proved gone or `as_of`, never below 0.
        exposure_ms: `ttr_ms` times the number of accounts.
    """

    facts: ItemFacts
    ttr_ms: int
    sla_ms: int
    due_at: int
    late_ms: int
    is_open: bool
    exposure_ms: int

    @property
    def system(self) -> str:
        """The system's name in the policy."""
        return self.facts.system

    @property
    def ratio(self) -> Fraction:
        """The time taken as a part of the time allowed."""
        return Fraction(self.ttr_ms, self.sla_ms)

    @property
    def within_sla(self) -> bool | None:
        """None while it is open and not late: nobody knows yet."""
        if self.late_ms:
            return False
        return None if self.is_open else True


class CaseResult(NamedTuple):
    """One case, judged. Instants and durations are whole milliseconds.

    What is not scored (`scored` is False) has no credit, and its state is the reason. A rescinded
    case is never open or late.

    Attributes:
        state: "done" all deciding systems are proved gone; "overdue" one is open and a time
            allowed has passed; "called_off" HR took it back after its cutoff, and nothing was
            proved; "pending" one is open and none has passed. "rescinded", "no_access" (no system
            knew the leaver), "untouched" (see `_nothing_was_taken`) and "future" (the cutoff is
            still to come) count nowhere.
        ratio: r, the worst t / SLA of the deciding systems. Required systems decide; where none
            is required, all do.
        credit: c, between 0 and 1; None where the case is not scored.
        grade: the worst evidence of deciding systems that are settled, "" while none is.
        ttr_ms: of the slowest deciding system.
        due_at: of the system with the worst ratio.
        late_ms: of the latest deciding system.
        operational_ms: from max(N, E) instead of the cutoff.
        open_items: deciding systems that are not proved gone.
        open_late_ms: how far the longest overdue open system is past due.
        tier0_late_ms: the same, of tier 0 alone.
        penalty: points this case takes off while it is open and overdue.
        items: every system of the case, in the order of the facts.
    """

    case_id: str
    state: CaseState
    scored: bool
    ratio: Fraction
    credit: Fraction | None
    grade: str
    ttr_ms: int
    due_at: int
    late_ms: int
    within_sla: bool | None
    is_open: bool
    hr_lag_ms: int
    operational_ms: int
    exposure_ms: int
    open_items: int
    open_late_ms: int
    tier0_late_ms: int
    penalty: Fraction
    items: tuple[ItemResult, ...]

    @property
    def tier0_overdue(self) -> bool:
        """Whether a tier-0 system that decides is open past its due time."""
        return self.tier0_late_ms > 0


class Verdict(NamedTuple):
    """What some systems of a case come to; the part of a `CaseResult` that a window needs.

    Attributes:
        worst_ttr_ms: with `worst_sla_ms`, the worst ratio of the deciding systems.
    """

    state: CaseState
    worst_ttr_ms: int
    worst_sla_ms: int
    grade: str
    ttr_ms: int
    late_ms: int
    open_items: int
    open_late_ms: int
    tier0_late_ms: int

    @property
    def counts(self) -> bool:
        """Whether the case is of the population: scored, or pending."""
        return self.state in _COUNTED


def judge(case: CaseFacts, definition: Definition, as_of: int) -> CaseResult:
    """Judge ``case`` as it stands at ``as_of`` (milliseconds since the epoch).

    Args:
        case: as the definition counts it; see `lockstep.scorecard.counting`.
        definition: the parameters.
        as_of: where open work is censored.
    """
    items = judge_items(case, as_of)
    verdict = weigh(case, items, as_of, definition)
    scored = verdict.state in SCORED
    ratio = Fraction(verdict.worst_ttr_ms, verdict.worst_sla_ms)
    lag_ms = max(0, case.recorded_at - case.cutoff_at)
    return CaseResult(
        case_id=case.case_id,
        state=verdict.state,
        scored=scored,
        ratio=ratio,
        credit=credit_of(verdict, definition) if scored else None,
        grade=verdict.grade,
        ttr_ms=verdict.ttr_ms,
        due_at=_due_at(case, items, ratio),
        late_ms=verdict.late_ms,
        within_sla=ratio <= 1 if scored else None,
        is_open=verdict.open_items > 0,
        hr_lag_ms=lag_ms,
        operational_ms=max(0, verdict.ttr_ms - lag_ms),
        exposure_ms=sum([row.exposure_ms for row in items]),
        open_items=verdict.open_items,
        open_late_ms=verdict.open_late_ms,
        tier0_late_ms=verdict.tier0_late_ms,
        penalty=penalty_of(verdict, definition),
        items=items,
    )


def judge_items(case: CaseFacts, as_of: int) -> tuple[ItemResult, ...]:
    """Judge every system of a case by itself, in the order of the facts.

    A system is open until access is proved gone, waived or not. A waiver that counts moves the
    due time, and with it the time allowed; nothing of a rescinded case is open or late.
    """
    cutoff = case.cutoff_at
    rescinded = case.rescinded
    results = []
    for item in case.items:
        # No policy allows no time at all; a document that says so must not divide by 0.
        sla = item.sla_ms if item.sla_ms > 0 else 1
        if item.waived_until is not None and item.waived_until > cutoff + sla:
            sla = item.waived_until - cutoff
        ttr = (as_of if item.off_at is None else item.off_at) - cutoff
        if ttr < 0 or rescinded:
            ttr = 0
        is_open = item.off_at is None and not rescinded
        late = ttr - sla if ttr > sla else 0
        results.append(ItemResult(item, ttr, sla, cutoff + sla, late, is_open, ttr * item.accounts))
    return tuple(results)


def deciding(items: Sequence[ItemResult]) -> Sequence[ItemResult]:
    """The systems that decide: the required ones; all where none is required.

    Otherwise a case would be perfect by requiring nothing of anybody.
    """
    return [row for row in items if row.facts.required] or items


def weigh(
    case: CaseFacts, items: Sequence[ItemResult], as_of: int, definition: Definition
) -> Verdict:
    """Weigh ``items``, all systems of a case or some of them.

    The worst ratio is found by cross multiplication: this runs for every system of every case.
    """
    worst_ttr, worst_sla = 0, 1
    slowest = latest = open_items = open_late = tier0_late = 0
    grade = ""
    for facts, ttr, sla, _, late, is_open, _ in deciding(items):
        if ttr * worst_sla > worst_ttr * sla:
            worst_ttr, worst_sla = ttr, sla
        slowest = max(slowest, ttr)
        if late:
            latest = max(latest, late)
        if is_open:
            open_items += 1
            open_late = max(open_late, late)
            if facts.tier == "0":
                tier0_late = max(tier0_late, late)
        elif facts.grade != grade or not grade:
            grade = max(grade, _grade_of(facts))
    state = _state(case, items, as_of, is_open=open_items > 0, is_due=worst_ttr >= worst_sla)
    if state == "done" and not latest and definition.has_rules and _nothing_was_taken(case, items):
        state = "untouched"
    return Verdict(
        state,
        worst_ttr,
        worst_sla,
        grade,
        slowest,
        latest,
        open_items,
        open_late,
        tier0_late,
    )


def credit_of(verdict: Verdict, definition: Definition) -> Fraction:
    """What the case is worth: g(r), at most what its evidence allows."""
    return Fraction(*credit_parts(verdict, definition))


def credit_parts(verdict: Verdict, definition: Definition) -> tuple[int, int]:
    """The same as numerator and denominator, not reduced: a million of them are added up."""
    top, bottom = definition.credit(verdict.worst_ttr_ms, verdict.worst_sla_ms)
    # What is open has no evidence yet. Else a weak proof could be worth less than none.
    grade = GRADES[-1] if verdict.open_items else verdict.grade
    if grade:
        cap_top, cap_bottom = definition.evidence_cap(grade)
        if top * cap_bottom > cap_top * bottom:
            return cap_top, cap_bottom
    return top, bottom


def penalty_of(verdict: Verdict, definition: Definition) -> Fraction:
    """The points that a case takes off while one of its systems is open and overdue."""
    if not verdict.open_late_ms:
        return _NOTHING
    weeks = verdict.open_late_ms // WEEK_MS
    points = definition.penalty_at_once + definition.penalty_per_week * weeks
    points = min(definition.penalty_per_case, points)
    return points * definition.penalty_tier0_factor if verdict.tier0_late_ms else points


def _due_at(case: CaseFacts, items: Sequence[ItemResult], ratio: Fraction) -> int:
    """When the deciding system with the worst ratio was due; of several, the first."""
    dues = [row.due_at for row in deciding(items) if row.ratio == ratio]
    return min(dues, default=case.cutoff_at)


def _state(
    case: CaseFacts, items: Sequence[ItemResult], as_of: int, *, is_open: bool, is_due: bool
) -> CaseState:
    if case.rescinded:
        return "rescinded"
    if case.cutoff_at > as_of:
        return "future"
    if is_open:
        return "overdue" if is_due else "pending"
    if any(row.facts.outcome == CALLED_OFF for row in items):
        return "called_off"
    for row in items:
        # What was reopened had an account, though the last look found none.
        if row.facts.outcome != "not_found" or row.facts.openings > 1:
            return "done"
    return "no_access"


def _nothing_was_taken(case: CaseFacts, items: Sequence[ItemResult]) -> bool:
    """Whether no system ever had an account, or all access was gone before HR told us.

    Somebody invented, and somebody who left long ago, would else be a perfect case each. Where
    every system rests on a person's word, none could have known the leaver: that stays a case.
    """
    looked = [row for row in items if row.facts.outcome in {"not_found", "already_absent"}]
    return bool(looked) and all(_was_nothing(row.facts, case.received_at) for row in items)


def _was_nothing(item: ItemFacts, heard: int) -> bool:
    if item.openings > 1:
        return False
    match item.outcome:
        case "not_found":
            return True
        case "already_absent":
            return item.off_at is not None and item.off_at < heard
        case "attested":
            return not item.accounts
        case _:
            return False


def _grade_of(item: ItemFacts) -> str:
    """Settled without a grade that we know is worth no more than a person's word."""
    return item.grade if item.grade in GRADES else GRADES[-1]
