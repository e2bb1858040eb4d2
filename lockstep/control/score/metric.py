"""The metric as it is now: read in one look, computed beside the event loop, kept for a while."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import lockstep
from lockstep.control.score.answers import PATIENCE, Answers
from lockstep.control.score.questions import Question, parse_month, to_moment, to_ms
from lockstep.control.score.rules import Rules
from lockstep.control.score.streaming import over_cases
from lockstep.evidence.format.canonical import instant_text
from lockstep.evidence.ledger.history import facts_from_document
from lockstep.scorecard.dimension import METRICS, Reported, roll_up
from lockstep.scorecard.explain import Cost, explain
from lockstep.scorecard.facts import CaseFacts, Feed, Finding
from lockstep.scorecard.metric import Score, Window, breakdowns, official_window, score
from lockstep.scorecard.numbers import decimal_text
from lockstep.scorecard.penalties import penalties
from lockstep.scorecard.policies import PolicyTerms, under_policies
from lockstep.scorecard.trend import Snapshot as Point
from lockstep.scorecard.trend import trend
from lockstep.storage.score.facts_proof import UNMARKED, FactsState, Seal
from lockstep.storage.score.scores import LedgerHead, MetricReport, Reading, Scores, Snapshot

SEAL_GRACE = timedelta(hours=1)
"""Beyond the heartbeat: after that, an unsigned entry means that nobody seals the ledger."""
TREND_DAYS = 100


class ScoreService:
    """Answers questions about the metric; long ones are computed in a thread, and kept a while."""

    def __init__(
        self,
        scores: Scores,
        rules: Rules,
        *,
        seal: Seal | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._scores = scores
        self._rules = rules
        self._seal = seal
        self._now = now
        self._answers = Answers()

    @property
    def rules(self) -> Rules:
        return self._rules

    async def current(
        self,
        question: Question,
        *,
        patience: timedelta = PATIENCE,
        at_most: timedelta | None = None,
    ) -> dict[str, Any]:
        """The score's document, at most `FRESH` old, or `STALE` where it is long in the making.

        ``at_most``: how old it may be, for whoever asks for a new one.

        Raises:
            BusyError: if it is still being computed when ``patience`` ends.
        """
        if not question.in_full:
            fuller = self._answers.fresh(replace(question, in_full=True))
            if fuller:
                return {key: value for key, value in fuller.items() if key not in _FULL}
        return await self._answers.get(
            question, lambda: self.read(question), patience=patience, at_most=at_most
        )

    async def penalties(self, month: str, *, patience: timedelta = PATIENCE) -> dict[str, Any]:
        """What late revocations of a month cost by contract, per partner.

        Raises:
            QuestionError: if ``month`` is none.
            BusyError: as `current`.
        """
        parse_month(month)
        return await self._answers.get(month, lambda: self.read_penalties(month), patience=patience)

    async def read(self, question: Question, *, as_of: datetime | None = None) -> dict[str, Any]:
        """Compute the document now, from one consistent look at the database.

        Args:
            question: the window and whose cases; a full answer reads them three times.
            as_of: where open work is censored; later than everything in the database. Default now.

        Raises:
            QuestionError: for a window of the future, where it is a secret.
        """
        rules = self._rules
        now = to_ms(as_of or self._now())
        window = question.until(now) or official_window(rules.definition, now)
        start, end = to_moment(window.start), to_moment(window.end)
        async with self._scores.reading() as reading:
            head = await reading.head()
            kept = await self._kept(reading, head)
            look = _Look(
                reading=reading,
                rules=rules,
                window=window,
                as_of=now,
                findings=await reading.findings(start=start, partner=question.partner),
                ledger_ok=unsealed_since(head, rules, to_moment(now)) is None
                and kept.is_proved is not False,
                feeds=await reading.feeds(partner=question.partner),
                pages=lambda: reading.documents(
                    start=start, end=end, partner=question.partner, sealed=question.sealed
                ),
                called_off=_facts(await reading.called_off(partner=question.partner)),
            )
            found = await look.under(await look.score())
            more = await look.in_full(found) if question.in_full else {}
            reports = await reading.reports()
            scheduled = await reading.scheduled(after=to_moment(now))
        points = await self._scores.snapshots(since=to_moment(now) - timedelta(days=TREND_DAYS))
        return {
            "format": 1,
            "tenant": rules.tenant,
            "tool": {"name": "lockstep", "version": lockstep.__version__},
            "as_of": instant_text(to_moment(now)),
            "partner": question.partner,
            "score": found.as_document(),
            "scheduled": scheduled if _is_the_metric(question) else None,
            "dimension": self._dimension(found, reports) if _is_the_metric(question) else None,
            "trend": trend_document(points) if _is_the_metric(question) else None,
            "ledger": {
                **ledger_document(head, rules, to_moment(now)),
                "facts": facts_document(kept),
            },
            **more,
        }

    async def _kept(self, reading: Reading, head: LedgerHead) -> FactsState:
        """Whether what is scored is what the ledger's entries came to."""
        if self._seal is None:
            return UNMARKED
        return await reading.facts_state(self._seal, tenant=self._rules.tenant, size=head.sequenced)

    async def read_penalties(self, month: str) -> dict[str, Any]:
        """Compute what `penalties` answers, now; raises `QuestionError`."""
        window = parse_month(month)
        rules = self._rules
        as_of = to_ms(self._now())
        start, end = to_moment(window.start), to_moment(window.end)
        async with self._scores.reading() as reading:
            called_off = _facts(await reading.called_off())
            rows = await over_cases(
                reading.documents(start=start, end=end, sealed=False),  # nothing is late of them
                lambda cases: penalties(
                    cases,
                    rules.terms,
                    rules.definition,
                    window=window,
                    as_of=as_of,
                    called_off=called_off,
                ),
            )
        return {
            "month": month,
            "as_of": instant_text(to_moment(as_of)),
            "window": {"start": instant_text(start), "end": instant_text(end)},
            "partners": [row.as_document() for row in rows],
        }

    async def trend(self, days: int) -> dict[str, Any]:
        """Readings of so many days back, the last of each day."""
        return trend_document(
            await self._scores.snapshots(since=self._now() - timedelta(days=days))
        )

    async def aclose(self) -> None:
        """End what is under way."""
        await self._answers.aclose()

    def _dimension(self, found: Score, reports: list[MetricReport]) -> dict[str, Any]:
        reported = {
            report.metric: Reported(Fraction(report.value), to_ms(report.as_of), report.source)
            for report in reports
            if report.metric in METRICS
        }
        reported[METRICS[0]] = Reported(found.value, found.as_of, "lockstep")
        return roll_up(
            reported,
            self._rules.weights,
            as_of=found.as_of,
            stale_after_ms=self._rules.report_validity // timedelta(milliseconds=1),
            audit_proof_allowed=found.audit_proof_allowed,
            definition=self._rules.definition,
        ).as_document()


_FULL = ("by", "explain")


@dataclass(frozen=True, slots=True)
class _Look:
    """One window's cases, taken as often as needed from one consistent look."""

    reading: Reading
    rules: Rules
    window: Window
    as_of: int
    findings: list[Finding]
    ledger_ok: bool
    feeds: list[Feed]
    pages: Callable[[], AsyncGenerator[list[str], None]]
    called_off: list[CaseFacts]

    async def score(self) -> Score:
        return await over_cases(
            self.pages(),
            lambda cases: score(
                cases,
                self.rules.definition,
                window=self.window,
                as_of=self.as_of,
                findings=self.findings,
                ledger_ok=self.ledger_ok,
                feeds=self.feeds,
                called_off=self.called_off,
            ),
        )

    async def under(self, found: Score) -> Score:
        """With what it would be under each policy, where the cases have pinned several."""
        if not found.definition.has_rules or len(found.policies) <= 1:
            return found
        documents = await self.reading.policies(found.policies)
        terms = [PolicyTerms.of(digest, document) for digest, document in documents.items()]
        rows = await over_cases(
            self.pages(),
            lambda cases: under_policies(
                cases,
                self.rules.definition,
                terms,
                window=self.window,
                as_of=self.as_of,
                findings=self.findings,
                ledger_ok=self.ledger_ok,
                feeds=self.feeds,
                called_off=self.called_off,
            ),
        )
        return replace(found, by_policy=rows)

    async def in_full(self, found: Score) -> dict[str, Any]:
        groups = await over_cases(
            self.pages(),
            lambda cases: breakdowns(
                cases,
                self.rules.definition,
                window=self.window,
                as_of=self.as_of,
                findings=self.findings,
                ledger_ok=self.ledger_ok,
                feeds=self.feeds,
                called_off=self.called_off,
            ),
        )
        costs = await over_cases(
            self.pages(),
            lambda cases: explain(found, cases, self.rules.definition, called_off=self.called_off),
        )
        return {
            "by": {
                dimension: {name: row.as_document() for name, row in rows.items()}
                for dimension, rows in groups.items()
            },
            "explain": [_cost_document(cost) for cost in costs],
        }


def _facts(documents: list[str]) -> list[CaseFacts]:
    return [facts_from_document(json.loads(document)) for document in documents]


def _is_the_metric(question: Question) -> bool:
    """Only the official score of everybody is rolled up, kept, and compared with earlier ones."""
    return question.window is None and question.partner is None


def _cost_document(cost: Cost) -> dict[str, Any]:
    return {
        "points": decimal_text(cost.points, 4),
        "code": cost.code,
        "text": cost.text,
        "advice": cost.advice,
        "case": cost.case_id or None,
        "system": cost.system or None,
    }


def unsealed_since(head: LedgerHead, rules: Rules, now: datetime) -> datetime | None:
    """Since when an entry waits too long for a signed head: nobody seals, or the sealer refuses.

    What nobody has sealed could be changed unseen: there is no score over it.
    """
    since = head.unsigned_since
    if since is None or now - since <= rules.heartbeat + SEAL_GRACE:
        return None
    return since


def ledger_document(head: LedgerHead, rules: Rules, now: datetime) -> dict[str, Any]:
    """The signed head that a score stands on, and what is wrong with it."""
    since = unsealed_since(head, rules, now)
    return {
        "size": head.size,
        "root": head.root or None,
        "signed_at": instant_text(head.signed_at) if head.signed_at else None,
        "unsealed_since": instant_text(since) if since else None,
    }


def facts_document(kept: FactsState) -> dict[str, Any]:
    """Whether the facts that were scored are proved against the ledger."""
    return {
        "proved": kept.is_proved,
        "proved_at": instant_text(kept.proved_at) if kept.proved_at else None,
        "changed_at": instant_text(kept.differed_at) if kept.differed_at else None,
        "changed_cases": kept.differed,
    }


def trend_document(snapshots: list[Snapshot]) -> dict[str, Any]:
    """The last reading of each day, and how the newest differs from earlier ones."""
    points = []
    rows = []
    for kept in snapshots:
        found = kept.document["score"]
        value = found["value"]
        digest = found["definition"]["sha256"]
        points.append(Point(to_ms(kept.taken_at), Fraction(value) if value else None, digest))
        rows.append(
            {
                "taken_at": instant_text(kept.taken_at),
                "value": value,
                "n": found["n"],
                "label": found["label"],
                "definition": found["definition"]["version"],
            }
        )
    return {**trend(points).as_document(), "points": rows}
