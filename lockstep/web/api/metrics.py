"""``/api/metrics``: the dimension's other metrics, reported by their owners."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError

from lockstep.control.intake.events import why_not_valid
from lockstep.control.score.reports import LARGEST_COUNT, REPORTED, to_report
from lockstep.domain.rights import Permission
from lockstep.storage.score.scores import Scores
from lockstep.web.api.answers import Told, told
from lockstep.web.api.auth import Gate, Problem, answers, bounded_body
from lockstep.web.api.score_answers import ReportDocument, ReportsDocument


class ReportBody(BaseModel):
    """A figure from 0 to 20 as ``value``, or a share as ``numerator`` and ``denominator``."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    value: str | None = Field(
        default=None, max_length=20, description="Plain decimal from 0 to 20.", examples=["19.27"]
    )
    numerator: StrictInt | None = Field(default=None, ge=0, le=LARGEST_COUNT, examples=[97])
    denominator: StrictInt | None = Field(default=None, ge=1, le=LARGEST_COUNT, examples=[100])
    as_of: str = Field(
        max_length=40,
        description="When it was measured: a date (midnight, UTC) or an instant with its zone.",
        examples=["2026-11-01"],
    )
    source: str = Field(
        pattern=r"^[a-z0-9-]{1,40}$",
        description="A stable name of where the figure comes from; never a person's.",
        examples=["lms"],
    )


_METRIC = Path(max_length=40, json_schema_extra={"enum": list(REPORTED)})
_REPORT: dict[str, Any] = {
    "summary": "Report another metric of the dimension",
    "description": "The same statement again changes nothing. A later one about the same metric, "
    "source and instant corrects it; every one stays on record.",
    "status_code": 201,
    "responses": {
        200: told(ReportDocument, "On record already."),
        201: told(ReportDocument, "It is on record now."),
        **answers(400, 413, 415),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": ReportBody.model_json_schema(),
                    "example": {"value": "19.27", "as_of": "2026-11-01", "source": "lms"},
                }
            },
        }
    },
}


def report_router(gate: Gate, scores: Scores, tenant: str) -> APIRouter:
    """What the right ``report`` may do."""
    routes = gate.router(Permission.REPORT, tag="metrics")

    async def take(metric: str, request: Request) -> Told:
        await gate.every_partner(request)
        body = parsed(await bounded_body(request))
        stated = to_report(metric, **body.model_dump(), now=datetime.now(UTC))
        stands, is_new = await scores.report(stated, tenant=tenant)
        return Told(ReportDocument.of(stands), 201 if is_new else 200)

    @routes.put("/api/metrics/{metric}", **_REPORT)
    async def put_report(metric: Annotated[str, _METRIC], request: Request) -> Told:
        return await take(metric, request)

    @routes.post("/api/metrics/{metric}", **_REPORT)
    async def post_report(metric: Annotated[str, _METRIC], request: Request) -> Told:
        return await take(metric, request)

    return routes


def metric_router(gate: Gate, scores: Scores) -> APIRouter:
    """What the right ``score`` may read about the other metrics."""
    routes = gate.router(Permission.SCORE, tag="metrics")

    @routes.get(
        "/api/metrics",
        summary="What was reported of the other metrics, the last recorded first",
        responses={200: told(ReportsDocument, "At most 100 of them."), **answers()},
    )
    async def reported(request: Request) -> Told:
        await gate.every_partner(request)
        rows = await scores.reported()
        return Told(ReportsDocument(reports=[ReportDocument.of(row) for row in rows]))

    return routes


def parsed(raw: bytes) -> ReportBody:
    """The body, with every number as it was written: a float would not be what was meant.

    Raises:
        Problem: 400 or 422, quoting nothing of the body.
    """
    try:
        document = json.loads(raw.decode(), parse_float=str, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Problem(400, "not_json") from None
    if isinstance(document, dict) and type(document.get("value")) is int:
        document["value"] = str(document["value"])
    try:
        return ReportBody.model_validate(document)
    except ValidationError as error:
        rows = error.errors(include_input=False, include_url=False)
        raise Problem(
            422, "not_valid", [f"{_place(row)}: {why_not_valid(row)}" for row in rows]
        ) from None


def _place(row: Any) -> str:
    """The field; an unknown one is not quoted, as its name may be anything."""
    if row["type"] == "extra_forbidden" or not row["loc"]:
        return "body"
    return ".".join(str(part) for part in row["loc"])


def _no_number(name: str) -> None:
    raise ValueError(name)
