"""`Brake`: what came far above the usual, and whoever lets it go or sends it back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData

from lockstep.control.intake.brake import (
    LONGEST_REASON,
    MOST_CHOSEN,
    PAGE,
    Approver,
    BrakeDesk,
    HeldEvent,
)
from lockstep.control.people.sessions import Signed
from lockstep.control.refusals import RefusedError
from lockstep.domain.intake.brakes import BrakeState
from lockstep.domain.rights import EVERYTHING, Permission, Principal
from lockstep.storage.intake.brake_rows import BrakeView
from lockstep.web.console.front import Front
from lockstep.web.console.gate import NOT_THERE, Refusal

HOME = "/console/brake"
_BRAKE_ID = re.compile(r"b[a-z2-7]{12}")
_MAX_DIGITS = 18
_MOST_PAGES = 100_000


@dataclass(frozen=True, slots=True)
class _Shown:
    """A brake with one page of what it holds."""

    view: BrakeView
    events: list[HeldEvent]
    page: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.view.count // PAGE))


@dataclass(frozen=True, slots=True)
class BrakeRoom(Front):
    """What the brake holds."""

    brake: BrakeDesk


def router(room: BrakeRoom) -> APIRouter:
    """The page."""
    routes = room.gate.router(Permission.SEE_SYSTEMS)

    @routes.get(HOME)
    async def show_brakes(request: Request) -> Response:
        signed = await _signed(room, request)
        return await _page(room, request, signed)

    return routes


def decision_router(room: BrakeRoom) -> APIRouter:
    """What needs the right to be a second person."""
    routes = room.gate.router(Permission.APPROVE)

    @routes.post(HOME + "/{brake_id}/release")
    async def release(request: Request, brake_id: str) -> Response:
        return await _decide(room, request, brake_id, BrakeState.RELEASED)

    @routes.post(HOME + "/{brake_id}/refuse")
    async def refuse(request: Request, brake_id: str) -> Response:
        return await _decide(room, request, brake_id, BrakeState.REFUSED)

    return routes


async def _decide(
    room: BrakeRoom, request: Request, brake_id: str, decision: BrakeState
) -> Response:
    signed = await _signed(room, request)
    who = _approver(signed.principal)
    if not _BRAKE_ID.fullmatch(brake_id):
        raise NOT_THERE
    form = await request.form(max_files=0, max_fields=MOST_CHOSEN + 20)
    try:
        chosen = _chosen(form)
        decided = await room.brake.decide(
            brake_id,
            decision,
            who,
            reason=_text(form, "reason"),
            chosen=chosen,
            up_to=_number(_text(form, "up_to")),
        )
    except RefusedError as error:
        return await _page(room, request, signed, problem=str(error))
    done = decision.value if decided.events or not decided.asked else "asked"
    more = "&asked=yes" if decided.asked and decided.events else ""
    return RedirectResponse(f"{HOME}?done={done}{more}", HTTPStatus.SEE_OTHER)


async def _page(
    room: BrakeRoom, request: Request, signed: Signed, *, problem: str = ""
) -> Response:
    me = signed.principal
    who = _approver(me)
    asked = request.query_params
    number = min(max(1, _number(asked.get("page", "")) or 1), _MOST_PAGES)
    wanted = asked.get("brake", "")
    shown = []
    for view in await room.brake.standing(who):
        of_this = number if view.brake_id == wanted else 1
        shown.append(_Shown(view, await room.brake.held(view.brake_id, who, page=of_this), of_this))
    is_part = request.method == "GET" and request.headers.get("hx-request")
    return room.pages.page(
        request,
        "brake_part.html" if is_part else "brake.html",
        status=HTTPStatus.CONFLICT if problem else HTTPStatus.OK,
        brakes=shown,
        decided=await room.brake.decided(who),
        done=asked.get("done", "") if not problem else "",
        asked=bool(asked.get("asked")) and not problem,
        here=f"{HOME}?{request.url.query}" if request.url.query and not problem else HOME,
        problem=problem,
        sees_all=me.scope == EVERYTHING,
        may_decide=me.may(Permission.APPROVE),
        longest=LONGEST_REASON,
    )


def _approver(me: Principal) -> Approver:
    return Approver(me.user_id, me.name, me.scope, me.sees_names, me.token)


def _chosen(form: FormData) -> list[int] | None:
    """The ticked events; None where all are meant.

    Raises:
        RefusedError: for something that is no event.
    """
    if _text(form, "which") == "all":
        return None
    numbers = [_number(str(pick)) for pick in form.getlist("pick")]
    found = [number for number in numbers if number is not None]
    if len(found) != len(numbers):
        raise RefusedError("choose among the events of the list")
    return found


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _number(text: str) -> int | None:
    is_number = text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS
    return int(text) if is_number else None


async def _signed(room: BrakeRoom, request: Request) -> Signed:
    signed = await room.gate.signed(request)
    if signed is None:  # the router's dependency has seen to it
        raise Refusal(HTTPStatus.UNAUTHORIZED, "Signed out", "Load the page again.")
    return signed
