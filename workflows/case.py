"""The case of one leaver: open, sleep until the cutoff, revoke at once, close, watch.

The database decides what the case is (dates, rescission); this workflow decides when to look.
One workflow per case and one activity per system: a child workflow per system costs five times
the CPU (docs/architecture.md).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    is_cancelled_exception,
)

from lockstep.contracts import names, policies, stubs
from lockstep.contracts import payloads as p
from lockstep.domain.cases.decisions import Bar, DecisionKind, bar_to
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.systems.faults import FaultCategory, rule_for
from workflows import patches
from workflows.answers import category_of, keeps_trying, known_category, nobody_known, ours
from workflows.door import Door
from workflows.looks import (
    had_before,
    in_doubt,
    later_openings,
    next_looks,
    not_fresh,
    pause_before_closing,
    picked,
    rehearsal_rank,
    revocation_rank,
    until_warning,
)


@workflow.defn(name=names.CASE_WORKFLOW)
class CaseWorkflow:
    """See the module. Its history holds ids and instants only."""

    @workflow.init
    def __init__(self, given: p.CaseInput) -> None:
        self._given = given
        self._cutoff = given.cutoff
        self._doors = {plan.system: Door(plan) for plan in given.systems}
        self._changed = False
        self._closings = 0
        self._priority = given.priority
        self._partner = given.partner
        self._rehired = False
        self._home: asyncio.Task[dict[str, p.HomeTry]] | None = None
        # A case that begins at once is started with its search attributes already set.
        self._status = CaseStatus.REVOKING if given.begun else CaseStatus.SCHEDULED
        if given.so_far is not None:
            self._take_up(given.so_far)

    @workflow.run
    async def run(self, given: p.CaseInput) -> p.CaseResult:
        if not given.begun and not await self._await_cutoff():
            return p.CaseResult(CaseStatus.RESCINDED)
        following = asyncio.create_task(self._follow())
        work = {name: asyncio.create_task(self._settle(door)) for name, door in self._doors.items()}
        required = [work[name] for name, door in self._doors.items() if door.plan.required]
        if given.so_far is None or given.so_far.closed_at is None:
            guard = asyncio.create_task(self._guard())
            await asyncio.gather(*required)
            await guard
            await self._look_before_closing()
            await self._close()
        await self._watch()
        await asyncio.gather(*work.values())
        following.cancel()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return p.CaseResult(CaseStatus.CLOSED)

    def _take_up(self, so_far: p.CaseSoFar) -> None:
        """Go on where an earlier workflow of this case was lost."""
        self._status = so_far.status
        self._closings = so_far.closings
        self._rehired = so_far.rehired
        self._changed = True  # the database is read again: a signal may have been lost too
        for door in so_far.doors:
            self._doors[door.system].take_up(door)

    @workflow.signal(name=names.TERMINATION_CHANGED)
    def termination_changed(self, change: p.TerminationChanged) -> None:  # noqa: ARG002
        """Wake up and read the current dates; what changed stands in the database."""
        self._changed = True

    @workflow.signal(name=names.REHIRED)
    def rehired(self, change: p.TerminationChanged) -> None:  # noqa: ARG002
        """They work here again: end the watch.

        Where a worker that did not know this word took the signal, the database alone keeps the
        watch from taking anything.
        """
        if workflow.patched(patches.HEARS):
            self._rehired = True

    @workflow.update(name=names.DECIDE)
    async def decide(self, decision: p.Decision) -> p.DecisionResult:
        """Take a person's decision about one system; answers when it is recorded."""
        door = self._doors[decision.system]
        opening = door.opening
        door.is_deciding = True  # before the first await: a second decision must be refused
        try:
            result = await workflow.execute_activity(
                stubs.record_decision,
                p.DecisionInput(self._given.case_id, door.round, decision, opening),
                start_to_close_timeout=policies.RECORD_TIMEOUT,
                retry_policy=policies.RECORD_RETRY,
            )
        finally:
            door.is_deciding = False
        if not isinstance(result, p.DecisionResult):
            # Somebody else has answered for our activity: nothing may stand on record.
            raise ApplicationError("no answer of ours says that it was recorded", type="refused")
        # The system may have settled while the decision was written; then there is nothing left
        # to decide, least of all about a later opening.
        if door.opening == opening and not door.is_settled:
            door.decision = decision
        elif decision.kind is DecisionKind.PICK and door.is_settled:
            door.in_doubt = False
            door.is_picked = bool(decision.accounts)
        return result

    @decide.validator
    def check_decision(self, decision: p.Decision) -> None:
        """Refuse, without a trace in the history, what cannot be decided now."""
        door = self._doors.get(decision.system)
        if door is None:
            raise ApplicationError(f"no system {decision.system!r} in this case", type="refused")
        bar = bar_to(decision.kind, door.standing(self._cutoff), now=workflow.now())
        if bar is Bar.SETTLED:
            raise ApplicationError(f"already settled: {door.outcome}", type="refused")
        if bar is not None:
            raise ApplicationError(bar.value, type="refused")
        if door.is_deciding or door.decision is not None:
            raise ApplicationError("another decision is being carried out", type="refused")

    async def _await_cutoff(self) -> bool:
        """Sleep until access must be gone; return False if the case is rescinded before."""
        rehearsal = asyncio.create_task(self._rehearse())
        pause = timedelta(0)
        while True:
            wait = max(self._cutoff - workflow.now(), pause)
            if wait > timedelta(0):
                with contextlib.suppress(TimeoutError):  # the cutoff has come
                    await workflow.wait_condition(lambda: self._changed, timeout=wait)
            # Before the read, not after it: a change during the read must be read again.
            self._changed = False
            begin = ours(
                p.BeginResult,
                await workflow.execute_activity(
                    stubs.begin_revoking,
                    p.BeginInput(self._given.case_id),
                    start_to_close_timeout=policies.RECORD_TIMEOUT,
                    retry_policy=policies.RECORD_RETRY,
                ),
            )
            self._take(begin)
            if begin.state is p.BeginState.WAIT:
                # Told to wait although our clock says that the cutoff has come: do not spin.
                ahead = timedelta(milliseconds=begin.ahead_ms) - policies.CLOCK_SKEW_PAUSE
                pause = max(policies.CLOCK_SKEW_PAUSE, ahead)
                continue
            rehearsal.cancel()
            if begin.state is p.BeginState.RESCINDED:
                return False
            self._show(CaseStatus.REVOKING, opening=True)
            return True

    async def _follow(self) -> None:
        """Once begun: take over what HR corrects of kind and partner, for all later timers."""
        while True:
            await workflow.wait_condition(lambda: self._changed)
            self._changed = False
            if not workflow.patched(patches.FOLLOWS):
                continue
            now = ours(
                p.BeginResult,
                await workflow.execute_activity(
                    stubs.begin_revoking,
                    p.BeginInput(self._given.case_id),
                    start_to_close_timeout=policies.RECORD_TIMEOUT,
                    retry_policy=policies.RECORD_RETRY,
                ),
            )
            if now.partner and now.partner != self._partner:
                workflow.upsert_search_attributes([names.PARTNER.value_set(now.partner)])
            self._take(now)
            if now.again and workflow.patched(patches.KEYS):
                for system in now.again:
                    self._doors[system].has_new_keys = True
            for system in now.look:  # without a patch: no older history names any
                self._doors[system].is_picked = True

    def _take(self, begin: p.BeginResult) -> None:
        """What the database says of the case now."""
        self._cutoff = begin.cutoff
        self._priority = begin.priority or self._priority
        self._partner = begin.partner or self._partner
        for times in begin.times:
            door = self._doors[times.system]
            door.plan = replace(door.plan, warn_s=times.warn_s, due_s=times.due_s)

    async def _rehearse(self) -> None:
        """Look now for what would hinder on the last day. Never changes anything."""
        await asyncio.gather(
            *(
                workflow.execute_activity(
                    stubs.rehearse_access,
                    p.RehearseInput(self._given.case_id, plan.system),
                    task_queue=names.system_queue(plan.system),
                    start_to_close_timeout=policies.REHEARSE_TIMEOUT,
                    retry_policy=policies.REHEARSE_RETRY,
                    priority=rehearsal_rank(self._cutoff - workflow.now()),
                )
                for plan in self._given.systems
                if not plan.manual
            ),
            return_exceptions=True,
        )

    async def _settle(self, door: Door) -> None:
        """Carry one system through to an outcome; never raises, so that no other is disturbed."""
        if door.is_settled:  # before the workflow was lost
            return
        if door.waits:
            door.waits = False
            await self._decided(door)
            door.take_decision()
        while not door.is_settled:
            door.round += 1
            door.decision = None
            door.has_new_keys = False
            if door.plan.manual:
                await self._ask_person(door, FaultCategory.MANUAL)
                await self._decided(door)
            elif door.plan.at_home and door.round == 1:
                await self._try_at_home(door)
            else:
                await self._attempt(door)
            door.take_decision()
        door.needs_person = False
        door.settled_at = workflow.now()
        self._show_progress()

    async def _guard(self) -> None:
        """While a required system is open, watch those that are settled, from their own settling.

        Ends with all required systems settled. Costs nothing where all settle together.
        """
        while True:
            await workflow.wait_condition(lambda: self._is_settled() or bool(self._next_looks()))
            if self._is_settled() or not workflow.patched(patches.GUARDS):
                return
            due, doors = min(self._next_looks().items())
            wait = due - workflow.now()
            if wait > timedelta(0):
                with contextlib.suppress(TimeoutError):  # it is time to look
                    await workflow.wait_condition(
                        lambda due=due: (
                            self._is_settled()  # type: ignore[misc]
                            or min(self._next_looks(), default=due) < due
                        ),
                        timeout=wait,
                    )
                    continue
            await self._look_again(doors, policies.WATCH_PATIENCE)

    def _is_settled(self) -> bool:
        """Whether nothing keeps the case from closing."""
        return all(door.is_settled for door in self._doors.values() if door.plan.required)

    def _next_looks(self) -> dict[datetime, list[Door]]:
        return next_looks(self._doors.values(), self._given.watch_s)

    async def _look_before_closing(self) -> None:
        """Read every required system back once more whose own read-back is not from just now."""
        while True:
            stale = not_fresh(self._doors.values(), workflow.now())
            if not stale or not workflow.patched(patches.GUARDS):
                return
            await self._look_again(stale, policies.LAST_LOOK_PATIENCE)
            for door in stale:
                door.settled_at = workflow.now()  # also where the look could not be had

    async def _look_again(self, doors: Sequence[Door], patience: timedelta) -> None:
        """Look at settled systems while the case is open; revoke again what came back."""
        for door in doors:
            door.guarded += 1
            door.is_picked = False
        returned = await asyncio.gather(
            *(self._look(door, door.guarded, patience=patience) for door in doors)
        )
        reopened = [door for door, back in zip(doors, returned, strict=True) if back]
        for door in reopened:
            door.reopen()
        await asyncio.gather(*(self._settle(door) for door in reopened))

    async def _try_at_home(self, door: Door) -> None:
        """The first round, in the workflow task that is under way: most systems answer at once.

        Ten times cheaper than a task of its own. What does not settle here goes on in the
        system's own queue, with its retries and its bulkhead (docs/decisions/0006).
        """
        if self._home is None:
            self._home = asyncio.create_task(self._first_tries())
        found = (await self._home).get(door.plan.system)
        if found is None:
            return
        door.outcome = found.outcome
        category = known_category(found.category)
        if not found.outcome and (found.final or not rule_for(category).transient):
            await self._ask_person(door, category)
            await self._decided(door)

    async def _first_tries(self) -> dict[str, p.HomeTry]:
        """The first tries of all systems at home, together; nothing where they were given up."""
        systems = [name for name, door in self._doors.items() if door.plan.at_home]
        try:
            done = await workflow.execute_local_activity(
                stubs.try_at_home,
                p.HomeInput(self._given.case_id, systems, self._priority),
                start_to_close_timeout=policies.HOME_TIMEOUT,
                retry_policy=policies.ONCE,
            )
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            return {}
        return {found.system: found for found in done.tries}

    async def _attempt(self, door: Door) -> None:
        """One round: the activity until it settles, fails for good, or a person decides."""
        work = workflow.start_activity(
            stubs.revoke_access,
            p.RevokeInput(self._given.case_id, door.plan.system, door.round, door.opening),
            task_queue=names.system_queue(door.plan.system),
            activity_id=f"{door.plan.system}.{door.round}",
            start_to_close_timeout=timedelta(seconds=door.plan.start_to_close_s),
            schedule_to_close_timeout=until_warning(door, self._cutoff, workflow.now()),
            heartbeat_timeout=policies.HEARTBEAT_TIMEOUT,
            retry_policy=policies.VENDOR_RETRY,
            priority=revocation_rank(self._priority),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        await workflow.wait_condition(lambda: work.done() or door.decision is not None)
        if not work.done():
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        try:
            done: object = await work
        except ActivityError as error:
            if is_cancelled_exception(error):
                return
            category = category_of(error)
            goes_on = keeps_trying(error, category)
            door.overdue = door.overdue or goes_on
            await self._ask_person(door, category)
            if not goes_on:
                await self._decided(door)
            # A transient fault past its warning time is retried on, while a person is told.
            return
        if isinstance(done, p.RevokeResult):
            door.outcome = done.outcome
            return
        # Somebody answered for our activity, without a word of ours: nothing is known.
        await self._ask_person(door, FaultCategory.INTERNAL)
        await self._decided(door)

    async def _ask_person(self, door: Door, category: FaultCategory) -> None:
        door.needs_person = True
        self._show_progress()
        told: object = None
        while not isinstance(told, p.Nothing):  # else somebody answered for our activity
            told = await workflow.execute_activity(
                stubs.record_needs_person,
                p.NeedsPersonInput(
                    self._given.case_id,
                    door.plan.system,
                    door.round,
                    category,
                    door.overdue,
                    door.opening,
                ),
                start_to_close_timeout=policies.RECORD_TIMEOUT,
                retry_policy=policies.RECORD_RETRY,
            )

    async def _decided(self, door: Door) -> None:
        await workflow.wait_condition(lambda: door.decision is not None or door.has_new_keys)

    async def _close(self) -> None:
        """Close, as soon as the database agrees that every required system is settled."""
        self._closings += 1
        asked = 0
        while True:
            await self._ask_about_nobody()
            asked += 1
            again = later_openings(self._doors.values())
            # Local: one small write to our own database, in the workflow task that is under way
            # anyway. As a task of its own it costs a sixth of the whole case (docs/decisions/0004).
            done = await workflow.execute_local_activity(
                stubs.close_case,
                p.CloseInput(self._given.case_id, self._closings, again, asked),
                start_to_close_timeout=policies.RECORD_TIMEOUT,
                retry_policy=policies.RECORD_RETRY,
                local_retry_threshold=policies.LOCAL_RETRY,
            )
            # Without a patch: no history that was written before has anything open here.
            if not done.open:
                break
            await self._go_on(done.open, asked)
        self._show(CaseStatus.CLOSED)

    async def _go_on(self, still_open: Sequence[p.StillOpen], asked: int) -> None:
        """Work on what the database does not say is done, whoever told us that it was."""
        self._show_progress()
        if asked > 1:
            pause = pause_before_closing(asked)
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: any(door.is_picked for door in self._doors.values()), timeout=pause
                )
        known = [(self._doors[one.system], one) for one in still_open if one.system in self._doors]
        unsearched = [door for door, one in known if one.unsearched]
        unsettled = [door for door, one in known if not one.unsearched]
        for door, one in known:
            if not one.unsearched:
                door.go_on(one.opening)
        await asyncio.gather(*(self._settle(door) for door in unsettled))
        await self._look_again(unsearched, policies.LAST_LOOK_PATIENCE)

    async def _ask_about_nobody(self) -> None:
        """Where nobody anywhere knew the person the keys are doubtful: a person decides."""
        while nobody_known(self._doors.values()):
            found_none = [door for door in self._doors.values() if door.was_closed_by_us]
            door = found_none[0]
            door.reopen()
            await self._ask_person(door, FaultCategory.UNKNOWN_WORKER)
            await self._decided(door)
            door.take_decision()
            if door.is_settled:
                door.needs_person = False
                break
            for other in found_none[1:]:
                other.reopen()
            await asyncio.gather(*(self._settle(other) for other in found_none))

    async def _watch(self) -> None:
        """Read back after one sync cycle, a day, a week, a month; reopen what came back.

        What a person picks meanwhile is looked at at once; the watch does not end before they have.
        """
        closed_at = (self._given.so_far and self._given.so_far.closed_at) or workflow.now()
        for look, delay_s in enumerate(self._given.watch_s, start=1):
            if look <= had_before(self._given, started=workflow.info().start_time):
                continue
            await self._wait_for_look(closed_at + timedelta(seconds=delay_s), look - 1)
            doors = [door for door in self._doors.values() if door.was_closed_by_us]
            if self._rehired:
                last = (self._look(door, look + door.guarded, last=True) for door in doors)
                await asyncio.gather(*last)
                return
            for door in doors:
                door.is_picked, door.blind_until = False, None
            await self._look_and_take(doors, look)
        if in_doubt(self._doors.values()) and workflow.patched(patches.DOUBTS):
            end = workflow.now() + policies.DOUBT_PATIENCE
            await self._wait_for_look(end, len(self._given.watch_s), only_doubts=True)

    async def _wait_for_look(self, due: datetime, looks: int, *, only_doubts: bool = False) -> None:
        """Wait until ``due`` or a rehiring, and look at once at what a person picks meanwhile.

        ``looks``: how many the watch has had by now. ``only_doubts``: nothing else is to come, so
        end as soon as nothing is in doubt.
        """
        while workflow.now() < due and not self._rehired:
            chosen = picked(self._doors.values(), workflow.now())
            if chosen:
                await self._look_at_picks(chosen, looks)
                continue
            if only_doubts and not in_doubt(self._doors.values()):
                return
            again = min(
                (door.blind_until for door in self._doors.values() if door.blind_until), default=due
            )
            with contextlib.suppress(TimeoutError):  # it is time to look
                await workflow.wait_condition(
                    lambda: (
                        self._rehired
                        or bool(picked(self._doors.values(), workflow.now()))
                        or (only_doubts and not in_doubt(self._doors.values()))
                    ),
                    timeout=min(due, again) - workflow.now(),
                )

    async def _look_at_picks(self, doors: Sequence[Door], looks: int) -> None:
        """Look at what was picked; where no look can be had, again after a pause."""
        for door in doors:
            door.guarded += 1
            door.is_picked, door.blind_until = False, None
        await self._look_and_take(doors, looks)
        for door in doors:
            if door.is_blind and door.was_closed_by_us:
                door.is_picked = True
                door.blind_until = workflow.now() + policies.PICK_PAUSE

    async def _look_and_take(self, doors: Sequence[Door], look: int) -> None:
        """Look at settled systems of a closed case; what stands again reopens it."""
        returned = await asyncio.gather(*(self._look(door, look + door.guarded) for door in doors))
        reopened = [door for door, back in zip(doors, returned, strict=True) if back]
        if not reopened:
            return
        for door in reopened:
            door.reopen()
        self._show(CaseStatus.REVOKING)
        await asyncio.gather(*(self._settle(door) for door in reopened))
        await self._close()

    async def _look(
        self,
        door: Door,
        look: int,
        *,
        last: bool = False,
        patience: timedelta = policies.WATCH_PATIENCE,
    ) -> bool:
        """Whether access stands again; a look that cannot be had ends neither case nor watch."""
        try:
            seen = await workflow.execute_activity(
                stubs.watch_access,
                p.WatchInput(
                    self._given.case_id,
                    door.plan.system,
                    look + door.looks_before,
                    door.opening,
                    last,
                ),
                task_queue=names.system_queue(door.plan.system),
                start_to_close_timeout=timedelta(seconds=door.plan.start_to_close_s),
                schedule_to_close_timeout=policies.LAST_LOOK_PATIENCE if last else patience,
                retry_policy=policies.VENDOR_RETRY,
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.error(
                "look_failed: system=%s look=%d fault=%s",
                door.plan.system,
                look,
                category_of(error),
            )
            door.is_blind = True
            return False
        found = ours(p.WatchResult, seen)
        door.in_doubt, door.is_blind = found.in_doubt, False
        return found.returned

    def _show_progress(self) -> None:
        if self._status is CaseStatus.CLOSED:
            return  # an optional system that is still at work does not open the case again
        waiting = any(door.needs_person for door in self._doors.values())
        self._show(CaseStatus.NEEDS_PERSON if waiting else CaseStatus.REVOKING)

    def _show(self, status: CaseStatus, *, opening: bool = False) -> None:
        """Upsert search attributes, only on change: each upsert is an event."""
        if self._status == status:
            return
        self._status = status
        shown: list[SearchAttributeUpdate[Any]] = [names.STATUS.value_set(status)]
        if opening:
            due = min((d.plan.due_s for d in self._doors.values() if d.plan.required), default=0)
            shown.append(names.DUE_TIME.value_set(self._cutoff + timedelta(seconds=due)))
            if self._partner:
                shown.append(names.PARTNER.value_set(self._partner))
        workflow.upsert_search_attributes(shown)
