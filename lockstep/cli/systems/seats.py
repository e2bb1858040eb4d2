"""`lockstep seats`: seats that were freed, per month and partner, and what they cost a month."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from lockstep.cli.context import (
    UNUSABLE,
    ConfigOption,
    JsonOption,
    die,
    not_blank,
    opened,
    out,
    print_json,
    run,
    settings_or_die,
)
from lockstep.control.score.questions import QuestionError, parse_month
from lockstep.control.score.words import money
from lockstep.control.systems.seats import SeatReport
from lockstep.domain.counting import counted
from lockstep.domain.rights import EVERYTHING
from lockstep.web.api.seats import SeatsDocument


def seats(
    month: Annotated[
        str, typer.Option(help="Which month (UTC), as in 2026-11. Left out: the last twelve.")
    ] = "",
    partner: Annotated[str | None, typer.Option(help="Only people of this partner.")] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show which seats that cost money were freed: only those that a read-back showed gone."""
    not_blank("--partner", partner)
    settings = settings_or_die(config)
    try:
        if month:
            parse_month(month)
    except QuestionError as error:
        die(f"--{error}", code=UNUSABLE)

    async def work() -> SeatReport:
        async with opened(settings) as root:
            await root.stores.known.check(EVERYTHING, partner=partner or "")
            return await root.seats.report(EVERYTHING, month=month, partner=partner)

    report = run(work())
    if as_json:
        print_json(_document(report))
        return
    for part in _shown(report):
        out.print(part, soft_wrap=isinstance(part, str))


def _document(report: SeatReport) -> dict[str, Any]:
    return SeatsDocument.of(report).model_dump(mode="json")


def _shown(report: SeatReport) -> list[Table | str]:
    parts: list[Table | str] = []
    if report.rows:
        parts.append(_table(report))
    else:
        parts.append(f"No seat was read back as freed from {report.since} to {report.until}.")
    if report.silent:
        names = ", ".join(map(escape, report.silent))
        parts.append(f"Nothing is known of seats in: {names}.")
    if unpriced := sum(row.unpriced for row in report.rows):
        parts.append(f"{counted(unpriced, 'seat')} without a price: set seats.prices.<system>.")
    return parts


def _table(report: SeatReport) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("month", "partner", "system", "seats", "a month"):
        table.add_column(name, justify="right" if name in {"seats", "a month"} else "left")
    for row in report.rows:
        for one in row.systems:
            price = report.prices.by_system.get(one.system)
            amount = None if price is None else price * one.seats
            table.add_row(
                row.month,
                escape(row.partner) or "no partner",
                escape(one.system),
                str(one.seats),
                _money(amount, report.prices.currency),
            )
        total = _money(row.monthly, report.prices.currency)
        table.add_row("", "", "in all", str(row.seats), total)
    return table


def _money(minor: int | None, currency: str) -> str:
    return "no price" if minor is None else money(minor, currency)
