"""`Seats`: those that were freed, per month and partner, and what they cost a month."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lockstep.control.score.words import money
from lockstep.control.systems.seats import SeatDesk
from lockstep.domain.rights import Permission
from lockstep.web.console.front import Front
from lockstep.web.console.gate import signed_of

HOME = "/console/seats"


@dataclass(frozen=True, slots=True)
class SeatsRoom(Front):
    """Freed seats, as far as somebody's scope."""

    seats: SeatDesk


def router(room: SeatsRoom) -> APIRouter:
    """What the right to the metric opens."""
    routes = room.gate.router(Permission.SCORE)

    @routes.get(HOME)
    async def show_seats(request: Request) -> Response:
        report = await room.seats.report(signed_of(request).principal.scope)
        return room.pages.page(request, "seats.html", report=report, amount=_amount)

    return routes


def _amount(minor: int | None, currency: str) -> str:
    return "no price" if minor is None else money(minor, currency)
