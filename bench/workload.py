"""The baseline: as many parallel no-op activities as our case has systems, and nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow

BARE_QUEUE = "bench-bare"


@dataclass(frozen=True, slots=True)
class BareInput:
    """``busy_ms`` stands for the time that a vendor takes."""

    activities: int
    busy_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class NoopInput:
    busy_ms: float


def activity_queue(number: int) -> str:
    """One queue per activity, as Lockstep has one per system; never eager, like ours."""
    return f"{BARE_QUEUE}-{number}"


@activity.defn
async def noop(given: NoopInput) -> str:
    """What an activity costs when it does nothing."""
    if given.busy_ms:
        await asyncio.sleep(given.busy_ms / 1000)
    return "ok"


@workflow.defn
class BareFanOut:
    """The least that Temporal can do for a case of this many systems."""

    @workflow.run
    async def run(self, given: BareInput) -> int:
        done = await asyncio.gather(
            *(
                workflow.execute_activity(
                    noop,
                    NoopInput(given.busy_ms),
                    task_queue=activity_queue(number),
                    start_to_close_timeout=timedelta(seconds=60),
                )
                for number in range(given.activities)
            )
        )
        return len(done)
