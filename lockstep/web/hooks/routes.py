"""``POST /hooks/{source}``: check the signature, commit to the inbox, answer. Little more.

That a source was heard goes into the ledger, because the score rests on it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

import structlog
from fastapi import APIRouter, Path, Request

from lockstep.control.intake.events import (
    EventError,
    FeedHeartbeat,
    NotJsonError,
    TerminationEvent,
    check_systems,
    cutoff_of,
    parse_event,
    read_message,
    to_termination,
)
from lockstep.control.intake.places import Places
from lockstep.control.intake.whose_case import WhoseCase, why
from lockstep.domain.cases.cutoff import CutoffRule
from lockstep.domain.cases.terminations import TerminationAction
from lockstep.domain.intake.judging import Verdict
from lockstep.storage.engine.database import StorageError
from lockstep.storage.intake.feeds import Feeds
from lockstep.storage.intake.inbox import Inbox
from lockstep.web.api.answers import HookDocument, HookProblem, Told, header, told
from lockstep.web.hooks.signatures import BodyError, Delivery, SignatureError, Verifier
from lockstep.web.outages import ERRORS, RETRY_AFTER_S

log = structlog.get_logger("lockstep.web")

Result = TypeVar("Result")

_LENGTH_DIGITS = 18

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: told(
        HookDocument,
        "Received before, or a heartbeat of a source that was heard within the hour; nothing "
        "changes.",
    ),
    202: told(HookDocument, "Stored; the case opens as soon as it can. A heartbeat: on record."),
    400: told(HookProblem, "The body is not a JSON text in UTF-8."),
    401: told(HookProblem, "Missing, stale or wrong signature."),
    403: told(
        HookProblem,
        "Signed, and about somebody of a partner or site for which this source does not speak; "
        "kept for operations.",
    ),
    404: told(HookProblem, "No such source."),
    409: told(
        HookProblem,
        "Signed and readable, and not carried out: it contradicts what is known, or its id was "
        "used for something else; kept for operations.",
    ),
    413: told(HookProblem, "The body is too large."),
    415: told(HookProblem, "Not `application/json`, or compressed."),
    422: told(HookProblem, "Signed, but not a termination event; kept for operations."),
    503: told(
        HookProblem,
        "Cannot store now; deliver again.",
        headers={"Retry-After": header("Seconds to wait.", pattern="^[0-9]+$")},
    ),
}


EVENT_MODELS = (TerminationEvent, FeedHeartbeat)
"""What a body may be; published in the OpenAPI description by the application."""

_EXAMPLES: dict[str, Any] = {
    "termination": {
        "value": {
            "revision": 1,
            "recorded_at": "2026-11-02T09:30:00+08:00",
            "kind": "voluntary",
            "worker": {"id": "W-10442", "name": "A. Example", "emails": ["a@example.com"]},
            "dates": {"zone": "Asia/Manila", "last_working_day": "2026-11-30"},
        }
    },
    "heartbeat": {"value": {"type": "feed.heartbeat"}},
}


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the hook needs."""

    tenant: str
    inbox: Inbox
    whose: WhoseCase
    feeds: Feeds
    verifiers: Mapping[str, Verifier]
    rule: CutoffRule
    max_body_bytes: int
    systems: frozenset[str] | None = None
    """The configured systems, if they are known."""
    places: Places = field(default_factory=Places)


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
        summary="Report a termination, or that there is nothing to report",
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {
                            "oneOf": [
                                {"$ref": f"#/components/schemas/{model.__name__}"}
                                for model in EVENT_MODELS
                            ]
                        },
                        "examples": _EXAMPLES,
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
    ) -> Told:
        try:
            status, answer = await _accept(hooks, source, request)
        except _Refused as refused:
            known = source if source in hooks.verifiers else "unknown"
            log.warning("hook_refused", source=known, status=refused.status, code=refused.error)
            body = HookProblem(error=refused.error, problems=(refused.problems or [])[:50])
            is_later = refused.status == HTTPStatus.SERVICE_UNAVAILABLE
            headers = {"Retry-After": str(RETRY_AFTER_S)} if is_later else None
            return Told(body, refused.status, headers)
        return Told(answer, status)

    return routes


async def _accept(hooks: Hooks, source: str, request: Request) -> tuple[int, HookDocument]:
    verifier = hooks.verifiers.get(source)
    if verifier is None:
        raise _Refused(404, "unknown_source")
    _check_type(request)
    body = await _bounded_body(request, hooks.max_body_bytes)
    received_at = datetime.now(UTC)
    try:
        delivery = verifier.verify(body, request.headers)
    except BodyError:
        raise _Refused(400, "not_utf8") from None
    except SignatureError:
        raise _Refused(401, "bad_signature") from None
    heard = _Heard(source, delivery, received_at)
    return await _take(hooks, heard, body)


@dataclass(frozen=True, slots=True)
class _Heard:
    """A signed delivery of a known source."""

    source: str
    delivery: Delivery
    received_at: datetime


async def _take(hooks: Hooks, heard: _Heard, body: bytes) -> tuple[int, HookDocument]:
    try:
        message = read_message(body)
        if isinstance(message, FeedHeartbeat):
            is_new = await _hear(hooks, heard)
            return _answer(is_new=is_new)
        check_systems(message, hooks.systems)
        await _stored("inbox_unreachable", heard.source, _check_place(hooks, heard, message))
        termination = to_termination(
            message, tenant=hooks.tenant, source=heard.source, event_id=heard.delivery.event_id
        )
        cutoff = cutoff_of(termination, hooks.rule)
    except EventError as error:
        await _store(hooks, heard, body, refused=error.kept)
        if isinstance(error, NotJsonError):
            raise _Refused(400, "not_json") from None
        raise _Refused(422, "not_a_termination_event", error.problems) from None
    found = await _stored("inbox_unreachable", heard.source, hooks.whose.of(termination, cutoff))
    refused = found.why if found.verdict.is_refusal else ""
    is_new = await _store(
        hooks,
        heard,
        body,
        priority=termination.kind.priority,
        refused=refused,
        verdict=found.verdict if refused else None,
        about=(termination.worker_id, termination.spell),
    )
    if not is_new:
        return await _again(hooks, heard, body, message)
    if refused and (answer := _refusal(found.verdict, refused, message)):
        raise answer
    if not refused:
        hooks.places.take(message.partner, message.site)
    with contextlib.suppress(_Refused):  # the event is safe, and its case will tell the same
        await _hear(hooks, heard)
    return 202, HookDocument(status=_TOLD.get(found.verdict, "accepted"))


async def _check_place(hooks: Hooks, heard: _Heard, said: TerminationEvent) -> None:
    """Refuse a partner or site that is none; raises `EventError`."""
    await hooks.places.check(said.partner, said.site, hooks.whose.remit(heard.source))


def _refusal(verdict: Verdict | None, text: str, event: TerminationEvent) -> _Refused | None:
    """What the sender of a refused event hears; None where it hears what it would of a stranger.

    Of the case of a leaver for whom a source does not speak its answers tell nothing.
    """
    if verdict is Verdict.FOREIGN_CASE:
        if event.action is not TerminationAction.REHIRED:
            return None
        verdict, text = Verdict.NOBODY, why(Verdict.NOBODY)
    status = 403 if verdict is Verdict.FOREIGN else 409
    return _Refused(status, verdict.value if verdict else "refused", [text])


_TOLD = {Verdict.OUTDATED: "superseded", Verdict.TOO_LATE: "too_late"}
"""What a sender is told of an event that is taken, and does not do what it says."""


async def _again(
    hooks: Hooks, heard: _Heard, body: bytes, event: TerminationEvent
) -> tuple[int, HookDocument]:
    """The answer to an id that was used before: what became of it, or that it said otherwise."""
    find = hooks.inbox.find(heard.source, heard.delivery.event_id)
    before = await _stored("inbox_unreachable", heard.source, find)
    if before is None:  # destroyed in this very moment
        return _answer(is_new=False)
    if before.body and not _says_the_same(hooks, before.body, body):
        used = "webhook-id: this id was used before, for another body: give each event its own"
        said = event.model_dump_json(exclude={"recorded_at"}).encode()
        key = hooks.inbox.key_beside(heard.delivery.event_id, said)
        await _store(hooks, heard, body, key=key, refused=used, verdict=Verdict.CONFLICT)
        raise _Refused(409, "webhook_id_was_used", [used])
    verdict = Verdict(before.verdict) if before.verdict else None
    if before.state == "refused" and (answer := _refusal(verdict, before.error, event)):
        raise answer
    told = _TOLD.get(verdict) if verdict else None
    return 200, HookDocument(status=told or "duplicate")


def _says_the_same(hooks: Hooks, before: bytes, after: bytes) -> bool:
    """Whether two bodies are one statement, however and whenever they were written."""
    if before == after:
        return True
    try:
        one, other = (
            parse_event(raw, tenant=hooks.tenant, source="", event_id="") for raw in (before, after)
        )
    except EventError:
        return False
    return one.revision == other.revision and one.says_as(other)


async def _store(
    hooks: Hooks,
    heard: _Heard,
    body: bytes,
    *,
    key: str = "",
    priority: int = 5,
    refused: str = "",
    verdict: Verdict | None = None,
    about: tuple[str, str] | None = None,
) -> bool:
    """Commit a delivery under its id, or under ``key``; False if it is here already."""
    store = hooks.inbox.store(
        tenant=hooks.tenant,
        source=heard.source,
        dedupe_key=key or heard.delivery.event_id,
        received_at=heard.received_at,
        body=body,
        priority=priority,
        refused=refused[:1000] or None,
        verdict=verdict.value if verdict else None,
        about=about,
    )
    return await _stored("inbox_unreachable", heard.source, store)


async def _hear(hooks: Hooks, heard: _Heard) -> bool:
    """Put on record that the source was heard; True if that is news of this hour."""
    hear = hooks.feeds.hear(
        heard.source, sent_at=heard.delivery.sent_at, received_at=heard.received_at
    )
    return await _stored("feed_not_recorded", heard.source, hear)


async def _stored(trouble: str, source: str, work: Awaitable[Result]) -> Result:
    try:
        return await work
    # Whatever it is, also a fault of ours: never acknowledge what is not safe, and have it again.
    except ERRORS as error:
        said = str(error) if isinstance(error, StorageError) else type(error).__name__
        log.error(trouble, source=source, error=said)  # noqa: TRY400 - no traceback
        raise _Refused(503, "cannot_store_now") from None


def _answer(*, is_new: bool) -> tuple[int, HookDocument]:
    if is_new:
        return 202, HookDocument(status="accepted")
    return 200, HookDocument(status="duplicate")


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
