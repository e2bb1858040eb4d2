"""`python -m bench`: measure Lockstep beside bare Temporal, and judge the result by its targets."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from bench import patterns, waves
from bench.growth import grown
from bench.load import Ours, closed_loop, until
from bench.patterns import Pairs
from bench.plan import FULL, QUICK, Plan
from bench.report import print_outcome, print_profile, write_results
from bench.stage import ROOT, Stage, staged
from bench.verdicts import Outcome, judge

RESULTS = ROOT / "bench" / "RESULTS.md"


async def low_and_full(stage: Stage, plan: Plan, console: Console) -> tuple[Pairs, Pairs]:
    """One case at a time, then as many as the machine can."""
    console.print("warming up")
    await patterns.in_turn(stage, cases=plan.warm_up, in_flight=8, pairs=1, attempts=1)
    bounds = {"pairs": plan.pairs, "attempts": plan.attempts}
    console.print("one case at a time")
    low = await patterns.in_turn(stage, cases=plan.low_cases, in_flight=1, **bounds)
    console.print("saturated")
    full = await patterns.in_turn(stage, cases=plan.full_cases, in_flight=plan.in_flight, **bounds)
    return low, full


async def compare(plan: Plan, console: Console) -> Outcome:
    """Start everything, run every pattern of ``plan``, stop everything."""
    async with staged(systems=plan.systems, is_inside=True) as stage:
        console.print("[bold]systems inside the worker[/]")
        low_inside, full_inside = await low_and_full(stage, plan, console)
    async with staged(systems=plan.systems) as stage:
        console.print("[bold]systems over HTTP[/]")
        low, full = await low_and_full(stage, plan, console)
        slow, urgent = await slow_and_urgent(stage, plan, console)
    console.print("[bold]a lay-off: many at slow vendors, many at one cutoff[/]")
    async with staged(systems=plan.systems) as stage:
        slowed = await waves.many_at_slow_systems(
            stage,
            answer_ms=plan.many_answer_ms,
            cases=plan.many_cases,
            in_flight=plan.many_in_flight,
        )
        wave = await waves.one_cutoff(stage, cases=plan.wave_cases, ahead_s=plan.wave_ahead_s)
    console.print("[bold]one worker, two and three[/]")
    growth = await grown(plan)
    outcome = judge(low, full, slow, urgent, low_inside=low_inside, saturated_inside=full_inside)
    return replace(outcome, growth=growth, slowed=slowed, wave=wave)


async def slow_and_urgent(
    stage: Stage, plan: Plan, console: Console
) -> tuple[patterns.Slow, list[patterns.Urgent]]:
    """Systems that take their time, and a dismissal behind a queue."""
    console.print("slow systems")
    slow = await patterns.against_slow_systems(
        stage,
        answer_ms=plan.answer_ms,
        cases=plan.slow_cases,
        in_flight=plan.slow_in_flight,
        pairs=plan.slow_pairs,
        attempts=plan.slow_attempts,
    )
    console.print("urgent behind a queue")
    return slow, await patterns.overtaking(stage, queued=plan.queued, urgent=plan.urgent)


async def profile(plan: Plan, console: Console) -> None:
    """Saturate the worker under the sampling profiler, and show where its CPU goes."""
    async with staged(systems=plan.systems, profiled=True, is_inside=True) as stage:
        async with Ours(stage).watching() as ours:
            run = await closed_loop(stage, ours, cases=plan.full_cases, in_flight=plan.in_flight)
        used = run.usage.per_case_ms(run.cases)
        console.print(f"{run.cases_per_s:.1f} cases/s (the profiler slows it down)")
        console.print("CPU ms per case: " + ", ".join(f"{k} {v:.1f}" for k, v in used.items()))
        stage.stop_our_worker()
        await until(stage.has_profile)
        seen = json.loads(stage.profile_path.read_text())
    print_profile(seen, run.cases, console)


def main(arguments: list[str] | None = None) -> int:
    """Return 0 when every target was met, or nothing was judged."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a minute; writes no results")
    parser.add_argument("--profile", action="store_true", help="only show where the CPU goes")
    parser.add_argument("--output", type=Path, help=f"write results here [{RESULTS.name}]")
    given = parser.parse_args(arguments)
    plan = QUICK if given.quick else FULL
    console = Console(width=140)
    if given.profile:
        asyncio.run(profile(plan, console))
        return 0
    outcome = asyncio.run(compare(plan, console))
    print_outcome(outcome, console)
    output = given.output or (None if given.quick else RESULTS)
    if output is not None:
        write_results(outcome, plan, output)
    # A quick run shows that everything works; it is too short to judge anybody by.
    return 0 if given.quick or all(row.passed for row in outcome.measures) else 1


if __name__ == "__main__":
    sys.exit(main())
