"""What a lay-off asks for: many at vendors that take their time, and many at one cutoff."""

from __future__ import annotations

import asyncio
import statistics
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
from sqlalchemy import text

from bench.load import Ours, Run, closed_loop, store, until
from bench.patterns import Urgent, answering_after, overtake
from bench.stage import Stage
from lockstep.domain.cases.terminations import TerminationKind

_BEGINNINGS = text(
    "select c.kind, extract(epoch from min(l.recorded_at) - :cutoff) as after_s"
    " from cases c join ledger_entries l on l.case_id = c.case_id"
    " where c.cutoff_at = :cutoff and l.kind = 'revocation:attempt' group by c.case_id, c.kind"
)
_SCHEDULED = text("select count(*) from cases where cutoff_at = :cutoff")
_CLOSED = text("select count(*) from cases where cutoff_at = :cutoff and closed_at is not null")
_LAST = text("select max(closed_at) from cases where cutoff_at = :cutoff")
_REHEARSED = text(
    "select count(*) from revocations r join cases c using (case_id)"
    " where c.cutoff_at = :cutoff and r.rehearsed_at <= :cutoff"
)


@dataclass(frozen=True, slots=True)
class Slowed:
    """One worker of ours at vendors of which each answer takes ``answer_ms``; many under way.

    Args:
        urgent: one dismissal posted while the others are under way.
    """

    answer_ms: int
    run: Run
    urgent: Urgent


@dataclass(frozen=True, slots=True)
class Wave:
    """Cases of one cutoff, a tenth of them dismissals.

    Args:
        routine_s, urgent_s: from the cutoff to the first ATTEMPT, median of each kind.
        drained_s: from the cutoff until the last case had closed.
        rehearsed: revocations that had been rehearsed when the cutoff came, of all.
        posted: a dismissal that was posted amid.
    """

    cases: int
    routine_s: float
    urgent_s: float
    drained_s: float
    rehearsed: float
    posted: Urgent

    @property
    def cases_per_s(self) -> float:
        return self.cases / self.drained_s


async def many_at_slow_systems(
    stage: Stage, *, answer_ms: int, cases: int, in_flight: int
) -> Slowed:
    """Every answer of every system is held back; the vendors wait, and so should nobody else."""
    async with (
        answering_after(stage, answer_ms),
        Ours(stage).watching() as ours,
        httpx.AsyncClient(base_url=stage.web_url, trust_env=False) as web,
        asyncio.TaskGroup() as group,
    ):
        running = group.create_task(closed_loop(stage, ours, cases=cases, in_flight=in_flight))
        await asyncio.sleep(2)
        urgent = await overtake(stage, web)
        run = await running
    return Slowed(answer_ms, run, urgent)


async def one_cutoff(stage: Stage, *, cases: int, ahead_s: float) -> Wave:
    """Schedule cases of one cutoff, and post a dismissal when a third of them have closed."""
    cutoff = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=ahead_s)
    urgent, routine = TerminationKind.INVOLUNTARY, TerminationKind.VOLUNTARY
    for number in range(cases):
        await store(stage, routine if number % 10 else urgent, ends_at=cutoff)
    await until(lambda: _reached(stage, _SCHEDULED, cutoff, cases))
    await until(lambda: _reached(stage, _CLOSED, cutoff, cases // 3))
    async with httpx.AsyncClient(base_url=stage.web_url, trust_env=False) as web:
        posted = await overtake(stage, web)
    await until(lambda: _reached(stage, _CLOSED, cutoff, cases))
    async with stage.engine.connect() as connection:
        begun = (await connection.execute(_BEGINNINGS, {"cutoff": cutoff})).all()
        last = await connection.scalar(_LAST, {"cutoff": cutoff})
        rehearsed = await connection.scalar(_REHEARSED, {"cutoff": cutoff})
    assert last is not None, "all have closed"
    return Wave(
        cases=cases,
        routine_s=statistics.median(float(row.after_s) for row in begun if row.kind == routine),
        urgent_s=statistics.median(float(row.after_s) for row in begun if row.kind == urgent),
        drained_s=(last - cutoff).total_seconds(),
        rehearsed=int(rehearsed or 0) / (cases * stage.systems),
        posted=posted,
    )


async def _reached(stage: Stage, question: object, cutoff: datetime, wanted: int) -> bool:
    async with stage.engine.connect() as connection:
        found = await connection.scalar(question, {"cutoff": cutoff})  # type: ignore[call-overload]
    return int(found or 0) >= wanted
