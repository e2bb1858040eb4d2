"""`lockstep requests`, `request withdraw`: what waits for a second person, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from lockstep.cli import render
from lockstep.cli.context import (
    FAILED,
    ConfigOption,
    JsonOption,
    SealedOption,
    err,
    opened,
    out,
    print_json,
    run,
    scope_of,
    settings_or_die,
    whoami,
)
from lockstep.composition import Root
from lockstep.control.cases.asking import Asked
from lockstep.control.requests.command_line import CommandLine
from lockstep.domain.counting import counted
from lockstep.domain.rights import EVERYTHING
from lockstep.settings import Settings
from lockstep.storage.people.requests import RequestRow

request_app = typer.Typer(no_args_is_help=True, help="What you asked a second person for.")
WaitOption = Annotated[
    bool,
    typer.Option(
        "--wait",
        help="Follow until it is decided and carried out; exit 1 if it is refused or not in time.",
    ),
]
TimeoutOption = Annotated[int, typer.Option(min=1, help="With --wait: give up after seconds.")]


@dataclass(frozen=True, slots=True)
class Patience:
    """Whether a command follows what it asked for, and for how long."""

    waits: bool
    seconds: int


def list_requests(
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many.")] = 50,
    sealed: SealedOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List what waits for a second person, the first to run out first; decide it in the console.

    Of requests about coming dismissals, unless --sealed, how many; with --json, on standard error.
    """
    settings = settings_or_die(config)
    scope = scope_of(sealed=sealed)

    async def work() -> tuple[list[RequestRow], int, int]:
        async with opened(settings) as context:
            requests = context.stores.requests
            rows = await requests.pending(scope, limit=limit)
            shown = await requests.waiting(scope)
            hidden = await requests.waiting(EVERYTHING) - shown
            return rows, max(0, shown - len(rows)), max(0, hidden)

    rows, more, hidden = run(work())
    if as_json:
        print_json([_data(row) for row in rows])
    elif rows:
        out.print(_table(rows))
    elif not hidden:
        out.print("Nothing waits for a second person.")
    beside = err if as_json else out
    if more:
        beside.print(f"and {counted(more, 'more request')}: --limit lists up to 200.")
    if hidden:
        told = counted(hidden, "request")
        beside.print(f"{told} about coming dismissals not listed: --sealed lists them.")


@request_app.command("withdraw")
def withdraw(
    request_id: Annotated[str, typer.Argument(help="Id of the request, as it was told.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; kept with it.")] = "",
    actor: Annotated[
        str, typer.Option("--as", help="As whom \\[default: the operating system's user].")
    ] = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Take back what you asked a second person for, before it is decided.

    Only what was asked for on the command line under the same name; anything else is refused by
    somebody in the console.
    """
    settings = settings_or_die(config)

    async def work() -> None:
        async with opened(settings) as context:
            await typed(context, actor).withdraw(request_id, reason=reason)

    run(work())
    if as_json:
        print_json({"withdrawn": request_id})
    else:
        out.print(f"Request {escape(request_id)} is withdrawn: nobody decides it any more.")


def typed(context: Root, actor: str) -> CommandLine:
    """Decisions of whoever types this command."""
    tenant = context.settings.tenant
    return CommandLine(
        context.cases, context.stores.ring, tenant=tenant, given=actor, user=whoami()
    )


async def follow_asked(
    context: Root, me: CommandLine, asked: Asked, wish: str, *, patience: Patience, as_json: bool
) -> int:
    """Say that a second person is asked, and if wanted what became of it; return the exit code."""
    if not (patience.waits and as_json):  # else one answer, at the end
        tell_asked(context.settings, asked, wish, as_json=as_json)
    if not patience.waits:
        return 0
    found = await me.follow(asked.request_id, context.stores.views, patience_s=patience.seconds)
    if as_json:
        print_json(
            {
                "requested": asked.request_id,
                "expires_at": asked.expires_at,
                "state": found.state.value,
                "done": found.is_done,
                "says": found.words,
            }
        )
    else:
        out.print(escape(found.words), soft_wrap=True)
        if not found.is_over:
            out.print(
                f"[yellow]Not done within {patience.seconds} s.[/] What was asked for stands:"
                f" `lockstep requests`, or `lockstep request withdraw {asked.request_id}`.",
                soft_wrap=True,
            )
    return 0 if found.is_done else FAILED


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
