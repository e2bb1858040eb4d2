"""`lockstep requests`: what waits for a second person."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from lockstep.cli import render
from lockstep.cli.context import (
    ConfigOption,
    JsonOption,
    opened,
    out,
    print_json,
    run,
    settings_or_die,
)
from lockstep.control.asking import Asked
from lockstep.domain.rights import EVERYTHING
from lockstep.settings import Settings
from lockstep.storage.requests import RequestRow, Requests


def list_requests(
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many.")] = 50,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List what waits for a second person, the first to run out first; decide it in the console."""
    settings = settings_or_die(config)

    async def work() -> list[RequestRow]:
        async with opened(settings) as context:
            return await Requests(context.engine).pending(EVERYTHING, limit=limit)

    rows = run(work())
    if as_json:
        print_json([_data(row) for row in rows])
    elif rows:
        out.print(_table(rows))
    else:
        out.print("Nothing waits for a second person.")


def tell_asked(settings: Settings, asked: Asked, wish: str, *, as_json: bool) -> None:
    """Say that nothing is decided yet, and who decides."""
    if as_json:
        print_json({"requested": asked.request_id, "expires_at": asked.expires_at})
        return
    out.print(
        f"[bold]asked[/]: a second person decides: {escape(wish)}. Nothing is decided yet.\n"
        f"Request {asked.request_id} runs out {render.instant(asked.expires_at)}. Somebody else,"
        f" who has signed in and may approve, decides it at"
        f" {escape(settings.origin)}/console/cases/{asked.case_id}\n"
        "That you are who you are here is not proved: they are told so.",
        soft_wrap=True,
    )
    if settings.oidc is None:
        out.print(
            "[yellow]Nobody signs in here as somebody else[/]: that takes \\[oidc]. A link made on"
            " this machine proves nobody either, and cannot agree to this. See docs/console.md",
            soft_wrap=True,
        )


def _data(row: RequestRow) -> dict[str, object]:
    names = ("request_id", "case_id", "system", "kind", "asked_by", "asked_at", "expires_at")
    return {name: getattr(row, name) for name in (*names, "until")}


def _table(rows: list[RequestRow]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("request", "case", "system", "kind", "asked by", "asked at", "runs out"):
        table.add_column(name, no_wrap=name in {"request", "case"})
    for row in rows:
        table.add_row(
            row.request_id,
            row.case_id,
            escape(row.system),
            row.kind,
            escape(row.asked_by),
            render.instant(row.asked_at),
            render.instant(row.expires_at),
        )
    return table
