"""Who may call the API: every route names the right that it needs, and has no other way in."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer

from lockstep.control.intake.events import why_not_valid
from lockstep.control.people.api_tokens import ApiTokenDesk
from lockstep.control.people.tokens import Tokens, bearer
from lockstep.domain.errors import Kind, LockstepError
from lockstep.domain.rights import Permission, Principal
from lockstep.storage.people.acts import ActsLog
from lockstep.web.allowances import Allowances
from lockstep.web.api.answers import (
    MOST_PROBLEMS,
    ProblemDocument,
    Told,
    UnansweredDocument,
    header,
    told,
)
from lockstep.web.outages import ERRORS, RETRY_AFTER_S, is_outage

log = structlog.get_logger("lockstep.web")

MAX_BODY_BYTES = 64 * 1024
REQUESTS_PER_MINUTE = 240
"""For each token; a dashboard and a Prometheus need a few."""

_SCHEME = HTTPBearer(
    scheme_name="token",
    description="A token made on the page Access or by `lockstep access token-new`, or one of "
    "`[tokens.<name>]` in the settings, with the permission that a call needs.",
    auto_error=False,
)


class Problem(Exception):  # noqa: N818 - an answer, not an error of ours
    """An answer that is not the wanted one: its status, a stable word, and what to mend.

    ``act_id``: an act that stands on record without an answer; else "".
    """

    def __init__(
        self,
        status: int,
        error: str,
        problems: list[str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        act_id: str = "",
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.problems = problems
        self.headers = headers
        self.act_id = act_id

    def document(self) -> ProblemDocument | UnansweredDocument:
        """What is sent of it."""
        problems = (self.problems or [])[:MOST_PROBLEMS]
        if self.act_id:
            return UnansweredDocument(error="no_answer", problems=problems, act_id=self.act_id)
        return ProblemDocument(error=self.error, problems=problems)


def answers(*more: int) -> dict[int | str, dict[str, Any]]:
    """Every answer of a route beside the wanted one, for the OpenAPI description."""
    return {
        status: told(ProblemDocument, _ANSWERS[status], **_HEADERS.get(status, {}))
        for status in sorted({401, 403, 422, 429, 503, *more})
    }


_LATER = {"headers": {"Retry-After": header("Seconds to wait.", pattern="^[0-9]+$")}}
NO_ANSWER = told(
    UnansweredDocument | ProblemDocument,
    "It is on record and may have been carried out: send the act again. Or the database cannot be "
    "reached.",
    **_LATER,
)
"""What a 503 is where people's decisions are brought to a case."""
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"headers": {"WWW-Authenticate": header("`Bearer`.")}},
    429: _LATER,
    503: _LATER,
}
_ANSWERS = {
    400: "The body is not what its content type says.",
    401: "No token, or an unknown one.",
    403: "The token lacks the right.",
    404: "There is no such thing.",
    409: "It cannot be done in this state.",
    413: "The body is too large.",
    415: "Another content type is needed.",
    422: "A parameter is wrong; `problems` names it.",
    429: "Too many requests of this token; `Retry-After` says when.",
    503: "The database cannot be reached, or the answer is still being computed; ask again.",
}


@dataclass(slots=True)
class Gate:
    """Checks tokens and how often each of them calls.

    Args:
        tokens: those of the settings.
        made: those that were made here; None where there is no database of them.
        acts: where denied calls are recorded.
    """

    tokens: Tokens
    per_minute: int = REQUESTS_PER_MINUTE
    clock: Callable[[], float] = time.monotonic
    made: ApiTokenDesk | None = None
    acts: ActsLog | None = None
    _allowances: Allowances = field(init=False)

    def __post_init__(self) -> None:
        self._allowances = Allowances(self.per_minute, clock=lambda: self.clock())  # noqa: PLW0108 - replaced later

    def router(self, permission: Permission, *, tag: str) -> APIRouter:
        """A router whose routes all need ``permission``: one cannot be forgotten."""
        needs = Depends(self.needs(permission))
        return APIRouter(tags=[tag], dependencies=[Security(_SCHEME), needs])

    def needs(self, permission: Permission) -> Callable[[Request], Awaitable[Principal]]:
        """A dependency that gives who asks, or ends the request."""

        async def check(request: Request) -> Principal:
            asker = await self.asker(request)
            if not asker.may(permission):
                why = f"the token lacks the right {permission.value!r}"
                await self.deny(request, asker, permission.value, problems=[why])
            return asker

        return check

    async def asker(self, request: Request) -> Principal:
        """Who asks; found, and counted, once per request.

        Raises:
            Problem: 401 without a token that stands, 429 for one that asks too often.
        """
        if not hasattr(request.state, "asker"):
            given = bearer(request.headers.get("authorization"))
            request.state.asker = await self._find(given)
        asker: Principal = request.state.asker
        return asker

    async def _find(self, given: str) -> Principal:
        found = self.tokens.find(given) if given else None
        if found is not None:
            self._admit(found.user_id)
            if self.made is not None and await self.made.has_left(found):
                log.warning("api_denied", status=401, source=found.user_id)
                raise _token_needed()
            return found
        if given and self.made is not None:
            found = await self.made.find(given)
        if found is None:
            log.warning("api_denied", status=401, source="unknown")
            raise _token_needed()
        self._admit(found.user_id)
        return found

    async def every_partner(self, request: Request) -> Principal:
        """Who asks for figures of all partners at once, and may.

        Raises:
            Problem: 403 for a token of some partners only.
        """
        asker = await self.asker(request)
        if asker.partners is not None:
            why = "the token is for some partners only: this call is about all of them"
            await self.deny(request, asker, "every_partner", problems=[why])
        return asker

    async def deny(
        self, request: Request, asker: Principal, why: str, *, problems: list[str] | None = None
    ) -> NoReturn:
        """Record a denied call, and refuse it.

        Raises:
            Problem: always.
        """
        log.warning("api_denied", status=403, source=asker.user_id)
        if self.acts is not None:
            route = getattr(request.scope.get("route"), "path", "?")
            act = f"{request.method} {route}"
            await self.acts.denied(asker.user_id, act, why=why, token=True)
        raise Problem(403, "right_needed", problems)

    def _admit(self, name: str) -> None:
        if wait := self._allowances.wait(name):
            raise Problem(429, "too_many_requests", headers={"Retry-After": str(wait)})


def _token_needed() -> Problem:
    return Problem(401, "token_needed", headers={"WWW-Authenticate": "Bearer"})


async def bounded_body(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """Read at most ``limit`` bytes of a JSON body, whatever its Content-Length claims.

    Raises:
        Problem: 413 or 415.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise Problem(415, "content_type_must_be_application_json")
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise Problem(413, "body_too_large")
        chunks.append(chunk)
    return b"".join(chunks)


def add_answers(app: FastAPI) -> None:
    """Render refusals alike, without quoting what was sent."""
    app.add_exception_handler(Problem, _render_problem)
    app.add_exception_handler(LockstepError, _render_error)
    app.add_exception_handler(RequestValidationError, _render_invalid)
    for kind in ERRORS:
        app.add_exception_handler(kind, _render_outage)


async def _render_problem(_: Request, error: Exception) -> Told:
    if not isinstance(error, Problem):
        raise error
    return Told(error.document(), error.status, error.headers)


_STATUSES = {
    Kind.NOT_VALID: 422,
    Kind.CANNOT_BE_DONE: 422,
    Kind.CANNOT_BE_ORDERED: 422,
    Kind.NOT_ALLOWED: 403,
    Kind.NOT_THERE: 404,
    Kind.NO_SUCH_PARTNER: 404,
    Kind.FASTER: 409,
    Kind.REUSED_KEY: 409,
    Kind.TOO_LARGE: 413,
    Kind.UNANSWERED: 503,
    Kind.BUSY: 503,
}
"""Settings and servers are not for whoever asks: they are an outage, or an incident."""
_AGAIN_S = {Kind.UNANSWERED: "30", Kind.BUSY: "10"}
"""Seconds after which to ask again."""
_BARE = frozenset({Kind.NOT_THERE, Kind.BUSY})
"""Where the word says all, and the text may be an id."""


def problem_of(error: LockstepError) -> Problem:
    """The answer that an error of ours is; raises it again where it is none of the asker's."""
    if error.kind not in _STATUSES:
        raise error
    later = {"Retry-After": _AGAIN_S[error.kind]} if error.kind in _AGAIN_S else None
    problems = [] if error.kind in _BARE else error.told()
    status, word = _STATUSES[error.kind], error.kind.value
    return Problem(status, word, problems, headers=later, act_id=error.act_id)


async def _render_error(request: Request, error: Exception) -> Told:
    # Pages answer by themselves: what is left there is an incident.
    if not isinstance(error, LockstepError) or not request.url.path.startswith("/api/"):
        raise error
    return await _render_problem(request, problem_of(error))


async def _render_invalid(request: Request, error: Exception) -> Told:
    if not isinstance(error, RequestValidationError):
        raise error
    rows = error.errors()[:MOST_PROBLEMS]
    return await _render_problem(
        request,
        Problem(422, "not_valid", [f"{_place(row['loc'])}: {why_not_valid(row)}" for row in rows]),
    )


async def _render_outage(request: Request, error: Exception) -> Told:
    if not is_outage(error):
        raise error
    log.error("database_unreachable", error=type(error).__name__)
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    problem = Problem(503, "database_unreachable", headers=headers)
    return await _render_problem(request, problem)


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if part not in {"query", "path", "body"}) or "?"
