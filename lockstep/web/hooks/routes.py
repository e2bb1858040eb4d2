"""``POST /hooks/{source}``: check the signature, commit to the inbox, answer. Nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from lockstep.control.events import EventError, TerminationEvent, cutoff_of, parse_event
from lockstep.domain.cutoff import CutoffRule
from lockstep.storage.inbox import Inbox
from lockstep.web.hooks.signatures import BodyError, SignatureError, Verifier

log = structlog.get_logger("lockstep.web")

_LENGTH_DIGITS = 18

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Received before; nothing changes."},
    202: {"description": "Stored; the case opens as soon as it can."},
    400: {"description": "The body is not a JSON text in UTF-8."},
    401: {"description": "Missing, stale or wrong signature."},
    404: {"description": "No such source."},
    413: {"description": "The body is too large."},
    415: {"description": "Not `application/json`, or compressed."},
    422: {"description": "Signed, but not a termination event; kept for operations."},
    503: {"description": "Cannot store now; deliver again."},
}


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the hook needs."""

    tenant: str
    inbox: Inbox
    verifiers: Mapping[str, Verifier]
    rule: CutoffRule
    max_body_bytes: int


class _Refused(Exception):  # noqa: N818 - an answer, not an error of ours
    def __init__(self, status: int, error: str, problems: list[str] | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.problems = problems


def router(hooks: Hooks) -> APIRouter:
    """The hook's route, with the event's schema in the OpenAPI description."""
    routes = APIRouter(tags=["hooks"])

    @routes.post(
        "/hooks/{source}",
        status_code=202,
        responses=_ANSWERS,
        summary="Report a termination",
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/TerminationEvent"}
                    }
                },
            },
            "parameters": [
                {
                    "name": name,
                    "in": "header",
                    "required": True,
                    "schema": {"type": "string"},
                    "description": "Standard Webhooks 1.0",
                }
                for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
            ],
        },
    )
    async def receive(
        source: Annotated[str, Path(description="The name in `[sources.<name>]`.")],
        request: Request,
    ) -> JSONResponse:
        try:
            status, answer = await _accept(hooks, source, request)
        except _Refused as refused:
            known = source if source in hooks.verifiers else "unknown"
            log.warning("hook_refused", source=known, status=refused.status, code=refused.error)
            body: dict[str, object] = {"error": refused.error}
            if refused.problems:
                body["problems"] = refused.problems[:50]
            headers = {"Retry-After": "30"} if refused.status == 503 else None  # noqa: PLR2004
            return JSONResponse(body, refused.status, headers)
        return JSONResponse(answer, status)

    return routes


async def _accept(hooks: Hooks, source: str, request: Request) -> tuple[int, dict[str, str]]:
    verifier = hooks.verifiers.get(source)
    if verifier is None:
        raise _Refused(404, "unknown_source")
    _check_type(request)
    body = await _bounded_body(request, hooks.max_body_bytes)
    received_at = datetime.now(UTC)
    try:
        event_id = verifier.verify(body, request.headers)
    except BodyError:
        raise _Refused(400, "not_utf8") from None
    except SignatureError:
        raise _Refused(401, "bad_signature") from None
    problems: list[str] = []
    priority = 5
    try:
        termination = parse_event(body, tenant=hooks.tenant, source=source, event_id=event_id)
        cutoff_of(termination, hooks.rule)
        priority = termination.kind.priority
    except EventError as error:
        problems = error.problems
    try:
        is_new = await hooks.inbox.store(
            tenant=hooks.tenant,
            source=source,
            dedupe_key=event_id,
            received_at=received_at,
            body=body,
            priority=priority,
            refused="; ".join(problems)[:1000] or None,
        )
    except (SQLAlchemyError, OSError) as error:
        log.error("inbox_unreachable", error=type(error).__name__)  # noqa: TRY400 - no traceback
        raise _Refused(503, "cannot_store_now") from None
    if problems == ["body: not JSON"]:
        raise _Refused(400, "not_json")
    if problems:
        raise _Refused(422, "not_a_termination_event", problems)
    return (202, {"status": "accepted"}) if is_new else (200, {"status": "duplicate"})


def _check_type(request: Request) -> None:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise _Refused(415, "content_type_must_be_application_json")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise _Refused(415, "compressed_bodies_are_not_accepted")


async def _bounded_body(request: Request, limit: int) -> bytes:
    """Read at most ``limit`` bytes, whatever the sender's Content-Length claims."""
    declared = request.headers.get("content-length", "")
    is_number = declared.isascii() and declared.isdigit()
    if is_number and (len(declared) > _LENGTH_DIGITS or int(declared) > limit):
        raise _Refused(413, "body_too_large")
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _Refused(413, "body_too_large")
        chunks.append(chunk)
    return b"".join(chunks)


EVENT_MODEL = TerminationEvent
"""Published in the OpenAPI description by the application."""
