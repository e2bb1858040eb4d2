"""Rendering: templates with everything escaped, and the headers that keep a page to itself."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import structlog
from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

import lockstep
from lockstep.control.people.sessions import Signed
from lockstep.domain.counting import counted, noun
from lockstep.domain.rights import Permission

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
_SECOND_MS = 1000
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400


@functools.cache
def _environment() -> Environment:
    """One for the process: a template is compiled when it is first rendered, and only then."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        instant=instant,
        duration=duration,
        ago=ago,
        words=words,
        iso=iso,
        counted=counted,
        noun=noun,
    )
    made.globals["version"] = lockstep.__version__
    return made


class Pages:
    """Renders templates for a request."""

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
        text = (
            _environment()
            .get_template(template)
            .render(
                request=request,
                signed=signed,
                me=signed.principal if signed else None,
                menu=menu_of(signed),
                path=request.url.path,
                now=datetime.now(UTC),
                **values,
            )
        )
        return HTMLResponse(text, status, headers)


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
