"""`lockstep brake list|release|refuse`: what came far above the usual, and who lets it go."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape

from lockstep.cli.context import (
    ConfigOption,
    JsonOption,
    SealedOption,
    err,
    opened,
    out,
    print_json,
    run,
    settings_or_die,
    whoami,
)
from lockstep.cli.render import duration, instant
from lockstep.cli.systems.system import ActorOption
from lockstep.control.intake.brake import Approver, HeldEvent
from lockstep.control.refusals import RefusedError
from lockstep.domain.counting import counted
from lockstep.domain.intake.brakes import BrakeState
from lockstep.domain.rights import CLI_USER, EVERYTHING, Scope
from lockstep.storage.intake.brake_rows import BrakeView, Decided

brake_app = typer.Typer(
    no_args_is_help=True,
    help="Terminations that wait for an approver, because far more came than is usual.",
)
BrakeArgument = Annotated[str, typer.Argument(help="The brake's id, as `brake list` shows it.")]
ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="Why; kept with the decision.")]
EventOption = Annotated[
    list[int] | None, typer.Option("--event", help="Only this event; may be given several times.")
]


@brake_app.command("list")
def list_brakes(
    sealed: SealedOption = False, as_json: JsonOption = False, config: ConfigOption = None
) -> None:
    """List brakes that are on and what they hold; of coming dismissals, unless --sealed, how many.

    With --json, that number is told on standard error.
    """
    settings = settings_or_die(config)
    who = _approver("", EVERYTHING if sealed else Scope(None))

    async def work() -> tuple[list[tuple[BrakeView, list[HeldEvent]]], int]:
        async with opened(settings) as context:
            desk = context.brake
            left_out = (await desk.waiting(_approver("", EVERYTHING))).count
            left_out -= (await desk.waiting(who)).count
            return [
                (view, await desk.held(view.brake_id, who)) for view in await desk.standing(who)
            ], max(0, left_out)

    found, left_out = run(work())
    if as_json:
        print_json([_data(view, events) for view, events in found])
    elif not found and not left_out:
        out.print("Nothing is held.")
    for view, events in found if not as_json else ():
        _print(view, events)
    if left_out:
        told = err if as_json else out
        told.print(
            f"{counted(left_out, 'coming dismissal')} held and not listed: --sealed lists them."
        )


@brake_app.command("release")
def release(
    brake_id: BrakeArgument,
    reason: ReasonOption,
    event: EventOption = None,
    sealed: SealedOption = False,
    actor: ActorOption = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Let held terminations go: their cases open at once."""
    _decide(config, brake_id, BrakeState.RELEASED, reason, event, sealed, actor, as_json=as_json)


@brake_app.command("refuse")
def refuse(
    brake_id: BrakeArgument,
    reason: ReasonOption,
    event: EventOption = None,
    sealed: SealedOption = False,
    actor: ActorOption = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Send held terminations back: no case opens, and HR sees the reason."""
    _decide(config, brake_id, BrakeState.REFUSED, reason, event, sealed, actor, as_json=as_json)


def _decide(
    config: ConfigOption,
    brake_id: str,
    decision: BrakeState,
    reason: str,
    events: list[int] | None,
    sealed: bool,  # noqa: FBT001 - as the commands have it
    actor: str,
    *,
    as_json: bool,
) -> None:
    settings = settings_or_die(config)
    who = _approver(actor, EVERYTHING if sealed else Scope(None))

    async def work() -> Decided:
        async with opened(settings) as context:
            desk = context.brake
            try:
                return await desk.decide(
                    brake_id, decision, who, reason=reason, chosen=events or None
                )
            except RefusedError as error:
                hidden = await desk.show(brake_id, _approver(actor, EVERYTHING))
                if sealed or hidden is None:
                    raise
                raise RefusedError(f"{error}; coming dismissals only with --sealed") from None

    decided = run(work())
    if as_json:
        told = {"brake": brake_id, "decision": decision.value}
        print_json({**told, "events": decided.events, "asked": decided.asked})
        return
    if decided.events or not decided.asked:
        out.print(f"{decided.events} {decision.value}.")
    if decided.asked:
        waits = counted(decided.asked, "dismissal waits", "dismissals wait")
        out.print(f"{waits} on: somebody else has to agree, in the console.")


def _approver(actor: str, scope: Scope) -> Approver:
    own, said = whoami(), actor.strip()
    typed = tuple(dict.fromkeys(name for name in (said, own) if name))
    return Approver(CLI_USER, said or own, scope, typed=typed)


def _print(view: BrakeView, events: list[HeldEvent]) -> None:
    left = view.first_cutoff_at - datetime.now(UTC)
    when = duration(int(abs(left.total_seconds()) * 1000))
    risk = f"in {when}" if left.total_seconds() > 0 else f"[bold red]passed {when} ago[/]"
    out.print(
        f"[bold]{view.brake_id}[/]  {escape(_whose(view))}  {view.count} wait since"
        f" {instant(view.set_at)}  first cutoff {risk}"
    )
    for group in view.groups:
        partner = escape(group.partner or "no partner")
        out.print(f"  {group.count:>6}  {partner}  {group.kind.replace('_', ' ')}")
    for event in events:
        out.print(
            f"    [dim]{event.inbox_id}[/]  {escape(event.leaver)}  {escape(event.partner)}"
            f"  {event.kind.replace('_', ' ')}  {instant(event.cutoff_at)}",
            soft_wrap=True,
        )
    if view.count > len(events):
        out.print(f"    [dim]and {view.count - len(events)} more[/]")


def _whose(view: BrakeView) -> str:
    """What is counted by itself: a source, or what it says of one partner."""
    partner = view.channel.partner
    return f"{view.source}, of {partner}" if partner else view.source


def _data(view: BrakeView, events: list[HeldEvent]) -> dict[str, object]:
    return {
        "brake": view.brake_id,
        "source": view.source,
        "partner": view.channel.partner or None,
        "set_at": view.set_at,
        "count": view.count,
        "first_cutoff_at": view.first_cutoff_at,
        "groups": [asdict(group) for group in view.groups],
        "events": [asdict(event) for event in events],
    }
