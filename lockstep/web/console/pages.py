"""Rendering: templates with everything escaped, and the headers that keep a page to itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound
from sqlalchemy.exc import SQLAlchemyError

import lockstep
from lockstep.control.sessions import Signed
from lockstep.domain.rights import Permission
from lockstep.web.console.gate import Away, Refusal

log = structlog.get_logger("lockstep.web")

STATIC = Path(__file__).parent / "static"
_TEMPLATES = Path(__file__).parent / "templates"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""No inline script and no inline style, and nothing from anywhere else."""

MENU: tuple[tuple[str, str, Permission], ...] = (
    ("/console/", "Now", Permission.SEE_CASES),
    ("/console/hr", "My events", Permission.SEND_EVENTS),
    ("/console/systems", "Systems", Permission.SEE_SYSTEMS),
    ("/console/brake", "Brake", Permission.SEE_SYSTEMS),
    ("/console/evidence", "Evidence", Permission.EXPORT),
    ("/console/people-metric", "People metric", Permission.SCORE),
    ("/console/settings", "Settings", Permission.SEE_SETTINGS),
    ("/console/access", "Access", Permission.MANAGE_ACCESS),
)
_OUTAGE = Refusal(
    503,
    "The database cannot be reached",
    "Nothing can be shown until it is back. What you have just sent may not have been done: look "
    "before you send it again. Load this page again in half a minute.",
)
Handler = Callable[[Request, Exception], Awaitable[Response]]
_SECOND_MS = 1000
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400


class Pages:
    """Renders templates for a request."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            instant=instant, duration=duration, ago=ago, words=words, iso=iso
        )
        self._environment.globals["version"] = lockstep.__version__

    def page(
        self,
        request: Request,
        template: str,
        *,
        status: int = HTTPStatus.OK,
        headers: dict[str, str] | None = None,
        **values: Any,
    ) -> HTMLResponse:
        """A page, or a part of one where ``template`` is one; knows who looks at it."""
        signed: Signed | None = getattr(request.state, "signed", None)
        text = self._environment.get_template(template).render(
            request=request,
            signed=signed,
            me=signed.principal if signed else None,
            menu=menu_of(signed),
            path=request.url.path,
            now=datetime.now(UTC),
            **values,
        )
        return HTMLResponse(text, status, headers)

    def install(self, app: FastAPI) -> None:
        """Render what the gate refuses, and an outage; install what answers the API before."""
        app.add_exception_handler(Away, self._away)
        app.add_exception_handler(Refusal, self._refuse)
        # It is an OSError, which would tell operations of an outage that is a fault of ours.
        app.add_exception_handler(TemplateNotFound, _leave)
        for kind in (SQLAlchemyError, OSError):
            elsewhere = cast("Handler", app.exception_handlers.get(kind, _leave))
            app.add_exception_handler(kind, self._outage(elsewhere))

    async def _away(self, request: Request, error: Exception) -> Response:
        if not isinstance(error, Away):
            raise error
        if request.headers.get("hx-request"):  # htmx would put the other page into this one
            return Response(status_code=204, headers={"HX-Redirect": error.location})
        return RedirectResponse(error.location, HTTPStatus.SEE_OTHER)

    async def _refuse(self, request: Request, error: Exception) -> Response:
        if not isinstance(error, Refusal):
            raise error
        return self._refusal(request, error)

    def _outage(self, elsewhere: Handler) -> Handler:
        """A page for people on our paths; ``elsewhere`` answers on all others."""

        async def answer(request: Request, error: Exception) -> Response:
            path = request.url.path
            if path != "/console" and not path.startswith("/console/"):
                return await elsewhere(request, error)
            log.error("database_unreachable", error=type(error).__name__)
            return self._refusal(request, _OUTAGE, headers={"Retry-After": "30"})

        return answer

    def _refusal(
        self, request: Request, why: Refusal, *, headers: dict[str, str] | None = None
    ) -> Response:
        part = "refusal_part.html" if request.headers.get("hx-request") else "refusal.html"
        return self.page(
            request, part, status=why.status, headers=headers, title=why.title, text=why.text
        )


async def _leave(_: Request, error: Exception) -> Response:
    """Let an error of ours be a 500, with its traceback in the log."""
    raise error


def menu_of(signed: Signed | None) -> list[tuple[str, str]]:
    """The pages that somebody may open."""
    if signed is None:
        return []
    return [(path, name) for path, name, right in MENU if signed.principal.may(right)]


def instant(value: datetime | None) -> str:
    """An instant for people: UTC, to the second."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if value else "–"


def iso(value: datetime | None) -> str:
    """An instant for `<time datetime>`."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds") if value else ""


def duration(value: int | None) -> str:
    """Milliseconds for people, in the two largest units; never negative zero."""
    if value is None:
        return "–"
    sign = "-" if value < 0 else ""
    seconds, ms = divmod(abs(value), _SECOND_MS)
    if seconds < _MINUTE_S:
        return f"{sign}{seconds}.{ms // 100} s"
    if seconds < _HOUR_S:
        return f"{sign}{seconds // 60} min {seconds % 60} s"
    if seconds < _DAY_S:
        return f"{sign}{seconds // _HOUR_S} h {seconds % _HOUR_S // 60} min"
    return f"{sign}{seconds // _DAY_S} d {seconds % _DAY_S // _HOUR_S} h"


def ago(value: datetime | None, now: datetime) -> str:
    """How far an instant is from ``now``, in words."""
    if value is None:
        return "–"
    ms = int((now - value).total_seconds() * 1000)
    return f"{duration(ms)} ago" if ms >= 0 else f"in {duration(-ms)}"


def words(value: str) -> str:
    """A stable word such as ``needs_person`` for people."""
    return value.replace("_", " ")
