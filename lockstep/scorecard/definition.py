"""The metric's parameters: a versioned file, so that a score can be recomputed years later.

Parameters are judgement, not standards. They change only forward: a new file with a new version
beside the old one, adopted by a ledger entry. Every score names the digest that it was made by.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from importlib import resources
from itertools import pairwise
from typing import Any, Final

from lockstep.scorecard.numbers import HOUR_MS, parse_decimal, shortest_text

DEFAULT_NAME: Final = "access-revocation-2"
GRADES: Final = ("A", "B", "C", "D")

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,59}")
_LARGEST_COUNT = 100_000
_ONE = Fraction(1)

_DECIMALS: Final = {
    "max_score": "max",
    "target": "target",
    "slope": "slope",
    "full_until": "credit.full_until",
    "on_time_loss": "credit.on_time_loss",
    "late_from": "credit.late_from",
    "nothing_from": "credit.nothing_from",
    "evidence_a": "evidence.A",
    "evidence_b": "evidence.B",
    "evidence_c": "evidence.C",
    "evidence_d": "evidence.D",
    "penalty_at_once": "penalty.at_once",
    "penalty_per_week": "penalty.per_week",
    "penalty_per_case": "penalty.per_case",
    "penalty_tier0_factor": "penalty.tier0_factor",
    "penalty_limit": "penalty.limit",
    "population_limit": "caps.population.limit",
    "open_tier0_limit": "caps.open_tier0.limit",
    "access_used_limit": "caps.access_used.limit",
    "assured_bound": "labels.assured_bound",
    "high_risk_below": "readings.high_risk_below",
    "audit_proof_from": "readings.audit_proof_from",
    "wilson_z": "wilson_z",
    "waiver_flag": "waiver_flag",
}
_COUNTS: Final = {
    "window_days": "window_days",
    "population_after_hours": "caps.population.after_hours",
    "open_tier0_after_hours": "caps.open_tier0.after_hours",
    "feed_age_days": "unscored.feed_age_days",
    "limited_from": "labels.limited_from",
    "assured_from": "labels.assured_from",
    "p95_from": "p95_from",
    "score_places": "rounding.score_places",
    "rate_places": "rounding.rate_places",
}
_NAMES: Final = {"metric": "metric", "version": "version", "rounding_mode": "rounding.mode"}
_PATHS: Final = {**_NAMES, **_DECIMALS, **_COUNTS}

_RULE_NAMES: Final = {
    "called_off": "rules.called_off",
    "dismissal_clock": "rules.dismissal_clock",
    "untouched": "rules.untouched",
}
_RULE_COUNTS: Final = {
    "continue_days": "rules.continue_days",
    "sane_dismissal_0": "sane_hours.dismissal.0",
    "sane_dismissal_1": "sane_hours.dismissal.1",
    "sane_dismissal_manual": "sane_hours.dismissal.manual",
    "sane_other_0": "sane_hours.other.0",
    "sane_other_1": "sane_hours.other.1",
    "sane_other_manual": "sane_hours.other.manual",
}
_RULES: Final = {**_RULE_NAMES, **_RULE_COUNTS}
"""What definitions have since form 2, all of it or nothing: one of form 1 keeps its digest."""
_RULE_VALUES: Final = {
    "called_off": "counts_past_cutoff",
    "dismissal_clock": "first_cutoff",
    "untouched": "apart",
}
DISMISSAL: Final = "involuntary"


class DefinitionError(ValueError):
    """A definition that cannot be used; the text says which value, and why."""


@dataclass(frozen=True)
class Definition:
    """Every parameter of the metric (reference: audit, 5.4 and 5.5).

    Ratios are of a system's SLA. ``credit``: whole until ``full_until``, then falling by
    ``on_time_loss`` to the SLA's end; a late one starts at ``late_from`` and is worth nothing
    from ``nothing_from`` on. The score starts at ``max_score`` and loses ``slope`` times the mean
    loss of credit.

    Raises:
        DefinitionError: if the parameters contradict each other. A later revocation could
            otherwise score better than an earlier one.
    """

    metric: str
    version: str
    rounding_mode: str
    max_score: Fraction
    target: Fraction
    slope: Fraction
    full_until: Fraction
    on_time_loss: Fraction
    late_from: Fraction
    nothing_from: Fraction
    evidence_a: Fraction
    evidence_b: Fraction
    evidence_c: Fraction
    evidence_d: Fraction
    penalty_at_once: Fraction
    penalty_per_week: Fraction
    penalty_per_case: Fraction
    penalty_tier0_factor: Fraction
    penalty_limit: Fraction
    population_limit: Fraction
    open_tier0_limit: Fraction
    access_used_limit: Fraction
    assured_bound: Fraction
    high_risk_below: Fraction
    audit_proof_from: Fraction
    wilson_z: Fraction
    waiver_flag: Fraction
    window_days: int
    population_after_hours: int
    open_tier0_after_hours: int
    feed_age_days: int
    limited_from: int
    assured_from: int
    p95_from: int
    score_places: int
    rate_places: int
    called_off: str = ""
    dismissal_clock: str = ""
    untouched: str = ""
    continue_days: int = 0
    sane_dismissal_0: int = 0
    sane_dismissal_1: int = 0
    sane_dismissal_manual: int = 0
    sane_other_0: int = 0
    sane_other_1: int = 0
    sane_other_manual: int = 0

    def __post_init__(self) -> None:
        for holds, rule in self._rules():
            if not holds:
                raise DefinitionError(f"definition {self.metric} {self.version}: {rule}")

    def _rules(self) -> tuple[tuple[bool, str], ...]:
        caps = (self.population_limit, self.open_tier0_limit, self.access_used_limit)
        grades = (_ONE, self.evidence_a, self.evidence_b, self.evidence_c, self.evidence_d)
        shares = (self.assured_bound, self.waiver_flag, self.audit_proof_from)
        return (
            (self.rounding_mode == "half_even", "rounding.mode must be half_even"),
            (0 < self.target <= self.max_score, "target must be above 0 and at most max"),
            (self.slope > 0, "slope must be above 0"),
            (self.full_until < 1, "credit.full_until must be below 1"),
            (self.nothing_from > 1, "credit.nothing_from must be above 1"),
            (
                self.late_from <= 1 - self.on_time_loss,
                "credit.late_from must not be above 1 - credit.on_time_loss",
            ),
            (
                all(better >= worse for better, worse in pairwise(grades)),
                "evidence must fall from A to D, from at most 1",
            ),
            (self.penalty_tier0_factor >= 1, "penalty.tier0_factor must be at least 1"),
            (all(cap <= self.max_score for cap in caps), "caps must be at most max"),
            (all(share <= 1 for share in shares), "shares must be at most 1"),
            (
                self.high_risk_below <= self.audit_proof_from,
                "readings.high_risk_below must not be above readings.audit_proof_from",
            ),
            (self.wilson_z > 0, "wilson_z must be above 0"),
            (self.window_days > 0, "window_days must be above 0"),
            (
                0 < self.limited_from <= self.assured_from,
                "labels.limited_from must be above 0 and at most labels.assured_from",
            ),
            (max(self.score_places, self.rate_places) <= 6, "rounding has at most 6 places"),  # noqa: PLR2004
            *(
                (getattr(self, name) in {"", value}, f"{_RULES[name]} must be {value}")
                for name, value in _RULE_VALUES.items()
            ),
        )

    @property
    def has_rules(self) -> bool:
        """Whether it is of form 2: scope, clock and population cannot be chosen afterwards."""
        return bool(self.called_off)

    def sane_ms(self, kind: str, tier: str) -> int:
        """The longest time allowed that still deserves the best label; see `has_rules`."""
        group = "dismissal" if kind == DISMISSAL else "other"
        hours: int = getattr(self, f"sane_{group}_{tier}")
        return hours * HOUR_MS

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Definition:
        """Read a definition; "0.90" and "0.9" are the same number and give the same digest.

        Raises:
            DefinitionError: if a value is missing, unknown, of the wrong type, out of range or
                contradicts another one.
        """
        leaves = _leaves(document)
        has_rules = not leaves.keys().isdisjoint(_RULES.values())
        wanted = {*_PATHS.values(), *(_RULES.values() if has_rules else ())}
        if missing := sorted(wanted - leaves.keys()):
            raise DefinitionError(f"definition lacks {', '.join(missing)}")
        if unknown := sorted(leaves.keys() - wanted):
            raise DefinitionError(f"definition has unknown {', '.join(unknown)[:200]}")
        values: dict[str, Any] = {}
        values |= {name: _name(path, leaves[path]) for name, path in _NAMES.items()}
        values |= {name: _decimal(path, leaves[path]) for name, path in _DECIMALS.items()}
        values |= {name: _count(path, leaves[path]) for name, path in _COUNTS.items()}
        if has_rules:
            values |= {name: _name(path, leaves[path]) for name, path in _RULE_NAMES.items()}
            values |= {name: _count(path, leaves[path]) for name, path in _RULE_COUNTS.items()}
        return cls(**values)

    def as_document(self) -> dict[str, Any]:
        """The definition as plain data: decimals as their shortest text, counts as integers."""
        document: dict[str, Any] = {}
        for name, path in {**_PATHS, **(_RULES if self.has_rules else {})}.items():
            *parents, leaf = path.split(".")
            table = document
            for parent in parents:
                table = table.setdefault(parent, {})
            value = getattr(self, name)
            table[leaf] = shortest_text(value) if isinstance(value, Fraction) else value
        return document

    def canonical(self) -> bytes:
        """The bytes that the digest is taken of: JSON, sorted keys, no blanks, ASCII.

        They equal the document's RFC 8785 form, as it holds ASCII strings and integers only.
        """
        return json.dumps(
            self.as_document(), sort_keys=True, separators=(",", ":"), ensure_ascii=True
        ).encode("ascii")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical bytes, in hex."""
        return hashlib.sha256(self.canonical()).hexdigest()

    def evidence_cap(self, grade: str) -> tuple[int, int]:
        """The most that a case with this evidence is worth, as numerator and denominator.

        An unknown grade counts as D.
        """
        return self._evidence.get(grade) or self._evidence["D"]

    @cached_property
    def _evidence(self) -> dict[str, tuple[int, int]]:
        caps = (self.evidence_a, self.evidence_b, self.evidence_c, self.evidence_d)
        return {grade: cap.as_integer_ratio() for grade, cap in zip(GRADES, caps, strict=True)}

    def credit(self, ttr_ms: int, sla_ms: int) -> tuple[int, int]:
        """g(r) of r = ``ttr_ms`` / ``sla_ms``, before the evidence cap.

        Numerator and denominator are not reduced, so that those of one SLA share a denominator.
        """
        full_n, full_d, on_time, late, nothing_n, nothing_d = self._pieces
        if ttr_ms * full_d <= full_n * sla_ms:
            return 1, 1
        if ttr_ms * nothing_d >= nothing_n * sla_ms:
            return 0, 1
        constant, per_ratio, scale = on_time if ttr_ms <= sla_ms else late
        return constant * sla_ms + per_ratio * ttr_ms, scale * sla_ms

    @cached_property
    def _pieces(self) -> tuple[int, int, _Line, _Line, int, int]:
        """The bounds of g and its two falling lines, in integers: it is asked for every case."""
        on_time = self.on_time_loss / (1 - self.full_until)
        late = self.late_from / (self.nothing_from - 1)
        return (
            *self.full_until.as_integer_ratio(),
            _line(1 + on_time * self.full_until, -on_time),
            _line(late * self.nothing_from, -late),
            *self.nothing_from.as_integer_ratio(),
        )


_Line = tuple[int, int, int]
"""(a, b, d): the line (a + b * r) / d."""


def _line(constant: Fraction, per_ratio: Fraction) -> _Line:
    scale = constant.denominator * per_ratio.denominator
    return int(constant * scale), int(per_ratio * scale), scale


def _leaves(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for name, value in document.items():
        # Three levels at most in what we write; deeper is unknown, whatever it holds.
        if isinstance(value, Mapping) and prefix.count(".") < 2:  # noqa: PLR2004
            leaves |= _leaves(value, f"{prefix}{name}.")
        else:
            leaves[f"{prefix}{name}"] = value
    return leaves


def _name(path: str, value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise DefinitionError(f"definition: {path} must be a short name")
    return value


def _decimal(path: str, value: object) -> Fraction:
    if not isinstance(value, str):
        raise DefinitionError(f'definition: {path} must be a decimal in quotes, like "0.25"')
    try:
        return parse_decimal(value)
    except ValueError as error:
        raise DefinitionError(f"definition: {path}: {error}") from error


def _count(path: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise DefinitionError(f"definition: {path} must be a whole number")
    if not 0 <= value <= _LARGEST_COUNT:
        raise DefinitionError(f"definition: {path} must lie between 0 and {_LARGEST_COUNT}")
    return value


def parse_definition(text: str) -> Definition:
    """Read a definition file.

    Raises:
        DefinitionError: if it is no JSON object, names a key twice, or is refused by
            `Definition.from_document`.
    """
    try:
        document = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise DefinitionError(f"definition is not usable JSON: {error}") from error
    if not isinstance(document, dict):
        raise DefinitionError("definition must be a JSON object")
    return Definition.from_document(document)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise DefinitionError("definition names a key twice")
    return document


def load_definition(name: str = DEFAULT_NAME) -> Definition:
    """Load a definition that the package carries.

    Raises:
        DefinitionError: if there is none of that name, or it cannot be used.
    """
    if not _NAME.fullmatch(name):
        raise DefinitionError(f"no definition {name[:60]!r}")
    file = resources.files("lockstep.scorecard").joinpath("definitions", f"{name}.json")
    try:
        return parse_definition(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DefinitionError(f"no definition {name!r}") from error


DEFAULT: Final = load_definition()
"""The definition that new installations adopt."""
