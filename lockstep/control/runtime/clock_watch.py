"""Watches the clocks: ours and Temporal's beside the database's, which decides.

Temporal's timers go by Temporal's clock. One that is ahead only makes a case ask early, and wait;
one that is behind would let it sleep past its cutoff, so whoever is due by the database is woken.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from lockstep.contracts import names
from lockstep.control.runtime.start import CaseStarter
from lockstep.domain.cases.clocks import SKEW_MOST, skew_of
from lockstep.storage.engine.clocks import TEMPORAL, ClockLook, Clocks
from lockstep.storage.runtime.sweeping import Sweeps

log = structlog.get_logger("lockstep.clocks")

EVERY = timedelta(seconds=5)
_PATIENCE = timedelta(seconds=5)
_AGAIN = timedelta(seconds=30)
"""A case that was woken is left alone for so long; it may be waiting for its turn."""


@dataclass(frozen=True, slots=True)
class _Poll:
    """The newest poll that Temporal knows, by its clock, and when we saw that by the database's."""

    stated: datetime
    seen_at: datetime


class ClockWatch:
    """A loop of a worker; costs one short question to each server every few seconds."""

    def __init__(
        self, client: Client, clocks: Clocks, sweeps: Sweeps, starter: CaseStarter
    ) -> None:
        self._client = client
        self._clocks = clocks
        self._sweeps = sweeps
        self._starter = starter
        self._who = f"{socket.gethostname()[:60]}/{os.getpid()}"
        self._poll: _Poll | None = None
        self._woken: dict[str, datetime] = {}

    async def run(self) -> None:
        """Watch until cancelled; outages of Temporal and database end by themselves."""
        while True:
            try:
                await self.step()
            except (RPCError, RuntimeError, TimeoutError, SQLAlchemyError, OSError) as error:
                log.warning("clocks_unknown", error=type(error).__name__)
            await asyncio.sleep(EVERY.total_seconds())

    async def step(self) -> None:
        """Look at all clocks once, and wake who is due."""
        reading = await self._clocks.measure()
        if not reading.is_agreed:
            log.error("clock_wrong", seconds=round(reading.skew.total_seconds(), 1))
        await self._clocks.keep(self._who, reading.skew)
        await self._wake_due(reading.now)
        if (skew := await self._temporal(reading.now)) is not None:
            await self._clocks.keep(TEMPORAL, skew)

    async def _temporal(self, now: datetime) -> timedelta | None:
        """By how much Temporal's clock is ahead; None where nothing new tells it.

        It states when our own workers last asked for work. A newer one than at the last look came
        between the two looks.
        """
        stated = await self._newest_poll()
        before, self._poll = self._poll, _Poll(stated, now) if stated else None
        if stated is None or before is None or stated == before.stated:
            return None
        after = (await self._clocks.measure()).now
        return -skew_of(stated, before=before.seen_at, after=after)

    async def _newest_poll(self) -> datetime | None:
        described = await self._client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=self._client.namespace,
                task_queue=TaskQueue(name=names.CASE_QUEUE),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
            ),
            timeout=_PATIENCE,
        )
        return max(
            (poller.last_access_time.ToDatetime(UTC) for poller in described.pollers), default=None
        )

    async def _wake_due(self, now: datetime) -> None:
        self._woken = {name: at for name, at in self._woken.items() if now - at < _AGAIN}
        for name in await self._sweeps.overslept():
            if name in self._woken:
                continue
            self._woken[name] = now
            try:
                await self._starter.signal(name)
            except RPCError as error:  # one that is lost is the sweep's
                log.warning("not_woken", case_id=name, error=error.status.name)


_LIMIT = f"{SKEW_MOST.total_seconds():.0f} s"


def clock_lines(looks: Iterable[ClockLook]) -> list[str]:
    """What people are told of clocks that differ; nothing where they do not."""
    lines = []
    for look in looks:
        if not look.differs:
            continue
        line = f"{look.words}."
        if look.who == TEMPORAL:
            line += " It decides nothing: cases begin by the database's."
        elif look.is_wrong:
            line += f" It begins nothing while they differ by more than {_LIMIT}."
        lines.append(line)
    return lines
