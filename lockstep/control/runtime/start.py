"""Starting a case's workflow: what it is given, and what of it shows in Temporal."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.common import (
    Priority,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from lockstep.contracts import names
from lockstep.contracts.payloads import CaseInput, CaseResult, SystemPlan, TerminationChanged
from lockstep.contracts.policies import WORKFLOW_TASK_TIMEOUT
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.policy import Policy
from lockstep.storage.cases.cases import Cases
from lockstep.storage.records import CaseRow

SCHEDULED_PRIORITY = 3
_MOST_DIGITS = 9
"""Of a number of seconds: thirty years."""


def plans(policy: Policy, kind: TerminationKind, at_home: Collection[str] = ()) -> list[SystemPlan]:
    """The systems of a case as its workflow needs them; ``at_home`` as in `SystemPlan`."""
    rows = []
    for system in policy.systems:
        sla = policy.sla_for(kind, system.tier)
        rows.append(
            SystemPlan(
                system=system.system,
                required=system.required,
                manual=system.is_manual,
                warn_s=int(sla.total_seconds() * policy.warn_at),
                due_s=int(sla.total_seconds()),
                start_to_close_s=int(system.start_to_close.total_seconds()),
                at_home=system.system in at_home,
            )
        )
    return rows


class CaseStarter:
    """Starts, or wakes, the workflow of a case.

    ``at_home`` are the systems that every worker of the cases' queue has a connector for.
    """

    def __init__(self, client: Client, cases: Cases, at_home: Collection[str] = ()) -> None:
        self._client = client
        self._cases = cases
        self._at_home = at_home

    async def start(self, case: CaseRow) -> None:
        """Start the workflow of a case that was just opened; harmless if it runs or ran."""
        given, attributes = await self._given(case)
        await self._start(given, attributes)

    async def wake(self, case: CaseRow, event_id: str) -> None:
        """Tell the workflow that the database changed; starts it if it was never started."""
        given, attributes = await self._taken_up(case)
        await self._start(given, attributes, change=TerminationChanged(event_id))

    async def restart(self, case: CaseRow, *, instead: bool = False) -> None:
        """Take the case up again from the database, unless its workflow runs.

        Two can never run: they would have one id. ``instead``: also if one runs, which is ended.
        """
        given, attributes = await self._taken_up(case)
        conflict = WorkflowIDConflictPolicy.USE_EXISTING
        if instead:
            conflict = WorkflowIDConflictPolicy.TERMINATE_EXISTING
        await self._start(
            given, attributes, conflict=conflict, reuse=WorkflowIDReusePolicy.ALLOW_DUPLICATE
        )

    async def signal(self, case_id: str) -> None:
        """Have a running workflow read the database again."""
        handle = self._client.get_workflow_handle(case_id)
        await handle.signal(names.TERMINATION_CHANGED, TerminationChanged("swept"))

    async def end_watch(self, case: CaseRow, event_id: str) -> None:
        """Tell the workflow that they work here again; one that is over has nothing to hear."""
        handle = self._client.get_workflow_handle(case.case_id)
        try:
            await handle.signal(names.REHIRED, TerminationChanged(event_id))
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def _given(self, case: CaseRow) -> tuple[CaseInput, TypedSearchAttributes | None]:
        begun = case.status != CaseStatus.SCHEDULED
        policy = await self._cases.policy(case.policy)
        kind = TerminationKind(case.kind)
        systems = plans(policy, kind, self._at_home)
        given = CaseInput(
            case_id=case.case_id,
            cutoff=case.cutoff_at,
            begun=begun,
            systems=systems,
            watch_s=[int(delay.total_seconds()) for delay in policy.watch],
            partner=case.partner,
            priority=kind.priority,
            padding="" if begun else _padding(systems),
        )
        # A future case shows nothing: its kind, partner or date could betray a coming dismissal.
        return given, _attributes(case, systems, CaseStatus.REVOKING) if begun else None

    async def _taken_up(self, case: CaseRow) -> tuple[CaseInput, TypedSearchAttributes | None]:
        """As `_given`, with what has been done; before the cutoff that is nothing."""
        given, attributes = await self._given(case)
        if not given.begun:
            return given, attributes
        so_far, times = await self._cases.so_far(case)
        in_force = {one.system: one for one in times}
        systems = [
            replace(plan, warn_s=in_force[plan.system].warn_s, due_s=in_force[plan.system].due_s)
            for plan in given.systems
            if plan.system in in_force
        ]
        return (
            replace(given, systems=systems, so_far=so_far),
            _attributes(case, systems, so_far.status),
        )

    async def _start(
        self,
        given: CaseInput,
        attributes: TypedSearchAttributes | None,
        *,
        change: TerminationChanged | None = None,
        conflict: WorkflowIDConflictPolicy = WorkflowIDConflictPolicy.USE_EXISTING,
        reuse: WorkflowIDReusePolicy = WorkflowIDReusePolicy.REJECT_DUPLICATE,
    ) -> None:
        with contextlib.suppress(WorkflowAlreadyStartedError):
            await self._client.start_workflow(
                names.CASE_WORKFLOW,
                given,
                id=given.case_id,
                task_queue=names.CASE_QUEUE,
                task_timeout=WORKFLOW_TASK_TIMEOUT,
                result_type=CaseResult,
                id_conflict_policy=conflict,
                id_reuse_policy=reuse,
                # Every scheduled case ranks alike: a priority would betray the kind.
                priority=Priority(
                    priority_key=given.priority if given.begun else SCHEDULED_PRIORITY
                ),
                search_attributes=attributes,
                start_signal=names.TERMINATION_CHANGED if change else None,
                start_signal_args=[change] if change else [],
            )


def _padding(systems: Sequence[SystemPlan]) -> str:
    """As many characters as these plans are shorter than any.

    Payloads are encrypted, but their length shows; a dismissal's times are shorter.
    """
    digits = sum(len(str(plan.warn_s)) + len(str(plan.due_s)) for plan in systems)
    return "-" * max(0, 2 * _MOST_DIGITS * len(systems) - digits)


def _attributes(
    case: CaseRow, systems: Sequence[SystemPlan], status: CaseStatus
) -> TypedSearchAttributes:
    due = min((plan.due_s for plan in systems if plan.required), default=0)
    pairs: list[SearchAttributePair[Any]] = [
        SearchAttributePair(names.STATUS, status.value),
        SearchAttributePair(names.DUE_TIME, case.cutoff_at + timedelta(seconds=due)),
    ]
    if case.partner:
        pairs.append(SearchAttributePair(names.PARTNER, case.partner))
    return TypedSearchAttributes(pairs)
