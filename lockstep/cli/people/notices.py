"""`lockstep notices`: who was told what, and whether a route works."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from connectors.channel import ChannelError
from lockstep.cli import render
from lockstep.cli.context import (
    UNUSABLE,
    ConfigOption,
    JsonOption,
    die,
    opened,
    out,
    print_json,
    run,
    settings_or_die,
)
from lockstep.settings.channels import build_channel

notices_app = typer.Typer(no_args_is_help=True, help="What people are told, and by which route.")


@notices_app.command("list")
def list_notices(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List what people were told, or will be, the newest first."""
    settings = settings_or_die(config)

    async def work() -> list[Any]:
        async with opened(settings) as context:
            return await context.stores.notices.latest(limit)

    rows = run(work())
    if as_json:
        print_json([dict(row) for row in rows])
        return
    if not rows:
        out.print("Nobody was told anything yet.")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("when", "route", "kind", "case", "system", "state", "why not"):
        table.add_column(title)
    for row in rows:
        cells = [row["route"], row["kind"], row["case_id"] or "", row["system"], row["state"]]
        told = [escape(str(cell)) for cell in [*cells, row["error"] or ""]]
        table.add_row(render.instant(row["sent_at"] or row["created_at"]), *told)
    out.print(table)


@notices_app.command("test")
def try_route(
    route: Annotated[str, typer.Argument(help="Name of one of \\[notices.routes].")],
    config: ConfigOption = None,
) -> None:
    """Send a message that says it is a test, now, whatever the hour."""
    settings = settings_or_die(config)
    if route not in settings.notices.routes:
        known = ", ".join(sorted(settings.notices.routes)) or "none yet"
        die(f"notices.routes.{route}: there is no such route: {known}", code=UNUSABLE)

    async def work() -> None:
        channel = build_channel(settings, route)
        moment = render.instant(datetime.now(UTC))
        text = f"This is a test of the route {route}, sent {moment}. Nothing has happened."
        await channel.send("Lockstep: a test", text)

    try:
        run(work())
    except ChannelError as error:
        die(f"notices.routes.{route}: {error}")
    out.print(f"Sent by {route}.")
