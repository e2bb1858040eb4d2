"""`lockstep terminate`: report one leaver, or many from a CSV file."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from lockstep.cli import render
from lockstep.cli.cases import print_case
from lockstep.cli.context import (
    UNUSABLE,
    ConfigOption,
    Context,
    JsonOption,
    die,
    opened,
    out,
    print_json,
    run,
    settings_or_die,
    whoami,
)
from lockstep.control.desk import Person, RefusedError
from lockstep.control.events import EventError, TerminationEvent
from lockstep.control.reporting import event_of
from lockstep.control.whose_case import Found
from lockstep.domain.outcomes import CaseStatus
from lockstep.domain.terminations import Termination, TerminationKind
from lockstep.storage.records import CaseView

MAX_ROWS = 10_000
MAX_CSV = 20 * 1024 * 1024
COLUMNS = (
    "worker_id", "name", "employee_number", "usernames", "emails", "kind", "zone",
    "last_working_day", "access_ends_at", "spell", "hired_at", "revision", "partner", "site",
    "source",
)  # fmt: skip
_REQUIRED = ("worker_id", "kind", "zone")


@dataclass(frozen=True, slots=True)
class Row:
    """One leaver to report: its line in the file, and the event or what is wrong with it.

    ``source``: whose number it is, as named. ``found``: what it is about, and would do.
    """

    line: int
    worker_id: str
    event: TerminationEvent | None
    cutoff: datetime | None
    problems: tuple[str, ...] = ()
    source: str = ""
    found: Found | None = None


def terminate(
    worker: Annotated[str | None, typer.Option(help="HR's id of the worker.")] = None,
    name: Annotated[str, typer.Option(help="Name, shown to operations only.")] = "",
    email: Annotated[list[str] | None, typer.Option(help="E-mail; may be repeated.")] = None,
    username: Annotated[list[str] | None, typer.Option(help="User name; may be repeated.")] = None,
    employee_number: Annotated[str | None, typer.Option(help="Employee number.")] = None,
    kind: Annotated[TerminationKind, typer.Option(help="Decides SLA and priority.")] = (
        TerminationKind.VOLUNTARY
    ),
    zone: Annotated[str, typer.Option(help="IANA zone of the dates.")] = "UTC",
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
    last_working_day or access_ends_at; further name, employee_number, usernames, emails, spell,
    hired_at, revision, partner, site, source; several values are separated by ";"). A file with a
    faulty line, or one that would not be carried out, is refused as a whole, so that nothing is
    half-done.
    """
    settings = settings_or_die(config)
    if (worker is None) == (from_csv is None):
        die("give either --worker or --csv", code=UNUSABLE)
    single: dict[str, Any] = {}
    if worker is not None:
        single = {
            "worker_id": worker,
            "name": name,
            "employee_number": employee_number or "",
            "usernames": ";".join(username or []),
            "emails": ";".join(email or []),
            "kind": kind.value,
            "zone": zone,
            "last_working_day": f"{last_day:%Y-%m-%d}" if last_day else "",
            "access_ends_at": access_ends_at or "",
            "spell": spell,
            "hired_at": hired_at,
            "partner": partner,
            "site": site,
        }
    lines = [(0, single)] if single else read_csv(from_csv) if from_csv else []
    person = Person(whoami(), reason)

    async def work() -> int:
        async with opened(settings) as context:
            rows = [check_row(context, line, cells, source) for line, cells in lines]
            rows = await found_rows(context, rows)
            bad = [row for row in rows if row.problems]
            if bad or dry_run:
                _print_check(rows, as_json=as_json)
                return 1 if bad else 0
            return await _send(
                context, rows, person, wait=wait, patience_s=timeout, as_json=as_json
            )

    raise typer.Exit(run(work()))


def read_csv(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Lines of a CSV file with their numbers; ends the command for a file that is none."""
    if path.stat().st_size > MAX_CSV:
        die(f"{path}: larger than 20 MiB")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        die(f"{path}: not UTF-8: save it as CSV UTF-8")
    reader = csv.DictReader(io.StringIO(text), strict=True)
    unknown = sorted(set(reader.fieldnames or ()) - set(COLUMNS))
    missing = sorted(set(_REQUIRED) - set(reader.fieldnames or ()))
    if unknown or missing:
        parts = [f"unknown columns: {', '.join(map(repr, unknown))}"] if unknown else []
        parts += [f"missing columns: {', '.join(missing)}"] if missing else []
        die(f"{path}: {'; '.join(parts)}. Known: {', '.join(COLUMNS)}")
    try:
        lines = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        die(f"{path}: line {reader.line_num}: {error}")
    if len(lines) > MAX_ROWS:
        die(f"{path}: more than {MAX_ROWS} lines: split it")
    if not lines:
        die(f"{path}: no lines below the header")
    return lines


def check_row(context: Context, line: int, cells: dict[str, Any], source: str = "") -> Row:
    """Turn cells into an event and its cutoff; problems name the field.

    ``source`` is whose number it is where the line does not say.
    """
    worker_id = str(cells.get("worker_id") or "")
    if None in cells or None in cells.values():
        return Row(line, worker_id, None, None, ("the line has too many or too few cells",))
    try:
        event = event_of(cells)
        named = str(cells.get("source") or source).strip()
        return Row(line, worker_id, event, context.desk.cutoff(event), source=named)
    except EventError as error:
        return Row(line, worker_id, None, None, tuple(error.problems))
    except RefusedError as error:
        return Row(line, worker_id, None, None, (str(error),))


async def found_rows(context: Context, rows: Sequence[Row]) -> list[Row]:
    """The rows with what each is about; one that would not be carried out gets a problem."""
    asked = [(row.event, row.cutoff, row.source) for row in rows]
    said = [
        (context.desk.said(event), cutoff, named)
        for event, cutoff, named in asked
        if event is not None and cutoff is not None
    ]
    numbered = await context.whose.number_all([(one, named) for one, _, named in said])
    sure = [
        (one, cutoff)
        for one, (_, cutoff, _) in zip(numbered, said, strict=True)
        if not isinstance(one, EventError)
    ]
    found = iter(await context.whose.find(sure))
    whose = iter(numbered)
    return [row if row.event is None else _as_found(row, next(whose), found) for row in rows]


def _as_found(row: Row, whose: Termination | EventError, found: Iterator[Found]) -> Row:
    if isinstance(whose, EventError):
        return replace(row, problems=tuple(whose.problems))
    one = next(found)
    if not one.verdict.is_refusal:
        return replace(row, found=one)
    about = f" (case {one.case.case_id}, {one.case.status})" if one.case else ""
    return replace(row, problems=(one.why + about,), found=one)


def _print_check(rows: Sequence[Row], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "line": row.line,
                    "worker_id": row.worker_id,
                    "cutoff_at": row.cutoff,
                    "source": row.found.said.whose_number if row.found else None,
                    "does": row.found.verdict.value if row.found else None,
                    "problems": list(row.problems),
                }
                for row in rows
            ]
        )
        return
    table = Table(box=None, pad_edge=False)
    for name in ("line", "worker", "cutoff", "problem"):
        table.add_column(name, overflow="fold")
    for row in rows:
        problem = f"[red]{escape('; '.join(row.problems))}[/]" if row.problems else "[green]ok[/]"
        worker = escape(row.worker_id)
        table.add_row(str(row.line or ""), worker, render.instant(row.cutoff), problem)
    out.print(table)
    bad = sum(bool(row.problems) for row in rows)
    out.print(f"{len(rows)} checked, {bad} faulty; nothing was reported.")


async def _send(
    context: Context,
    rows: Sequence[Row],
    person: Person,
    *,
    wait: bool,
    patience_s: int,
    as_json: bool,
) -> int:
    ids: list[str] = []
    with _progress("reported", len(rows), hidden=as_json or len(rows) == 1) as tick:
        for row in rows:
            if row.event is not None and row.found is not None:
                whose = row.found.said.whose_number
                ids.extend(await context.desk.report([row.event], person, numbered_by=whose))
            tick()
    if wait:
        return await _follow(context, ids, patience_s=patience_s, as_json=as_json)
    if as_json:
        print_json({"reported": ids})
    else:
        noun = "leaver" if len(ids) == 1 else "leavers"
        out.print(f"{len(ids)} {noun} reported. Follow with `lockstep cases` and `lockstep stuck`.")
    return 0


async def _follow(context: Context, ids: list[str], *, patience_s: int, as_json: bool) -> int:
    """Wait until every case is closed; return 0 only then."""
    deadline = asyncio.get_running_loop().time() + patience_s
    views: list[CaseView] = []
    held = 0
    refused: list[str] = []
    with Live(console=out, refresh_per_second=8, transient=True) as live:
        while asyncio.get_running_loop().time() < deadline:
            found = await context.views.by_event("cli", ids)
            cases = sorted({str(row["case_id"]) for row in found.values() if row["case_id"]})
            views = [view for case in cases if (view := await context.views.show(case))]
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
