"""`lockstep pick`: say which accounts in doubt are the leaver's, and what became of that."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from lockstep.cli.cases.case import (
    ActorOption,
    CaseArgument,
    ReasonOption,
    SystemArgument,
    check_reason,
)
from lockstep.cli.cases.requests import (
    Patience,
    TimeoutOption,
    WaitOption,
    follow_asked,
    typed,
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
)
from lockstep.control.cases.asking import Asked
from lockstep.control.cases.casework import Choice

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
    wait: WaitOption = False,
    timeout: TimeoutOption = 600,
    actor: ActorOption = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Say which accounts in doubt are the leaver's; all others that are shown are not.

    Then the system is tried again, or, where a later look found them, looked at again. Of a tier of
    `pick_in_pairs` it asks: a second person decides in the console.
    """
    picked = accounts or []
    if bool(picked) == none:
        die("name the leaver's accounts, or say --none", code=UNUSABLE)
    settings = settings_or_die(config)
    check_reason(reason)
    patience = Patience(wait, timeout)

    async def work() -> int:
        async with opened(settings, temporal=True) as context:
            me = typed(context, actor)
            done = await me.pick(case_id, system, picked, reason=reason)
            if isinstance(done, Asked):
                wish = f"whose accounts of {system} are"
                return await follow_asked(
                    context, me, done, wish, patience=patience, as_json=as_json
                )
            _tell(done, case_id, as_json=as_json)
            return 0

    finish(run(work()))


def _tell(choice: Choice, case_id: str, *, as_json: bool) -> None:
    if as_json:
        data = {"decision": "pick", "accounts": choice.accounts, "others": choice.others}
        print_json({**data, "outcome": None})
        return
    theirs = ", ".join(choice.accounts) or "none"
    others = ", ".join(choice.others) or "none"
    out.print(escape(f"pick recorded; the leaver's: {theirs}; not: {others}"), soft_wrap=True)
    out.print(f"[dim]What becomes of it: lockstep case show {escape(case_id)}[/]")
