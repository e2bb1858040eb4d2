"""Cases as tables for people and as plain data for scripts."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

from rich.markup import escape
from rich.table import Table

from lockstep.control.cases.wording import (
    WAS_REVOKED,
    contained_words,
    reason_of,
    status_of,
    suggestion_of,
)
from lockstep.domain.cases.clocks import CaseTimes, SystemClock, case_times, time_to_revocation
from lockstep.domain.cases.outcomes import RevocationState
from lockstep.domain.sweeping import Loss
from lockstep.storage.records import CaseView, RevocationRow
from lockstep.storage.runtime.stalled import Stalled, StalledCase
from lockstep.storage.runtime.sweeping import LostWorkflow, Swept

NONE = "–"
_NAMED = 3
_OVER = {RevocationState.SETTLED, RevocationState.STOPPED}
"""Nothing is done in such a system any more."""
_COLOURS = {
    "settled": "green",
    "closed": "green",
    "needs_person": "bold yellow",
    "retrying": "yellow",
    "revoking": "cyan",
    "scheduled": "dim",
    "rescinded": "dim",
    "stopped": "dim",
}


def duration(milliseconds: int) -> str:
    """A duration for people: 850 ms, 4.2 s, 3 min 05 s, 2 h 10 min, 3 d 4 h."""
    seconds = milliseconds / 1000
    if milliseconds < 1000:  # noqa: PLR2004
        return f"{milliseconds} ms"
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:  # noqa: PLR2004
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:  # noqa: PLR2004
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def instant(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}" if moment else NONE


def times_of(view: CaseView, now: datetime | None = None) -> CaseTimes:
    """The case's clocks; what is open counts up to ``now``."""
    return case_times(
        recorded_at=view.case.recorded_at,
        cutoff=view.case.cutoff_at,
        now=now or datetime.now(UTC),
        systems=[
            SystemClock(row.system, row.required, row.accounts, row.revoked_at)
            for row in view.revocations
        ],
    )


def exposure_text(view: CaseView, times: CaseTimes) -> str:
    """Exposure as far as it is known: a system that is not off yet may show more accounts."""
    open_rows = [row for row in view.revocations if row.revoked_at is None]
    told = f"{duration(times.exposure_ms)} account-time"
    if view.case.begun_at is None or not open_rows:
        return told
    yet = " yet" if any(row.state not in _OVER for row in open_rows) else ""
    names = ", ".join(row.system for row in open_rows[:_NAMED])
    more = f" and {len(open_rows) - _NAMED} more" if len(open_rows) > _NAMED else ""
    return f"at least {told}; {names}{more} not known{yet}"


def coloured(word: str) -> str:
    return f"[{_COLOURS.get(word, 'white')}]{word.replace('_', ' ')}[/]"


def case_table(views: list[CaseView]) -> Table:
    """One line per case."""
    table = Table(box=None, pad_edge=False)
    for name in ("case", "status", "leaver", "kind", "partner", "cutoff", "closed", "open"):
        table.add_column(name, no_wrap=name in {"case", "status"})
    for view in views:
        left = sum(row.state not in _OVER for row in view.revocations)
        table.add_row(
            view.case.case_id,
            coloured(status_of(view)),
            escape(view.leaver),
            view.case.kind.replace("_", " "),
            escape(view.case.partner) or NONE,
            instant(view.case.cutoff_at),
            instant(view.case.closed_at),
            f"{left} of {len(view.revocations)}",
        )
    return table


def system_table(view: CaseView) -> Table:
    """One line per system of a case: what came of it and how we know."""
    table = Table(box=None, pad_edge=False)
    for name in (
        "system",
        "state",
        "outcome",
        "actions",
        "time to revocation",
        "grade",
        "residual",
    ):
        right = name == "actions"
        table.add_column(name, justify="right" if right else "left", no_wrap=name == "system")
    for row in view.revocations:
        off = row.revoked_at if row.outcome in WAS_REVOKED else None
        spent = duration(time_to_revocation(view.case.cutoff_at, off)) if off else NONE
        table.add_row(
            row.system,
            coloured(row.state),
            (row.outcome or NONE).replace("_", " "),
            str(row.actions),
            spent,
            row.grade or NONE,
            residual_words(row),
        )
    return table


def residual_words(row: RevocationRow) -> str:
    """How long something outlives the revocation; the longest, and unknown is longer than any."""
    if row.residual_unknown:
        return "unknown"
    return f"≤ {duration(row.residual_s * 1000)}" if row.residual_s else NONE


def stuck_lines(views: list[CaseView]) -> list[str]:
    """What waits, most urgent first: case and leaver, then each system with reason and remedy."""
    lines = []
    now = datetime.now(UTC)
    for view in views:
        about = f"{escape(view.leaver)}  {view.case.kind.replace('_', ' ')}"
        lines.append(f"[bold]{view.case.case_id}[/]  {about}  {escape(view.case.partner)}")
        required = [row.state for row in view.revocations if row.required]
        if view.case.closed_at is None and {*required} <= {RevocationState.SETTLED}:
            lines.append("  every required system is settled, and the case does not close")
        for row in sorted(view.revocations, key=lambda row: row.due_at):
            if row.state == RevocationState.SETTLED:
                continue
            left = duration(int(abs((row.due_at - now).total_seconds())) * 1000)
            due = f"[bold red]overdue by {left}[/]" if row.due_at < now else f"due in {left}"
            why = escape(" ".join([reason_of(row, view.case), row.fault_text or ""]).strip())
            lines.append(f"  {row.system}  {coloured(row.state)}  {due}  {why}")
            lines.append(f"    [dim]{suggestion_of(row)}[/]")
            if shut := contained_words(row):
                lines.append(f"    {shut} Everything else is not proved gone.")
    return lines


def stalled_lines(view: CaseView, stalled: StalledCase) -> list[str]:
    """A case whose workflow cannot go on: since when it is seen so, why, and what to do."""
    about = f"{escape(view.leaver)}  {view.case.kind.replace('_', ' ')}"
    return [
        f"[bold]{view.case.case_id}[/]  {about}  {escape(view.case.partner)}",
        f"  [bold red]cannot go on[/] since {instant(stalled.since)}  {stalled.fault.reason}",
        f"    [dim]{escape(stalled.fault.suggestion)} What is decided meanwhile waits.[/]",
    ]


def stalled_data(stalled: StalledCase) -> dict[str, object]:
    """Why a case's workflow cannot go on, as plain data."""
    return {
        "since": stalled.since,
        "reason": stalled.fault.reason,
        "suggestion": stalled.fault.suggestion,
    }


def unknown_line(known: Stalled) -> str:
    """That nobody can say whether every case goes on, and why."""
    if known.problem:
        why = known.problem
    elif known.age is None:
        why = "no worker has looked yet"
    else:
        why = f"no worker has looked for {duration(int(known.age.total_seconds()) * 1000)}"
    return f"Whether every case goes on is not known: {why}. See `lockstep doctor`."


def as_data(view: CaseView) -> dict[str, object]:
    """A case as plain data, clocks included; the JSON of every command."""
    times = times_of(view)
    case = asdict(view.case)
    case["subject_id"] = str(view.case.subject_id)
    case["status"] = status_of(view)
    systems = []
    for row in view.revocations:
        off = row.revoked_at
        systems.append(
            {
                **asdict(row),
                "time_to_revocation_ms": (
                    time_to_revocation(view.case.cutoff_at, off) if off else None
                ),
                "suggestion": suggestion_of(row) if row.fault else None,
            }
        )
    return {
        **case,
        "leaver": view.leaver,
        "worker_id": view.worker_id,
        "hr_lag_ms": times.hr_lag_ms,
        "time_to_revocation_ms": times.time_to_revocation_ms,
        "operational_ms": times.operational_ms,
        "exposure_ms": times.exposure_ms,
        "times_still_growing": times.is_open,
        "systems": systems,
    }


def lost_line(row: LostWorkflow) -> str:
    """A case that has no workflow that does its work, or a workflow without a case."""
    mends = "a worker takes it up again from the database"
    if row.loss is Loss.UNKNOWN:
        mends = "look whose it is before anything is done to it (docs/operations.md)"
    return (
        f"[bold]{escape(row.workflow_id)}[/]  [bold red]{escape(row.loss.words)}[/], seen so since"
        f" {instant(row.since)}: {mends}"
    )


def uncompared_line(swept: Swept) -> str:
    """That it is not known whether every case has its workflow, and why."""
    if swept.problem:
        why = swept.problem
    elif swept.age is None:
        why = "no worker has compared cases with workflows yet"
    else:
        why = "no worker has compared cases with workflows for a while"
    return f"Not known whether every case has its workflow: {why}."
