"""``/api/score``, ``/api/score/trend``, ``/api/dimension``, ``/api/penalties``: reading."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query

from lockstep.control.answers import BusyError
from lockstep.control.questions import Question, QuestionError, parse_question
from lockstep.control.score import ScoreService
from lockstep.control.tokens import Right
from lockstep.web.api.auth import Gate, Problem, answers

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


def score_router(gate: Gate, service: ScoreService) -> APIRouter:
    """Everything that the right ``score`` may read about the metric."""
    routes = gate.router(Right.SCORE, tag="score")

    @routes.get(
        "/api/score",
        summary="The score of a window, what it is made of, and what cost which points",
        responses=answers(),
    )
    async def read_score(
        window: Annotated[str, _WINDOW] = "official",
        partner: Annotated[str | None, _PARTNER] = None,
        detail: Annotated[
            Detail, Query(description="`full` adds `by` (breakdowns) and `explain`.")
        ] = Detail.FULL,
    ) -> dict[str, Any]:
        try:
            question = parse_question(window, partner, in_full=detail is Detail.FULL)
            return await service.current(question)
        except (QuestionError, BusyError) as error:
            raise refusal(error) from None

    @routes.get(
        "/api/score/trend",
        summary="The last reading of each day, and how the newest differs from earlier ones",
        responses=answers(),
    )
    async def read_trend(
        days: Annotated[int, Query(ge=1, le=1100, description="How far back.")] = 100,
    ) -> dict[str, Any]:
        return await service.trend(days)

    @routes.get(
        "/api/dimension",
        summary="The dimension: all four metrics, weighed; a range while one is missing",
        responses=answers(),
    )
    async def read_dimension() -> dict[str, Any]:
        try:
            document: dict[str, Any] = (await service.current(Question()))["dimension"]
        except BusyError as error:
            raise refusal(error) from None
        return document

    @routes.get(
        "/api/penalties",
        summary="What late revocations of a month cost by contract, per partner",
        responses=answers(),
    )
    async def read_penalties(
        month: Annotated[str, Query(max_length=7, examples=["2026-11"])],
    ) -> dict[str, Any]:
        try:
            return await service.penalties(month)
        except (QuestionError, BusyError) as error:
            raise refusal(error) from None

    return routes


def refusal(error: QuestionError | BusyError) -> Problem:
    """The answer to a question that cannot be answered, or not yet."""
    if isinstance(error, BusyError):
        return Problem(503, "still_computing", headers={"Retry-After": "10"})
    return Problem(422, "not_valid", [str(error)])
