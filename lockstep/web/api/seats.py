"""``/api/seats``: seats that cost money and were freed, per month and partner."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field

from lockstep.control.systems.seats import SeatDesk, SeatReport
from lockstep.domain.rights import Permission
from lockstep.domain.systems.seats import PartnerSeats, Prices
from lockstep.web.api.answers import Answer, Count, Name, Slug, text
from lockstep.web.api.auth import Gate, answers

Month = Annotated[str, text(pattern="^20[0-9]{2}-(0[1-9]|1[0-2])$")]


class SystemSeatsDocument(Answer):
    """Freed seats of one system."""

    system: Slug
    seats: Count
    price: Count | None = Field(description="Of one seat a month, in minor units; null unpriced.")


class PartnerSeatsDocument(Answer):
    """One partner's freed seats of one month."""

    month: Month = Field(description="Calendar month (UTC) of the read-back.")
    partner: Name
    seats: Count
    monthly: Count | None = Field(
        description="What the priced ones cost a month, in minor units; null where none is priced."
    )
    unpriced: Count = Field(description="Seats without a price: they are in no amount.")
    systems: list[SystemSeatsDocument] = Field(description="By name.")

    @classmethod
    def of(cls, row: PartnerSeats, prices: Prices) -> PartnerSeatsDocument:
        systems = [
            SystemSeatsDocument(
                system=one.system, seats=one.seats, price=prices.by_system.get(one.system)
            )
            for one in row.systems
        ]
        return cls(
            month=row.month,
            partner=row.partner,
            seats=row.seats,
            monthly=row.monthly,
            unpriced=row.unpriced,
            systems=systems,
        )


class SeatsDocument(Answer):
    """Seats that a read-back showed gone; prices are those of the settings of today."""

    since: Month
    until: Month = Field(description="The last month that is told of.")
    currency: str | None = Field(description="ISO 4217; null where no price is set.")
    partners: list[PartnerSeatsDocument] = Field(description="The newest month first, by name.")
    counting: list[Slug] = Field(description="Systems whose vendors show seats.")
    silent: list[Slug] = Field(description="Systems of which nothing is known of seats.")

    @classmethod
    def of(cls, report: SeatReport) -> SeatsDocument:
        return cls(
            since=report.since,
            until=report.until,
            currency=report.prices.currency or None,
            partners=[PartnerSeatsDocument.of(row, report.prices) for row in report.rows],
            counting=list(report.counting),
            silent=list(report.silent),
        )


def seats_router(gate: Gate, desk: SeatDesk) -> APIRouter:
    """What the right ``score`` may read of seats, of the token's own partners."""
    routes = gate.router(Permission.SCORE, tag="seats")

    @routes.get(
        "/api/seats",
        summary="Seats that cost money and were freed, per month and partner",
        responses=answers(),
    )
    async def read_seats(
        request: Request,
        month: Annotated[
            str, Query(max_length=7, description="Left out: the last twelve.", examples=["2026-11"])
        ] = "",
    ) -> SeatsDocument:
        asker = await gate.asker(request)
        return SeatsDocument.of(await desk.report(asker.scope, month=month))

    return routes
