"""What one look of `lockstep doctor` found, and how it is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table

from lockstep.cli.context import out


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Args:
        part: what was looked at.
        level: ok, warning or problem.
        says: what was found.
        fix: what to do about it.
        system: the system that it is about.
        took_s: how long that system was asked, in seconds.
    """

    part: str
    level: str
    says: str
    fix: str = ""
    system: str = ""
    took_s: float | None = None


def print_checks(checks: Iterable[Check]) -> None:
    """One line each, and what to do about it below."""
    marks = {"ok": "[green]     ok[/]", "warning": "[yellow]warning[/]"}
    for check in checks:
        mark = marks.get(check.level, "[bold red]problem[/]")
        out.print(f"{mark}  [bold]{check.part}[/]  {escape(check.says)}", soft_wrap=True)
        if check.fix:
            out.print(f"         [dim]{escape(check.fix)}[/]", soft_wrap=True)


def systems_table(checks: Iterable[Check]) -> Table:
    """A row for each system that was asked: what it comes to, and how long that took."""
    table = Table(box=None, pad_edge=False)
    for head in ("system", "answered in", "to mend", "warnings"):
        table.add_column(head, justify="left" if head == "system" else "right")
    by_system: dict[str, list[Check]] = {}
    for check in checks:
        if check.system:
            by_system.setdefault(check.system, []).append(check)
    for system, found in by_system.items():
        levels = Counter(check.level for check in found)
        took = found[0].took_s
        told = "" if took is None else f"{took:.1f} s"
        table.add_row(
            escape(system), told, str(levels["problem"] or ""), str(levels["warning"] or "")
        )
    return table
