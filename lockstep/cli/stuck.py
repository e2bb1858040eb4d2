"""`lockstep stuck`: what needs somebody, and what cannot go on at all."""

from __future__ import annotations

from dataclasses import dataclass

from rich.markup import escape

from lockstep.cli import render
from lockstep.cli.cases import SealedOption, scope_of
from lockstep.cli.context import (
    ConfigOption,
    JsonOption,
    err,
    opened,
    out,
    print_json,
    run,
    settings_or_die,
)
from lockstep.domain.counting import counted
from lockstep.storage.brake_rows import HeldWait
from lockstep.storage.brakes import Brakes
from lockstep.storage.doubts import Doubt, Doubts
from lockstep.storage.records import CaseView
from lockstep.storage.stalled import Stalled, StalledCases


def stuck(
    sealed: SealedOption = False, as_json: JsonOption = False, config: ConfigOption = None
) -> None:
    """List what needs somebody, most urgent first, with the reason and what to do.

    First the cases whose workflow cannot go on; and whether that is known. Who waits at a brake is
    counted too (with --json, on standard error). Never a coming dismissal, unless --sealed.
    """
    settings = settings_or_die(config)

    async def work() -> _Stuck:
        async with opened(settings) as context:
            scope = scope_of(sealed=sealed)
            known = await StalledCases(context.engine).read(scope)
            views = context.views.within(scope)
            return _Stuck(
                known,
                await views.of([row.case_id for row in known.cases]),
                await views.stuck(),
                await Brakes(context.engine, context.ring, settings.tenant).waiting(scope),
                await Doubts(context.engine).standing(scope),
            )

    found = run(work())
    if as_json:
        print_json(found.as_data())
    else:
        for line in found.lines():
            out.print(line, soft_wrap=True)
    beside = err if as_json else out
    if as_json and found.doubts:
        for row in found.doubts:
            beside.print(_doubt_line(row), soft_wrap=True)
    if found.held.count:
        beside.print(_held_line(found.held), soft_wrap=True)
    if not found.known.is_known:
        beside.print(escape(render.unknown_line(found.known)), soft_wrap=True)
    elif not (found.held.count or found.stalled or found.waiting or found.doubts or as_json):
        out.print("Nothing is stuck.")


@dataclass(frozen=True, slots=True)
class _Stuck:
    known: Stalled
    stalled: list[CaseView]
    waiting: list[CaseView]
    held: HeldWait
    doubts: list[Doubt]

    def lines(self) -> list[str]:
        why = {row.case_id: row for row in self.known.cases}
        told = [
            line
            for view in self.stalled
            for line in render.stalled_lines(view, why[view.case.case_id])
        ]
        return told + render.stuck_lines(self.waiting) + [_doubt_line(row) for row in self.doubts]

    def as_data(self) -> list[dict[str, object]]:
        """Each case once; ``stalled`` says why its workflow cannot go on, or is null."""
        why = {row.case_id: row for row in self.known.cases}
        told: dict[str, dict[str, object]] = {}
        for view in [*self.stalled, *self.waiting]:
            row = why.get(view.case.case_id)
            told[view.case.case_id] = {
                **render.as_data(view),
                "stalled": row
                and {
                    "since": row.since,
                    "reason": row.fault.reason,
                    "suggestion": row.fault.suggestion,
                },
            }
        return list(told.values())


def _doubt_line(row: Doubt) -> str:
    """A settled system in which a later look found accounts of which nobody knows whose."""
    return (
        f"[bold]{row.case_id}[/]  {escape(row.system)}  [bold yellow]accounts in doubt[/] since"
        f" {render.instant(row.since)}: `lockstep case show {row.case_id}`, then `lockstep pick`"
    )


def _held_line(held: HeldWait) -> str:
    """Who waits at a brake is in no case, and would be missing among them."""
    late = f"[bold red]{held.past_cutoff:,} past the cutoff[/]" if held.past_cutoff else ""
    who = counted(held.count, "person waits", "people wait")
    first = f"first cutoff {render.instant(held.first_cutoff_at)}"
    told = ", ".join(part for part in (late, first) if part)
    return f"{who} at a brake, without a case: {told}. See `lockstep brake list`."
