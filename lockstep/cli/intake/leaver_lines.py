"""What a command says of the lines of a sheet: what each would do, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table

from lockstep.cli import render
from lockstep.cli.context import out
from lockstep.control.hr.leaver_lines import Becomes, LeaverLine

MOST_SHOWN = 50
"""Lines told one by one after sending; what needs somebody comes first."""

_WOULD = {
    Becomes.OPENED: "[green]opens a case[/]",
    Becomes.AMENDED: "[green]changes its case[/]",
    Becomes.UNCHANGED: "nothing changes: it is known already",
    Becomes.SUPERSEDED: "[yellow]nothing changes: a later revision is known[/]",
    Becomes.RECORDED: "[yellow]too late: it is only recorded[/]",
    Becomes.HELD: "[yellow]the brake holds it for an approver[/]",
    Becomes.EMPTY: "empty",
}
_DID = {
    Becomes.OPENED: "[green]opened[/]",
    Becomes.AMENDED: "[green]amended[/]",
    Becomes.UNCHANGED: "unchanged: it is known already",
    Becomes.SUPERSEDED: "[yellow]superseded: a later revision is known[/]",
    Becomes.RECORDED: "[yellow]recorded: too late to change anything[/]",
    Becomes.HELD: "[yellow]held by the brake[/]",
    Becomes.REFUSED: "[red]refused[/]",
    Becomes.WAITING: "[yellow]waits for a worker[/]",
    Becomes.EMPTY: "empty",
}
_HINTS = {
    Becomes.HELD: "Held: an approver decides; see `lockstep brake list`.",
    Becomes.WAITING: "Waiting: stored for good, and not carried out yet; see `lockstep doctor`.",
}


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a line. ``why``: of what was refused."""

    line: LeaverLine
    event_id: str = ""
    became: Becomes = Becomes.EMPTY
    case_id: str = ""
    why: str = ""


def line_data(line: LeaverLine) -> dict[str, object]:
    """A checked line for scripts."""
    local = line.local_cutoff
    return {
        "line": line.number,
        "worker_id": line.worker_id,
        "name": line.name,
        "partner": line.partner,
        "zone": line.event.dates.zone if line.event else None,
        "cutoff_at": line.cutoff,
        "cutoff_local": local.isoformat() if local else None,
        "source": line.found.said.whose_number if line.found else None,
        "does": line.found.verdict.value if line.found else None,
        "becomes": line.becomes.value,
        "case_id": line.found.case.case_id if line.found and line.found.case else None,
        "problems": list(line.problems),
    }


def print_lines(lines: Sequence[LeaverLine]) -> None:
    """What each line would do, and how many are faulty."""
    table = Table(box=None, pad_edge=False)
    for name in ("line", "worker", "name", "partner", "cutoff", "at their place", "what it does"):
        table.add_column(name, overflow="fold")
    for line in lines:
        local = line.local_cutoff
        does = _WOULD.get(line.becomes, "")
        table.add_row(
            str(line.number or ""),
            escape(line.worker_id),
            escape(line.name),
            escape(line.partner),
            render.instant(line.cutoff),
            f"{local:%Y-%m-%d %H:%M}" if local else "",
            f"[red]{escape('; '.join(line.problems))}[/]" if line.problems else does,
        )
    out.print(table)
    bad = sum(bool(line.problems) for line in lines)
    counts = Counter(line.becomes for line in lines if not line.problems)
    if not bad:
        out.print(_counted(counts, would=True))
    if any(line.is_of_file for line in lines):
        out.print("This file cannot be taken; nothing was reported.")
        return
    out.print(f"{len(lines)} checked, {bad} faulty; nothing was reported.")


def outcome_data(told: Sequence[Told]) -> dict[str, object]:
    """What became of every line, for scripts; ``counts`` add up to the lines."""
    counts = Counter(one.became for one in told)
    return {
        "reported": [one.event_id for one in told if one.event_id],
        "lines": len(told),
        "counts": {each.value: counts[each] for each in Becomes},
        "each": [
            {
                "line": one.line.number,
                "worker_id": one.line.worker_id,
                "event_id": one.event_id,
                "became": one.became.value,
                "case_id": one.case_id or None,
                "why": one.why or None,
            }
            for one in told
        ],
    }


def print_outcome(told: Sequence[Told]) -> None:
    """What became of every line: those that need somebody one by one, and how many of each."""
    usual = {Becomes.OPENED, Becomes.AMENDED}
    shown = [one for one in told if one.became not in usual or len(told) == 1]
    shown.sort(key=lambda one: (one.became.is_taken, one.line.number))
    for one in shown[:MOST_SHOWN]:
        where = f"line {one.line.number} " if one.line.number else ""
        case = f", case {one.case_id}" if one.case_id else ""
        why = f": {escape(one.why)}" if one.why else ""
        worker = escape(one.line.worker_id)
        out.print(f"{where}{worker} {_DID[one.became]}{case}{why}", soft_wrap=True)
    if len(shown) > MOST_SHOWN:
        out.print(f"and {len(shown) - MOST_SHOWN} more: all of them with --json")
    counts = Counter(one.became for one in told)
    if len(told) > 1:
        out.print(_counted(counts, would=False))
    for each, hint in _HINTS.items():
        if counts[each]:
            out.print(hint)
    out.print("Follow with `lockstep cases` and `lockstep stuck`.")


def _counted(counts: Counter[Becomes], *, would: bool) -> str:
    total = sum(counts.values())
    parts = [f"{counts[each]} {each.value}" for each in Becomes if counts[each]]
    return f"{total} lines{' would be' if would else ''}: {', '.join(parts)}."
