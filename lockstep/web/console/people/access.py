"""`Access`: who is signed in, tokens of the API, and leavers who are kept out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData

from lockstep.control.people.api_tokens import (
    LONGEST,
    ApiTokenDesk,
    TokenRefusedError,
    Wish,
    givable,
)
from lockstep.control.people.bars import BarError, Bars
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.rights import Permission, Role
from lockstep.storage.people.api_tokens import TokenEnd
from lockstep.web.console.front import Front
from lockstep.web.console.gate import NOT_THERE, Refusal, signed_of

HOME = "/console/access"
OWNER_KEYS = (KeyKind.WORKER_ID, KeyKind.EMAIL, KeyKind.USERNAME)
PAGE = 100
WHY_ENDED = {
    TokenEnd.BY_ADMIN: "",
    TokenEnd.LEFT: "owner or maker left",
    TokenEnd.MAKER_LOST_RIGHTS: "its maker lost a right or a partner that it gives",
    TokenEnd.OWNER_LOST_RIGHTS: "its owner lost a right or a partner that it gives",
}
_LINES = 50
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class AccessRoom(Front):
    """Tokens of the API, and who is kept out."""

    tokens: ApiTokenDesk
    bars: Bars


def router(room: AccessRoom) -> APIRouter:
    """Everything that the right to manage access opens."""
    routes = room.gate.router(Permission.MANAGE_ACCESS)
    standing = room.gate.sessions.standing

    async def page(request: Request, *, status: int = HTTPStatus.OK, **values: Any) -> Response:
        signed = signed_of(request)
        may_give = givable(signed.principal)
        shown = {
            "sessions": _paged(request, "sessions", await standing(by=signed.principal)),
            "tokens": _paged(request, "tokens", await room.tokens.all(by=signed.principal)),
            "bars": await room.bars.standing(signed.principal),
            "roles": [role for role in Role if role.permissions <= may_give],
            "permissions": [each for each in Permission if each in may_give],
            "why_ended": WHY_ENDED,
            "longest": LONGEST.days,
            "given": {},
            "secret": "",
            "problem": "",
            "searched": False,
        }
        return room.pages.page(request, "access.html", status=status, **{**shown, **values})

    @routes.get(HOME)
    async def show(request: Request) -> Response:
        return await page(request)

    @routes.post(f"{HOME}/sessions/{{user_id}}/end")
    async def end_sessions(request: Request, user_id: str) -> Response:
        signed = signed_of(request)
        if not await room.gate.sessions.end_all_of(user_id, by=signed.principal):
            raise NOT_THERE
        return RedirectResponse(f"{HOME}#sessions", HTTPStatus.SEE_OTHER)

    @routes.post(f"{HOME}/tokens")
    async def make_token(request: Request) -> Response:
        form = await request.form()
        given = {name: value for name, value in form.items() if isinstance(value, str)}
        try:
            wish = _wish(form, given)
            secret, _ = await room.tokens.make(wish, by=signed_of(request).principal)
        except TokenRefusedError as error:
            return await page(
                request, status=HTTPStatus.UNPROCESSABLE_ENTITY, problem=str(error), given=given
            )
        # Not a redirect: the token is shown in this answer, and in no other.
        return await page(request, secret=secret)

    @routes.post(f"{HOME}/tokens/{{token_id}}/end")
    async def end_token(request: Request, token_id: str) -> Response:
        try:
            await room.tokens.end(token_id, by=signed_of(request).principal)
        except TokenRefusedError:
            raise NOT_THERE from None
        return RedirectResponse(f"{HOME}#tokens", HTTPStatus.SEE_OTHER)

    _add_bars(routes, room, page)
    return routes


@dataclass(frozen=True, slots=True)
class _Paged:
    """One page of a list. ``count``: of all pages."""

    rows: Sequence[Any]
    count: int
    at: int
    pages: int


def _paged(request: Request, name: str, rows: Sequence[Any]) -> _Paged:
    """The page of ``rows`` that the address names; the nearest there is."""
    given = request.query_params.get(name, "")
    pages = max(1, -(-len(rows) // PAGE))
    is_number = given.isascii() and given.isdecimal() and len(given) <= _DIGITS
    at = min(max(int(given), 1), pages) if is_number else 1
    return _Paged(rows[(at - 1) * PAGE : at * PAGE], len(rows), at, pages)


def _add_bars(routes: APIRouter, room: AccessRoom, page: Any) -> None:
    @routes.post(f"{HOME}/bars/find")
    async def find_bars(request: Request) -> Response:
        """By a form: an address does not belong into an address bar, a history or a log."""
        form = await request.form()
        key = form.get("key", "")
        wanted = key[:200] if isinstance(key, str) else ""
        found = await room.bars.standing(signed_of(request).principal, key=wanted)
        answer: Response = await page(request, bars=found, searched=bool(wanted.strip()))
        return answer

    @routes.post(f"{HOME}/bars/{{case_id}}/lift")
    async def lift(request: Request, case_id: str) -> Response:
        form = await request.form()
        reason = form.get("reason", "")
        try:
            await room.bars.lift(
                case_id,
                reason=reason if isinstance(reason, str) else "",
                by=signed_of(request).principal,
            )
        except BarError as error:
            raise Refusal(422, "Not lifted", f"{str(error).capitalize()}.") from None
        return RedirectResponse(f"{HOME}#bars", HTTPStatus.SEE_OTHER)


def _wish(form: FormData, given: Mapping[str, str]) -> Wish:
    """What the form asks for; raises `TokenRefusedError`."""
    try:
        roles = frozenset(Role(str(value)) for value in form.getlist("role"))
        more = frozenset(Permission(str(value)) for value in form.getlist("permission"))
        days = int(given.get("days", ""))
    except ValueError:
        raise TokenRefusedError("choose roles or permissions, and a number of days") from None
    lines = given.get("partners", "").splitlines()[:_LINES]
    every = given.get("whose") == "every"
    return Wish(
        label=given.get("label", ""),
        roles=roles,
        more=more,
        partners=None if every else frozenset(line.strip() for line in lines if line.strip()),
        lifetime=timedelta(days=max(0, min(days, LONGEST.days + 1))),
        keys=tuple(
            Key(kind, text[:200])
            for kind in OWNER_KEYS
            if (text := given.get(f"owner_{kind.value}", "").strip())
        ),
    )
