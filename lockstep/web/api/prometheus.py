"""``/metrics``: the metric and the health of evidence as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from lockstep.control.score.answers import BusyError
from lockstep.control.score.metric import ScoreService
from lockstep.control.score.outside import outside
from lockstep.control.score.questions import Question
from lockstep.domain.rights import Permission
from lockstep.storage.outgoing.deliveries import Deliveries
from lockstep.storage.runtime.stalled import FRESH, StalledCases
from lockstep.storage.score.scores import LedgerHead, Scores
from lockstep.web.api.auth import Gate, answers

MOST_PARTNERS = 50
"""With the most cases first: every label value costs Prometheus a series for ever."""
MOST_SOURCES = 50
"""With the longest silent first, likewise."""

_QUANTILES = {"p50": "0.5", "p90": "0.9", "p95": "0.95", "max": "1"}


def scrape_router(
    gate: Gate,
    service: ScoreService,
    scores: Scores,
    deliveries: Deliveries,
    stalled: StalledCases,
    *,
    by_partner: bool,
) -> APIRouter:
    """The figures for a scraper that holds a token with the right ``score``."""
    routes = gate.router(Permission.SCORE, tag="score")

    @routes.get(
        "/metrics",
        summary="The score and the health of evidence as Prometheus text",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **answers(),
        },
    )
    async def scrape(request: Request) -> Response:
        asker = await gate.every_partner(request)
        sealed = asker.scope.sealed
        try:
            document = await service.current(Question(in_full=by_partner, sealed=sealed))
        except BusyError:  # the rest is worth having
            document = None
        async with scores.reading() as reading:
            head = await reading.head()
        text = exposition(
            document if sealed or document is None else outside(document),
            head,
            await deliveries.backlog(),
            now=datetime.now(UTC),
            stalled=await stalled.total(asker.scope),
            sealed=sealed,
        )
        return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return routes


def exposition(
    document: Mapping[str, Any] | None,
    head: LedgerHead,
    backlog: tuple[int, datetime | None],
    *,
    now: datetime,
    stalled: tuple[timedelta, int] | None = None,
    sealed: bool = False,
) -> bytes:
    """Everything as Prometheus text 0.0.4. What is not known is absent, never 0.

    ``sealed``: to whoever may know of coming dismissals: how many entries the ledger has tells
    that one was reported.
    """
    families = [*_ledger(head, now, sealed=sealed), *_outbox(backlog, now)]
    families += _stalled(stalled)
    families.append(_gauge("score_available", "Whether a score could be computed.", _has(document)))
    if document is not None:
        families += [*_score(document["score"]), _feeds(document["score"]["feeds"])]
        says = "Open cases whose cutoff is still to come, without dismissals."
        families.append(_gauge("cases_scheduled", says, document["scheduled"]))
        families += _dimension(document["dimension"])
        families += _partners(document.get("by", {}).get("partner", {}))
    registry = CollectorRegistry()
    registry.register(_Once(families))
    return generate_latest(registry)


class _Once(Collector):
    def __init__(self, families: Iterable[GaugeMetricFamily]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from self._families


def _gauge(name: str, says: str, value: object = None) -> GaugeMetricFamily:
    """A gauge; a decimal text becomes a float only here, where the format wants one."""
    number = None if value is None else float(str(value))
    return GaugeMetricFamily(f"lockstep_{name}", says, value=number)


def _has(document: Mapping[str, Any] | None) -> int:
    return int(document is not None and document["score"]["value"] is not None)


def _score(score: Mapping[str, Any]) -> list[GaugeMetricFamily]:
    plain = {
        "score": ("Access revocation, 0 to 20, rolling 365 days.", score["value"]),
        "score_target": ("The score to reach.", score["target"]),
        "score_cases": ("Scored cases (n).", score["n"]),
        "score_within_sla_cases": ("Scored cases within their SLA.", score["within_sla"]),
        "score_wilson_lower": ("One-sided 95 % lower bound.", score["wilson_lower"]),
        "score_penalty_points": ("Points lost to open overdue cases.", score["penalty"]),
        "cases_pending": ("Open cases that are not late.", score["pending"]),
        "cases_open_overdue": ("Open cases past a due time.", score["open_overdue"]),
    }
    made = [_gauge(name, says, value) for name, (says, value) in plain.items() if value is not None]
    quantiles = GaugeMetricFamily(
        "lockstep_time_to_revocation_seconds",
        "From cutoff to access proved gone; at least so long where open is 1.",
        labels=["quantile", "open"],
    )
    for name, quantile in _QUANTILES.items():
        if (rank := score["ttr"][name]) is not None:
            quantiles.add_metric([quantile, str(int(rank["open"]))], rank["ms"] / 1000)
    exposure = GaugeMetricFamily(
        "lockstep_exposure_account_seconds",
        "Time that leavers' accounts stayed usable, summed over accounts.",
        labels=["tier"],
    )
    everything, tier0 = (
        int(score["exposure"][f"{name}_ms"]) for name in ("account", "tier0_account")
    )
    exposure.add_metric(["0"], tier0 / 1000)
    exposure.add_metric(["other"], (everything - tier0) / 1000)
    caps = GaugeMetricFamily(
        "lockstep_score_cap_points", "The most that the score can be now.", labels=["cause"]
    )
    for hit in score["caps"]:
        caps.add_metric([hit["code"]], float(hit["limit"]))
    return [*made, quantiles, exposure, caps]


def _feeds(feeds: Iterable[Mapping[str, Any]]) -> GaugeMetricFamily:
    ages = GaugeMetricFamily(
        "lockstep_hr_feed_age_seconds",
        "How long an expected source of HR has been silent.",
        labels=["source"],
    )
    longest = sorted(feeds, key=lambda feed: (-feed["age_ms"], feed["source"]))
    for feed in longest[:MOST_SOURCES]:
        ages.add_metric([feed["source"]], feed["age_ms"] / 1000)
    return ages


def _dimension(dimension: Mapping[str, Any]) -> list[GaugeMetricFamily]:
    return [
        _gauge("dimension_low", "The dimension, missing metrics at 0.", dimension["low"]),
        _gauge("dimension_high", "The dimension, missing metrics at 20.", dimension["high"]),
    ]


def _partners(partners: Mapping[str, Mapping[str, Any]]) -> list[GaugeMetricFamily]:
    if not partners:
        return []
    score = GaugeMetricFamily(
        "lockstep_partner_score", "The score of a partner.", labels=["partner"]
    )
    count = GaugeMetricFamily("lockstep_partner_cases", "Scored cases.", labels=["partner"])
    overdue = GaugeMetricFamily(
        "lockstep_partner_cases_open_overdue", "Open cases past a due time.", labels=["partner"]
    )
    most = sorted(partners.items(), key=lambda row: (-row[1]["n"], row[0]))[:MOST_PARTNERS]
    for name, found in most:
        if found["value"] is not None:
            score.add_metric([name], float(found["value"]))
        count.add_metric([name], found["n"])
        overdue.add_metric([name], found["open_overdue"])
    return [score, count, overdue]


def _ledger(head: LedgerHead, now: datetime, *, sealed: bool) -> list[GaugeMetricFamily]:
    since = head.unsequenced_since
    waits = max(0.0, (now - since).total_seconds()) if since else 0.0
    says = "Age of the oldest entry without a place yet."
    made = [_gauge("ledger_unsequenced_seconds", says, waits)]
    if sealed:
        made += [
            _gauge("ledger_size", "Leaves under the newest signed head.", head.size),
            _gauge("ledger_entries_unsequenced", "Entries without a place yet.", head.unsequenced),
        ]
    if head.signed_at is not None:
        age = max(0.0, (now - head.signed_at).total_seconds())
        made.append(_gauge("ledger_checkpoint_age_seconds", "Since the newest head.", age))
    return made


def _stalled(seen: tuple[timedelta, int] | None) -> list[GaugeMetricFamily]:
    """Nothing where Temporal could not say; the count only while the look at it is fresh."""
    if seen is None:
        return []
    age, total = seen
    says = "Since Temporal was last asked."
    made = [_gauge("cases_stalled_look_age_seconds", says, max(0.0, age.total_seconds()))]
    if age <= FRESH:
        says = "Cases whose workflow fails at every try; coming dismissals with `sealed` only."
        made.append(_gauge("cases_stalled", says, total))
    return made


def _outbox(backlog: tuple[int, datetime | None], now: datetime) -> list[GaugeMetricFamily]:
    count, oldest = backlog
    age = max(0.0, (now - oldest).total_seconds()) if oldest else 0.0
    return [
        _gauge("outbox_pending", "Messages that have not arrived.", count),
        _gauge("outbox_oldest_pending_seconds", "Age of the oldest of them.", age),
    ]
