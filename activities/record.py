"""Small writes that the workflow asks for: beginning, waiting, deciding, closing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime

import structlog
from temporalio import activity

from activities.faults import guarded, require_begun
from lockstep.contracts import payloads as p
from lockstep.domain.systems.faults import FaultCategory, rule_for
from lockstep.storage.cases.cases import Cases
from lockstep.storage.cases.closing import Closing
from lockstep.storage.intake.unheard import UnheardError
from lockstep.storage.systems.revocations import Revocations

log = structlog.get_logger("lockstep.activities")


Hear = Callable[[str], Awaitable[Collection[int]]]
"""Carries out what HR has said of a case's leaver and what still waits in the inbox.

Returns the inbox ids of what need not be waited for.
"""
_ROUNDS = 5


class RecordActivities:
    """Activities of the cases' own task queue."""

    def __init__(self, cases: Cases, revocations: Revocations, hear: Hear) -> None:
        self._cases = cases
        self._revocations = revocations
        self._hear = hear

    @activity.defn
    async def begin_revoking(self, given: p.BeginInput) -> p.BeginResult:
        """See the stub."""
        async with guarded("begin_revoking", case_id=given.case_id):
            heard: Collection[int] = ()
            for _ in range(_ROUNDS):
                try:
                    return await self._cases.begin(given.case_id, heard=heard)
                except UnheardError:
                    log.info("heard_at_cutoff", case_id=given.case_id)
                    heard = await self._hear(given.case_id)
            return await self._cases.begin(given.case_id, heard=heard)

    @activity.defn
    async def record_needs_person(self, given: p.NeedsPersonInput) -> p.Nothing:
        """See the stub."""
        async with guarded("record_needs_person", case_id=given.case_id, system=given.system):
            category = FaultCategory(given.category)
            item = await self._revocations.load(given.case_id, given.system, given.opening)
            require_begun(item)
            await self._revocations.needs_person(
                item, round_=given.round, category=category, overdue=given.overdue
            )
            log.error(
                "needs_person",
                case_id=given.case_id,
                system=given.system,
                fault=category.value,
                audience=rule_for(category).audience.value,
            )
            return p.Nothing()

    @activity.defn
    async def record_decision(self, given: p.DecisionInput) -> p.DecisionResult:
        """See the stub."""
        async with guarded("record_decision", case_id=given.case_id):
            return p.DecisionResult(await self._cases.decide(given))

    @activity.defn
    async def close_case(self, given: p.CloseInput) -> p.CloseResult:
        """See the stub."""
        async with guarded("close_case", case_id=given.case_id):
            asked = Closing(given.case_id, given.closing, given.asked, given.openings)
            closed = await self._cases.close(asked)
            if closed.open:
                log.error("close_refused", case_id=given.case_id, count=len(closed.open))
                return p.CloseResult(datetime.now(UTC), list(closed.open))
            if closed.at is None:
                raise RuntimeError("a case that has not begun does not close")
            log.info("case_closed", case_id=given.case_id)
            return p.CloseResult(closed.at)
