"""The API: read the metric, report the others, scrape the figures. Every call needs a token."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter

from lockstep.control.score.metric import ScoreService
from lockstep.control.score.sight import ScoreSight
from lockstep.storage.outgoing.deliveries import Deliveries
from lockstep.storage.runtime.stalled import StalledCases
from lockstep.storage.score.scores import Scores
from lockstep.web.api.auth import Gate
from lockstep.web.api.metrics import metric_router, report_router
from lockstep.web.api.prometheus import scrape_router
from lockstep.web.api.score import score_router


@dataclass(frozen=True, slots=True)
class ScoreApi:
    """What the routes about the metric need."""

    gate: Gate
    service: ScoreService
    scores: Scores
    deliveries: Deliveries
    stalled: StalledCases
    sight: ScoreSight
    by_partner: bool = False

    def routers(self) -> list[APIRouter]:
        """Every route, each behind the right that it needs."""
        tenant = self.service.rules.tenant
        return [
            score_router(self.gate, self.service, self.sight),
            metric_router(self.gate, self.scores),
            report_router(self.gate, self.scores, tenant),
            scrape_router(
                self.gate,
                self.service,
                self.scores,
                self.deliveries,
                self.stalled,
                by_partner=self.by_partner,
            ),
        ]
