"""From the inbox to cases: judge each event, open or change its case, wake the workflow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from temporalio.service import RPCError

from lockstep.control.intake.brake import Brake
from lockstep.control.intake.hearing import Hearing
from lockstep.control.intake.places import Places
from lockstep.control.intake.statements import Read, Sorted, Statements, is_sealed
from lockstep.control.intake.whose_case import Found
from lockstep.control.runtime.load import LoopLag
from lockstep.control.runtime.start import CaseStarter
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.intake.judging import Verdict
from lockstep.domain.intake.remit import Remit
from lockstep.storage.cases.cases import Cases
from lockstep.storage.cases.rows import PinnedPolicy
from lockstep.storage.intake.inbox import Disposition, Inbox, InboxEvent
from lockstep.storage.records import CaseRow

log = structlog.get_logger("lockstep.dispatcher")

BATCH = 10
"""Small, so that an urgent event waits for one batch only."""
MOST_URGENT = 1
MANY = 50
"""While all that comes is held by the brake: holding is cheap, and thousands may come."""
BUSY = timedelta(milliseconds=50)
"""How soon the inbox is looked at again while this process is behind."""
TRICKLE = timedelta(milliseconds=500)
"""However far behind, one event is admitted so often: nobody waits for ever."""
IDLE = timedelta(seconds=2)
"""How often the inbox is looked at when no NOTIFY came through."""
_RETRY = (1, 2, 5, 15, 30)


class Dispatcher:
    """Drains the inbox. Any number may run; each event is worked on by one at a time.

    While it runs it measures ``lag``, by which it and others judge whether this process is behind.
    """

    def __init__(
        self,
        *,
        inbox: Inbox,
        cases: Cases,
        starter: CaseStarter,
        policy: PinnedPolicy,
        brake: Brake,
        sources: Sequence[str] = (),
        remits: Mapping[str, Remit] | None = None,
        places: Places | None = None,
        lag: LoopLag | None = None,
    ) -> None:
        self._lag = lag or LoopLag()
        self._admitted_at = 0.0
        self._batch = BATCH
        self._inbox = inbox
        self._cases = cases
        self._starter = starter
        self._policy = policy
        self._statements = Statements(
            inbox=inbox,
            cases=cases,
            policy=policy,
            brake=brake,
            sources=sources,
            remits=remits,
            places=places,
        )
        self._hearing = Hearing(inbox, self._statements)

    async def hear(self, case_id: str) -> frozenset[int]:
        """See `Hearing.hear`; a case that begins asks for it, whoever drains the inbox."""
        return await self._hearing.hear(case_id)

    async def run(self) -> None:
        """Dispatch until cancelled; failures are logged and tried again, never lost."""
        async with self._inbox.rings() as bell, _running(self._lag.measure()):
            is_told = False
            while True:
                try:
                    if not is_told:  # what could not be read may be readable now
                        await self._inbox.forget_unreadable()
                        is_told = True
                    worked = await self.drain_once()
                except (SQLAlchemyError, OSError) as error:
                    log.warning("inbox_unreachable", error=type(error).__name__)
                    worked = 0
                    await asyncio.sleep(1)
                except Exception:  # one bad batch must not stop all that come after it
                    log.exception("dispatch_failed")
                    worked = 0
                    await asyncio.sleep(1)
                if worked < BATCH:  # whatever comes from now on rings
                    pause = BUSY if self._lag.is_behind else IDLE
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(bell.wait(), pause.total_seconds())
                    bell.clear()

    async def drain_once(self) -> int:
        """Dispatch one batch; return how many events were taken."""
        events = await self._take()
        if not events:
            return 0
        if any(event.identity_index is None for event in events):
            await self._hearing.read_names()
        reads = [r for event in events if (r := await self._statements.read(event)) is not None]
        sorted_reads = await self._statements.sort(reads)
        passed = await self._statements.pass_brake(sorted_reads)
        self._batch = BATCH if passed or not reads else MANY
        fresh = [one for one in passed if one.is_alone]
        rest = [one.read for one in passed if not one.is_alone]
        await self._open(fresh)
        for read in rest:
            await self._guard(read, self._change(read))
        return len(events)

    async def _take(self) -> list[InboxEvent]:
        """Take a batch; while this process is behind, what is urgent and a trickle of the rest."""
        now = asyncio.get_running_loop().time()
        is_holding = self._batch == MANY  # which puts nobody behind
        if not self._lag.is_behind or is_holding:
            self._admitted_at = now
            return await self._inbox.claim(self._batch)
        urgent = await self._inbox.claim(BATCH, lowest_priority=MOST_URGENT)
        if urgent or now - self._admitted_at < TRICKLE.total_seconds():
            return urgent
        self._admitted_at = now
        return await self._inbox.claim(1)

    async def _open(self, fresh: Sequence[Sorted]) -> None:
        """Open cases together, then start their workflows side by side."""
        if not fresh:
            return
        openings = [one.read.opening(one.found) for one in fresh]
        opened = await self._cases.open(openings, self._policy)
        reads = [one.read for one in fresh]
        started = await asyncio.gather(
            *(
                self._guard(read, self._start(case), finish=False)
                for read, case in zip(reads, opened, strict=True)
                if case is not None
            )
        )
        await self._inbox.finish([done for done in started if done is not None])
        beaten = [r.event.id for r, case in zip(reads, opened, strict=True) if case is None]
        if beaten:
            await self._inbox.release(beaten, after=timedelta(0))

    async def _start(self, case: CaseRow) -> tuple[str, Verdict]:
        await self._starter.start(case)
        if not is_sealed(case):
            log.info("case_opened", case_id=case.case_id, source=case.source)
        return case.case_id, Verdict.OPEN

    async def _guard(
        self,
        read: Read,
        work: Coroutine[Any, Any, tuple[str, Verdict] | None],
        *,
        finish: bool = True,
    ) -> Disposition | None:
        """Run ``work``; while Temporal is away the event waits and is tried again."""
        try:
            did = await work
        except (RPCError, RuntimeError, SQLAlchemyError) as error:
            wait = timedelta(seconds=_RETRY[min(read.event.attempts, len(_RETRY)) - 1])
            log.warning("dispatch_delayed", inbox_id=read.event.id, error=type(error).__name__)
            await self._inbox.release([read.event.id], after=wait)
            return None
        if did is None:
            return None
        done = read.done(*did)
        if finish:
            await self._inbox.finish([done])
        return done

    async def _change(self, read: Read) -> tuple[str, Verdict] | None:
        """Carry out what one event says; None where it was refused."""
        found = await self._statements.of(read)
        case, verdict, said = found.case, found.verdict, found.said
        if verdict.is_refusal:
            await self._statements.refuse(read.event, found.why, verdict)
            return None
        if case is None or verdict in {Verdict.OPEN, Verdict.TOMBSTONE}:
            return await self._open_one(read, found)
        case = await self._statements.carry_out(read, found, case)
        again = verdict is Verdict.DUPLICATE and case.unwatched_at is not None
        if again or verdict in {Verdict.REHIRED, Verdict.TOO_LATE}:
            await self._starter.end_watch(case, said.event_id)
        # A case that has closed has nothing else to hear; its workflow may be long gone, and
        # starting another would go to work on somebody whose data were erased meanwhile.
        over = case.status in {CaseStatus.RESCINDED, CaseStatus.CLOSED}
        if not over and verdict is not Verdict.OUTDATED:
            await self._starter.wake(case, said.event_id)
        return case.case_id, verdict

    async def _open_one(self, read: Read, found: Found) -> tuple[str, Verdict]:
        tombstone = found.verdict is Verdict.TOMBSTONE
        [case] = await self._cases.open([read.opening(found, tombstone=tombstone)], self._policy)
        if case is None:
            raise RuntimeError("another dispatcher opened this spell: look again")
        if not tombstone:
            await self._starter.start(case)
        return case.case_id, found.verdict


@contextlib.asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run ``work`` beside the block, and end it with the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
