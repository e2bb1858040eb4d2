"""How far what a pack withholds could move its score. Only the standard library.

Of a withheld entry nothing is known but a hash: neither what kind it is, nor whose case it is of,
nor that its cutoff is to come. So it may open one more case, or change one that is shown, and no
more than one; each of them is taken for the worst, and then for the best.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from lockstep.scorecard.numbers import decimal_text
from lockstep.scorecard.scores import Score

PARTIAL = "partial"
"""The label of a score whose entries are not all shown: what n stands for is not known."""


class Range(NamedTuple):
    """The lowest and the highest score that the same head allows."""

    lowest: Fraction
    highest: Fraction


def possible(score: Score, withheld: int) -> Range:
    """Between what the score would lie if ``withheld`` entries, one or more, were shown.

    With S the sum of credits over n cases, k changed for the worse and c added without credit
    leave (S - k) / (n + c), which is least where all change and none is added; likewise upwards.
    """
    definition = score.definition
    if score.quality is None or withheld >= score.n:
        return Range(Fraction(0), definition.max_score)
    share = Fraction(withheld, score.n)
    worst = definition.penalty_per_case * definition.penalty_tier0_factor * withheld
    penalty = min(definition.penalty_limit, score.penalty + worst)
    caps = (definition.population_limit, definition.open_tier0_limit, definition.access_used_limit)
    lowest = min(_base(score, score.quality - share) - penalty, *caps)
    return Range(max(Fraction(0), lowest), _base(score, min(Fraction(1), score.quality + share)))


def _base(score: Score, quality: Fraction) -> Fraction:
    definition = score.definition
    return max(Fraction(0), definition.max_score - definition.slope * (1 - quality))


def bounded(score: Score, withheld: int) -> dict[str, Any]:
    """The score's document; with entries withheld, what it could be is its label.

    It has no reading then: a name for the value would be a name for what nobody can know.
    """
    document = score.as_document()
    if not withheld:
        return {**document, "withheld": None}
    return {
        **document,
        "label": PARTIAL,
        "reading": None,
        "audit_proof_allowed": False,
        "withheld": withheld_document(score, withheld),
    }


def withheld_document(score: Score, withheld: int) -> dict[str, Any]:
    """How many entries are not shown, and between what the score would lie if they were."""
    lowest, highest = possible(score, withheld)
    places = score.definition.score_places
    return {
        "entries": withheld,
        "lowest": decimal_text(lowest, places),
        "highest": decimal_text(highest, places),
    }


def could_be(withheld: Mapping[str, Any]) -> str:
    """The same in words."""
    limits = f"{withheld['lowest']} to {withheld['highest']}"
    return f"what is withheld could make the score anything from {limits}"
