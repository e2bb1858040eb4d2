"""`lockstep cases`: which leavers there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from lockstep.cli import render
from lockstep.cli.context import (
    ConfigOption,
    JsonOption,
    SealedOption,
    err,
    not_blank,
    opened,
    out,
    print_json,
    run,
    scope_of,
    settings_or_die,
)
from lockstep.composition import Root
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.counting import counted
from lockstep.domain.rights import EVERYTHING, Scope
from lockstep.storage.records import CaseView

MOST_CASES = 1000
"""One list shows so many."""


def list_cases(
    status: Annotated[CaseStatus | None, typer.Option(help="Only cases with this status.")] = None,
    partner: Annotated[str | None, typer.Option(help="Only cases of this partner.")] = None,
    worker: Annotated[str | None, typer.Option(help="Only cases of this worker id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST_CASES, help="At most so many.")] = 50,
    sealed: SealedOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List cases, newest first; without coming dismissals, unless --sealed.

    How many more there are is told; with --json, on standard error.
    """
    not_blank("--partner", partner)
    not_blank("--worker", worker)
    settings = settings_or_die(config)
    of_worker = (settings.tenant, worker) if worker else None
    wanted = _Listed(status, partner, of_worker)

    async def work() -> tuple[list[CaseView], int, str]:
        async with opened(settings) as context:
            scope = scope_of(sealed=sealed)
            views = await wanted.of(context, scope, limit)
            more = await wanted.count(context, scope) - len(views) if len(views) >= limit else 0
            return views, more, "" if views else await wanted.why_none(context)

    views, more, why_none = run(work())
    if as_json:
        print_json([render.as_data(view) for view in views])
    elif views:
        out.print(render.case_table(views))
    if more > 0:
        said = f"and {counted(more, 'more case')}: --limit lists up to {MOST_CASES:,}."
        (err if as_json else out).print(said, soft_wrap=True)
    if why_none:
        (err if as_json else out).print(why_none, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class _Listed:
    """What a list of cases is narrowed to."""

    status: CaseStatus | None
    partner: str | None
    worker: tuple[str, str] | None

    async def of(self, context: Root, scope: Scope, limit: int) -> list[CaseView]:
        return await context.stores.views.within(scope).list_cases(
            status=self.status, partner=self.partner, worker=self.worker, limit=limit
        )

    async def count(self, context: Root, scope: Scope) -> int:
        """How many there are of what `of` lists."""
        return await context.stores.views.within(scope).count_cases(
            status=self.status, partner=self.partner, worker=self.worker
        )

    async def why_none(self, context: Root) -> str:
        """Why a list is empty.

        Raises:
            UnknownNameError: if nothing has the partner's name.
        """
        await context.stores.known.check(EVERYTHING, partner=self.partner or "")
        if await self.of(context, EVERYTHING, 1):
            return "Only coming dismissals: --sealed lists them."
        if self.worker is not None:
            return "No case of this worker id."
        if self.status or self.partner:
            return "No case fits."
        return "No cases. Report a leaver with `lockstep terminate --help`."
