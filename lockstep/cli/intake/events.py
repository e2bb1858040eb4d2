"""`lockstep events`: statements of HR that were not carried out, or not in full, and why."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer
from rich.markup import escape

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
from lockstep.storage.intake.refused_events import RECENT, RefusedEvent, Trouble


def events(
    days: Annotated[int, typer.Option(min=1, max=3650, help="Of so many days.")] = RECENT.days,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many.")] = 50,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List events that came in and were not carried out, or not in full, newest first, and why.

    They contradict what is known, cannot be read (whatever their age), or name accounts of systems
    that nobody has configured. Of a refused one the sender was told, or hears it when the event is
    delivered again. Nothing here says whom they are about.
    """
    settings = settings_or_die(config, level="error")

    async def work() -> list[RefusedEvent]:
        async with opened(settings) as context:
            refused = context.stores.refused_events
            return await refused.newest(limit=limit, within=timedelta(days=days))

    found = run(work())
    if as_json:
        print_json([asdict(row) for row in found])
        return
    for row in found:
        what = row.trouble.value.replace("_", " ")
        refused = row.trouble is Trouble.REFUSED and row.verdict
        verdict = f"  [yellow]{escape(row.verdict if refused else what)}[/]"
        when = render.instant(row.received_at)
        out.print(
            f"[bold]{row.id}[/]  {when}  {escape(row.source)}  {escape(row.event_id)}{verdict}"
        )
        out.print(f"    {escape(row.why)}", soft_wrap=True)
    if not found:
        out.print(f"No event was refused within {days} days, and every one can be read.")
