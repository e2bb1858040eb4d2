"""What HR said before a cutoff counts at the cutoff, however long the inbox is.

A case that begins asks, in its own transaction, whether anything about its leaver waits in the
inbox (`lockstep.storage.intake.unheard`). If so, it is carried out here first, before its turn,
and the case asks again.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from lockstep.control.intake.events import EventError, parse_statement
from lockstep.control.intake.statements import Read, Statements
from lockstep.domain.intake.judging import Verdict
from lockstep.storage.cases.reads import StaleCaseError
from lockstep.storage.intake.inbox import Inbox, InboxEvent

log = structlog.get_logger("lockstep.dispatcher")

_AWAY = (InterfaceError, OperationalError, PoolTimeoutError, OSError)
_ELSEWHERE = frozenset({Verdict.OPEN, Verdict.TOMBSTONE, Verdict.TOO_LATE, Verdict.REHIRED})
"""These do nothing to a case that has not begun: they keep their turn."""
_TRIES = 5


class Hearing:
    """Carries out what waits about one case; any number of processes may, one of them does it."""

    def __init__(self, inbox: Inbox, statements: Statements) -> None:
        self._inbox = inbox
        self._statements = statements
        self._names = asyncio.Lock()

    async def hear(self, case_id: str) -> frozenset[int]:
        """Carry out what waits about the leaver of a case that wants to begin.

        Returns:
            Inbox ids of what need not be waited for: it is about another employment or another
            source's worker, or it cannot be carried out. The last goes into the log as an error,
            and stays in the inbox. Doors are shut at the cutoff: what nobody can read holds none
            of them open.

        Raises:
            SQLAlchemyError, OSError: if the database is away; nothing is lost.
        """
        await self.read_names()
        events, unreadable = await self._inbox.claim_about(case_id)
        for number in unreadable:
            log.error("unheard_at_cutoff", case_id=case_id, inbox_id=number)
        left: set[int] = set()
        for event in events:
            try:
                if not await self._carry_out(event, case_id):
                    left.add(event.id)
            except _AWAY:
                raise
            except Exception:  # a fault of ours in one event must not hold a door open
                log.exception("unheard_at_cutoff", case_id=case_id, inbox_id=event.id)
                left.add(event.id)
        if left:  # they keep their turn
            await self._inbox.release(sorted(left), after=timedelta(0))
        return frozenset(left.union(unreadable))

    async def _carry_out(self, event: InboxEvent, case_id: str) -> bool:
        """Carry out one event, unless it does nothing to this case."""
        read = await self._statements.read(event)
        if read is None:
            return True  # refused, and not waiting any more
        sorted_reads = await self._statements.sort([read])
        if not await self._statements.pass_brake(sorted_reads):
            return True  # held
        for _ in range(_TRIES):
            try:
                return await self._apply(read, case_id)
            except StaleCaseError:  # a dispatcher was at it in the same moment
                continue
        return False

    async def _apply(self, read: Read, case_id: str) -> bool:
        found = await self._statements.of(read)
        if found.case is None or found.case.case_id != case_id or found.verdict in _ELSEWHERE:
            return False
        if found.verdict.is_refusal:
            await self._statements.refuse(read.event, found.why, found.verdict)
            return True
        await self._statements.carry_out(read, found, found.case)
        await self._inbox.finish([read.done(case_id, found.verdict)])
        return True

    async def read_names(self) -> None:
        """Note of events that an earlier release stored whom they are about."""
        async with self._names:
            while True:
                events, unreadable = await self._inbox.unread()
                if not events and not unreadable:
                    return
                about = {event.id: _whom(event) for event in events}
                await self._inbox.name({**about, **dict.fromkeys(unreadable)})


def _whom(event: InboxEvent) -> tuple[str, str, str] | None:
    """Tenant, worker id and spell; None where the event cannot be used."""
    try:
        said = parse_statement(
            event.body, tenant=event.tenant, source=event.source, event_id=event.dedupe_key
        ).termination
    except EventError:
        return None
    return said.tenant, said.worker_id, said.spell
