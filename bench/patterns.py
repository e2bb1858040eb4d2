"""The four questions: latency, throughput, overhead over slow systems, urgency."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
from sqlalchemy import text
from standardwebhooks import Webhook

from bench.load import Bare, Ours, Run, closed_loop, event_body, store, until
from bench.stage import SOURCE, Stage
from lockstep.domain.cases.terminations import TerminationKind

QUIET_CORES = 0.1
"""More than this used by strangers, and a run says more about them than about us."""

_FIRST_ATTEMPT = text(
    "select c.opened_at, l.recorded_at from cases c join ledger_entries l on l.case_id = c.case_id"
    " where c.last_event_id = :key and l.kind = 'revocation:attempt' order by l.id limit 1"
)
_OPEN = text(
    "select (select count(*) from cases where closed_at is null)"
    " + (select count(*) from inbox i where state = 'pending' and not exists"
    " (select from cases c where c.last_event_id = i.dedupe_key))"
)


@dataclass(frozen=True, slots=True)
class Pair:
    """Both sides, one directly after the other."""

    bare: Run
    ours: Run

    @property
    def other_cores(self) -> float:
        return max(self.bare.usage.other_cores, self.ours.usage.other_cores)


@dataclass(slots=True)
class Pairs:
    """The pairs that count. ``noisy`` says that too few were quiet, so the quietest were taken."""

    kept: list[Pair] = field(default_factory=list)
    rejected: int = 0
    noisy: bool = False


@dataclass(frozen=True, slots=True)
class Slow:
    """Pairs against slow systems; ``system_ms`` is what one system's own answers take."""

    pairs: Pairs
    system_ms: float


@dataclass(frozen=True, slots=True)
class Urgent:
    """One involuntary leaver behind a queue: milliseconds from the post to each step."""

    ahead: int
    answered_ms: float
    opened_ms: float
    written_ms: float
    seen_ms: float


async def alternate(
    bare: Callable[[], Awaitable[Run]],
    ours: Callable[[], Awaitable[Run]],
    *,
    pairs: int,
    attempts: int,
) -> Pairs:
    """Run both in turn until enough quiet pairs are there, or the attempts are used up."""
    tried: list[Pair] = []
    for number in range(attempts):
        first, second = (bare, ours) if number % 2 == 0 else (ours, bare)
        one, two = await first(), await second()
        tried.append(Pair(one, two) if number % 2 == 0 else Pair(two, one))
        if sum(pair.other_cores <= QUIET_CORES for pair in tried) == pairs:
            break
    return choose(tried, pairs)


def choose(tried: list[Pair], wanted: int) -> Pairs:
    """Keep quiet pairs; where there are too few, the quietest, and say so."""
    quiet = [pair for pair in tried if pair.other_cores <= QUIET_CORES]
    if len(quiet) >= wanted:
        return Pairs(quiet[:wanted], rejected=len(tried) - len(quiet))
    kept = sorted(tried, key=lambda pair: pair.other_cores)[:wanted]
    return Pairs(kept, rejected=len(tried) - len(quiet), noisy=True)


async def in_turn(stage: Stage, *, cases: int, in_flight: int, pairs: int, attempts: int) -> Pairs:
    """Both sides under the same closed loop; one in flight gives latency, many give throughput."""
    async with Ours(stage).watching() as our_side:
        return await alternate(
            lambda: closed_loop(stage, Bare(stage), cases=cases, in_flight=in_flight),
            lambda: closed_loop(stage, our_side, cases=cases, in_flight=in_flight),
            pairs=pairs,
            attempts=attempts,
        )


@contextlib.asynccontextmanager
async def answering_after(stage: Stage, answer_ms: int) -> AsyncIterator[httpx.AsyncClient]:
    """Hold every answer of every system back for so long."""
    async with httpx.AsyncClient(base_url=stage.instant_url, trust_env=False) as control:
        fault = {"kind": "latency", "delay_ms": answer_ms}
        (await control.put("/sandbox/faults", json=fault)).raise_for_status()
        try:
            yield control
        finally:
            (await control.delete("/sandbox/faults")).raise_for_status()


async def against_slow_systems(
    stage: Stage, *, answer_ms: int, cases: int, in_flight: int, pairs: int, attempts: int
) -> Slow:
    """Every answer of every system takes ``answer_ms``; bare activities sleep as long in all."""
    async with answering_after(stage, answer_ms) as control, Ours(stage).watching() as our_side:
        before = await _requests(control)
        await our_side.one()
        calls = (await _requests(control) - before) / stage.systems
        system_ms = calls * answer_ms
        bare = Bare(stage, busy_ms=system_ms)
        found = await alternate(
            lambda: closed_loop(stage, bare, cases=cases, in_flight=in_flight),
            lambda: closed_loop(stage, our_side, cases=cases, in_flight=in_flight),
            pairs=pairs,
            attempts=attempts,
        )
    return Slow(found, system_ms)


async def overtaking(stage: Stage, *, queued: int, urgent: int) -> list[Urgent]:
    """Queue voluntary leavers, then post involuntary ones through the signed webhook."""
    turns = iter(range(queued))

    async def lane() -> None:
        for _ in turns:
            await store(stage, TerminationKind.VOLUNTARY)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(20, queued)):
            group.create_task(lane())
    async with httpx.AsyncClient(base_url=stage.web_url, trust_env=False) as web:
        found = [await overtake(stage, web) for _ in range(urgent)]

    async def drained() -> bool:
        return await _still_open(stage) == 0

    await until(drained)
    return found


async def overtake(stage: Stage, web: httpx.AsyncClient) -> Urgent:
    """Post one involuntary leaver through the signed webhook; time its way to an ATTEMPT."""
    ahead = await _still_open(stage)
    key = f"msg-{uuid.uuid4()}"
    now = datetime.now(UTC)
    body = event_body(TerminationKind.INVOLUNTARY, now)
    headers = {
        "webhook-id": key,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(stage.webhook_secret).sign(key, now, body.decode()),
        "content-type": "application/json",
    }
    posted, began = datetime.now(UTC), time.perf_counter()
    answer = await web.post(f"/hooks/{SOURCE}", content=body, headers=headers)
    answered = (time.perf_counter() - began) * 1000
    answer.raise_for_status()
    steps: list[datetime] = []

    async def attempted() -> bool:
        async with stage.engine.connect() as connection:
            row = (await connection.execute(_FIRST_ATTEMPT, {"key": key})).first()
        steps.extend(row or ())
        return row is not None

    await until(attempted, every_s=0.01)
    seen = (time.perf_counter() - began) * 1000
    opened, written = ((step - posted).total_seconds() * 1000 for step in steps)
    return Urgent(ahead, answered, opened, written, seen)


async def _still_open(stage: Stage) -> int:
    async with stage.engine.connect() as connection:
        return int(await connection.scalar(_OPEN) or 0)


async def _requests(control: httpx.AsyncClient) -> int:
    answer = await control.get("/sandbox/state")
    answer.raise_for_status()
    return int(answer.json()["requests"])
