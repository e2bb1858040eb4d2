"""`Systems`: how each of them is, what waits for it, and pausing it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from lockstep.control.people.sessions import Signed
from lockstep.control.refusals import NotAllowedError, RefusedError
from lockstep.control.systems.overview import Series, SystemPage, SystemsDesk, SystemState
from lockstep.control.systems.pauses import LONGEST, LONGEST_REASON, PauseDesk
from lockstep.domain.rights import Permission
from lockstep.domain.systems.faults import FaultCategory, rule_for
from lockstep.web.console.front import Front
from lockstep.web.console.gate import NOT_THERE, Refusal

HOME = "/console/systems"
STATES: dict[SystemState, tuple[str, str]] = {
    SystemState.PAUSED: ("paused", "warn"),
    SystemState.BLOCKED: ("cannot revoke", "bad"),
    SystemState.LIMITED: ("rate limited", "warn"),
    SystemState.FAILING: ("failing or slow", "bad"),
    SystemState.WARNING: ("has warnings", "warn"),
    SystemState.UNKNOWN: ("not checked lately", "warn"),
    SystemState.MANUAL: ("worked by hand", "info"),
    SystemState.HEALTHY: ("healthy", "good"),
}
"""What people read of a state, and its colour."""
SPANS = (("1", "1 hour"), ("2", "2 hours"), ("4", "4 hours"), ("8", "8 hours"), ("24", "1 day"))
"""Hours of a pause to choose from, in words; another end is given as an instant."""
_TROUBLED = frozenset({SystemState.BLOCKED, SystemState.FAILING, SystemState.UNKNOWN})
_LONGEST_NAME = 200
_PAUSE_ID = re.compile(r"p[a-z2-7]{12}")


@dataclass(frozen=True, slots=True)
class SystemsRoom(Front):
    """Systems as they are, and pausing them."""

    systems: SystemsDesk
    pauses: PauseDesk


def router(room: SystemsRoom) -> APIRouter:
    """The pages."""
    routes = room.gate.router(Permission.SEE_SYSTEMS)

    @routes.get(HOME)
    async def show_systems(request: Request) -> Response:
        me = (await _signed(room, request)).principal
        views = await room.systems.all(me.scope)
        return room.pages.page(
            request,
            _template("systems", request),
            views=views,
            states=STATES,
            troubled=sum(view.state in _TROUBLED for view in views),
            paused=sum(view.state is SystemState.PAUSED for view in views),
            waiting=sum(view.figures.waiting.count for view in views),
            overdue=sum(view.figures.waiting.overdue for view in views),
        )

    @routes.get(HOME + "/{system}")
    async def show_system(request: Request, system: str) -> Response:
        signed = await _signed(room, request)
        return await _page(room, request, signed, system)

    return routes


def pause_router(room: SystemsRoom) -> APIRouter:
    """What needs the right to pause."""
    routes = room.gate.router(Permission.PAUSE_SYSTEMS)

    @routes.post(HOME + "/{system}/pause")
    async def pause(
        request: Request,
        system: str,
        reason: Annotated[str, Form(max_length=4 * LONGEST_REASON)] = "",
        hours: Annotated[str, Form(max_length=10)] = "",
        until: Annotated[str, Form(max_length=40)] = "",
    ) -> Response:
        signed = await _signed(room, request)
        try:
            await room.pauses.pause(
                system, signed.principal, reason=reason, until=end_of(hours, until)
            )
        except RefusedError as error:
            return await _page(room, request, signed, system, problem=str(error), reason=reason)
        return RedirectResponse(f"{HOME}/{system}", HTTPStatus.SEE_OTHER)

    @routes.post(HOME + "/{system}/resume")
    async def resume(request: Request, system: str) -> Response:
        signed = await _signed(room, request)
        try:
            await room.pauses.resume(system, signed.principal)
        except RefusedError as error:
            return await _page(room, request, signed, system, problem=str(error))
        return RedirectResponse(f"{HOME}/{system}", HTTPStatus.SEE_OTHER)

    return routes


def agree_router(room: SystemsRoom) -> APIRouter:
    """What needs the right to be a second person."""
    routes = room.gate.router(Permission.APPROVE)

    @routes.post(HOME + "/{system}/pauses/{pause_id}/agree")
    async def agree(request: Request, system: str, pause_id: str) -> Response:
        signed = await _signed(room, request)
        if not _PAUSE_ID.fullmatch(pause_id):
            raise NOT_THERE
        try:
            await room.pauses.agree(pause_id, signed.principal)
        except (RefusedError, NotAllowedError) as error:
            return await _page(room, request, signed, system, problem=str(error))
        return RedirectResponse(f"{HOME}/{system}", HTTPStatus.SEE_OTHER)

    return routes


async def _page(
    room: SystemsRoom,
    request: Request,
    signed: Signed,
    system: str,
    *,
    problem: str = "",
    reason: str = "",
) -> Response:
    found = None
    if len(system) <= _LONGEST_NAME:
        found = await room.systems.show(system, signed.principal.scope)
    if found is None:
        raise NOT_THERE
    now = datetime.now(UTC)
    return room.pages.page(
        request,
        _template("system", request),
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK,
        page=found,
        standing=[pause for pause in found.pauses if pause.stands_at(now)],
        may_end=any(p.stands_at(now) and p.is_of(signed.principal.scope) for p in found.pauses),
        may_agree=signed.principal.may(Permission.APPROVE),
        states=STATES,
        drawn=drawn(found.faults),
        hours=hours_of(found.faults),
        reasons=reasons_of(found),
        spans=SPANS,
        latest=(now + LONGEST).strftime("%Y-%m-%dT%H:%M"),
        earliest=now.strftime("%Y-%m-%dT%H:%M"),
        problem=problem,
        reason=reason,
        sees_cases=signed.principal.may(Permission.SEE_CASES),
        may_pause=signed.principal.may(Permission.PAUSE_SYSTEMS),
        may_act=signed.principal.may(Permission.ACT),
    )


def end_of(hours: str, until: str) -> datetime:
    """When a pause shall end: an instant wins over a span.

    Raises:
        RefusedError: if neither can be read.
    """
    try:
        if until.strip():
            moment = datetime.fromisoformat(until.strip())
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return datetime.now(UTC) + timedelta(hours=float(hours))
    except (ValueError, OverflowError):
        raise RefusedError("say for how long, or until when (UTC)") from None


def drawn(faults: Series) -> str:
    """The faults as JSON for the chart: seconds of each hour, then a row for each category."""
    return json.dumps(
        {
            "hours": [int(hour.timestamp()) for hour in faults.hours],
            "rows": [
                {"name": category.replace("_", " "), "counts": counts}
                for category, counts in faults.counts.items()
            ],
        }
    )


def hours_of(faults: Series) -> list[tuple[datetime, dict[str, int]]]:
    """The hours in which something failed, the newest first: the chart as a table."""
    rows = []
    for place, hour in reversed(list(enumerate(faults.hours))):
        found = {name: counts[place] for name, counts in faults.counts.items() if counts[place]}
        if found:
            rows.append((hour, found))
    return rows


def reasons_of(page: SystemPage) -> dict[str, tuple[str, str]]:
    """By category, what is wrong and what to do, of everything that this page names."""
    names = {row.fault for row in page.waiting if row.fault} | set(page.faults.counts)
    known = {category.value: category for category in FaultCategory}
    rules = {name: rule_for(known[name]) for name in names if name in known}
    return {name: (rule.reason, rule.suggestion) for name, rule in rules.items()}


def _template(name: str, request: Request) -> str:
    is_part = request.method == "GET" and request.headers.get("hx-request")
    return f"{name}_part.html" if is_part else f"{name}.html"


async def _signed(room: SystemsRoom, request: Request) -> Signed:
    signed = await room.gate.signed(request)
    if signed is None:  # the router's dependency has seen to it
        raise Refusal(HTTPStatus.UNAUTHORIZED, "Signed out", "Load the page again.")
    return signed
