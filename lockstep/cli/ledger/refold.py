"""`lockstep ledger refold`: what is known of the cases, folded anew from the ledger."""

from __future__ import annotations

import time
from dataclasses import asdict

import typer
from rich.markup import escape

from lockstep.cli.context import (
    FAILED,
    ConfigOption,
    JsonOption,
    out,
    print_json,
    settings_or_die,
)
from lockstep.cli.ledger.commands import linked
from lockstep.cli.ledger.view import entries_bar
from lockstep.domain.counting import entries as entries_of
from lockstep.storage.score.refold import Refolded, refold


def refold_ledger(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Fold every case's facts anew from the ledger, and name what cannot be folded; then exit 1.

    After an upgrade that mends how entries are read. Revocation goes on; signing waits a moment.
    """
    settings = settings_or_die(config)
    began = time.monotonic()
    with linked(settings) as link, entries_bar("folding") as progress:
        found = refold(link, progress=progress)
    seconds = time.monotonic() - began
    if as_json:
        print_json({**asdict(found), "seconds": seconds})
    else:
        _print(found, seconds)
    raise typer.Exit(0 if found.is_whole else FAILED)


def _print(found: Refolded, seconds: float) -> None:
    out.print(f"{entries_of(found.leaves)} folded in {seconds:.1f} s")
    out.print(f"{found.rewritten:,} of {found.cases:,} cases were stored otherwise: corrected")
    for each in found.unfolded:
        about = f"case {each.case_id}, " if each.case_id else ""
        line = f"{each.says} ({about}{each.kind})"
        out.print(f"[bold red]not folded[/]  {escape(line)}", soft_wrap=True)
    if found.not_told:
        out.print(f"[bold red]not folded[/]  and {found.not_told:,} more")
    for case_id in found.strays:
        out.print(f"[bold red]unknown[/]  case {escape(case_id)} is stored, and not in the ledger")
    if found.unfolded:
        out.print(
            "The facts of these cases stay as they were before that entry, and packs that show it"
            " are refused. Run the newest release; see docs/operations.md, An entry that cannot be"
            " folded.",
            soft_wrap=True,
        )
    if found.strays:
        out.print("Part of the ledger is gone: run `lockstep ledger verify`.")
