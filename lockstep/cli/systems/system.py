"""`lockstep system list|pause|resume`: how each system is, and leaving one alone."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

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
    whoami,
)
from lockstep.cli.render import duration, instant
from lockstep.composition import Root
from lockstep.control.requests.command_line import typed_principal
from lockstep.control.systems.overview import SystemView
from lockstep.domain.rights import EVERYTHING, Principal
from lockstep.storage.systems.pauses import Pause

system_app = typer.Typer(no_args_is_help=True, help="The systems that access is revoked in.")
SystemArgument = Annotated[str, typer.Argument(help="Name of the system, as in the settings.")]
ActorOption = Annotated[
    str, typer.Option("--as", help="Who asks \\[default: the operating system's user].")
]
_SPAN = re.compile(r"([1-9][0-9]{0,4})(m|h|d)")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


@system_app.command("list")
def list_systems(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """List every system: its state, what waits for it, how fast it is."""
    settings = settings_or_die(config)

    async def work() -> list[SystemView]:
        async with opened(settings) as context:
            return await context.systems.all(EVERYTHING)

    views = run(work())
    if as_json:
        print_json([_data(view) for view in views])
        return
    table = Table(box=None, pad_edge=False)
    for name in ("system", "state", "waiting", "overdue", "settled 24 h", "median", "95 %", "why"):
        table.add_column(name, no_wrap=name == "system")
    for view in views:
        day, waiting = view.figures.day, view.figures.waiting
        table.add_row(
            view.system.system,
            view.state.value,
            str(waiting.count),
            str(waiting.overdue),
            str(day.count),
            *(
                duration(spent) if spent is not None else "–"
                for spent in (day.median_ms, day.p95_ms)
            ),
            escape(_why(view)),
        )
    out.print(table)


@system_app.command("pause")
def pause(
    system: SystemArgument,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; kept encrypted.")],
    span: Annotated[
        str, typer.Option("--for", help="For how long, such as 30m, 2h, 1d; 72h at most.")
    ] = "1h",
    actor: ActorOption = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Change nothing in a system for a while; its revocations wait, and their clocks run on."""
    found = _SPAN.fullmatch(span.strip())
    if found is None:
        die("--for: write it as 30m, 2h or 1d", code=UNUSABLE)
    until = datetime.now(UTC) + int(found[1]) * _UNITS[found[2]]
    settings = settings_or_die(config)

    async def work() -> Pause:
        async with opened(settings) as context:
            return await context.pauses.pause(
                system, _operator(context, actor), reason=reason, until=until
            )

    placed = run(work())
    if as_json:
        spares = sorted(placed.spares)
        print_json({"system": placed.system, "until": placed.until, "spares": spares})
        return
    out.print(f"{system} is paused until {instant(placed.until)}.")
    if placed.spares:
        kinds = ", ".join(kind.replace("_", " ") for kind in sorted(placed.spares))
        out.print(f"Not held up: {kinds} cases, unless somebody else agrees in the console.")


@system_app.command("resume")
def resume(
    system: SystemArgument,
    actor: ActorOption = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """End a pause early; work goes on within 15 seconds."""
    settings = settings_or_die(config)

    async def work() -> list[Pause]:
        async with opened(settings) as context:
            return await context.pauses.resume(system, _operator(context, actor))

    ended = run(work())
    if as_json:
        print_json({"system": system, "ended_at": ended[0].ended_at})
    else:
        out.print(f"{system} is resumed.")


def _operator(context: Root, actor: str) -> Principal:
    return typed_principal(context.stores.ring, context.settings.tenant, given=actor, user=whoami())


def _why(view: SystemView) -> str:
    if view.pause is not None:
        whose = f" for {', '.join(sorted(view.pause.partners))}" if view.pause.partners else ""
        until = instant(view.pause.until)
        return f"until {until}{whose} by {view.pause.name}: {view.pause.reason}"
    troubles = view.health.troubles if view.health else ()
    return "; ".join(f"{trouble.summary}: {trouble.fix}" for trouble in troubles)


def _pause_data(pause: Pause) -> dict[str, object]:
    return {
        "pause_id": pause.pause_id,
        "system": pause.system,
        "begins_at": pause.begins_at,
        "until": pause.until,
        "placed_by": pause.placed_by,
        "ended_at": pause.ended_at,
        "ended_by": pause.ended_by,
        "name": pause.name,
        "reason": pause.reason,
        "partners": None if pause.partners is None else sorted(pause.partners),
        "spares": sorted(pause.spares),
        "agreed_by": pause.agreed_by,
    }


def _data(view: SystemView) -> dict[str, object]:
    return {
        "system": view.system.system,
        "connector": view.system.connector,
        "state": view.state.value,
        "health": asdict(view.health) if view.health else None,
        "pause": _pause_data(view.pause) if view.pause else None,
        "figures": asdict(view.figures),
    }
