"""Putting the same load on both sides, and timing each case alike.

Bare: from just before the start request until the workflow's result has come back.
Ours: from just after the inbox's commit until the result of the case's workflow has come back;
the workflow ends when the case is closed in the database. Both results arrive by the same long
poll of the same client library.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sqlalchemy import text

from bench.accounting import Meter, Usage
from bench.stage import SOURCE, Stage
from bench.workload import BARE_QUEUE, BareFanOut, BareInput
from lockstep.contracts.payloads import CaseResult
from lockstep.control.intake.events import TerminationEvent
from lockstep.domain.cases.terminations import TerminationKind

_LOOK_S = 0.01
_LOOK_MANY_S = 0.1
"""With many under way their ids are not urgent: the case takes longer than this."""
_PATIENCE_S = 300.0
_IDS = text(
    "select dedupe_key, case_id from inbox where dedupe_key = any(:keys) and case_id is not null"
)


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of one side gave."""

    latencies_ms: list[float]
    usage: Usage

    @property
    def cases(self) -> int:
        return len(self.latencies_ms)

    @property
    def cases_per_s(self) -> float:
        return self.cases / self.usage.wall_s


class Side(Protocol):
    """One of the two that are compared."""

    async def one(self) -> float:
        """Carry one case through; return its milliseconds."""


class Bare:
    """Plain Temporal; ``busy_ms`` is the time that each activity sleeps."""

    def __init__(self, stage: Stage, *, busy_ms: float = 0.0) -> None:
        self._client = stage.bare_client
        self._given = BareInput(stage.systems, busy_ms)

    async def one(self) -> float:
        began = time.perf_counter()
        await self._client.execute_workflow(
            BareFanOut.run, self._given, id=f"bare-{uuid.uuid4()}", task_queue=BARE_QUEUE
        )
        return (time.perf_counter() - began) * 1000


class Ours:
    """Lockstep, from the inbox on. `watching` must be entered first."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._wanted: dict[str, asyncio.Future[str]] = {}

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[Ours]:
        """Learn the ids of cases; one query for all that wait, whatever their number."""
        # In a group, so that a look that fails ends the run instead of leaving it waiting.
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._look())
            yield self
            task.cancel()

    async def one(self) -> float:
        key = await store(self._stage, TerminationKind.VOLUNTARY)
        began = time.perf_counter()
        case_id = await self._case_of(key)
        handle = self._stage.our_client.get_workflow_handle(case_id, result_type=CaseResult)
        await handle.result()
        return (time.perf_counter() - began) * 1000

    async def _case_of(self, key: str) -> str:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._wanted[key] = future
        return await asyncio.wait_for(future, _PATIENCE_S)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S if len(self._wanted) < 3 else _LOOK_MANY_S)
            if not self._wanted:
                continue
            async with self._stage.engine.connect() as connection:
                rows = (await connection.execute(_IDS, {"keys": list(self._wanted)})).all()
            for row in rows:
                future = self._wanted.pop(row.dedupe_key)
                if not future.done():
                    future.set_result(row.case_id)


async def closed_loop(stage: Stage, side: Side, *, cases: int, in_flight: int) -> Run:
    """Keep ``in_flight`` cases under way until ``cases`` are done."""
    latencies: list[float] = []
    turns = iter(range(cases))

    async def lane() -> None:
        for _ in turns:
            latencies.append(await side.one())  # noqa: PERF401 - lanes share one list

    meter = Meter(stage.groups())
    async with asyncio.TaskGroup() as group:
        for _ in range(min(in_flight, cases)):
            group.create_task(lane())
    return Run(latencies, meter.read())


async def store(stage: Stage, kind: TerminationKind, *, ends_at: datetime | None = None) -> str:
    """Commit one event to the inbox, as the web does; return its dedupe key."""
    key = f"evt-{uuid.uuid4()}"
    now = datetime.now(UTC)
    body = event_body(kind, now, ends_at=ends_at)
    said = TerminationEvent.model_validate_json(body)
    await stage.inbox.store(
        tenant=stage.settings.tenant,
        source=SOURCE,
        dedupe_key=key,
        received_at=now,
        body=body,
        priority=kind.priority,
        about=(said.worker.id, said.spell),
    )
    return key


def event_body(kind: TerminationKind, now: datetime, *, ends_at: datetime | None = None) -> bytes:
    """A leaver whose access must be gone already, or at ``ends_at``."""
    worker = uuid.uuid4().hex[:12]
    document = {
        "revision": 1,
        "recorded_at": now.isoformat(),
        "kind": kind.value,
        "worker": {
            "id": f"W-{worker}",
            "name": "Bench Leaver",
            "employee_number": worker,
            "emails": [f"{worker}@example.test"],
        },
        "dates": {
            "zone": "Asia/Manila",
            "access_ends_at": (ends_at or now - timedelta(minutes=1)).isoformat(),
        },
    }
    return json.dumps(document).encode()


async def until(true: Callable[[], Awaitable[bool]], *, every_s: float = 0.25) -> None:
    """Poll, with a bound.

    Raises:
        TimeoutError: it stayed false.
    """
    async with asyncio.timeout(_PATIENCE_S):
        while not await true():  # noqa: ASYNC110 - other processes make it true
            await asyncio.sleep(every_s)
