"""What `lockstep ledger` prints: the ledger's state, a verification, a progress bar."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lockstep.cli import render
from lockstep.cli.context import err, out
from lockstep.domain.counting import counted
from lockstep.domain.counting import entries as entries_of
from lockstep.evidence.format.notes import VerifierKey
from lockstep.settings import Settings
from lockstep.storage.ledger.check import Verification
from lockstep.storage.ledger.state import ORDER_GRACE, Head, LedgerState


@contextlib.contextmanager
def entries_bar(doing: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, where that is a terminal."""
    bar = Progress(
        TextColumn(doing),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("entries"),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )
    with bar:
        line = bar.add_task("", total=None)

        def show(done: int, total: int) -> None:
            bar.update(line, completed=done, total=total)

        yield show


def ledger_line(state: LedgerState, key: VerifierKey) -> str:
    """The state in one line."""
    head = "nothing signed yet" if state.head is None else f"last head {_ago(state.head)} ago"
    return (
        f"{entries_of(state.leaves)} in order, {state.unplaced:,} waiting; {head}; "
        f"key {key.name}+{key.id.hex()}"
    )


def ledger_is_late(state: LedgerState, heartbeat: timedelta, now: datetime) -> bool:
    """Whether a head is overdue, by more than a busy moment explains."""
    head = state.head
    return head is not None and now - head.signed_at > heartbeat + ORDER_GRACE


def state_data(settings: Settings, state: LedgerState, key: VerifierKey | None) -> dict[str, Any]:
    """The state for a script."""
    head = state.head
    return {
        "origin": settings.ledger_origin,
        "key": key.to_text() if key else None,
        "leaves": state.leaves,
        "unplaced": state.unplaced,
        "head": None
        if head is None
        else {
            "size": head.size,
            "root": head.root.hex(),
            "signed_at": render.instant(head.signed_at),
            "reason": head.reason,
        },
        "sealing": state.sealing,
        "waiting_since": render.instant(state.waiting_since) if state.waiting_since else None,
        "anchors": len(settings.ledger.anchors),
        "anchored": state.anchored,
        "refused": {"code": state.refused[0], "text": state.refused[1]} if state.refused else None,
    }


def print_state(settings: Settings, state: LedgerState, key: VerifierKey | None) -> None:
    """The state for people."""
    head, since = state.head, state.not_in_order_since(datetime.now(UTC))
    worker = "one is the sequencer" if state.sealing else "none is the sequencer"
    if since is not None:
        held = "one holds the sequencer's lock" if state.sealing else "none is the sequencer"
        worker = f"{held}; not in order since {render.instant(since)}"
    waits = f", {state.unplaced:,} wait for a place" if state.unplaced else ""
    lines = {
        "ledger": settings.ledger_origin,
        "entries": f"{state.leaves:,} in order{waits}",
        "last head": "none yet" if head is None else _head_text(head),
        "root": "" if head is None else head.root.hex(),
        "key": key.to_text() if key else "cannot be read here",
        "worker": worker,
        "anchors": _anchors_text(settings, state),
    }
    for name, value in lines.items():
        if value:
            out.print(f"[bold]{name:<10}[/] {escape(value)}", soft_wrap=True)
    if state.refused:
        out.print(f"[bold red]refused[/]    {escape(state.refused[1])}", soft_wrap=True)


def _head_text(head: Head) -> str:
    return f"{entries_of(head.size)}, signed {_ago(head)} ago for {head.reason}"


def _ago(head: Head) -> str:
    age = datetime.now(UTC) - head.signed_at
    return render.duration(max(0, int(age.total_seconds() * 1000)))


def _anchors_text(settings: Settings, state: LedgerState) -> str:
    names = sorted(settings.ledger.anchors)
    if not names:
        return "none: whoever owns database and key could rewrite it unseen"
    return ", ".join(f"{name} ({state.anchored.get(name, 0):,} heads)" for name in names)


def print_verification(found: Verification, seconds: float) -> None:
    """What was found, and what was not looked at."""
    rate = found.leaves / seconds if seconds else 0
    out.print(
        f"{entries_of(found.leaves)} hashed in {seconds:.1f} s ({rate:,.0f}/s), "
        f"{counted(found.heads, 'head')} compared"
    )
    out.print(f"root {found.root.hex()}")
    if found.unsigned or found.unplaced:
        out.print(
            f"not under a head yet: {found.unsigned:,} in order, {found.unplaced:,} without a place"
        )
    for problem in found.problems:
        out.print(f"[bold red]refuted[/]  {escape(problem.says)}", soft_wrap=True)
    if found.not_told:
        out.print(f"[bold red]refuted[/]  and {found.not_told:,} more")
    if found.is_good:
        out.print("[bold green]Verified:[/] every entry is as it was signed.")
        out.print("Not checked: that what was written is true, and that nobody holds another head.")
