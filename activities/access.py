"""Work on one system of one case: revoke, rehearse, watch."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from temporalio import activity

from activities.condition import Condition
from activities.faults import guarded, heartbeats, next_try
from connectors.base import Connector, ConnectorFault, Transcript
from lockstep.contracts import payloads as p
from lockstep.domain.access import AccessKind, Account, Action, Location, Match, Observation
from lockstep.domain.clocks import VendorClock
from lockstep.domain.faults import FaultCategory
from lockstep.domain.leavers import KeyKind
from lockstep.domain.outcomes import RevocationState, not_found_is_clean, reckon
from lockstep.evidence.entries import Entry, EntryKind, access_data, exchange_data
from lockstep.evidence.fold import ACCESS_RETURNED, RETURNED_BEFORE_REHIRE
from lockstep.storage.cases import Cases
from lockstep.storage.revocations import Revocation, Revocations, sealed_snapshot
from lockstep.storage.snapshots import Snapshot

log = structlog.get_logger("lockstep.activities")

PAUSE_LOOK = timedelta(seconds=15)
"""How soon the end of a pause, planned or early, is seen."""


@dataclass(slots=True)
class _Seen:
    """What one pass found: accounts, what stands now, and everything that ever stood.

    ``by_search`` names the accounts that were seen in the search's answer, not read by their id.
    """

    location: Location
    current: dict[str, Observation]
    snapshot: Snapshot
    by_search: frozenset[str] = frozenset()


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
    ) -> None:
        self._system = system
        self._connector = connector
        self._revocations = revocations
        self._cases = cases
        self._condition = condition or Condition()

    @activity.defn
    async def revoke_access(self, given: p.RevokeInput) -> p.RevokeResult:
        """See the stub. Reads state first and may run any number of times."""
        async with guarded("revoke_access", case_id=given.case_id, system=given.system):
            item = await self._revocations.load(given.case_id, given.system, given.opening)
            if item.is_settled and item.outcome:
                return p.RevokeResult(item.outcome)
            await self._respect_pause(item, given)
            self._respect_waiting_time(item)
            transcript = Transcript()
            # Temporal counts anew in every round, and a workflow task that is done over repeats
            # its first try: the database knows how often it really was tried.
            attempt = max(activity.info().attempt, item.attempts + 1)
            try:
                async with heartbeats():
                    return await self._revoke(item, given, attempt, transcript)
            except ConnectorFault as fault:
                await self._record_fault(item, given, attempt, fault, transcript)
                raise

    @activity.defn
    async def rehearse_access(self, given: p.RehearseInput) -> p.RehearseResult:
        """See the stub. Reads only."""
        async with guarded("rehearse_access", case_id=given.case_id, system=given.system):
            item = await self._revocations.load(given.case_id, given.system, 1)
            transcript = Transcript()
            health = await self._connector.health(transcript)
            problems = [
                {"code": problem.code, "summary": problem.summary, "fix": problem.fix}
                for problem in health.problems
            ]
            matches: Sequence[Match] = ()
            if health.reachable:
                location = await self._locate(item, transcript)
                matches = location.matches
            await self._revocations.rehearsed(item, accounts=len(matches), problems=problems)
            return p.RehearseResult(len(matches), len(problems))

    @activity.defn
    async def watch_access(self, given: p.WatchInput) -> p.WatchResult:
        """See the stub. Looks again by every key, because a new account is access too."""
        async with guarded("watch_access", case_id=given.case_id, system=given.system):
            item = await self._revocations.load(given.case_id, given.system, given.opening)
            if item.is_superseded:  # this look raised its finding, and its reply was lost
                return p.WatchResult(returned=True)
            if not given.last and not await self._cases.is_watched(given.case_id):
                return p.WatchResult(returned=False)  # they work here again
            transcript = Transcript()
            try:
                seen = await self._look(item, transcript)
            except ConnectorFault as fault:
                await self._revocations.note(self._failed_look(item, given, fault, transcript))
                raise
            standing = [a for look in seen.current.values() for a in look.standing]
            entry = self._watch_entry(item, given, seen, transcript)
            if not standing:
                await self._revocations.note(entry)
                return p.WatchResult(returned=False)
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
                snapshot=sealed_snapshot(item, seen.snapshot),
            )
            if not is_raised:  # they were said to work here again while we looked
                return p.WatchResult(returned=False)
            log.error(
                "access_returned", case_id=given.case_id, system=given.system, look=given.look
            )
            return p.WatchResult(returned=True)

    async def _revoke(
        self, item: Revocation, given: p.RevokeInput, attempt: int, transcript: Transcript
    ) -> p.RevokeResult:
        seen = await self._look(item, transcript, trust_search=True)
        if attempt > 1 or given.round > 1:
            # An earlier attempt that was given up may still be running: whatever it closed before
            # our look, it had written down before it closed it.
            item = await self._revocations.load(given.case_id, given.system, given.opening)
            if item.is_settled and item.outcome:
                return p.RevokeResult(item.outcome)
            seen = _with_earlier(seen, item.snapshot)
        if not seen.snapshot.accounts and not not_found_is_clean(
            seen.location.keys_tried, accept_single_key=item.accept_single_key
        ):
            raise self._fault(FaultCategory.UNKNOWN_WORKER, "locate", "too_few_keys")
        is_first = await self._revocations.attempt(
            item,
            round_=given.round,
            attempt=attempt,
            location=seen.location,
            snapshot=seen.snapshot,
        )
        if not is_first:  # a run that overlaps ours took this number: what it saw counts too
            item = await self._revocations.load(given.case_id, given.system, given.opening)
            seen = _with_earlier(seen, item.snapshot)
        actions = await self._close_all(seen, transcript)
        after = await self._read_back(seen, actions, transcript)
        if any(look.standing for look in after):
            raise self._fault(FaultCategory.NOT_APPLIED, "read_back", _kinds(after))
        policy = await self._cases.policy(item.policy)
        closing = reckon(
            before=seen.snapshot.all_standing(),
            after=after,
            actions=actions,
            confirmed_at=datetime.now(UTC),
            clock=VendorClock(transcript.skew, policy.vendor_clock_tolerance),
            stood_at=seen.snapshot.stood_at,
        )
        await self._revocations.outcome(
            item,
            round_=given.round,
            attempt=attempt,
            closing=closing,
            snapshot=seen.snapshot,
            location=seen.location,
            actions=actions,
            exchanges=transcript.exchanges,
            dropped=transcript.dropped,
        )
        return p.RevokeResult(closing.outcome.value)

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

    async def _locate(self, item: Revocation, transcript: Transcript) -> Location:
        location = await self._connector.locate(item.subject.keys, transcript)
        for match in location.matches:
            if _contradicts(match.account, item):
                raise self._fault(FaultCategory.AMBIGUOUS_MATCH, "locate", match.found_by.value)
        return location

    async def _look(
        self, item: Revocation, transcript: Transcript, *, trust_search: bool = False
    ) -> _Seen:
        """Find accounts, add those pinned before, and see what stands in each.

        With ``trust_search`` the search's own answer is enough where it says what stands: good for
        knowing what to close, not for proving that nothing is left.
        """
        began = datetime.now(UTC)
        location = await self._locate(item, transcript)
        accounts = {account.id: account for account in item.snapshot.accounts}
        accounts.update({match.account.id: match.account for match in location.matches})
        known = location.matches if trust_search else ()
        current = {match.account.id: match.seen for match in known if match.seen is not None}
        by_search = frozenset(current)
        unseen = [account for account in accounts.values() if account.id not in current]
        looks = await self._read_all(unseen, transcript)
        current.update({look.account_id: look for look in looks})
        stood = {
            account_id: tuple(
                dict.fromkeys((*item.snapshot.standing.get(account_id, ()), *look.standing))
            )
            for account_id, look in current.items()
        }
        signed_in = {id_ for id_, look in current.items() if _can_sign_in(look)}
        stood_at = {**item.snapshot.stood_at, **dict.fromkeys(signed_in, began)}
        snapshot = Snapshot(tuple(accounts.values()), stood, stood_at)
        return _Seen(location, current, snapshot, by_search)

    async def _close_all(self, seen: _Seen, transcript: Transcript) -> list[Action]:
        """Close everything that stands, or that stood when we first looked.

        What stood before is closed again although it may be gone: some ways in, such as Okta's
        sessions, cannot be listed once sign-in is blocked, and a killed worker may have stopped
        between the two.
        """
        actions: list[Action] = []
        for account in seen.snapshot.accounts:
            before = seen.current[account.id]
            stood = seen.snapshot.standing[account.id]
            if stood:
                merged = Observation(
                    before.account_id, before.exists, stood, before.off_since, before.residuals
                )
                actions.extend(await self._connector.revoke(account, merged, transcript))
        return actions

    async def _read_back(
        self, seen: _Seen, actions: Sequence[Action], transcript: Transcript
    ) -> list[Observation]:
        looked = list(seen.current.values())
        if not actions and not seen.by_search and not any(look.standing for look in looked):
            return looked  # nothing was done since the look that showed nothing standing
        return await self._read_all(seen.snapshot.accounts, transcript)

    async def _read_all(
        self, accounts: Sequence[Account], transcript: Transcript
    ) -> list[Observation]:
        """Read accounts by their ids, side by side; most leavers have one."""
        if len(accounts) == 1:
            return [await self._connector.read_back(accounts[0], transcript)]
        looks = (self._connector.read_back(account, transcript) for account in accounts)
        return list(await asyncio.gather(*looks))

    async def _record_fault(
        self,
        item: Revocation,
        given: p.RevokeInput,
        attempt: int,
        fault: ConnectorFault,
        transcript: Transcript,
    ) -> None:
        wait = next_try(fault, activity.info().attempt)
        now = datetime.now(UTC)
        if fault.category is FaultCategory.RATE_LIMITED and fault.retry_after is not None:
            self._condition.limited_until = now + fault.retry_after
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
        )

    def _fault(self, category: FaultCategory, operation: str, code: str) -> ConnectorFault:
        return ConnectorFault(
            category, connector=self._connector.kind, operation=operation, code=code
        )

    def _watch_entry(
        self, item: Revocation, given: p.WatchInput, seen: _Seen, transcript: Transcript
    ) -> Entry:
        standing = [a for look in seen.current.values() for a in look.standing]
        kind = EntryKind.FINDING_RAISED if standing else EntryKind.WATCH_LOOK
        data: dict[str, object] = {
            "look": given.look,
            "standing": access_data(item.subject.salt, item.system, standing),
        }
        if standing:
            data["finding"] = RETURNED_BEFORE_REHIRE if given.last else ACCESS_RETURNED
        key = item.key("look", given.look)
        return self._look_entry(kind, item, key, data=data, transcript=transcript)

    def _failed_look(
        self, item: Revocation, given: p.WatchInput, fault: ConnectorFault, transcript: Transcript
    ) -> Entry:
        attempt = activity.info().attempt
        key = item.key("look", given.look, "fault", attempt)
        data = {"look": given.look, "attempt": attempt, "category": fault.category.value}
        return self._look_entry(EntryKind.WATCH_LOOK, item, key, data=data, transcript=transcript)

    def _look_entry(
        self,
        kind: EntryKind,
        item: Revocation,
        key: str,
        *,
        data: Mapping[str, object],
        transcript: Transcript,
    ) -> Entry:
        now = datetime.now(UTC)
        return Entry(
            kind=kind,
            key=key,
            tenant=item.tenant,
            occurred_at=now,
            recorded_at=now,
            case_id=item.case_id,
            subject=str(item.subject.subject_id),
            system=item.system,
            policy=item.policy,
            data={**data, **exchange_data(transcript.exchanges, dropped=transcript.dropped)},
        )


def _can_sign_in(look: Observation) -> bool:
    return any(access.kind is AccessKind.SIGN_IN for access in look.standing)


def _with_earlier(seen: _Seen, earlier: Snapshot) -> _Seen:
    """Add what an overlapping attempt saw standing in the accounts that we see too."""
    stood = {
        account: tuple(dict.fromkeys((*earlier.standing.get(account, ()), *standing)))
        for account, standing in seen.snapshot.standing.items()
    }
    stood_at = dict(seen.snapshot.stood_at)
    for account, at in earlier.stood_at.items():
        stood_at[account] = max(at, stood_at.get(account, at))
    snapshot = Snapshot(seen.snapshot.accounts, stood, stood_at)
    return _Seen(seen.location, seen.current, snapshot, seen.by_search)


def _contradicts(account: Account, item: Revocation) -> bool:
    """Whether the vendor holds a strong key of this account that is not the leaver's."""
    for known in account.known_keys:
        if not known.kind.is_strong or known.kind is KeyKind.ACCOUNT_ID:
            continue
        ours = item.subject.keys.of_kind(known.kind)
        if ours and known.value not in ours:
            return True
    return False


def _kinds(looks: Sequence[Observation]) -> str:
    kinds = {access.kind.value for look in looks for access in look.standing}
    return "still_" + "_".join(sorted(kinds))
