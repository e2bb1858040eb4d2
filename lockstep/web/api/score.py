"""``/api/score``, ``/api/score/trend``, ``/api/dimension``, ``/api/penalties``: reading."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from lockstep.control.score.answers import PATIENCE
from lockstep.control.score.metric import ScoreService
from lockstep.control.score.questions import Question, QuestionError
from lockstep.control.score.sight import ScoreSight, Wish
from lockstep.domain.rights import Permission, Principal
from lockstep.web.api.answers import DocumentResponse, told
from lockstep.web.api.auth import Gate, answers
from lockstep.web.api.score_answers import (
    DimensionDocument,
    PenaltiesDocument,
    ScoreInBrief,
    ScoreInFull,
    TrendDocument,
)

_WINDOW = Query(
    max_length=100,
    description="`official` (365 days up to now), or `FROM..TO`: dates (whole days in UTC, the "
    "last one included) or instants with a zone (TO excluded).",
    examples=["official", "2026-07-01..2026-09-30"],
)
_PARTNER = Query(max_length=200, description="Only the cases of this partner.")


class Detail(StrEnum):
    """How much of the document is wanted."""

    SCORE = "score"
    FULL = "full"


def score_router(gate: Gate, service: ScoreService, sight: ScoreSight) -> APIRouter:
    """Everything that the right ``score`` may read about the metric."""
    routes = gate.router(Permission.SCORE, tag="score")

    @routes.get(
        "/api/score",
        summary="The score of a window, what it is made of, and what cost which points",
        responses={200: told(ScoreInFull | ScoreInBrief, "The document."), **answers(404)},
    )
    async def read_score(
        request: Request,
        window: Annotated[str, _WINDOW] = "official",
        partner: Annotated[str | None, _PARTNER] = None,
        detail: Annotated[
            Detail, Query(description="`full` adds `by` (breakdowns) and `explain`.")
        ] = Detail.FULL,
    ) -> DocumentResponse:
        asker = await gate.asker(request)
        in_full = detail is Detail.FULL
        return DocumentResponse(await _within(sight, Wish(window, partner or "", in_full), asker))

    @routes.get(
        "/api/score/trend",
        summary="The last reading of each day, and how the newest differs from earlier ones",
        responses={200: told(TrendDocument, "The readings."), **answers()},
    )
    async def read_trend(
        request: Request,
        days: Annotated[int, Query(ge=1, le=1100, description="How far back.")] = 100,
    ) -> DocumentResponse:
        await gate.every_partner(request)
        return DocumentResponse(await service.trend(days))

    @routes.get(
        "/api/dimension",
        summary="The dimension: all four metrics, weighed; a range while one is missing",
        responses={200: told(DimensionDocument, "The dimension."), **answers()},
    )
    async def read_dimension(request: Request) -> DocumentResponse:
        await gate.every_partner(request)
        document = await service.current(Question())
        return DocumentResponse(document["dimension"])

    @routes.get(
        "/api/penalties",
        summary="What late revocations of a month cost by contract, per partner",
        responses={200: told(PenaltiesDocument, "The month's late cases."), **answers()},
    )
    async def read_penalties(
        request: Request,
        month: Annotated[str, Query(max_length=7, examples=["2026-11"])],
    ) -> DocumentResponse:
        await gate.every_partner(request)
        return DocumentResponse(await service.penalties(month))

    return routes


async def _within(sight: ScoreSight, wish: Wish, asker: Principal) -> dict[str, Any]:
    """The document as far as a token may see it.

    Raises:
        QuestionError: if it must name a partner, or asks for nonsense.
        NotYoursError: for a partner that is not the token's.
    """
    if not wish.partner and asker.partners is not None:
        raise QuestionError("partner: name one that the token is for")
    return await sight.score(wish, asker, patience=PATIENCE)
