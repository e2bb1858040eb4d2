"""`lockstep evidence verify`: needs no settings, no database and no network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from lockstep.cli.context import JsonOption, die, err, out, print_json
from lockstep.evidence.verify.check import verify_pack
from lockstep.evidence.verify.inputs import read_file, read_key, read_note, read_witness
from lockstep.evidence.verify.report import (
    NOT_CHECKED_BY_THIS,
    UNUSABLE,
    Report,
    UnusableError,
    Verdict,
)

_COLOURS = {
    Verdict.PASS: "green",
    Verdict.WARN: "yellow",
    Verdict.FAIL: "bold red",
    Verdict.NOT_CHECKED: "dim",
}


def verify(
    pack: Annotated[Path, typer.Argument(help="The evidence pack, a ZIP file.")],
    key: Annotated[
        list[str],
        typer.Option("--key", help="Verifier key of the ledger, or a file that holds it."),
    ],
    tsa_root: Annotated[
        Path | None,
        typer.Option("--tsa-root", help="Root certificate of a time stamp authority."),
    ] = None,
    previous: Annotated[
        Path | None, typer.Option("--previous", help="A signed checkpoint that you kept.")
    ] = None,
    witness: Annotated[
        list[str] | None,
        typer.Option("--witness", help="Key of a witness, or a file that holds it."),
    ] = None,
    earlier: Annotated[
        Path | None,
        typer.Option("--earlier", help="A pack you kept: was what it withheld as it said?"),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Check a pack offline. Ends with 0: verified, 1: refuted, 2: unusable input."""
    try:
        with err.status("checking"):
            report = verify_pack(
                pack,
                keys=[read_key(text) for text in key],
                tsa_root=None if tsa_root is None else read_file(tsa_root),
                previous=None if previous is None else read_note(previous),
                witnesses=[read_witness(text) for text in witness or ()],
                earlier=earlier,
            )
    except UnusableError as error:
        die(str(error), code=UNUSABLE)
    if json:
        print_json(report.as_document())
    else:
        _show(report)
    raise typer.Exit(report.exit_code)


def _show(report: Report) -> None:
    for name, value in report.facts.items():
        out.print(f"{name:>8}: {escape(value)}")
    out.print()
    out.print(_steps(report))
    out.print()
    word = "[bold green]VERIFIED[/]" if report.is_verified else "[bold red]REFUTED[/]"
    out.print(f"{word}, {escape(report.label)}")
    out.print()
    out.print("What this does not check:")
    for sentence in NOT_CHECKED_BY_THIS:
        out.print(f"[dim]- {sentence}[/]")


def _steps(report: Report) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("step", justify="right")
    table.add_column("verdict", no_wrap=True)
    table.add_column("what")
    for step in report.steps:
        colour = _COLOURS[step.verdict]
        details = "".join(f"\n[dim]- {escape(detail)}[/]" for detail in step.details)
        what = f"{step.title}\n[dim]{escape(step.sentence)}[/]{details}"
        table.add_row(str(step.number), f"[{colour}]{step.verdict}[/]", what)
    return table
