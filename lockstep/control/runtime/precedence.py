"""Lets dismissals begin first when thousands of cases wake at one cutoff.

All coming cases rank alike in Temporal, because a rank would betray a coming dismissal. At the
cutoff their timers fire together, and whoever is fetched first begins first. So a dismissal is
ranked before the others when its cutoff is only moments ahead: there is nothing left to betray.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog
from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy.exc import SQLAlchemyError
from temporalio.api.common.v1 import Priority, WorkflowExecution
from temporalio.api.workflow.v1 import WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import UpdateWorkflowExecutionOptionsRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from lockstep.domain.cases.terminations import TerminationKind
from lockstep.storage.runtime.dismissals import Dismissals

log = structlog.get_logger("lockstep.precedence")

AHEAD = timedelta(seconds=2)
"""How long before its cutoff a dismissal is ranked; docs/security.md says so."""
EVERY = timedelta(seconds=1)
_PATIENCE = timedelta(seconds=5)
_AT_ONCE = 16
_FIRST = TerminationKind.INVOLUNTARY.priority


class Precedence:
    """A loop of a worker. Each worker ranks; ranked twice is ranked.

    Nothing depends on it but the order: a case that is not ranked begins when it is fetched.
    """

    def __init__(self, client: Client, dismissals: Dismissals) -> None:
        self._client = client
        self._dismissals = dismissals
        self._ranked: set[str] = set()

    async def run(self) -> None:
        """Rank until cancelled; outages of Temporal and database end by themselves."""
        while True:
            try:
                await self.step()
            except (RPCError, RuntimeError, SQLAlchemyError, OSError) as error:
                log.warning("precedence_waits", error=type(error).__name__)
            await asyncio.sleep(EVERY.total_seconds())

    async def step(self) -> int:
        """Rank those that are due; return how many are new."""
        due = await self._dismissals.due(within=AHEAD)
        self._ranked &= set(due)
        new = [case_id for case_id in due if case_id not in self._ranked]
        lanes = asyncio.Semaphore(_AT_ONCE)

        async def rank(case_id: str) -> None:
            async with lanes:
                await self._rank(case_id)
                self._ranked.add(case_id)

        await asyncio.gather(*(rank(case_id) for case_id in new))
        return len(new)

    async def _rank(self, case_id: str) -> None:
        wanted = UpdateWorkflowExecutionOptionsRequest(
            namespace=self._client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=case_id),
            workflow_execution_options=WorkflowExecutionOptions(
                priority=Priority(priority_key=_FIRST)
            ),
            update_mask=FieldMask(paths=["priority.priority_key"]),
        )
        service = self._client.workflow_service
        try:
            await service.update_workflow_execution_options(wanted, timeout=_PATIENCE)
        except RPCError as error:
            # It has no workflow any more, which is the sweep's, or the server is too old to rank.
            if error.status not in _LEFT:
                raise


_LEFT = {
    RPCStatusCode.NOT_FOUND,
    RPCStatusCode.INVALID_ARGUMENT,
    RPCStatusCode.UNIMPLEMENTED,
    RPCStatusCode.FAILED_PRECONDITION,
}
