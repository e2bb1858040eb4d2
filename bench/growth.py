"""What cases leave behind and what the processes hold, with one worker, two and three."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil
from sqlalchemy import text

from bench.load import Ours, closed_loop
from bench.plan import Plan
from bench.stage import Stage, staged

_DATABASE = text("select pg_database_size(current_database())")


@dataclass(frozen=True, slots=True)
class Growth:
    """One saturated run of ours alone.

    Args:
        workers: processes of ours that worked.
        cases_per_s: all of them together.
        memory_mib: resident after the run, by process; of several workers the largest.
        database_kib: by which PostgreSQL's tables and indexes grew, for each case.
        temporal_kib: by which Temporal's file grew, for each case.
    """

    workers: int
    cases_per_s: float
    memory_mib: Mapping[str, float]
    database_kib: float
    temporal_kib: float


async def grown(plan: Plan) -> Sequence[Growth]:
    """Every number of workers, on servers of its own, with systems over HTTP."""
    return [await _grown(plan, workers) for workers in plan.workers]


async def _grown(plan: Plan, workers: int) -> Growth:
    async with (
        staged(systems=plan.systems, workers=workers) as stage,
        Ours(stage).watching() as ours,
    ):
        await closed_loop(stage, ours, cases=plan.in_flight, in_flight=plan.in_flight)
        before = await _bytes(stage)
        run = await closed_loop(stage, ours, cases=plan.full_cases, in_flight=plan.in_flight)
        after = await _bytes(stage)
        database, temporal = (
            (end - start) / 1024 / run.cases for start, end in zip(before, after, strict=True)
        )
        return Growth(workers, run.cases_per_s, _memory(stage), database, temporal)


async def _bytes(stage: Stage) -> tuple[int, int]:
    async with stage.engine.connect() as connection:
        database = int(await connection.scalar(_DATABASE) or 0)
    files = await asyncio.to_thread(lambda: [*stage.home.glob("temporal.db*")])
    return database, sum(file.stat().st_size for file in files)


def _memory(stage: Stage) -> dict[str, float]:
    held: dict[str, float] = {}
    for name, pid in stage.groups().items():
        kind = "our-worker" if name.startswith("our-worker") else name
        if kind in {"our-worker", "web"}:
            mib = psutil.Process(pid).memory_info().rss / 2**20
            held[kind] = max(held.get(kind, 0.0), mib)
    return held
