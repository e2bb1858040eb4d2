"""Watches that every case's workflow goes on, by asking Temporal which tasks fail.

A workflow's task that fails is tried again for ever, without a word: the case does nothing more,
and what people decide about it is not carried out. The server counts the tries, whatever made them
fail (a bug, another order of commands, a payload, a worker that dies), and shows it by the search
attribute `TemporalReportedProblems`: one bounded question, however many cases are open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client, WorkflowHandle
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from lockstep.contracts import names
from lockstep.domain.stalled import TaskFault, fault_of
from lockstep.storage.runtime.stalled import MOST_ROWS, StalledCases

log = structlog.get_logger("lockstep.stalled")

EVERY = timedelta(seconds=10)
_PATIENCE = timedelta(seconds=8)
PROBLEMS = SearchAttributeKey.for_keyword_list("TemporalReportedProblems")
_QUERY = (
    f"WorkflowType = '{names.CASE_WORKFLOW}' AND ExecutionStatus = 'Running'"
    f" AND {PROBLEMS.name} IS NOT NULL"
)
TOO_OLD = "this Temporal server does not tell which workflow tasks fail: it needs 1.30 or newer"


@dataclass(frozen=True, slots=True)
class Found:
    """Cases whose task fails, by id; ``total`` counts those beyond `MOST_ROWS` too."""

    cases: Mapping[str, TaskFault]
    total: int
    problem: str = ""


async def ask(client: Client) -> Found:
    """Ask Temporal once.

    Raises:
        RPCError, RuntimeError, TimeoutError: if it cannot be asked.
    """
    found: dict[str, TaskFault] = {}
    try:
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            async for row in client.list_workflows(_QUERY, limit=MOST_ROWS, rpc_timeout=_PATIENCE):
                found[row.id] = fault_of(list(row.typed_search_attributes.get(PROBLEMS) or ()))
            total = len(found)
            if total == MOST_ROWS:
                total = (await client.count_workflows(_QUERY, rpc_timeout=_PATIENCE)).count
    except RPCError as error:
        if error.status is not RPCStatusCode.INVALID_ARGUMENT:
            raise
        return Found({}, 0, TOO_OLD)
    return Found(found, max(total, len(found)))


async def tries_of(handle: WorkflowHandle[object, object]) -> int:
    """How often the task that a workflow is at was tried; 0 where it is at none, or unknown."""
    try:
        described = await handle.describe(rpc_timeout=_PATIENCE)
    except (RPCError, RuntimeError):
        return 0
    return int(described.raw_description.pending_workflow_task.attempt)


class StalledWatch:
    """A loop of a worker."""

    def __init__(self, client: Client, kept: StalledCases) -> None:
        self._client = client
        self._kept = kept
        self._told = 0

    async def run(self) -> None:
        """Watch until cancelled; outages of Temporal and database end by themselves."""
        while True:
            try:
                await self.step()
            except (RPCError, RuntimeError, TimeoutError, SQLAlchemyError, OSError) as error:
                log.warning("stalled_look_failed", error=type(error).__name__)
            await asyncio.sleep(EVERY.total_seconds())

    async def step(self) -> None:
        """Look once, unless another worker just has."""
        began, age = await self._kept.clock()
        if age is not None and age < EVERY / 2:
            return
        found = await ask(self._client)
        await self._kept.looked(found.cases, at=began, total=found.total, problem=found.problem)
        if found.total != self._told:
            self._told = found.total
            say = log.error if found.total else log.info
            say("cases_cannot_go_on", count=found.total)
