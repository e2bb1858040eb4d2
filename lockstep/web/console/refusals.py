"""What people read where there is no page: refusals, outages, and faults of ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from jinja2 import TemplateNotFound
from starlette.exceptions import HTTPException as StarletteHTTPException

from lockstep.web.bounds import most_bytes
from lockstep.web.console.gate import NOT_THERE, Away, ConsoleGate, Refusal
from lockstep.web.console.pages import Pages
from lockstep.web.incidents import is_page
from lockstep.web.outages import ERRORS, RETRY_AFTER_S, is_outage

log = structlog.get_logger("lockstep.web")

Handler = Callable[[Request, Exception], Awaitable[Response]]

_OUTAGE = Refusal(
    503,
    "The database cannot be used now",
    "Nothing can be shown until it can. What you have just sent may not have been done: look "
    "before you send it again. Load this page again in half a minute.",
    headers={"Retry-After": str(RETRY_AFTER_S)},
)
_NOT_VALID = Refusal(
    422,
    "Not understood",
    "Something in the address or the form is not as our pages send it. Go back, load the page "
    "again, and try once more.",
)
_WORDS = {
    HTTPStatus.METHOD_NOT_ALLOWED: (
        "Not possible here",
        "This address does not take what was sent to it. Go back to the page and use its buttons.",
    ),
    HTTPStatus.LENGTH_REQUIRED: (
        "Not understood",
        "The form came without its length and was not read. Tell your administrator.",
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "Too large",
        "A form with its file may have {most} MiB here. Nothing of what you sent was read.",
    ),
}


class Refusals:
    """Answers people below ``/console`` by pages; what answers all others is left as it is."""

    def __init__(self, pages: Pages, gate: ConsoleGate) -> None:
        self._pages = pages
        self._gate = gate

    def install(self, app: FastAPI) -> None:
        """Be asked first, before what answers programs; install that before."""
        app.add_exception_handler(Away, _away)
        app.add_exception_handler(Refusal, self._refuse)
        # It is an OSError, which would tell operations of an outage that is a fault of ours.
        app.add_exception_handler(TemplateNotFound, _leave)
        pages: dict[type[Exception], Handler] = {
            **dict.fromkeys(ERRORS, self._outage),
            StarletteHTTPException: self._framework,
            RequestValidationError: self._invalid,
        }
        for kind, page in pages.items():
            elsewhere = cast("Handler", app.exception_handlers.get(kind, _leave))
            app.add_exception_handler(kind, _by_path(page, elsewhere))

    def fault(self, request: Request, incident: str) -> Response:
        """The page for a fault of ours; ``incident`` stands in the log as well."""
        why = Refusal(
            500,
            "Something went wrong in Lockstep",
            "What you have just sent may not have been done: look before you send it again. If it "
            f"stays so, tell your administrator this number, which is in the log: {incident}.",
        )
        return self.answer(request, why)

    def bound(self, request: Request, status: int) -> Response:
        """The page for a body that was not read."""
        title, text = _WORDS[HTTPStatus(status)]
        text = text.format(most=most_bytes(request.url.path) // 2**20)
        return self.answer(request, Refusal(status, title, text, headers={"Connection": "close"}))

    def answer(self, request: Request, why: Refusal) -> Response:
        """A whole page, or the part of one that htmx puts into it."""
        part = "refusal_part.html" if request.headers.get("hx-request") else "refusal.html"
        return self._pages.page(
            request,
            part,
            status=why.status,
            headers=dict(why.headers or {}),
            title=why.title,
            text=why.text,
        )

    async def _refuse(self, request: Request, error: Exception) -> Response:
        if not isinstance(error, Refusal):
            raise error
        return self.answer(request, error)

    async def _outage(self, request: Request, error: Exception) -> Response:
        if not is_outage(error):
            raise error
        log.error("database_unreachable", error=type(error).__name__)
        return self.answer(request, _OUTAGE)

    async def _framework(self, request: Request, error: Exception) -> Response:
        """What the framework itself refuses: it knows no such path, method, or form."""
        if not isinstance(error, StarletteHTTPException):
            raise error
        await self._know(request)
        status, headers = error.status_code, error.headers
        if status == HTTPStatus.NOT_FOUND:
            return self.answer(request, _with(NOT_THERE, NOT_THERE.status, headers))
        if status in _WORDS:
            title, text = _WORDS[HTTPStatus(status)]
            text = text.format(most=most_bytes(request.url.path) // 2**20)
            return self.answer(request, Refusal(status, title, text, headers=headers))
        return self.answer(request, _with(_NOT_VALID, status, headers))

    async def _invalid(self, request: Request, error: Exception) -> Response:
        """Of an id that cannot be there is no such thing; what was sent is never quoted."""
        if not isinstance(error, RequestValidationError):
            raise error
        of_path = any(row["loc"][:1] == ("path",) for row in error.errors())
        return self.answer(request, NOT_THERE if of_path else _NOT_VALID)

    async def _know(self, request: Request) -> None:
        """Find out who asks where no gate did, so that the page has its menu; if it can be."""
        try:
            await self._gate.signed(request)
        except ERRORS:
            log.warning("database_unreachable")


def _with(why: Refusal, status: int, headers: Mapping[str, str] | None) -> Refusal:
    return Refusal(status, why.title, why.text, headers=headers)


def _by_path(page: Handler, elsewhere: Handler) -> Handler:
    async def answer(request: Request, error: Exception) -> Response:
        return await (page if is_page(request.url.path) else elsewhere)(request, error)

    return answer


async def _away(request: Request, error: Exception) -> Response:
    if not isinstance(error, Away):
        raise error
    if request.headers.get("hx-request"):  # htmx would put the other page into this one
        return Response(status_code=204, headers={"HX-Redirect": error.location})
    return RedirectResponse(error.location, HTTPStatus.SEE_OTHER)


async def _leave(_: Request, error: Exception) -> Response:
    """Let an error of ours be a 500, with its traceback in the log."""
    raise error
