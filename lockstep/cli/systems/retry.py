"""`lockstep system retry`: try all again that a system's own fault holds up."""

from __future__ import annotations

import asyncio
from collections import Counter

from rich.markup import escape

from lockstep.cli.cases.case import ReasonOption, check_reason
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
from lockstep.cli.systems.system import ActorOption, SystemArgument
from lockstep.composition import Root
from lockstep.control.board.bulk import STEP, Bulk, BulkAction, Fate, Item
from lockstep.control.refusals import RefusedError
from lockstep.control.requests.command_line import typed_principal
from lockstep.domain.counting import counted
from lockstep.domain.rights import Principal

_LOOKS, _PAUSE_S = 25, 0.4
_WORDS = {
    Fate.DONE: ("is settled", "are settled"),
    Fate.FAILED: ("failed again and waits for a person", "failed again and wait for a person"),
    Fate.TRYING: (
        "failed again and is tried on by itself",
        "failed again and are tried on by themselves",
    ),
    Fate.ASKED: ("has no answer yet", "have no answer yet"),
    Fate.UNANSWERED: (
        "was not answered: it is not known whether it is tried",
        "were not answered: it is not known whether they are tried",
    ),
    Fate.PENDING: ("was not tried", "were not tried"),
    Fate.SKIPPED: ("was left out", "were left out"),
}
"""What became of one, and of several; `PENDING` stays only where Temporal gave no answer before."""


def retry_all(
    system: SystemArgument,
    reason: ReasonOption,
    actor: ActorOption = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Retry all who wait for a system because of a fault of the system; say what became of each.

    500 at most, the first due first. Nobody who waits for a decision about one person is among
    them. Exit 1 if any failed again and waits for a person, or was not answered.
    """
    settings = settings_or_die(config)
    check_reason(reason)

    async def work() -> tuple[list[Item], int]:
        async with opened(settings, temporal=True) as context:
            if system not in settings.systems:
                known = ", ".join(sorted(settings.systems))
                raise RefusedError(f"there is no system {system!r}: there are {known}")
            me = typed_principal(context.stores.ring, settings.tenant, given=actor, user=whoami())
            return await _retried(context, me, system, reason)

    items, more = run(work())
    if as_json:
        print_json({"system": system, "items": [_data(item) for item in items], "more": more})
    else:
        _print(items, more)
    bad = {Fate.FAILED, Fate.UNANSWERED, Fate.PENDING}
    finish(FAILED if any(item.fate in bad for item in items) else 0)


async def _retried(
    context: Root, me: Principal, system: str, reason: str
) -> tuple[list[Item], int]:
    bulk = Bulk(context.stores, context.cases)
    items, more = await bulk.preview_held_up(me, system)
    done = [item for item in items if item.fate is not Fate.PENDING]
    left = [item for item in items if item.fate is Fate.PENDING]
    while left and not any(item.fate is Fate.UNANSWERED for item in done):
        done += await bulk.carry_out(me, BulkAction.RETRY, left[:STEP], reason=reason)
        left = left[STEP:]
    return await _became(bulk, me, done + left), more


async def _became(bulk: Bulk, me: Principal, items: list[Item]) -> list[Item]:
    """Wait a little, so that the answer can say what became of each."""
    for _ in range(_LOOKS):
        asked = [item for item in items if not item.is_over]
        if not asked:
            break
        known = {item.key: item for item in await bulk.became(me, asked)}
        items = [known.get(item.key, item) for item in items]
        if all(item.is_over or item.fate is Fate.TRYING for item in items):
            break
        await asyncio.sleep(_PAUSE_S)
    return items


def _print(items: list[Item], more: int) -> None:
    for item in items:
        who = f"  {escape(item.leaver)}" if item.leaver else ""
        note = f": {escape(item.note)}" if item.note else ""
        out.print(f"[bold]{item.case_id}[/]{who}  {_WORDS[item.fate][0]}{note}", soft_wrap=True)
    fates = Counter(item.fate for item in items)
    told = [counted(fates[fate], *words) for fate, words in _WORDS.items() if fates[fate]]
    out.print(f"{', '.join(told)}.", soft_wrap=True)
    if more:
        those = counted(more, "more waits", "more wait")
        out.print(f"{those}: run it again for them.", soft_wrap=True)


def _data(item: Item) -> dict[str, object]:
    return {"case_id": item.case_id, "became": item.fate.value, "note": item.note}
