"""Who may open a page: every route names the permission that it needs, and has no other way in."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

import structlog
from fastapi import APIRouter, Depends, Request
from starlette.datastructures import UploadFile

from lockstep.control.sessions import Sessions, Signed
from lockstep.domain.rights import Permission

log = structlog.get_logger("lockstep.web")

REQUESTS_PER_MINUTE = 600
"""For each user: a live page asks again whenever something changes."""
ASKED_BY_PAGE = "x-lockstep-live"
"""A header of what an open page asks for while nobody uses it: it must not keep a session alive."""
_SAFE = frozenset({"GET", "HEAD"})


class Away(Exception):  # noqa: N818 - an answer, not an error of ours
    """The answer is another page: ``location`` is a path of ours."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.location = location


class Refusal(Exception):  # noqa: N818 - an answer, not an error of ours
    """A page cannot be given: a status, and what a person should know."""

    def __init__(self, status: int, title: str, text: str) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.text = text


NOT_THERE = Refusal(404, "Not found", "There is no such thing, or it is not yours to see.")


@dataclass(slots=True)
class ConsoleGate:
    """Reads sessions, and admits by permission. ``secure``: whether cookies need TLS."""

    sessions: Sessions
    origin: str
    """Scheme, host and port under which browsers know us."""
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def secure(self) -> bool:
        return self.origin.startswith("https://")

    @property
    def cookie(self) -> str:
        """`__Host-` binds the cookie to this host and to TLS (RFC 6265bis, 4.1.3.2)."""
        return "__Host-lockstep" if self.secure else "lockstep"

    def router(self, permission: Permission | None, **options: object) -> APIRouter:
        """Routes that need a session, and ``permission`` unless None: one cannot be forgotten."""
        del options
        return APIRouter(
            tags=["console"],
            include_in_schema=False,
            dependencies=[Depends(self.needs(permission))],
        )

    def needs(self, permission: Permission | None) -> Callable[[Request], Awaitable[Signed]]:
        """A dependency that gives the session, or ends the request."""

        async def check(request: Request) -> Signed:
            signed = await self.signed(request)
            if signed is None:
                raise Away(sign_in_path(request))
            self._admit(signed)
            if request.method not in _SAFE:
                await self._check_origin(request, signed)
            if permission is not None and not signed.principal.may(permission):
                await self.deny(request, signed, permission.value)
            return signed

        return check

    async def signed(self, request: Request) -> Signed | None:
        """The session of a request; read once per request."""
        if not hasattr(request.state, "signed"):
            by_itself = ASKED_BY_PAGE in request.headers
            request.state.signed = await self.sessions.read(
                request.cookies.get(self.cookie, ""), in_use=not by_itself
            )
        found: Signed | None = request.state.signed
        return found

    async def deny(self, request: Request, signed: Signed, why: str) -> None:
        """Record a denied act, and refuse it.

        Raises:
            Refusal: always.
        """
        user = signed.principal.user_id
        log.warning("console_denied", source=user)
        await self.sessions.log.denied(user, act_of(request), why=why)
        raise Refusal(403, "Not allowed", "Your role does not include this. It was recorded.")

    async def _check_origin(self, request: Request, signed: Signed) -> None:
        """A form must come from a page of ours: its origin, and its session's token, say so."""
        origin = request.headers.get("origin")
        if origin is not None and origin != self.origin:
            await self.deny(request, signed, "foreign_origin")
        token = request.headers.get("x-csrf-token") or await _form_token(request)
        if not signed.sent_by_us(token):
            await request.close()  # a file that came with it
            await self.deny(request, signed, "forged_form")

    def _admit(self, signed: Signed) -> None:
        now = time.monotonic()
        user = signed.principal.user_id
        left, at = self._left.get(user, (float(REQUESTS_PER_MINUTE), now))
        left = min(REQUESTS_PER_MINUTE, left + (now - at) * REQUESTS_PER_MINUTE / 60)
        self._left[user] = (left - 1 if left >= 1 else left, now)
        if left < 1:
            raise Refusal(429, "Too many requests", "Wait a few seconds and load the page again.")


async def _form_token(request: Request) -> str:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in {"application/x-www-form-urlencoded", "multipart/form-data"}:
        return ""
    form = await request.form(max_files=1, max_fields=100)
    token = form.get("csrf", "")
    return "" if isinstance(token, UploadFile) else token


def signed_of(request: Request) -> Signed:
    """The session of a request that a router of `ConsoleGate` has let in."""
    signed: Signed = request.state.signed
    return signed


def act_of(request: Request) -> str:
    """What a request tries, as a word for the ledger: method and route, without ids."""
    route = request.scope.get("route")
    return f"{request.method} {getattr(route, 'path', '?')}"


def sign_in_path(request: Request) -> str:
    """Where to sign in, and come back from; only a path of ours is remembered."""
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.method not in _SAFE or request.headers.get("hx-request"):
        return "/console/sign-in"
    return f"/console/sign-in?next={quote(wanted, safe='')}"


def safe_next(wanted: str) -> str:
    """A path of the console to go on to; anything else becomes its first page."""
    parts = urlsplit(wanted)
    ours = wanted.startswith("/console/") and not parts.scheme and not parts.netloc
    plain = wanted.isascii() and wanted.isprintable() and "\\" not in wanted
    return wanted if ours and plain and len(wanted) <= 1000 else "/console/"  # noqa: PLR2004
