"""The roll-up to the dimension "People & Training Governance" (reference: audit, 5.7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final

from lockstep.scorecard.definition import DEFAULT, Definition
from lockstep.scorecard.numbers import decimal_text, instant_text, shortest_text
from lockstep.scorecard.scores import reading_of

METRICS: Final = (
    "access_revocation",
    "security_training",
    "background_checks",
    "zero_contractor",
)
DEFAULT_WEIGHTS: Final[Mapping[str, int]] = MappingProxyType(dict.fromkeys(METRICS, 25))
_WHOLE = 100


class WeightsError(ValueError):
    """Weights that do not weigh the four metrics."""


@dataclass(frozen=True, slots=True)
class Reported:
    """What one metric was last known to be.

    Args:
        value: between 0 and the maximum; None where its owner says that there is no score.
        as_of: when it was measured, in milliseconds since the epoch.
        source: who reported it; a stable name, never a person's.
    """

    value: Fraction | None
    as_of: int
    source: str


@dataclass(frozen=True, slots=True)
class Part:
    """One metric inside the dimension. ``state`` is "counted", "stale" or "missing"."""

    metric: str
    weight: int
    state: str
    reported: Reported | None


@dataclass(frozen=True, slots=True)
class Dimension:
    """The dimension, as far as it is known.

    Args:
        low: with every metric that is missing or stale at 0.
        high: with each of them at the maximum. What is missing is never assumed perfect.
        reading: the name that both ends share, else "undetermined".
    """

    low: Fraction
    high: Fraction
    reading: str
    parts: tuple[Part, ...]
    as_of: int
    definition: Definition

    @property
    def is_complete(self) -> bool:
        """Whether every metric that weighs something is counted."""
        return all(part.state == "counted" for part in self.parts if part.weight)

    @property
    def missing(self) -> tuple[str, ...]:
        """Metrics that nobody reported, or that have no score."""
        return tuple(part.metric for part in self.parts if part.state == "missing")

    @property
    def stale(self) -> tuple[str, ...]:
        """Metrics that were reported too long ago to count."""
        return tuple(part.metric for part in self.parts if part.state == "stale")

    def as_document(self) -> dict[str, Any]:
        """The dimension as plain data; no floats. ``value`` is null until it is complete."""
        places = self.definition.score_places
        low, high = decimal_text(self.low, places), decimal_text(self.high, places)
        return {
            "dimension": "people_training_governance",
            "as_of": instant_text(self.as_of),
            "value": low if self.is_complete else None,
            "low": low,
            "high": high,
            "max": shortest_text(self.definition.max_score),
            "target": shortest_text(self.definition.target),
            "reading": self.reading,
            "missing": list(self.missing),
            "stale": list(self.stale),
            "metrics": {part.metric: _part_document(part, places) for part in self.parts},
        }


def check_weights(weights: Mapping[str, int]) -> dict[str, int]:
    """Weights in per cent of all four metrics; none given means 25 each.

    Raises:
        WeightsError: if a metric is missing or unknown, a weight is not a whole number between 0
            and 100, or they do not sum to 100.
    """
    if not weights:
        return dict(DEFAULT_WEIGHTS)
    if unknown := sorted(weights.keys() - set(METRICS)):
        raise WeightsError(f"no such metric: {', '.join(unknown)[:200]}")
    if missing := [name for name in METRICS if name not in weights]:
        raise WeightsError(f"no weight for {', '.join(missing)}")
    for name in METRICS:
        if type(weights[name]) is not int or not 0 <= weights[name] <= _WHOLE:
            raise WeightsError(f"weight of {name} must be a whole number between 0 and {_WHOLE}")
    if (total := sum(weights.values())) != _WHOLE:
        raise WeightsError(f"weights sum to {total}, not to {_WHOLE}")
    return {name: weights[name] for name in METRICS}


def roll_up(
    reported: Mapping[str, Reported],
    weights: Mapping[str, int],
    *,
    as_of: int,
    stale_after_ms: int,
    audit_proof_allowed: bool,
    definition: Definition = DEFAULT,
) -> Dimension:
    """Weigh the four metrics: D = sum of weight * value, each between 0 and the maximum.

    Args:
        reported: the latest report of each metric; those missing give a range.
        weights: as for `check_weights`.
        as_of: now, in milliseconds since the epoch.
        stale_after_ms: a report older than this counts as missing, and is named.
        audit_proof_allowed: what the access-revocation score says of its own evidence; without
            it the total is never called "audit-proof".
        definition: for the maximum, the target and the bounds of the readings.

    Raises:
        WeightsError: as `check_weights`.
        ValueError: if a value lies outside 0 to the maximum.
    """
    shares = check_weights(weights)
    parts = tuple(
        Part(
            name,
            shares[name],
            _state(reported.get(name), as_of, stale_after_ms),
            reported.get(name),
        )
        for name in METRICS
    )
    low, open_share = Fraction(0), 0
    for part in parts:
        value = part.reported.value if part.reported else None
        if value is not None and not 0 <= value <= definition.max_score:
            raise ValueError(f"{part.metric} must lie between 0 and {definition.max_score}")
        if part.state == "counted" and value is not None:
            low += Fraction(part.weight, _WHOLE) * value
        else:
            open_share += part.weight
    high = low + Fraction(open_share, _WHOLE) * definition.max_score
    names = {
        reading_of(
            Fraction(decimal_text(end, definition.score_places)),
            definition,
            # Nothing is proved of a metric that is missing, however little it weighs.
            audit_proof_allowed=audit_proof_allowed and not open_share,
        )
        for end in (low, high)
    }
    reading = names.pop() if len(names) == 1 else "undetermined"
    return Dimension(low, high, reading or "undetermined", parts, as_of, definition)


def _state(reported: Reported | None, as_of: int, stale_after_ms: int) -> str:
    if reported is None or reported.value is None:
        return "missing"
    return "stale" if as_of - reported.as_of > stale_after_ms else "counted"


def _part_document(part: Part, places: int) -> dict[str, Any]:
    reported = part.reported
    value = reported.value if reported else None
    return {
        "weight": part.weight,
        "state": part.state,
        "value": None if value is None else decimal_text(value, places),
        "as_of": instant_text(reported.as_of) if reported else None,
        "source": reported.source if reported else None,
    }
