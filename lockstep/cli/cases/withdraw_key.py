"""`lockstep case withdraw-key`: take a key of a leaver out of force."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from lockstep.cli.cases.case import (
    ActorOption,
    CaseArgument,
    ReasonOption,
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
    opened,
    out,
    print_json,
    run,
    settings_or_die,
)
from lockstep.control.cases.withdrawing import key_given, key_words
from lockstep.domain.cases.leavers import Key, KeyKind


def withdraw_key(
    case_id: CaseArgument,
    reason: ReasonOption,
    email: Annotated[str, typer.Option(help="This address.")] = "",
    username: Annotated[str, typer.Option(help="This user name.")] = "",
    employee_number: Annotated[str, typer.Option(help="This employee number.")] = "",
    external_id: Annotated[str, typer.Option(help="This external id.")] = "",
    account: Annotated[str, typer.Option(help="This account, as SYSTEM=ID.")] = "",
    wait: WaitOption = False,
    timeout: TimeoutOption = 600,
    actor: ActorOption = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Take one key of the leaver out of force: HR's statements only ever add keys.

    Nobody is searched for by it any more, whatever HR goes on sending. What was found by it and by
    no other key is asked about; where nobody is found then, a person says so. From the cutoff on,
    and for a dismissal, it asks: a second person decides in the console.
    """
    system, _, account_id = account.partition("=")
    if account and not (system and account_id):
        die("--account: write it as SYSTEM=ID", code=UNUSABLE)
    given = {
        KeyKind.EMAIL: email,
        KeyKind.USERNAME: username,
        KeyKind.EMPLOYEE_NUMBER: employee_number,
        KeyKind.EXTERNAL_ID: external_id,
        KeyKind.ACCOUNT_ID: account_id,
    }
    named = [(kind, value) for kind, value in given.items() if value]
    if len(named) != 1:
        die("name one key: --email, --username, --employee-number, …", code=UNUSABLE)
    settings = settings_or_die(config)
    check_reason(reason)
    [(kind, value)] = named

    async def work() -> int:
        key = key_given(kind.value, value, system if kind is KeyKind.ACCOUNT_ID else "")
        async with opened(settings) as context:
            me = typed(context, actor)
            asked = await me.withdraw_key(case_id, key, reason=reason)
            if asked is not None:
                wish = f"the withdrawal of the {key_words(key)}"
                patience = Patience(wait, timeout)
                return await follow_asked(
                    context, me, asked, wish, patience=patience, as_json=as_json
                )
            _tell(key, as_json=as_json)
            return 0

    raise typer.Exit(run(work()))


def _tell(key: Key, *, as_json: bool) -> None:
    if as_json:
        print_json({"withdrawn": {"kind": key.kind.value, "system": key.system}})
        return
    out.print(
        escape(f"The {key_words(key)} is withdrawn: nobody is searched for by it any more."),
        soft_wrap=True,
    )
