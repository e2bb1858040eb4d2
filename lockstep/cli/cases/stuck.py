"""`lockstep stuck`: what needs somebody, and what cannot go on at all."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import datetime

from rich.markup import escape

from lockstep.cli import render
from lockstep.cli.context import (
    ConfigOption,
    JsonOption,
    SealedOption,
    opened,
    out,
    print_json,
    run,
    scope_of,
    settings_or_die,
)
from lockstep.composition import Root
from lockstep.control.cases.wording import afterwards_words, outage_words
from lockstep.control.runtime.clock_watch import clock_lines
from lockstep.domain.counting import counted
from lockstep.domain.rights import Scope
from lockstep.storage.cases.doubts import Doubt
from lockstep.storage.intake.brake_rows import HeldWait
from lockstep.storage.intake.refused_events import MOST, TroubledEvents
from lockstep.storage.ledger.state import not_in_order_since
from lockstep.storage.records import CaseView
from lockstep.storage.runtime.stalled import Stalled
from lockstep.storage.runtime.sweeping import Swept
from lockstep.storage.systems.outages import Outage

_SHOWN = 20
"""Events in full; the rest is counted."""


def stuck(
    sealed: SealedOption = False, as_json: JsonOption = False, config: ConfigOption = None
) -> None:
    """List what needs somebody, most urgent first, with the reason and what to do.

    First systems whose own fault holds up more than ten leavers, and cases whose workflow cannot go
    on or is lost; and whether that is known; clocks that differ. Then cases that wait,
    accounts in doubt, events of HR that were not carried out, a ledger that is not in order, and
    who waits at a brake. Never a coming dismissal, unless --sealed.

    With --json each is an object that says what it is `about`: case, system, workflow, event,
    events_waiting, ledger, brake, clock, or unknown (whether every case goes on).
    """
    settings = settings_or_die(config)

    async def work() -> _Stuck:
        async with opened(settings) as context:
            return await _read(context, scope_of(sealed=sealed))

    found = run(work())
    if as_json:
        print_json(found.as_data())
        return
    for line in found.lines():
        out.print(line, soft_wrap=True)


async def _read(context: Root, scope: Scope) -> _Stuck:
    known = await context.stores.stalled.read(scope)
    views = context.stores.views.within(scope)
    doubts = await context.stores.doubts.standing(scope)
    async with context.stores.engine.connect() as connection:
        since = await not_in_order_since(connection)
    return _Stuck(
        known,
        await views.of([row.case_id for row in known.cases]),
        await views.stuck(),
        await context.stores.brakes.waiting(scope),
        doubts,
        await views.of(sorted({row.case_id for row in doubts})),
        await context.stores.refused_events.read(scope, limit=MOST),
        since,
        await context.stores.outages.standing(scope),
        await context.stores.sweeps.read(scope),
        clock_lines(await context.stores.clocks.read()),
    )


@dataclass(frozen=True, slots=True)
class _Stuck:
    """``in_doubt``: the cases of ``doubts``. ``disordered``: since when the ledger is."""

    known: Stalled
    stalled: list[CaseView]
    waiting: list[CaseView]
    held: HeldWait
    doubts: list[Doubt]
    in_doubt: list[CaseView]
    events: TroubledEvents
    disordered: datetime | None
    outages: list[Outage]
    swept: Swept
    clocks: list[str]

    def lines(self) -> list[str]:
        why = {row.case_id: row for row in self.known.cases}
        told = [_outage_line(outage) for outage in self.outages]
        told += [
            line
            for view in self.stalled
            for line in render.stalled_lines(view, why[view.case.case_id])
        ]
        told += [render.lost_line(row) for row in self.swept.open]
        told += [f"[bold yellow]Clocks differ:[/] {escape(line)}" for line in self.clocks]
        told += render.stuck_lines(self.waiting) + [_doubt_line(row) for row in self.doubts]
        told += _event_lines(self.events)
        if self.disordered is not None:
            told.append(_ledger_line(self.disordered))
        if self.held.count:
            told.append(_held_line(self.held))
        unknown = []
        if not self.known.is_known:
            unknown.append(escape(render.unknown_line(self.known)))
        if not self.swept.is_known:
            unknown.append(escape(render.uncompared_line(self.swept)))
        told += unknown
        return told or ["Nothing is stuck."]

    def as_data(self) -> list[dict[str, object]]:
        """Each case once; ``stalled`` says why its workflow cannot go on, or is null."""
        return [*self._cases(), *self._others()]

    def _cases(self) -> list[dict[str, object]]:
        why = {row.case_id: row for row in self.known.cases}
        doubts: dict[str, list[dict[str, object]]] = defaultdict(list)
        for doubt in self.doubts:
            doubts[doubt.case_id].append({"system": doubt.system, "since": doubt.since})
        told: dict[str, dict[str, object]] = {}
        for view in [*self.stalled, *self.waiting, *self.in_doubt]:
            row = why.get(view.case.case_id)
            told[view.case.case_id] = {
                "about": "case",
                **render.as_data(view),
                "stalled": row and render.stalled_data(row),
                "doubts": doubts[view.case.case_id],
            }
        return list(told.values())

    def _others(self) -> list[dict[str, object]]:
        """What is in no case; ``case_id`` and ``systems`` are there, so that any row has them."""
        told: list[dict[str, object]] = [_outage_data(outage) for outage in self.outages]
        told += [
            {"about": "workflow", "case_id": row.workflow_id, "since": row.since, "loss": row.loss}
            for row in self.swept.open
        ]
        told += [{"about": "event", **asdict(event)} for event in self.events.newest]
        if self.events.waiting:
            since = self.events.waiting_since
            told.append({"about": "events_waiting", "count": self.events.waiting, "since": since})
        if self.disordered is not None:
            told.append({"about": "ledger", "since": self.disordered})
        told += [{"about": "clock", "why": line} for line in self.clocks]
        if self.held.count:
            told.append({"about": "brake", **asdict(self.held)})
        if not self.known.is_known:
            told.append({"about": "unknown", "why": render.unknown_line(self.known)})
        if not self.swept.is_known:
            told.append({"about": "unknown", "why": render.uncompared_line(self.swept)})
        return [{"case_id": None, "systems": [], **row} for row in told]


def _outage_line(outage: Outage) -> str:
    """A system that holds up many: one line, above those of each of them."""
    who = counted(outage.leavers, "leaver waits", "leavers wait")
    return (
        f"[bold red]{who} for {escape(outage.system)}[/] because of a fault of the system, since"
        f" {render.instant(outage.since)}: {escape(outage_words(outage))}"
        f" {afterwards_words(outage)} Or: `lockstep system retry {escape(outage.system)}`"
    )


def _outage_data(outage: Outage) -> dict[str, object]:
    faults = {category.value: count for category, count in outage.faults}
    told = {"system": outage.system, "leavers": outage.leavers, "since": outage.since}
    return {"about": "system", **told, "faults": faults, "why": outage_words(outage)}


def _doubt_line(row: Doubt) -> str:
    """A settled system in which a later look found accounts of which nobody knows whose."""
    return (
        f"[bold]{row.case_id}[/]  {escape(row.system)}  [bold yellow]accounts in doubt[/] since"
        f" {render.instant(row.since)}: `lockstep case show {row.case_id}`, then `lockstep pick`"
    )


def _event_lines(events: TroubledEvents) -> list[str]:
    """Statements of HR that are in no case, or not all of them."""
    told = [
        f"[bold]event {event.id}[/]  {escape(event.source)}  {escape(event.event_id)}"
        f"  [bold yellow]{event.trouble.value.replace('_', ' ')}[/]"
        f"  {render.instant(event.received_at)}: {escape(event.why)}"
        for event in events.newest[:_SHOWN]
    ]
    if (rest := events.total - len(told)) > 0:
        told.append(f"{counted(rest, 'more event', 'more events')}: see `lockstep events`.")
    if events.waiting:
        those = counted(events.waiting, "event of HR waits", "events of HR wait")
        told.append(
            f"[bold red]{those}[/] since"
            f" {render.instant(events.waiting_since)}, and nothing is done about what they say:"
            " see `lockstep doctor`."
        )
    return told


def _ledger_line(since: datetime) -> str:
    return (
        f"[bold red]The ledger is not in order[/] since {render.instant(since)}: what is done waits"
        " for its place, no head is signed, no score follows. Revocations go on. See"
        " `lockstep doctor`."
    )


def _held_line(held: HeldWait) -> str:
    """Who waits at a brake is in no case, and would be missing among them."""
    late = f"[bold red]{held.past_cutoff:,} past the cutoff[/]" if held.past_cutoff else ""
    who = counted(held.count, "report waits", "reports wait")
    first = f"first cutoff {render.instant(held.first_cutoff_at)}"
    told = ", ".join(part for part in (late, first) if part)
    return f"{who} at a brake, without a case: {told}. See `lockstep brake list`."
