"""`lockstep terminate`: report one leaver, or many from a CSV file."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from lockstep.cli import render
from lockstep.cli.cases.case import print_case
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
    whoami,
)
from lockstep.cli.intake.leaver_lines import (
    Told,
    line_data,
    outcome_data,
    print_lines,
    print_outcome,
)
from lockstep.composition import Root
from lockstep.control.cases.desk import Person
from lockstep.control.hr.leaver_lines import Becomes, LeaverLine, LeaverLines, became
from lockstep.control.hr.reporters import TypedSight
from lockstep.control.requests.command_line import typed_principal
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.intake import sheets
from lockstep.domain.intake.numbering import LOCAL_SOURCE
from lockstep.domain.intake.sheets import MOST_BYTES, SheetLine, read_sheet
from lockstep.storage.records import CaseView

COLUMNS = sheets.COLUMNS
"""Of a file for --csv."""
STALLED_S = 5.0
"""How long no worker may take anything before the rest is said to wait."""
LOOKED_AT = 500
"""Events that are looked for at once."""
_ENDED = frozenset({"done", "held", "refused"})


def terminate(
    worker: Annotated[str | None, typer.Option(help="HR's id of the worker.")] = None,
    name: Annotated[str, typer.Option(help="Name, shown to operations only.")] = "",
    email: Annotated[list[str] | None, typer.Option(help="E-mail; may be repeated.")] = None,
    username: Annotated[list[str] | None, typer.Option(help="User name; may be repeated.")] = None,
    employee_number: Annotated[str | None, typer.Option(help="Employee number.")] = None,
    account: Annotated[
        list[str] | None,
        typer.Option(help="An account as system=id, where you know it; may be repeated."),
    ] = None,
    kind: Annotated[TerminationKind, typer.Option(help="Decides SLA and priority.")] = (
        TerminationKind.VOLUNTARY
    ),
    zone: Annotated[str, typer.Option(help="Zone of the dates: a place, or UTC.")] = "UTC",
    last_day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last working day.")
    ] = None,
    access_ends_at: Annotated[
        str | None, typer.Option(help="Exact instant, RFC 3339 with offset; or `now`.")
    ] = None,
    partner: Annotated[str, typer.Option(help="BPO partner.")] = "",
    site: Annotated[str, typer.Option(help="Site.")] = "",
    spell: Annotated[str, typer.Option(help="Which employment of the worker ends.")] = "1",
    hired_at: Annotated[
        str, typer.Option(help="When it began, if they had worked here before: YYYY-MM-DD.")
    ] = "",
    source: Annotated[
        str,
        typer.Option(
            help="Whose number it is: a source of the settings, or `cli` where none knows it."
            " Needed where several could be meant."
        ),
    ] = "",
    from_csv: Annotated[
        Path | None,
        typer.Option("--csv", exists=True, dir_okay=False, help="Many leavers, a line each."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and show the cutoffs; change nothing.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow until every case is closed.")
    ] = False,
    timeout: Annotated[int, typer.Option(min=1, help="With --wait: give up after seconds.")] = 600,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; kept with the case.")] = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Report that people have left.

    One person by options, or many with --csv (columns: worker_id, kind, zone, and
    last_working_day or access_ends_at; further name, employee_number, usernames, emails,
    accounts as system=id, spell, hired_at, revision, partner, site, source; several values are
    separated by ";"). A file with a faulty line, or one that would not be carried out, is refused
    as a whole, so that nothing is half-done. What became of each line is told, and the exit code
    is 1 unless every line was taken or says what is known already.
    """
    settings = settings_or_die(config)
    if (worker is None) == (from_csv is None):
        die("give either --worker or --csv", code=UNUSABLE)
    single: dict[str, str] = {}
    if worker is not None:
        single = {
            "worker_id": worker,
            "name": name,
            "employee_number": employee_number or "",
            "usernames": ";".join(username or []),
            "emails": ";".join(email or []),
            "accounts": ";".join(account or []),
            "kind": kind.value,
            "zone": zone,
            "last_working_day": f"{last_day:%Y-%m-%d}" if last_day else "",
            "access_ends_at": access_ends_at or "",
            "spell": spell,
            "hired_at": hired_at,
            "partner": partner,
            "site": site,
        }
    sheet = [SheetLine(0, single)] if from_csv is None else read_sheet(_bytes(from_csv))
    person = Person(whoami(), reason)

    async def work() -> int:
        async with opened(settings) as context:
            rule = settings.brake.to_rule()
            looking = LeaverLines(
                context.desk,
                context.whose,
                context.stores.brakes,
                rule,
                context.places,
                pairs=settings.console.pairs(),
            )
            me = typed_principal(context.stores.ring, settings.tenant, given="", user=whoami())
            sight = TypedSight(context.reporters, me)
            lines = await looking.look(sheet, source=source, sight=sight)
            bad = any(line.problems for line in lines)
            if bad or dry_run:
                if as_json:
                    print_json([line_data(line) for line in lines])
                else:
                    print_lines(lines)
                return 1 if bad else 0
            return await _send(
                context, lines, person, wait=wait, patience_s=timeout, as_json=as_json
            )

    raise typer.Exit(run(work()))


def _bytes(path: Path) -> bytes:
    """A file's beginning: of one that is too large, enough to tell so."""
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)


async def _send(
    context: Root,
    lines: Sequence[LeaverLine],
    person: Person,
    *,
    wait: bool,
    patience_s: int,
    as_json: bool,
) -> int:
    """Send every line; then say what became of each."""
    sent: dict[str, LeaverLine] = {}
    with _progress("sent", len(lines), hidden=as_json or len(lines) == 1) as tick:
        for line in lines:
            if line.event is not None and line.found is not None:
                whose = line.found.said.whose_number
                [event_id] = await context.desk.report([line.event], person, numbered_by=whose)
                sent[event_id] = line
            tick()
    if wait:
        return await _follow(context, list(sent), patience_s=patience_s, as_json=as_json)
    done = await _outcomes(context, list(sent), hidden=as_json or len(sent) == 1)
    told = [_told(event_id, line, done.get(event_id)) for event_id, line in sent.items()]
    told += [Told(line) for line in lines if line.becomes is Becomes.EMPTY]
    told.sort(key=lambda one: one.line.number)
    if as_json:
        print_json(outcome_data(told))
    else:
        print_outcome(told)
    return 0 if all(one.became.is_taken for one in told) else 1


def _told(event_id: str, line: LeaverLine, row: Mapping[str, Any] | None) -> Told:
    if row is None:
        return Told(line, event_id, Becomes.WAITING)
    what = became(row["state"], row["verdict"] or "")
    return Told(line, event_id, what, row["case_id"] or "", row["error"] or "")


async def _outcomes(
    context: Root, ids: Sequence[str], *, hidden: bool
) -> dict[str, dict[str, Any]]:
    """What became of the events, as far as a worker takes them while we look."""
    found: dict[str, dict[str, Any]] = {}
    clock = asyncio.get_running_loop().time
    moved_at = clock()
    with _progress("carried out", len(ids), hidden=hidden) as tick:
        while len(found) < len(ids) and clock() - moved_at < STALLED_S:
            left = [event_id for event_id in ids if event_id not in found][:LOOKED_AT]
            rows = await context.stores.views.by_event(LOCAL_SOURCE, left)
            fresh = {key: row for key, row in rows.items() if row["state"] in _ENDED}
            found |= fresh
            for _ in fresh:
                tick()
            if fresh:
                moved_at = clock()
            else:
                await asyncio.sleep(0.1)
    return found


async def _follow(context: Root, ids: list[str], *, patience_s: int, as_json: bool) -> int:
    """Wait until every case is closed; return 0 only then."""
    deadline = asyncio.get_running_loop().time() + patience_s
    views: list[CaseView] = []
    held = 0
    refused: list[str] = []
    with Live(console=out, refresh_per_second=8, transient=True) as live:
        while asyncio.get_running_loop().time() < deadline:
            found = await context.stores.views.by_event("cli", ids)
            cases = sorted({str(row["case_id"]) for row in found.values() if row["case_id"]})
            views = [view for case in cases if (view := await context.stores.views.show(case))]
            closed = sum(view.case.status == CaseStatus.CLOSED for view in views)
            refused = [str(row["error"]) for row in found.values() if row["state"] == "refused"]
            held = sum(row["state"] == "held" for row in found.values())
            if closed + len(refused) + held == len(ids):
                break
            if not as_json:
                one = len(ids) == 1 and views
                live.update(
                    render.system_table(views[0]) if one else f"{closed} of {len(ids)} closed"
                )
            await asyncio.sleep(0.2)
    if as_json:
        print_json([render.as_data(view) for view in views])
    elif len(views) == 1:
        print_case(views[0])
    else:
        out.print(render.case_table(views))
    for why in refused if not as_json else ():
        out.print(f"[red]refused[/] {escape(why)}")
    if held and not as_json:
        out.print(f"{held} held by the brake: an approver decides. See `lockstep brake list`.")
    done = [view for view in views if view.case.status == CaseStatus.CLOSED]
    return 0 if len(done) == len(ids) else 1


@contextlib.contextmanager
def _progress(what: str, total: int, *, hidden: bool) -> Iterator[Callable[[], None]]:
    """A bar for long work; nothing where a script reads."""
    bar = Progress(TextColumn(what), BarColumn(), MofNCompleteColumn(), console=out, disable=hidden)
    task = bar.add_task(what, total=total)
    with bar:
        yield lambda: bar.advance(task)
