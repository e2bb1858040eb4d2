"""Say in plain words what cost which points, the worst first, and what to do next.

Names case ids and systems only, so that the text can stand anywhere the score does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import nsmallest
from typing import Final, NamedTuple

from lockstep.scorecard.counting import CALLED_OFF, Counting
from lockstep.scorecard.definition import Definition
from lockstep.scorecard.facts import CaseFacts
from lockstep.scorecard.judging import (
    SCORED,
    ItemResult,
    Verdict,
    credit_of,
    deciding,
    judge_items,
    penalty_of,
    weigh,
)
from lockstep.scorecard.measures import ExactSum
from lockstep.scorecard.numbers import (
    DAY_MS,
    WEEK_MS,
    decimal_text,
    duration_text,
    instant_text,
    shortest_text,
)
from lockstep.scorecard.scores import CapHit, Score
from lockstep.scorecard.tally import belongs

_NOTHING = Fraction(0)

_UNSCORED: Final = {
    "ledger_unverified": (
        "The ledger could not be verified, so there is no score.",
        "Run `lockstep ledger verify` and find out what was changed.",
    ),
    "hr_feed_stale": (
        "{silence}, so nobody knows who has left.",
        "Bring it back: its next event or heartbeat brings the score back. See docs/scorecard.md.",
    ),
    "no_leavers": (
        "Nobody's time was up in this window, so there is nothing to score.",
        "Nothing to do. No leavers is not a perfect score.",
    ),
}
_BETTER_EVIDENCE: Final = {
    "C": "Connect the system, so that it is read back and not attested.",
    "D": "Attach an artefact and have a second person confirm it, or connect the system.",
}


@dataclass(frozen=True, slots=True)
class Cost:
    """One reason why the score is not the maximum.

    Args:
        points: exact; negative where a limit gives points back. All of them together are the
            maximum less the exact score.
        code: "slow", "late", "late_open", "called_off", "evidence", "penalty", "more_cases",
            "more_penalties", "penalty_limit", "floor", "cap:..." or "unscored:...". Stable.
        text: what happened.
        advice: what to do next.
    """

    points: Fraction
    code: str
    text: str
    advice: str
    case_id: str = ""
    system: str = ""


class _Loss(NamedTuple):
    points: Fraction
    case: CaseFacts
    items: tuple[ItemResult, ...]
    verdict: Verdict


@dataclass(slots=True)
class _Worst:
    """The largest losses, and the sum and number of all of them."""

    limit: int
    count: int = 0
    _sum: ExactSum = field(default_factory=ExactSum)
    _kept: list[_Loss] = field(default_factory=list)

    def add(self, loss: _Loss) -> None:
        self._sum.add(*loss.points.as_integer_ratio())
        self.count += 1
        self._kept.append(loss)
        if len(self._kept) > 4 * self.limit + 100:
            self._kept = self.rows()

    def total(self) -> Fraction:
        return self._sum.total()

    def rows(self) -> list[_Loss]:
        return nsmallest(self.limit, self._kept, key=lambda row: (-row.points, row.case.case_id))


def explain(
    score: Score,
    cases: Iterable[CaseFacts],
    definition: Definition,
    *,
    limit: int = 20,
    called_off: Iterable[CaseFacts] = (),
) -> list[Cost]:
    """What cost which points, the worst first.

    Args:
        score: of these cases.
        cases: the same that were scored.
        definition: the same as well.
        limit: how many cases are named one by one; the rest is summed up.
        called_off: as for the score.
    """
    if score.exact is None or score.base is None:
        return [_unscored(reason, score) for reason in score.unscored]
    losses, penalties = _Worst(limit), _Worst(limit)
    counting = Counting(definition, called_off)
    for told in cases:
        case = counting.of(told, score.as_of)
        items = judge_items(case, score.as_of)
        verdict = weigh(case, items, score.as_of, definition)
        if verdict.state not in SCORED or not belongs(case, verdict, score.window):
            continue
        lost = definition.slope * (1 - credit_of(verdict, definition)) / score.n
        if lost:
            losses.add(_Loss(lost, case, items, verdict))
        if points := penalty_of(verdict, definition):
            penalties.add(_Loss(points, case, items, verdict))
    costs = [
        *(_lost_credit(row, definition) for row in losses.rows()),
        *_more("more_cases", losses, "lost credit"),
        *(_penalty(row, definition) for row in penalties.rows()),
        *_more("more_penalties", penalties, "open past due"),
        *_limits(score, losses.total(), penalties.total()),
        *_caps(score, max(_NOTHING, score.base - score.penalty)),
    ]
    return sorted(costs, key=lambda cost: (-cost.points, cost.code, cost.case_id))


def _unscored(reason: str, score: Score) -> Cost:
    text, advice = _UNSCORED[reason]
    return Cost(_NOTHING, f"unscored:{reason}", text.format(silence=_silence(score)), advice)


def _silence(score: Score) -> str:
    """Which source of HR has been silent longest, and how many others are too."""
    longest = score.definition.feed_age_days * DAY_MS
    silent = [feed for feed in score.feeds if feed.age_ms(score.as_of) > longest]
    if not silent:
        return ""
    worst = max(silent, key=lambda feed: feed.age_ms(score.as_of))
    age = duration_text(worst.age_ms(score.as_of))
    text = f"HR source {worst.source} has not been heard for {age}"
    if worst.heard_at is None:
        text = f"HR source {worst.source} has been expected for {age} and was never heard"
    return text if len(silent) == 1 else f"{text} ({len(silent) - 1} more silent)"


def _lost_credit(row: _Loss, definition: Definition) -> Cost:
    worst = _worst_item(row.items, row.verdict)
    if worst.facts.outcome == CALLED_OFF:
        text = f"HR took it back {duration_text(worst.ttr_ms)} after its cutoff had come."
        advice = "It cannot be mended: a case whose cutoff has come stays one. Keep a worker up."
        return _case_cost(row, "called_off", text, advice, "")
    if worst.is_open:
        what = "late_open", f"{worst.system} is open {_past(worst.late_ms)}."
        advice = f"Close {worst.system}: every further hour costs more."
        return _case_cost(row, *what, advice, worst.system)
    if not row.verdict.open_items and _evidence_binds(row.verdict, definition):
        weakest, grade = _weakest_item(row.items, row.verdict), row.verdict.grade
        cap = shortest_text(Fraction(*definition.evidence_cap(grade)))
        what = "evidence", f"{weakest} rests on evidence of grade {grade}, worth {cap} at most."
        advice = _BETTER_EVIDENCE.get(grade, "Read the system back.")
        return _case_cost(row, *what, advice, weakest)
    taken, allowed = duration_text(worst.ttr_ms), duration_text(worst.sla_ms)
    text = f"{worst.system} took {taken} where {allowed} is allowed."
    if worst.late_ms:
        leaves = instant_text(row.case.cutoff_at + definition.window_days * DAY_MS)[:10]
        advice = f"It cannot be mended; it leaves the official window on {leaves}."
        return _case_cost(row, "late", text, advice, worst.system)
    full = duration_text(int(worst.sla_ms * definition.full_until))
    advice = f"In time. Within {full} it would have cost nothing."
    return _case_cost(row, "slow", text, advice, worst.system)


def _case_cost(row: _Loss, code: str, text: str, advice: str, system: str) -> Cost:
    case_id = row.case.case_id
    return Cost(row.points, code, f"Case {case_id}: {text}", advice, case_id, system)


def _evidence_binds(verdict: Verdict, definition: Definition) -> bool:
    speed = definition.credit(verdict.worst_ttr_ms, verdict.worst_sla_ms)
    return credit_of(verdict, definition) < Fraction(*speed)


def _penalty(row: _Loss, definition: Definition) -> Cost:
    worst = max(
        (item for item in deciding(row.items) if item.is_open),
        key=lambda item: (item.late_ms, item.system),
    )
    weeks = row.verdict.open_late_ms // WEEK_MS
    factor = shortest_text(definition.penalty_tier0_factor)
    why = f", times {factor} for tier 0" if row.verdict.tier0_late_ms else ""
    full = f"{weeks} full week" if weeks == 1 else f"{weeks} full weeks"
    text = f"open {_past(worst.late_ms)} ({full}{why})."
    late = sorted(item.system for item in deciding(row.items) if item.is_open and item.late_ms)
    advice = f"Close {', '.join(late)}: the points come back at once."
    return _case_cost(row, "penalty", text, advice, worst.system)


def _more(code: str, worst: _Worst, what: str) -> list[Cost]:
    rows = worst.rows()
    if worst.count == len(rows):
        return []
    points = worst.total() - sum((row.points for row in rows), _NOTHING)
    text = f"{worst.count - len(rows)} more cases {what}, none of them more than those named."
    return [Cost(points, code, text, "Begin with the cases that are named.")]


def _limits(score: Score, lost: Fraction, penalties: Fraction) -> list[Cost]:
    """What the limits give back, so that all costs add up to the points that are missing."""
    definition = score.definition
    costs = []
    if given_back := penalties - score.penalty:
        limit = shortest_text(definition.penalty_limit)
        text = f"Penalties count {limit} points at most."
        costs.append(Cost(-given_back, "penalty_limit", text, "Nothing to do."))
    if (below := lost + score.penalty - definition.max_score) > 0:
        text = "A score does not fall below 0."
        advice = "Much must be closed before the score moves. Begin with the cases that are named."
        costs.append(Cost(-below, "floor", text, advice))
    return costs


def _caps(score: Score, uncapped: Fraction) -> list[Cost]:
    """Only the lowest cap costs points; the others are told, as they come next."""
    costs = []
    for place, hit in enumerate(score.caps):
        points = max(_NOTHING, uncapped - hit.limit) if place == 0 else _NOTHING
        text, advice = _cap_words(hit, score)
        costs.append(Cost(points, f"cap:{hit.code}", text, advice, hit.case_id, hit.system))
    return costs


def _cap_words(hit: CapHit, score: Score) -> tuple[str, str]:
    limit = decimal_text(hit.limit, score.definition.score_places)
    where = f"case {hit.case_id}" if hit.case_id else "a leaver without a case"
    age = duration_text(hit.since_ms)
    alone = "it alone caps" if hit.count == 1 else f"it and {hit.count - 1} more cap"
    match hit.code:
        case "open_tier0":
            text = f"{hit.system} of {where} is open {age} past due: {alone} the score at {limit}."
            return text, f"Close {where}: {hit.system} is a tier-0 system."
        case "access_used":
            text = f"A leaver used access after the cutoff ({where}): {alone} the score at {limit}."
            return text, "Close the incident; a second person must confirm it."
        case _:
            hours = score.definition.population_after_hours
            text = f"The population has not been reconciled for {age} (more than {hours} h):"
            text = f"{text} {alone} the score at {limit}."
            place = f"{hit.system}, {where}" if hit.system else where
            return text, f"Open the missing case, or remove the orphan account ({place})."


def _worst_item(items: tuple[ItemResult, ...], verdict: Verdict) -> ItemResult:
    """The system that decided; an open one first, then by name."""
    return min(
        (
            row
            for row in deciding(items)
            if row.ttr_ms * verdict.worst_sla_ms == verdict.worst_ttr_ms * row.sla_ms
        ),
        key=lambda row: (not row.is_open, row.system),
    )


def _weakest_item(items: tuple[ItemResult, ...], verdict: Verdict) -> str:
    settled = [row for row in deciding(items) if not row.is_open]
    weakest = [row.system for row in settled if row.facts.grade == verdict.grade]
    return min(weakest or [row.system for row in settled])


def _past(late_ms: int) -> str:
    return f"{duration_text(late_ms)} past due" if late_ms else "up to its due time"
