"""`lockstep evidence`: export packs, and see which were exported."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from lockstep.cli import render
from lockstep.cli.context import (
    FAILED,
    UNUSABLE,
    ConfigOption,
    JsonOption,
    die,
    err,
    not_blank,
    opened,
    out,
    print_json,
    run,
    settings_or_die,
    whoami,
)
from lockstep.composition import Root
from lockstep.control.packs.export import Exporter, Pack, Requester
from lockstep.control.packs.making import Progress as Done
from lockstep.control.packs.order import Order
from lockstep.domain.counting import counted
from lockstep.domain.counting import entries as entries_of
from lockstep.evidence.format.notes import MAX_NOTE
from lockstep.evidence.format.plain import instant_text
from lockstep.evidence.pack.entries_file import ExportError
from lockstep.scorecard.words import period_text, score_text
from lockstep.storage.packs.orders import ExportRow

_LOOK = 0.2
"""Seconds between two looks at how far it is."""


evidence_app = typer.Typer(no_args_is_help=True, help="Evidence packs for auditors.")


@evidence_app.command("export")
def export(
    first: Annotated[
        datetime,
        typer.Option("--from", formats=["%Y-%m-%d"], help="First day of the period (UTC)."),
    ],
    last: Annotated[
        datetime,
        typer.Option("--to", formats=["%Y-%m-%d"], help="Last day of it, included (UTC)."),
    ],
    partner: Annotated[
        str | None,
        typer.Option(help="Only this partner's leavers; the others' entries are withheld."),
    ] = None,
    sample: Annotated[
        int, typer.Option(help="Draw so many leavers to be shown in detail, 1000 at most.")
    ] = 0,
    seed: Annotated[
        str, typer.Option(help="Decides who is drawn (default: the checkpoint's root).")
    ] = "",
    case: Annotated[
        str | None, typer.Option(help="Only this case, in detail; all others are withheld.")
    ] = None,
    identified: Annotated[
        bool, typer.Option("--identified", help="Say who the leavers are; goes on record.")
    ] = False,
    reason: Annotated[
        str, typer.Option("--reason", "-r", help="Why they must be named; kept encrypted.")
    ] = "",
    unsealed: Annotated[
        bool,
        typer.Option(
            "--unsealed",
            help="Withhold cases whose cutoff is to come, for who may not know of dismissals.",
        ),
    ] = False,
    ocsf: Annotated[str, typer.Option(help="Version of the OCSF lines: 1.9 or 1.8.")] = "1.9",
    checkpoint: Annotated[
        int | None, typer.Option(help="Entries of the signed head to use (default: the latest).")
    ] = None,
    previous: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="A checkpoint from before: prove that we only grew."
        ),
    ] = None,
    to_file: Annotated[Path | None, typer.Option("--out", "-o", help="File to write.")] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Write everything that an auditor needs into one file that can be checked without us.

    Leavers are those whose cutoff lies in the period: from the first day's beginning to the last
    day's end, in UTC. The same checkpoint and options give the same bytes.
    """
    partner = not_blank("--partner", partner) or ""
    case = not_blank("--case", case) or ""
    settings = settings_or_die(config, level="error")
    path = to_file or Path(_file_name(settings.tenant, first, last, partner or case))
    if path.exists():
        die(f"{path} exists already: give another name with --out", code=UNUSABLE)
    if not path.resolve().parent.is_dir():
        die(f"{path.resolve().parent} is no folder: make it, or give --out", code=UNUSABLE)
    kept = _note(previous)

    async def work() -> Pack:
        async with opened(settings) as context:
            case_id = (await context.desk.find(case)).case.case_id if case else ""
            order = Order(
                first=first.date(),
                last=last.date(),
                partner=partner,
                case_id=case_id,
                sample=sample,
                seed=seed,
                identified=identified,
                reason=reason,
                ocsf=ocsf,
                checkpoint=checkpoint,
                previous=kept,
                coming=not unsealed,
            )
            progress = Done()
            async with _shown(progress):
                by = Requester(person=whoami())
                exporter = _exporter(context)
                await exporter.check_partner(order)
                return await exporter.export_to(path, order, by, progress)

    try:
        pack = run(work())
    except ExportError as error:
        die(str(error), code=FAILED)
    except OSError as error:
        die(f"{path} cannot be written: {error.strerror or type(error).__name__}")
    _report(pack, as_json=as_json)


@evidence_app.command("list")
def list_exports(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List exported packs, newest first: what was asked for, by whom, and what became of it."""
    settings = settings_or_die(config)

    async def work() -> list[tuple[ExportRow, dict[str, str]]]:
        async with opened(settings) as context:
            exporter = _exporter(context)
            rows = await context.stores.exports.newest(limit)
            return [(row, exporter.who(row.export_id, row.parameters)) for row in rows]

    rows = run(work())
    if as_json:
        print_json([_as_data(row, said) for row, said in rows])
    elif rows:
        out.print(_table(rows))
    else:
        out.print("No packs yet. Make one with `lockstep evidence export --help`.")


def _exporter(context: Root) -> Exporter:
    return context.exporter


def _file_name(tenant: str, first: datetime, last: datetime, part: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-")
    names = [tenant, f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}", *([plain[:60]] if plain else [])]
    return f"lockstep-evidence-{'-'.join(names)}.zip"


def _note(previous: Path | None) -> str:
    if previous is None:
        return ""
    try:
        with previous.open("rb") as file:
            return file.read(MAX_NOTE + 1).decode()
    except (OSError, UnicodeDecodeError):
        die(f"{previous} cannot be read as a checkpoint", code=UNUSABLE)


@contextlib.asynccontextmanager
async def _shown(progress: Done) -> AsyncIterator[None]:
    """A bar on standard error, where that is a terminal."""
    bar = Progress(
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("entries"),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )

    async def look() -> None:
        while True:
            total = progress.total or None
            bar.update(line, completed=progress.done, total=total, description=progress.stage)
            await asyncio.sleep(_LOOK)

    with bar:
        line = bar.add_task("waiting", total=None)
        task = asyncio.create_task(look())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _report(pack: Pack, *, as_json: bool) -> None:
    summary = pack.summary
    counts = summary.counts
    if as_json:
        print_json(
            {
                "export_id": pack.export_id,
                "file": str(pack.path),
                "sha256": pack.sha256,
                "size_bytes": pack.size_bytes,
                "checkpoint": summary.size,
                "as_of": render.instant(_moment(summary.scope.as_of)),
                "seed": summary.scope.seed,
                "people": pack.people,
                "counts": dict(counts),
                "score": summary.score["value"],
                "score_n": summary.score["n"],
                "period_score": summary.period_score["value"],
                "period_score_n": summary.period_score["n"],
            }
        )
        return
    out.print(f"[bold]{escape(str(pack.path))}[/]  {pack.size_bytes:,} bytes", soft_wrap=True)
    out.print(f"sha256 {pack.sha256}")
    out.print(
        f"{counted(counts['leavers'], 'leaver')} in {counted(counts['leaver_systems'], 'system')}"
        f" together, {counts['not_in_population']} not counted, {counts['samples']} shown in detail"
    )
    as_of = render.instant(_moment(summary.scope.as_of))
    out.print(f"as of {as_of}, {entries_of(summary.size)}")
    period = period_text(summary.period_score, leavers=counts["leavers"])
    out.print(f"score of the period: {period}", soft_wrap=True)
    days = _days(summary.score["window"])
    out.print(f"official score, of the {days} days up to then: {score_text(summary.score)}")
    if summary.scope.identified:
        named = counted(pack.people, "person", "people")
        out.print(f"[bold yellow]It names {named}.[/] This is on record.")
    out.print(f"Check it: lockstep evidence verify {escape(str(pack.path))} --key VKEY")


def _days(window: Mapping[str, str]) -> int:
    start, end = (datetime.fromisoformat(window[name]) for name in ("start", "end"))
    return (end - start).days


def _moment(milliseconds: int) -> datetime:
    return datetime.fromisoformat(instant_text(milliseconds))


def _table(rows: list[tuple[ExportRow, dict[str, str]]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("export", "state", "ordered", "by", "period", "only", "names", "entries", "file"):
        table.add_column(name, no_wrap=name == "export")
    for row, said in rows:
        asked = row.parameters
        table.add_row(
            row.export_id,
            row.state,
            render.instant(row.requested_at),
            escape(said.get("person") or row.requested_by),
            f"{asked['first']} {asked['last']}",
            escape(asked["partner"] or asked["case_id"]) or render.NONE,
            "yes" if asked["identified"] else "no",
            f"{row.done_entries} of {row.all_entries}",
            row.file_name or render.NONE,
        )
    return table


def _as_data(row: ExportRow, said: dict[str, str]) -> dict[str, object]:
    asked = {name: value for name, value in row.parameters.items() if name != "private"}
    return {
        "export_id": row.export_id,
        "state": row.state,
        "requested_at": row.requested_at,
        "requested_by": said.get("person") or row.requested_by,
        "reason": said.get("reason", ""),
        "parameters": asked,
        "done_entries": row.done_entries,
        "all_entries": row.all_entries,
        "file_name": row.file_name,
        "sha256": row.sha256,
        "size_bytes": row.size_bytes,
        "finished_at": row.finished_at,
        "error": row.error,
    }
