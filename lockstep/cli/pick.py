"""`lockstep pick`: say which accounts in doubt are the leaver's, and what became of that."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from lockstep.cli.candidates import file_of
from lockstep.cli.cases import (
    ActorOption,
    CaseArgument,
    ReasonOption,
    SystemArgument,
    check_reason,
)
from lockstep.cli.context import (
    UNUSABLE,
    ConfigOption,
    JsonOption,
    die,
    finish,
    opened,
    out,
    print_json,
    run,
    settings_or_die,
    whoami,
)
from lockstep.contracts.payloads import DecisionKind
from lockstep.control.casework import Choice, NotThereError
from lockstep.control.desk import Person, RefusedError
from lockstep.control.picking import choice_of, doubtful_row

AccountsArgument = Annotated[
    list[str] | None,
    typer.Argument(help="The leaver's accounts, by the ids that `lockstep case show` shows."),
]


def pick(
    case_id: CaseArgument,
    system: SystemArgument,
    accounts: AccountsArgument = None,
    none: Annotated[bool, typer.Option("--none", help="None of them is the leaver's.")] = False,
    reason: ReasonOption = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Say which accounts in doubt are the leaver's; all others that are shown are not.

    Then the system is tried again, or, where a later look found them, looked at again.
    """
    picked = accounts or []
    if bool(picked) == none:
        die("name the leaver's accounts, or say --none", code=UNUSABLE)
    person = Person(actor or whoami(), reason)
    settings = settings_or_die(config)
    check_reason(reason)

    async def work() -> Choice:
        async with opened(settings, temporal=True) as context:
            view = await context.desk.find(case_id)
            found = await file_of(context, view.case.case_id)
            try:
                row = doubtful_row(found, system, "")
            except NotThereError:
                raise RefusedError(f"case {view.case.case_id} has no system {system!r}") from None
            pairs = settings.console.pairs()
            if pairs.need_second(DecisionKind.PICK, row.tier, has_artefact=False):
                raise RefusedError(
                    f"picking accounts of tier {row.tier} takes two people (`pick_in_pairs`):"
                    " ask for it on the case's page in the console"
                )
            choice = choice_of(found, system, picked, reason=reason)
            await context.desk.decide(
                view.case.case_id,
                system,
                DecisionKind.PICK,
                person,
                accounts=choice.accounts,
                others=choice.others,
            )
            return choice

    choice = run(work())
    if as_json:
        data = {"decision": "pick", "accounts": choice.accounts, "others": choice.others}
        print_json({**data, "outcome": None})
    else:
        theirs = ", ".join(choice.accounts) or "none"
        others = ", ".join(choice.others) or "none"
        out.print(escape(f"pick recorded; the leaver's: {theirs}; not: {others}"), soft_wrap=True)
        out.print(f"[dim]What becomes of it: lockstep case show {escape(case_id)}[/]")
    finish()
