"""Workflows with one planted change of order each: no history of ours may replay on them.

The last keeps the order and fails.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from lockstep.contracts import names
from lockstep.contracts import payloads as p
from workflows.case import CaseWorkflow
from workflows.door import Door


@workflow.defn(name=names.CASE_WORKFLOW)
class SwapsSystems(CaseWorkflow):
    """Revokes in the reverse order."""

    @workflow.init
    def __init__(self, given: p.CaseInput) -> None:
        super().__init__(given)
        self._doors = dict(reversed(self._doors.items()))

    @workflow.run
    async def run(self, given: p.CaseInput) -> p.CaseResult:
        return await super().run(given)


@workflow.defn(name=names.CASE_WORKFLOW)
class SkipsRehearsal(CaseWorkflow):
    """Looks at nothing before the last day."""

    @workflow.init
    def __init__(self, given: p.CaseInput) -> None:
        super().__init__(given)

    @workflow.run
    async def run(self, given: p.CaseInput) -> p.CaseResult:
        return await super().run(given)

    async def _rehearse(self) -> None:
        """Nothing."""


@workflow.defn(name=names.CASE_WORKFLOW)
class PausesBeforeClosing(CaseWorkflow):
    """Waits a moment before it closes."""

    @workflow.init
    def __init__(self, given: p.CaseInput) -> None:
        super().__init__(given)

    @workflow.run
    async def run(self, given: p.CaseInput) -> p.CaseResult:
        return await super().run(given)

    async def _close(self) -> None:
        await workflow.sleep(timedelta(seconds=1))
        await super()._close()


@workflow.defn(name=names.CASE_WORKFLOW)
class AsksNobody(CaseWorkflow):
    """Keeps a permanent fault to itself."""

    @workflow.init
    def __init__(self, given: p.CaseInput) -> None:
        super().__init__(given)

    @workflow.run
    async def run(self, given: p.CaseInput) -> p.CaseResult:
        return await super().run(given)

    async def _ask_person(self, door: Door, category: object) -> None:
        door.needs_person = True


@workflow.defn(name=names.CASE_WORKFLOW)
class HearsNoRehiring(CaseWorkflow):
    """Goes on watching whoever was hired again."""

    @workflow.init
    def __init__(self, given: p.CaseInput) -> None:
        super().__init__(given)

    @workflow.run
    async def run(self, given: p.CaseInput) -> p.CaseResult:
        return await super().run(given)

    @workflow.signal(name=names.REHIRED)
    def rehired(self, change: p.TerminationChanged) -> None:
        """Nothing."""


@workflow.defn(name=names.CASE_WORKFLOW)
class Faulty(CaseWorkflow):
    """A bug: every task fails."""

    @workflow.init
    def __init__(self, given: p.CaseInput) -> None:
        super().__init__(given)

    @workflow.run
    async def run(self, given: p.CaseInput) -> p.CaseResult:
        raise RuntimeError(f"planted in {given.case_id}")
