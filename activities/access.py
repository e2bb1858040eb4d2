"""Work on one system of one case: revoke, rehearse, watch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import structlog
from temporalio import activity

from activities.condition import Condition
from activities.faults import TooEarlyError, guarded, heartbeats, next_try, require_begun
from activities.passing import Pass, standing_of
from activities.turns import out_of_turn, turns
from connectors.base import Connector, ConnectorFault, Transcript
from connectors.kit.pacing.pace import OPEN, Pacer
from lockstep.contracts import payloads as p
from lockstep.domain.cases.clocks import VendorClock, skew_of
from lockstep.domain.cases.outcomes import RevocationState, reckon
from lockstep.domain.intake.numbering import Numbering
from lockstep.domain.systems.access import Observation
from lockstep.domain.systems.faults import OF_SYSTEM, FaultCategory
from lockstep.domain.systems.pace import LAST, Band, Urgency
from lockstep.domain.systems.rehearsing import doubts
from lockstep.evidence.ledger.entries import Entry, EntryKind
from lockstep.storage.cases.candidates import seal_candidates
from lockstep.storage.cases.cases import Cases
from lockstep.storage.engine.clocks import Now, Reading, own_now
from lockstep.storage.systems.looks import LookMade
from lockstep.storage.systems.revocations import Progress, Revocation, Revocations, sealed_snapshot

log = structlog.get_logger("lockstep.activities")

PAUSE_LOOK = timedelta(seconds=15)
"""How soon the end of a pause, planned or early, is seen."""


class AccessActivities:
    """Activities of one system's task queue; they share its connector."""

    def __init__(
        self,
        system: str,
        connector: Connector,
        revocations: Revocations,
        cases: Cases,
        *,
        condition: Condition | None = None,
        pace: Pacer = OPEN,
        calls: int = 6,
        numbering: Numbering | None = None,
        own: Now = own_now,
    ) -> None:
        self._own = own
        self._system = system
        self._connector = connector
        self._revocations = revocations
        self._cases = cases
        self._condition = condition or Condition()
        self._numbering = numbering or Numbering()
        self._pace = pace
        self._calls = calls

    def waits_s(self, priority: int) -> float:
        """About how long the calls of one leaver would wait for their turns at this system."""
        return self._pace.wait_s(self._calls, Urgency(Band.REVOKE, priority))

    @property
    def is_paced(self) -> bool:
        """Its calls wait for turns: that they take long says nothing of the vendor."""
        return self._pace.wait_s(2, LAST) > 0

    @activity.defn
    async def revoke_access(self, given: p.RevokeInput) -> p.RevokeResult:
        """See the stub. Reads state first and may run any number of times."""
        async with guarded("revoke_access", case_id=given.case_id, system=given.system):
            asked_at = self._own()
            item = await self._revocations.load(given.case_id, given.system, given.opening)
            if item.is_settled and item.outcome:
                return p.RevokeResult(item.outcome)
            self._require_due(item, asked_at)
            await self._respect_pause(item, given)
            self._respect_waiting_time(item)
            transcript = turns(item, Band.REVOKE)
            work = Progress(item.snapshot)
            # Temporal counts anew in every round, and a workflow task that is done over repeats
            # its first try: the database knows how often it really was tried.
            attempt = max(activity.info().attempt, item.attempts + 1)
            try:
                async with heartbeats():
                    return await self._revoke(item, given, attempt, transcript, work)
            except ConnectorFault as fault:
                if fault.is_own_pace and not transcript.exchanges:
                    raise  # nothing was tried
                await self._record_fault(item, given, attempt, fault, transcript, work=work)
                raise

    @activity.defn
    async def rehearse_access(self, given: p.RehearseInput) -> p.RehearseResult:
        """See the stub. Reads only."""
        async with guarded("rehearse_access", case_id=given.case_id, system=given.system):
            item = await self._revocations.load(given.case_id, given.system, 1)
            transcript = turns(item, Band.REHEARSE)
            try:
                accounts, problems = await self._rehearse(item, transcript)
            except ConnectorFault:
                if transcript.out_of_turn is None:
                    raise
            if transcript.out_of_turn is not None:  # what was not asked shows no trouble
                raise out_of_turn(self._connector.kind)
            await self._revocations.rehearsed(item, accounts=accounts, problems=problems)
            return p.RehearseResult(accounts, len(problems))

    async def _rehearse(
        self, item: Revocation, transcript: Transcript
    ) -> tuple[int, list[dict[str, str]]]:
        """How many accounts are found, and what would be in the way on the last day."""
        health = await self._connector.health(transcript)
        problems = [
            {"code": problem.code, "summary": problem.summary, "fix": problem.fix}
            for problem in health.problems
        ]
        if not health.reachable:
            return 0, problems
        work = Progress(item.snapshot)
        await self._pass(item, work, transcript).find()
        problems += doubts(
            work.location,
            work.finding,
            item.subject.keys,
            system=item.system,
            found=bool(work.snapshot.accounts),
            accept_single_key=item.accept_single_key,
        )
        return len(work.snapshot.accounts), problems

    @activity.defn
    async def watch_access(self, given: p.WatchInput) -> p.WatchResult:
        """See the stub. Looks again by every key, because a new account is access too."""
        async with guarded("watch_access", case_id=given.case_id, system=given.system):
            item = await self._revocations.load(given.case_id, given.system, given.opening)
            require_begun(item)
            if item.is_superseded:  # this look raised its finding, and its reply was lost
                return p.WatchResult(returned=True)
            if not given.last and not await self._cases.is_watched(given.case_id):
                return p.WatchResult(returned=False)  # they work here again
            # A case closes on such a look; once it has closed, nobody waits for it.
            transcript = turns(item, Band.WATCH if item.is_closed else Band.REVOKE)
            work = Progress(item.snapshot)
            try:
                looks = await self._watched(item, work, transcript)
            except ConnectorFault as fault:
                if fault.is_own_pace and not transcript.exchanges:
                    raise  # nothing was looked at
                failed = _look(item, given, transcript).failed(
                    fault.category, activity.info().attempt
                )
                await self._revocations.note(failed)
                raise
            standing = standing_of(looks)
            entry = _look(item, given, transcript).entry(standing, work)
            if not standing:
                in_doubt = await self._note_doubts(item, given, work, entry)
                return p.WatchResult(returned=False, in_doubt=in_doubt)
            if given.last:
                await self._cases.note_return(
                    given.case_id, given.system, look=given.look, entry=entry
                )
                return p.WatchResult(returned=False)
            is_raised = await self._cases.raise_finding(
                given.case_id,
                given.system,
                look=given.look,
                opening=given.opening,
                entry=entry,
                snapshot=sealed_snapshot(item, work.snapshot),
            )
            if not is_raised:  # they were said to work here again while we looked
                return p.WatchResult(returned=False)
            log.error(
                "access_returned", case_id=given.case_id, system=given.system, look=given.look
            )
            return p.WatchResult(returned=True)

    async def _note_doubts(
        self, item: Revocation, given: p.WatchInput, work: Progress, entry: Entry
    ) -> bool:
        """Note a look at which nothing stands; whether a person must pick accounts."""
        if not work.finding.in_doubt:
            await self._revocations.saw_nothing(item, entry)
            return False
        if entry.kind is EntryKind.WATCH_LOOK:  # people know already
            await self._revocations.note(entry)
            return not given.last
        sealed = seal_candidates(
            work.finding, item.subject, case_id=item.case_id, system=item.system
        )
        await self._cases.doubt(given.case_id, given.system, entry=entry, candidates=sealed)
        log.error("account_in_doubt", case_id=given.case_id, system=given.system)
        return not given.last

    async def _watched(
        self, item: Revocation, work: Progress, transcript: Transcript
    ) -> list[Observation]:
        """Look at every account of the leaver, those that are new since included.

        Raises:
            ConnectorFault: also where nothing stands and something could not be read: such a look
                proves nothing.
        """
        looking = self._pass(item, work, transcript)
        await looking.find()
        looks = await looking.read(work.snapshot.accounts)
        looking.saw(looks)
        if not standing_of(looks):
            looking.require_closed(looks)
            looking.require_searched()
            looking.require_named_read()
        return looks

    async def _revoke(
        self,
        item: Revocation,
        given: p.RevokeInput,
        attempt: int,
        transcript: Transcript,
        work: Progress,
    ) -> p.RevokeResult:
        work_on = self._pass(item, work, transcript)
        await work_on.find()
        if attempt > 1 or given.round > 1:
            # An earlier attempt that was given up may still be running: whatever it closed before
            # our look, it had written down before it closed it.
            item = await self._revocations.load(given.case_id, given.system, given.opening)
            if item.is_settled and item.outcome:
                return p.RevokeResult(item.outcome)
            work.snapshot = work.snapshot.merged(item.snapshot)
        work_on.require_somebody()
        doors = await work_on.doors()
        is_first = await self._revocations.attempt(
            item, round_=given.round, attempt=attempt, work=work
        )
        if not is_first:  # a run that overlaps ours took this number: what it saw counts too
            item = await self._revocations.load(given.case_id, given.system, given.opening)
            work.snapshot = work.snapshot.merged(item.snapshot)
        looks = await self._close_all(work_on, item, work, doors)
        work_on.require_closed(looks)
        work_on.require_searched()
        work_on.require_named_read()
        work_on.require_no_doubt()
        policy = await self._cases.policy(item.policy)
        closing = reckon(
            before=work.snapshot.all_standing(),
            after=looks,
            actions=work.snapshot.done,
            confirmed_at=datetime.now(UTC),
            clock=VendorClock(transcript.skew, policy.vendor_clock_tolerance),
            stood_at=work.snapshot.stood_at,
        )
        await self._revocations.outcome(
            item,
            round_=given.round,
            attempt=attempt,
            closing=closing,
            work=work,
            exchanges=transcript.exchanges,
            dropped=transcript.dropped,
        )
        return p.RevokeResult(closing.outcome.value)

    def _pass(self, item: Revocation, work: Progress, transcript: Transcript) -> Pass:
        return Pass(self._connector, item, work, transcript, numbering=self._numbering)

    async def _close_all(
        self, work_on: Pass, item: Revocation, work: Progress, doors: Mapping[str, Observation]
    ) -> list[Observation]:
        """Contain, look, strip, read back; return the look that is the proof.

        Raises:
            ConnectorFault: once everything that can be closed is closed.
        """
        refused = await work_on.contain(doors)
        if work.snapshot.done and any(door.unread for door in doors.values()):
            # A list that hangs may end this attempt: what was shut, and when, is kept before.
            work.snapshot = await self._revocations.saw(item, work.snapshot)
        looks = await work_on.look(doors)
        open_after_all = {account for account, look in looks.items() if look.signs_in} - {
            account for account, door in doors.items() if door.signs_in
        }
        if open_after_all:  # the search knew an older state
            refused = await work_on.contain(looks, open_after_all) or refused
        due = work_on.due(doors, looks)
        if due:
            # What is to be closed stands in the database before it is closed (docs/decisions).
            work.snapshot = await self._revocations.saw(item, work.snapshot)
            refused = await work_on.strip(due) or refused
        elif any(door.unread for door in doors.values()):
            # A run that overlaps ours may have closed what we never saw standing.
            work.snapshot = await self._revocations.saw(item, work.snapshot)
        is_proof = not due and not open_after_all and len(looks) == len(doors)
        after = list(looks.values())
        if not is_proof or standing_of(after):
            after = await work_on.read(work.snapshot.accounts)
        work_on.confirm(after)
        if refused is not None:
            raise refused
        return after

    def _require_due(self, item: Revocation, asked_at: datetime) -> None:
        """Touch nothing before the database says that the case has begun, nor by a wrong clock.

        Whatever Temporal or a workflow believe: this is the last place before the vendor is asked.

        Raises:
            ClockError, TooEarlyError: it is tried again, here or by another worker.
        """
        if not item.begun:
            raise TooEarlyError("the database does not say that this case has begun")
        if item.read_at is not None:
            skew = skew_of(item.read_at, before=asked_at, after=self._own())
            Reading(item.read_at, skew).require_agreed()

    async def _respect_pause(self, item: Revocation, given: p.RevokeInput) -> None:
        """Leave a paused system alone, visibly; the clocks run on.

        It goes on record once, not at every look whether the pause is over.
        """
        pause = item.paused
        if pause is None:
            return
        left = max(pause.until - datetime.now(UTC), timedelta(seconds=1))
        fault = ConnectorFault(
            FaultCategory.PAUSED,
            connector=self._connector.kind,
            operation="pause",
            code=f"until {pause.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
            retry_after=min(left, PAUSE_LOOK),
        )
        waits = item.state in {RevocationState.RETRYING, RevocationState.NEEDS_PERSON}
        said_at = item.fault_at if item.fault == fault.category else None
        is_said = waits and said_at is not None and said_at >= pause.begins_at
        if item.is_reopened or not is_said:
            log.info("revocation_paused", case_id=given.case_id, system=given.system)
            await self._revocations.fault(
                item,
                round_=given.round,
                attempt=max(activity.info().attempt, item.attempts + 1),
                category=fault.category,
                text=str(fault),
                retry_at=None,  # a new round after an early end must not wait for the planned one
                exchanges=(),
            )
        raise fault

    def _respect_waiting_time(self, item: Revocation) -> None:
        """A new round, begun because a person had to be told, keeps the vendor's waiting time."""
        now = datetime.now(UTC)
        if activity.info().attempt == 1 and item.retry_at is not None and item.retry_at > now:
            raise ConnectorFault(
                FaultCategory.RATE_LIMITED,
                connector=self._connector.kind,
                operation="wait",
                retry_after=item.retry_at - now,
            )

    async def _record_fault(
        self,
        item: Revocation,
        given: p.RevokeInput,
        attempt: int,
        fault: ConnectorFault,
        transcript: Transcript,
        *,
        work: Progress,
    ) -> None:
        wait = next_try(fault, activity.info().attempt)
        now = datetime.now(UTC)
        is_limit = fault.category is FaultCategory.RATE_LIMITED and not fault.is_own_pace
        if is_limit and fault.retry_after is not None:
            self._condition.limited_until = now + fault.retry_after
        if fault.category in OF_SYSTEM and not fault.is_transient:
            self._condition.doubted_at = now
        log.warning(
            "revocation_fault",
            case_id=given.case_id,
            system=given.system,
            attempt=attempt,
            fault=fault.category.value,
            operation=fault.operation,
            code=fault.code,
        )
        await self._revocations.fault(
            item,
            round_=given.round,
            attempt=attempt,
            category=fault.category,
            text=str(fault),
            retry_at=now + wait if wait is not None else None,
            exchanges=transcript.exchanges,
            work=work,
        )


def _look(item: Revocation, given: p.WatchInput, transcript: Transcript) -> LookMade:
    return LookMade(item, given.look, given.last, transcript.exchanges, transcript.dropped)
