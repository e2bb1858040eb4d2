"""`lockstep retry`: try a system of a case again, and say what became of that."""

from __future__ import annotations

import asyncio

from rich.markup import escape

from lockstep.cli.cases.case import (
    ActorOption,
    CaseArgument,
    ReasonOption,
    SystemArgument,
    check_reason,
)
from lockstep.cli.context import (
    FAILED,
    ConfigOption,
    JsonOption,
    finish,
    opened,
    out,
    print_json,
    run,
    settings_or_die,
    whoami,
)
from lockstep.composition import Root
from lockstep.control.cases.afterwards import UNDER_WAY, WORDS, After, Became, after
from lockstep.control.cases.desk import Person
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.storage.records import CaseView, RevocationRow
from lockstep.storage.systems.tries import Pick

_TRY_LOOKS, _TRY_PAUSE_S = 25, 0.2


def retry(
    case_id: CaseArgument,
    system: SystemArgument,
    reason: ReasonOption,
    actor: ActorOption = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Try a system again now, after its cause was mended; say what became of it within seconds.

    Exit 1 if it failed again and waits for a person.
    """
    person = Person(actor or whoami(), reason)
    settings = settings_or_die(config)
    check_reason(reason)

    async def work() -> After:
        async with opened(settings, temporal=True) as context:
            view = await context.desk.find(case_id)
            pick = (view.case.case_id, system)
            marks = await context.stores.tries.marks([pick])
            await context.desk.decide(case_id, system, DecisionKind.RETRY, person)
            return await _await_try(context, pick, marks[pick])

    found = run(work())
    if as_json:
        data = {"decision": DecisionKind.RETRY.value, "outcome": None}
        if found.became is Became.SETTLED:
            data["outcome"] = found.note.replace(" ", "_")
        print_json({**data, "became": found.became.value})
    else:
        why = f": {escape(found.note)}" if found.note else ""
        out.print(f"retry recorded; {WORDS[found.became]}{why}", soft_wrap=True)
        if not found.is_over:
            out.print(f"[dim]Look later: lockstep case show {escape(case_id)}[/]", soft_wrap=True)
    finish(FAILED if found.became is Became.FAILED else 0)


def _row(view: CaseView, system: str) -> RevocationRow | None:
    return next((row for row in view.revocations if row.system == system), None)


async def _await_try(context: Root, pick: Pick, mark: int) -> After:
    """Wait a little, so that the answer can say what became of the try."""
    known, tries = UNDER_WAY, context.stores.tries
    for _ in range(_TRY_LOOKS):
        said = (await tries.since({pick: mark})).get(pick)
        row = _row(await context.desk.find(pick[0]), pick[1])
        known = after(row, said) if row else known
        if known.is_over:
            break
        await asyncio.sleep(_TRY_PAUSE_S)
    return known
