"""Answers about the metric, as the OpenAPI description has them.

What is made is made in lockstep.scorecard; docs/scorecard.md says what each figure means.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from lockstep.control.score.reports import REPORTED
from lockstep.evidence.format.canonical import instant_text
from lockstep.scorecard.dimension import METRICS
from lockstep.storage.score.scores import MOST_POINTS, MetricReport
from lockstep.web.api.answers import (
    Answer,
    CaseId,
    Count,
    Instant,
    Milliseconds,
    Name,
    Points,
    Prose,
    Rate,
    Score,
    Sha256,
    Slug,
    one_of,
    text,
)

Unscored = Literal["ledger_unverified", "hr_feed_stale", "no_leavers"]
Excluded = Literal["rescinded", "no_access", "untouched", "future"]
Label = Literal["indicative", "limited", "measured", "assured"]
Reading = Literal["high_risk", "medium_risk", "near_target", "on_target", "audit_proof"]
Cap = Literal["population", "open_tier0", "access_used"]
Code = Literal[
    "slow",
    "late",
    "late_open",
    "called_off",
    "evidence",
    "penalty",
    "more_cases",
    "more_penalties",
    "penalty_limit",
    "floor",
    "cap:population",
    "cap:open_tier0",
    "cap:access_used",
    "unscored:ledger_unverified",
    "unscored:hr_feed_stale",
    "unscored:no_leavers",
]
DefinitionVersion = Annotated[str, text(most=40, examples=["1"])]
MetricName = Annotated[str, one_of(METRICS)]
ReportedMetric = Annotated[str, one_of(REPORTED)]
ReportSource = Annotated[str, text(pattern="^[a-z0-9-]{1,40}$")]
MillisecondsText = Annotated[
    str,
    text(
        pattern="^[0-9]{1,30}$",
        description="Account-milliseconds, as a text: a sum can pass what JSON readers keep.",
    ),
]
HoursText = Annotated[
    str, text(pattern=r"^[0-9]{1,25}\.[0-9]{2}$", description="The same in hours.")
]


class DefinitionRef(Answer):
    """The parameters that a score was made by."""

    version: DefinitionVersion
    sha256: Sha256 = Field(description="Digest of the parameters' file.")


class WindowDocument(Answer):
    """Which cutoffs are scored: ``start`` belongs to it, ``end`` does not."""

    start: Instant
    end: Instant


class ScoreWindow(WindowDocument):
    """The window of a score."""

    official: bool = Field(description="Whether it is the published one: 365 days up to `as_of`.")


class Worst(Answer):
    """The worst of what causes a cap."""

    case: CaseId | Literal[""] = Field(description="Empty where it is no case of the caller's.")
    system: Slug | Literal[""]
    since_ms: Milliseconds = Field(description="Past due, or standing, for so long (ms).")


class CapDocument(Answer):
    """Something that limits the score while it stands."""

    code: Cap
    limit: Score = Field(description="The most that the score can be.")
    count: Annotated[int, Field(ge=1)] = Field(description="Cases or findings that cause it.")
    worst: Worst


class Rank(Answer):
    """One percentile of durations."""

    ms: Milliseconds
    open: bool = Field(description="At least so long: the case is open, and still growing.")


class Spread(Answer):
    """Percentiles by nearest rank; null without a case, p95 also with fewer than 20."""

    p50: Rank | None
    p90: Rank | None
    p95: Rank | None
    max: Rank | None


class ExposureDocument(Answer):
    """How long leavers' accounts stayed usable, pending cases too."""

    account_ms: MillisecondsText = Field(description="Summed over accounts (account-ms).")
    tier0_account_ms: MillisecondsText = Field(description="The part of it in tier-0 systems.")
    leaver_ms: MillisecondsText = Field(description="Summed over cases, each with its longest.")
    account_hours: HoursText
    tier0_account_hours: HoursText
    leaver_hours: HoursText


class Waivers(Answer):
    """Cases of ``n`` and ``pending`` with a waiver."""

    cases: Count = Field(description="With one that counts.")
    in_vain: Count = Field(description="With one that does not.")
    share: Rate
    flagged: bool = Field(description="Whether the share is above what the definition tolerates.")


class FeedDocument(Answer):
    """A source of HR that is expected to be heard."""

    source: Slug
    expected_since: Instant
    heard_at: Instant | None
    age_ms: Milliseconds = Field(description="How long it has been silent (ms).")


class UnderPolicy(Answer):
    """What the score would be under one of the policies of its window."""

    policy: Sha256
    cases: Count = Field(description="Cases of `n` and `pending` that have pinned it.")
    value: Score | None = Field(description="Null where there would be no score.")
    missing: list[Slug] = Field(
        description="Systems that it requires and some case does not have: open in that case."
    )


class ScoreFigures(Answer):
    """The metric of one window, with all that is needed to read it."""

    metric: Literal["access_revocation"]
    definition: DefinitionRef
    window: ScoreWindow
    as_of: Instant = Field(description="Open work is censored here.")
    value: Score | None = Field(description="The published score; null where it is not scored.")
    max: Score
    target: Score
    reading: Reading | None = Field(description="What the score is called; null without one.")
    label: Label = Field(description="How much evidence there is.")
    audit_proof_allowed: bool
    unscored: list[Unscored] = Field(max_length=3, description="Why there is no score.")
    n: Count = Field(description="Scored cases: closed, or open past a due time.")
    pending: Count = Field(description="Open cases that are not late; not in `n`.")
    excluded: dict[Excluded, Count] = Field(
        description="Cases that count nowhere, by reason. A caller without the right `sealed` is "
        "not told of coming dismissals."
    )
    within_sla: Count
    within_sla_rate: Rate | None = Field(description="`within_sla` / `n`; null where `n` is 0.")
    wilson_lower: Rate | None = Field(description="Its one-sided 95 % lower bound.")
    early: Count = Field(description="Scored cases that were over before the cutoff.")
    quality: Rate | None = Field(description="The mean credit; null where `n` is 0.")
    base: Score | None = Field(description="Before penalty and caps; null where `n` is 0.")
    penalty: Score = Field(description="Lost to open overdue cases.")
    caps: list[CapDocument] = Field(max_length=3, description="The lowest first.")
    ttr: Spread = Field(description="From the cutoff to access proved gone.")
    hr_lag: Spread = Field(description="The part of it until HR had recorded the termination.")
    operational: Spread = Field(description="The rest.")
    exposure: ExposureDocument
    open_overdue: Count = Field(description="Open cases with a system past its due time.")
    waivers: Waivers
    grades: dict[Literal["A", "B", "C", "D", "none"], Count] = Field(
        description="Settled systems by grade of evidence."
    )
    policies: list[Sha256] = Field(description="Digests of the pinned policies.")
    ledger_ok: bool
    feed_age_ms: Milliseconds | None = Field(
        description="Of the stalest source of HR (ms); null where none is expected."
    )
    feeds: list[FeedDocument]
    long_sla: Count | None = Field(
        default=None,
        description="Cases of `n` and `pending` whose policy allows more time than is sane. Such a "
        "score is never `assured`. Not there in scores of definition 1.",
    )
    by_policy: list[UnderPolicy] | None = Field(
        default=None,
        max_length=20,
        description="Where cases have pinned several policies: what the score would be if all had "
        "pinned one of them. Not there in scores of definition 1.",
    )


class MetricPart(Answer):
    """One metric inside the dimension."""

    weight: Annotated[int, Field(ge=0, le=100)] = Field(description="In per cent.")
    state: Literal["counted", "stale", "missing"]
    value: Score | None
    as_of: Instant | None
    source: ReportSource | None


class MetricParts(Answer):
    """The four metrics of the dimension."""

    access_revocation: MetricPart
    security_training: MetricPart
    background_checks: MetricPart
    zero_contractor: MetricPart


class DimensionDocument(Answer):
    """People & Training Governance: four metrics, weighed; a range until all are known."""

    dimension: Literal["people_training_governance"]
    as_of: Instant
    value: Score | None = Field(description="Null until every metric that weighs is counted.")
    low: Score = Field(description="With what is missing or stale at 0.")
    high: Score = Field(description="With what is missing or stale at the maximum.")
    max: Score
    target: Score
    reading: Reading | Literal["undetermined"]
    missing: list[MetricName] = Field(max_length=4, description="Nobody reported them.")
    stale: list[MetricName] = Field(max_length=4, description="Reported too long ago.")
    metrics: MetricParts


class ChangeDocument(Answer):
    """How the newest reading differs from an earlier one."""

    days: Literal[7, 30, 90]
    since: Instant | None = Field(description="The earlier reading; null where there is none.")
    change: Points | None = Field(description="In points; null where one has no score.")
    comparable: bool = Field(description="Whether both were made by the same definition.")


class TrendPoint(Answer):
    """The last reading of a day (UTC)."""

    taken_at: Instant
    value: Score | None
    n: Count
    label: Label
    definition: DefinitionVersion


class TrendDocument(Answer):
    """Readings, oldest first; ``changes`` is empty without any."""

    as_of: Instant | None = Field(description="Of the newest reading; null without any.")
    changes: list[ChangeDocument] = Field(max_length=3)
    points: list[TrendPoint] = Field(max_length=MOST_POINTS)


class Tool(Answer):
    """What made the document."""

    name: Literal["lockstep"]
    version: Annotated[str, text(most=40)]


class KeptFacts(Answer):
    """Whether the facts that a score is made of, kept beside the ledger, are what it says."""

    proved: bool | None = Field(
        description="False: somebody changed them, and there is no score until the sequencer has "
        "folded them anew. Null: no worker has marked them yet."
    )
    proved_at: Instant | None = Field(description="When a worker last compared them.")
    changed_at: Instant | None = Field(
        description="When a worker last found them changed by another hand, and put them right."
    )
    changed_cases: Count = Field(description="In so many cases.")


class HeadDocument(Answer):
    """The signed head of the ledger that a score stands on."""

    size: Count | None = Field(
        description="Entries under it; null without the right `see_cases`, `export` or `sealed`."
    )
    root: Sha256 | None = Field(description="Null before the first head, or likewise.")
    signed_at: Instant | None
    facts: KeptFacts
    unsealed_since: Instant | None = Field(
        description="Since when an entry waits too long for a signed head; null if all is well."
    )


class CostDocument(Answer):
    """One reason why the score is not the maximum."""

    points: Points = Field(description="Lost; negative where a limit gives points back.")
    code: Code
    text: Prose
    advice: Prose = Field(description="What to do next.")
    case: CaseId | None
    system: Slug | None


class Breakdowns(Answer):
    """The same figures per group, by the group's name."""

    partner: dict[Name, ScoreFigures]
    site: dict[Name, ScoreFigures]
    category: dict[Name, ScoreFigures]
    system: dict[Name, ScoreFigures]
    kind: dict[Name, ScoreFigures]


class ScoreInBrief(Answer):
    """The score of a window, and what it stands on."""

    format: Literal[1]
    tenant: Name
    tool: Tool
    as_of: Instant
    partner: Name | None = Field(description="What was asked for; null is every partner.")
    score: ScoreFigures
    scheduled: Count | None = Field(
        description="Open cases whose cutoff is still to come. Null where it may not be told, and "
        "for a partner or a window of one's own, as are the next two."
    )
    dimension: DimensionDocument | None
    trend: TrendDocument | None
    ledger: HeadDocument


class ScoreInFull(ScoreInBrief):
    """With ``detail=full``."""

    by: Breakdowns
    explain: list[CostDocument] = Field(description="What cost which points, the worst first.")


class LateCaseDocument(Answer):
    """A late case, and what it costs."""

    case: CaseId
    cutoff: Instant
    late_ms: Annotated[int, Field(ge=1)] = Field(description="Of the latest system (ms).")
    started_hours: Annotated[int, Field(ge=1)]
    open: bool = Field(description="Whether it is still growing.")
    systems: list[Slug] = Field(description="Those that were late.")
    amount: Count | None = Field(description="In minor units (cents); null without terms.")


class PartnerPenaltiesDocument(Answer):
    """A partner's late cases, oldest cutoff first."""

    partner: Name
    currency: Annotated[str, text(pattern="^[A-Z]{3}$")] | None = Field(
        description="ISO 4217; null for a partner without terms."
    )
    judged: Count = Field(description="Scored cases of the month.")
    late: Count
    total: Count | None = Field(description="In minor units of `currency`; null without terms.")
    cases: list[LateCaseDocument]


class PenaltiesDocument(Answer):
    """What late revocations of a month cost by contract."""

    month: Annotated[str, text(pattern="^20[0-9]{2}-(0[1-9]|1[0-2])$")] = Field(
        description="Calendar month in UTC."
    )
    as_of: Instant
    window: WindowDocument
    partners: list[PartnerPenaltiesDocument] = Field(description="By name.")


class ReportDocument(Answer):
    """A figure of another metric, as its owner reported it."""

    report: Annotated[str, text(pattern="^rep_[0-9a-f]{32}$")]
    metric: ReportedMetric
    value: Score
    as_of: Instant = Field(description="When it was measured.")
    source: ReportSource
    recorded_at: Instant

    @classmethod
    def of(cls, report: MetricReport) -> Self:
        return cls(
            report=report.report_id,
            metric=report.metric,
            value=report.value,
            as_of=instant_text(report.as_of),
            source=report.source,
            recorded_at=instant_text(report.recorded_at),
        )


class ReportsDocument(Answer):
    """The newest reports, the last recorded first."""

    reports: list[ReportDocument] = Field(max_length=100)
