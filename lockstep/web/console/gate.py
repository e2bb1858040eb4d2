"""Who may open a page: every route names the permission that it needs, and has no other way in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

import structlog
from fastapi import APIRouter, Depends, Request
from starlette.datastructures import UploadFile

from lockstep.control.people.sessions import Sessions, Signed
from lockstep.domain.rights import Permission
from lockstep.web.allowances import Allowances, place_of

log = structlog.get_logger("lockstep.web")

REQUESTS_PER_MINUTE = 600
"""For each user: a live page asks again whenever something changes."""
SIGN_INS_AT_ONCE = 300
SIGN_INS_PER_MINUTE = 120
"""Begun from one address. A site of 3,000 seats may share one: if every seat had an account and all
came within half an hour of the shift's start, that would be 100 a minute.
"""
SIGN_INS_OF_ALL_PER_MINUTE = 3000
"""Begun in one process, from everywhere: each leaves a row for ten minutes, 33,000 at the most."""
ASKED_BY_PAGE = "x-lockstep-live"
"""A header of what an open page asks for while nobody uses it: it must not keep a session alive."""
_LONGEST_NEXT = 1000
_SAFE = frozenset({"GET", "HEAD"})


class Away(Exception):  # noqa: N818 - an answer, not an error of ours
    """The answer is another page: ``location`` is a path of ours."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.location = location


class Refusal(Exception):  # noqa: N818 - an answer, not an error of ours
    """A page cannot be given: a status, and what a person should know."""

    def __init__(
        self, status: int, title: str, text: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(title)
        self.headers = headers
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
    requests: Allowances = field(default_factory=lambda: Allowances(REQUESTS_PER_MINUTE))
    sign_ins: Allowances = field(
        default_factory=lambda: Allowances(SIGN_INS_PER_MINUTE, burst=SIGN_INS_AT_ONCE)
    )
    sign_ins_of_all: Allowances = field(
        default_factory=lambda: Allowances(SIGN_INS_OF_ALL_PER_MINUTE)
    )

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
            # No id of ours has such a letter, and the database takes no NUL.
            if not all(str(value).isprintable() for value in request.path_params.values()):
                raise NOT_THERE
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

    def admit_sign_in(self, request: Request) -> None:
        """Let a sign-in begin, unless far too many do.

        Raises:
            Refusal: 429, with the seconds to wait.
        """
        place = place_of(request.client.host) if request.client else ""
        # The address first: what it has too many takes nothing from everybody's allowance.
        wait = self.sign_ins.wait(place) or self.sign_ins_of_all.wait("")
        if wait:
            log.warning("sign_ins_too_many", seconds=wait)
            text = "Very many people are signing in just now. Wait a minute, then try again."
            raise _too_many("Too many sign-ins", text, wait)

    def _admit(self, signed: Signed) -> None:
        if wait := self.requests.wait(signed.principal.user_id):
            text = "Wait a few seconds and load the page again."
            raise _too_many("Too many requests", text, wait)


def _too_many(title: str, text: str, wait: int) -> Refusal:
    return Refusal(429, title, text, headers={"Retry-After": str(wait)})


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
    plain = wanted.isascii() and wanted.isprintable() and "\\" not in wanted
    if not plain or len(wanted) > _LONGEST_NEXT or not wanted.startswith("/console/"):
        return "/console/"
    # A browser resolves these, in their encoded forms too, and would leave the console.
    leaves = {".", ".."} & set(unquote(urlsplit(wanted).path).split("/"))
    return "/console/" if leaves else wanted
