"""Compares cases with workflows, both ways and for ever, and takes up again what was lost.

The loop runs in the workers, not in Temporal: what is lost with Temporal's database must not be
what finds it (docs/decisions/0013).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from lockstep.contracts import names
from lockstep.control.runtime.start import CaseStarter
from lockstep.domain.sweeping import Compared, Loss, compare
from lockstep.storage.runtime.sweeping import Sweeps

log = structlog.get_logger("lockstep.sweep")

EVERY = timedelta(seconds=10)
SHARE = 10
"""At most so small a part of the time is spent on comparing."""
_PATIENCE = timedelta(seconds=10)
_PAGE = 1000
_PAGE_PAUSE_S = 0.15
"""Ten questions about many workflows are answered in a second, to all who ask."""
MOST_AT_ONCE = 300
_SIDE_BY_SIDE = 8
_QUERY = f"WorkflowType = '{names.CASE_WORKFLOW}' AND ExecutionStatus = 'Running'"
_ENDS = {
    WorkflowExecutionStatus.COMPLETED: Loss.ENDED,
    WorkflowExecutionStatus.FAILED: Loss.FAILED,
    WorkflowExecutionStatus.CANCELED: Loss.CANCELED,
    WorkflowExecutionStatus.TERMINATED: Loss.TERMINATED,
    WorkflowExecutionStatus.TIMED_OUT: Loss.TIMED_OUT,
}


class Sweep:
    """A loop of a worker."""

    def __init__(self, client: Client, sweeps: Sweeps, starter: CaseStarter) -> None:
        self._client = client
        self._sweeps = sweeps
        self._starter = starter

    async def run(self) -> None:
        """Compare until cancelled; outages of Temporal and database end by themselves."""
        while True:
            began = time.monotonic()
            goes_on = False
            try:
                goes_on = await self.step()
            except (RPCError, RuntimeError, TimeoutError, SQLAlchemyError, OSError) as error:
                log.warning("sweep_failed", error=type(error).__name__)
            except Exception:  # one bad comparison must not end all that come after it
                log.exception("sweep_broken")
            took = time.monotonic() - began
            await asyncio.sleep(0 if goes_on else max(EVERY.total_seconds(), SHARE * took))

    async def step(self) -> bool:
        """Compare once, unless another worker just has; True where there is more to take up."""
        began, age = await self._sweeps.clock()
        if age is not None and age < EVERY / 2:
            return False
        try:
            running = await self._running()
        except (RPCError, RuntimeError, TimeoutError) as error:
            await self._sweeps.looked(began, total=0, problem=_why(error))
            raise
        compared = compare(await self._sweeps.expected(), running)
        lost = await self._lost(compared)
        total = len(lost) + len(compared.astray)
        await self._take_up(lost, instead=False)
        due = await self._sweeps.astray({**compared.astray, **await self._unknown(compared)})
        await self._take_up({name: compared.astray[name] for name in due}, instead=True)
        await self._nudge({name: loss for name, loss in compared.astray.items() if name not in due})
        more = len(compared.absent) > MOST_AT_ONCE and bool(lost)
        await self._sweeps.looked(began - EVERY if more else began, total=total)
        return more

    async def _running(self) -> dict[str, str]:
        """Every case's workflow that runs, with the status that it shows."""
        found: dict[str, str] = {}
        rows = self._client.list_workflows(_QUERY, page_size=_PAGE, rpc_timeout=_PATIENCE)
        while True:
            await rows.fetch_next_page()
            for row in rows.current_page or ():
                found[row.id] = row.typed_search_attributes.get(names.STATUS) or ""
            if not rows.next_page_token:
                return found
            await asyncio.sleep(_PAGE_PAUSE_S)

    async def _lost(self, compared: Compared) -> dict[str, Loss]:
        """Of those that were not seen, which are lost; each is asked for by its id."""
        some = asyncio.Semaphore(_SIDE_BY_SIDE)
        asked = compared.absent[:MOST_AT_ONCE]

        async def ask(case_id: str) -> Loss | None:
            async with some:
                return await self._loss_of(case_id)

        losses = await asyncio.gather(*(ask(case_id) for case_id in asked))
        return {name: loss for name, loss in zip(asked, losses, strict=True) if loss is not None}

    async def _loss_of(self, case_id: str) -> Loss | None:
        """What became of a workflow; None if it runs."""
        try:
            seen = await self._client.get_workflow_handle(case_id).describe(rpc_timeout=_PATIENCE)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return Loss.MISSING
            raise
        return _ENDS.get(seen.status) if seen.status else None

    async def _unknown(self, compared: Compared) -> dict[str, Loss]:
        """Workflows of no case at all."""
        if not compared.strangers:
            return {}
        known = await self._sweeps.known(compared.strangers)
        return {name: Loss.UNKNOWN for name in compared.strangers if name not in known}

    async def _take_up(self, lost: Mapping[str, Loss], *, instead: bool) -> None:
        """Start workflows anew from the database. ``instead`` of one that runs."""
        some = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def take_up(case_id: str, loss: Loss) -> Loss | None:
            async with some:
                case = await self._sweeps.claim(case_id, loss)
                if case is None:
                    return None
                await self._starter.restart(case, instead=instead)
                await self._sweeps.restarted(case_id, loss)
                return loss

        done = await asyncio.gather(
            *(take_up(case_id, loss) for case_id, loss in lost.items()), return_exceptions=True
        )
        for loss, count in Counter(one for one in done if isinstance(one, Loss)).items():
            log.error("workflows_lost", fault=loss.value, count=count)
        failed = [one for one in done if isinstance(one, BaseException)]
        if failed:
            raise failed[0]

    async def _nudge(self, astray: Mapping[str, Loss]) -> None:
        """Have what is behind read the database: a signal may have been lost."""
        for name, loss in astray.items():
            if loss is Loss.BEHIND:
                await self._starter.signal(name)


def _why(error: Exception) -> str:
    status = error.status.name if isinstance(error, RPCError) else type(error).__name__
    return f"Temporal does not say which workflows run ({status})"
