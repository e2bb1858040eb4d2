"""The score of a window, and its document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from lockstep.scorecard.definition import Definition
from lockstep.scorecard.facts import Feed
from lockstep.scorecard.measures import Rank, Spread
from lockstep.scorecard.numbers import (
    DAY_MS,
    HOUR_MS,
    decimal_text,
    instant_text,
    rounded,
    shortest_text,
)


class Window(NamedTuple):
    """Instants in milliseconds; ``start`` belongs to it, ``end`` does not."""

    start: int
    end: int


def official_window(definition: Definition, as_of: int) -> Window:
    """The only window that the score is published for: fixed length, ending at ``as_of``."""
    return Window(as_of - definition.window_days * DAY_MS, as_of)


@dataclass(frozen=True, slots=True)
class CapHit:
    """A cap on the score, and the worst of what causes it.

    Args:
        code: "population", "open_tier0" or "access_used".
        limit: the most that the score can be.
        count: cases or findings that cause it.
        case_id: of the worst; empty where a finding belongs to no case.
        system: of the worst; may be empty.
        since_ms: how long the worst is past due, or has stood.
    """

    code: str
    limit: Fraction
    count: int
    case_id: str
    system: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class Exposure:
    """How long accounts of leavers stayed usable: account-milliseconds, pending cases too.

    Args:
        account_ms: summed over accounts.
        tier0_account_ms: the part of it in tier-0 systems.
        leaver_ms: summed over cases, each with its longest open account.
    """

    account_ms: int = 0
    tier0_account_ms: int = 0
    leaver_ms: int = 0


class UnderPolicy(NamedTuple):
    """What the score would be if every case had pinned this policy.

    Attributes:
        cases: how many of n and pending have pinned it.
        value: rounded as the score; None where there would be none.
        missing: systems that it requires and some case does not have; they count as open there.
    """

    policy: str
    cases: int
    value: Fraction | None
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """The metric of one window, with all that is needed to read it.

    Args:
        n: scored cases: closed, or open past a due time. The denominator of everything here
            that is not said to be of something else.
        excluded: cases of the window that count nowhere, by reason.
        pending: open cases that are not late; not in ``n``.
        within_sla: scored cases whose worst ratio is at most 1.
        early: scored cases that were over before the cutoff.
        quality: Q, the mean credit; None without a case.
        base: max - slope * (1 - Q), not below 0.
        penalty: P, at most its limit.
        exact: the score before rounding; None where it is not scored.
        unscored: why there is no score: "ledger_unverified", "hr_feed_stale", "no_leavers".
        wilson: the one-sided lower bound of the rate within SLA.
        label: "indicative", "limited", "measured" or "assured".
        audit_proof_allowed: whether there is enough evidence for the words "audit-proof".
        open_overdue: open cases with a system past its due time; they make P.
        waived: cases of n and pending with a waiver that counts.
        waived_in_vain: the same, with a waiver that does not.
        grades: settled systems of n and pending, by evidence grade; "none" where there is none.
        policies: digests of the pinned policies: the SLA versions.
        feeds: the sources of HR that are expected, by name.
        long_sla: cases of n and pending whose policy allows a deciding system more than is sane;
            they keep the best label away.
        by_policy: what it would be under each of ``policies``, where there are several.
    """

    definition: Definition
    window: Window
    as_of: int
    n: int
    excluded: Mapping[str, int]
    pending: int
    within_sla: int
    early: int
    quality: Fraction | None
    base: Fraction | None
    penalty: Fraction
    caps: tuple[CapHit, ...]
    exact: Fraction | None
    unscored: tuple[str, ...]
    wilson: Fraction | None
    label: str
    audit_proof_allowed: bool
    ttr: Spread
    hr_lag: Spread
    operational: Spread
    exposure: Exposure
    open_overdue: int
    waived: int
    waived_in_vain: int
    grades: Mapping[str, int]
    policies: tuple[str, ...]
    ledger_ok: bool
    feeds: tuple[Feed, ...]
    long_sla: int = 0
    by_policy: tuple[UnderPolicy, ...] = ()

    @property
    def feed_age_ms(self) -> int | None:
        """How long the stalest source of HR has been silent; None where none is expected."""
        return max((feed.age_ms(self.as_of) for feed in self.feeds), default=None)

    @property
    def value(self) -> Fraction | None:
        """The published score, rounded half to even; None where it is not scored."""
        return None if self.exact is None else rounded(self.exact, self.definition.score_places)

    @property
    def within_rate(self) -> Fraction | None:
        """Scored cases within their SLA / scored cases."""
        return Fraction(self.within_sla, self.n) if self.n else None

    @property
    def waived_share(self) -> Fraction:
        """Cases with a waiver that counts / scored and pending cases."""
        population = self.n + self.pending
        return Fraction(self.waived, population) if population else Fraction(0)

    @property
    def is_official(self) -> bool:
        """Whether this is the fixed window, up to the instant of the score."""
        return self.window == official_window(self.definition, self.as_of)

    @property
    def reading(self) -> str | None:
        """What the published score is called; see `reading_of`."""
        return reading_of(self.value, self.definition, audit_proof_allowed=self.audit_proof_allowed)

    def as_document(self) -> dict[str, Any]:
        """The score as plain data: strings, whole numbers, booleans and null; no floats.

        Fractions are decimal strings. Sums of milliseconds are strings too, as they can pass
        what JSON readers keep exactly.
        """
        definition = self.definition
        places, rates = definition.score_places, definition.rate_places
        return {
            "metric": definition.metric,
            "definition": {"version": definition.version, "sha256": definition.digest},
            "window": {
                "start": instant_text(self.window.start),
                "end": instant_text(self.window.end),
                "official": self.is_official,
            },
            "as_of": instant_text(self.as_of),
            "value": _text(self.value, places),
            "max": shortest_text(definition.max_score),
            "target": shortest_text(definition.target),
            "reading": self.reading,
            "label": self.label,
            "audit_proof_allowed": self.audit_proof_allowed,
            "unscored": list(self.unscored),
            "n": self.n,
            "pending": self.pending,
            "excluded": dict(sorted(self.excluded.items())),
            "within_sla": self.within_sla,
            "within_sla_rate": _text(self.within_rate, rates),
            "wilson_lower": _text(self.wilson, rates),
            "early": self.early,
            "quality": _text(self.quality, rates),
            "base": _text(self.base, places),
            "penalty": decimal_text(self.penalty, places),
            "caps": [self._cap_document(hit) for hit in self.caps],
            "ttr": _spread_document(self.ttr),
            "hr_lag": _spread_document(self.hr_lag),
            "operational": _spread_document(self.operational),
            "exposure": self._exposure_document(),
            "open_overdue": self.open_overdue,
            "waivers": {
                "cases": self.waived,
                "in_vain": self.waived_in_vain,
                "share": decimal_text(self.waived_share, rates),
                "flagged": self.waived_share > definition.waiver_flag,
            },
            "grades": dict(sorted(self.grades.items())),
            "policies": list(self.policies),
            "ledger_ok": self.ledger_ok,
            "feed_age_ms": self.feed_age_ms,
            "feeds": [self._feed_document(feed) for feed in self.feeds],
            **(self._rules_document() if definition.has_rules else {}),
        }

    def _rules_document(self) -> dict[str, Any]:
        places = self.definition.score_places
        return {
            "long_sla": self.long_sla,
            "by_policy": [
                {
                    "policy": row.policy,
                    "cases": row.cases,
                    "value": _text(row.value, places),
                    "missing": list(row.missing),
                }
                for row in self.by_policy
            ],
        }

    def _feed_document(self, feed: Feed) -> dict[str, Any]:
        return {
            "source": feed.source,
            "expected_since": instant_text(feed.expected_since),
            "heard_at": None if feed.heard_at is None else instant_text(feed.heard_at),
            "age_ms": feed.age_ms(self.as_of),
        }

    def _cap_document(self, hit: CapHit) -> dict[str, Any]:
        return {
            "code": hit.code,
            "limit": decimal_text(hit.limit, self.definition.score_places),
            "count": hit.count,
            "worst": {"case": hit.case_id, "system": hit.system, "since_ms": hit.since_ms},
        }

    def _exposure_document(self) -> dict[str, str]:
        parts = {
            "account": self.exposure.account_ms,
            "tier0_account": self.exposure.tier0_account_ms,
            "leaver": self.exposure.leaver_ms,
        }
        milliseconds = {f"{name}_ms": str(ms) for name, ms in parts.items()}
        hours = {
            f"{name}_hours": decimal_text(Fraction(ms, HOUR_MS), 2) for name, ms in parts.items()
        }
        return milliseconds | hours


def reading_of(
    value: Fraction | None, definition: Definition, *, audit_proof_allowed: bool
) -> str | None:
    """What a score is called, by its share of the maximum; None where there is no score.

    "high_risk" below 70 %, "audit_proof" from 90 % on where the evidence allows the words;
    without it "on_target" from the target on and "near_target" below it; else "medium_risk".
    """
    if value is None:
        return None
    share = value / definition.max_score
    if share < definition.high_risk_below:
        return "high_risk"
    if share < definition.audit_proof_from:
        return "medium_risk"
    if audit_proof_allowed:
        return "audit_proof"
    return "on_target" if value >= definition.target else "near_target"


def _text(value: Fraction | None, places: int) -> str | None:
    return None if value is None else decimal_text(value, places)


def _spread_document(spread: Spread) -> dict[str, Any]:
    ranks: dict[str, Rank | None] = {
        "p50": spread.p50,
        "p90": spread.p90,
        "p95": spread.p95,
        "max": spread.max,
    }
    return {
        name: None if rank is None else {"ms": rank.ms, "open": rank.is_open}
        for name, rank in ranks.items()
    }
