"""Closing one Okta user's access: the order, and what a second run does.

The order. Suspending takes effect at once and leaves the user manageable, deactivating may take
long (it deprovisions every app) and makes factors impossible to reset. So for an ACTIVE user:

1. contain: suspend, which blocks sign-in; only the user's own record is read before;
2. strip, all at once, because none depends on another: end sessions and OAuth tokens, revoke
   consents and each client's tokens, reset factors, unassign admin roles, leave groups;
3. deactivate, if that is the policy.

A user who is not ACTIVE cannot be suspended (400 E0000001). Then deactivating is the block, comes
first, and factors stay enrolled: they open nothing for a deactivated user.

A second run. The status is read first, so no lifecycle call is repeated. Sessions cannot be listed
in Okta, so a crash between block and clearing leaves no trace there: sessions are cleared whenever
``before`` shows them, and the caller hands over the union of the first attempt's snapshot and the
current one. Clearing answers 204 also when there is nothing to clear. Where ``before`` still shows
the sign-in it is older than the block: everything else is listed again, and only what still stands
is closed.
"""

from __future__ import annotations

from functools import partial

from connectors.base import ConnectorFault, Transcript
from connectors.kit.calls import Call, actions
from connectors.kit.holdings import Holding
from connectors.kit.pages import Item
from connectors.kit.rest import Parts
from connectors.kit.steps import Step, carry_out, fault_of
from connectors.okta import spec, status
from lockstep.domain.systems.access import Access, AccessKind, Action, Observation
from lockstep.domain.systems.faults import FaultCategory

_ORDER = {kind: place for place, kind in enumerate(AccessKind)}
_REFUSED = frozenset({FaultCategory.PERMISSION_MISSING, FaultCategory.UNEXPECTED_ANSWER})
_Actions = tuple[Action, ...]


class Revocation:
    """One user's way out: `contain` first, then `strip`.

    Args:
        user: the record, as just read by id.
    """

    def __init__(self, parts: Parts, user: Item, transcript: Transcript) -> None:
        self._api = parts.api
        self._records = parts.records
        self._holdings = parts.holdings
        self._is_final = spec.is_final(parts.values)
        self._asks_person = parts.values[spec.AD_MASTERED] == "person"
        self._user = user
        self._words = {"id": user["id"]}
        self._transcript = transcript

    async def contain(self) -> _Actions:
        """Block sign-in the fastest way that this user's status and the policy allow.

        Raises:
            ConnectorFault: also where only a person may decide: a user of a directory's, or one
                who cannot be suspended while the policy is to suspend.
        """
        if status.is_blocked(self._user) or status.is_transitioning(self._user):
            return ()
        self._require_ours()
        if self._user["status"] == status.ACTIVE:
            done = await self._suspend()
            if not isinstance(done, ConnectorFault):
                return done
            if status.is_blocked(self._user):
                return ()
            if not self._is_final and self._user["status"] == status.ACTIVE:
                raise done
        if not self._is_final:
            # Deactivating instead would destroy data that the policy wants kept: a person decides.
            code = f"not_active.{self._user['status']}"
            raise self._api.fault(FaultCategory.MISCONFIGURED, spec.SUSPEND.operation, code)
        return await self._deactivate()

    async def strip(self, before: Observation) -> _Actions:
        """Close everything else; one refusal stops nothing else.

        Raises:
            ConnectorFault: after everything that can be closed is closed.
        """
        at_once: list[Step] = [partial(self._clear_sessions, before)]
        at_once += [partial(self._close, row, before) for row in self._holdings.rows]
        done = await carry_out(
            partial(carry_out, *at_once, at_once=spec.MAX_PARALLEL), self._finish, at_once=1
        )
        return tuple(sorted(done, key=lambda one: (_ORDER[one.access.kind], one.access.ref)))

    async def _suspend(self) -> _Actions | ConnectorFault:
        """Suspend; give back a lasting refusal, with the user's status read anew.

        Okta refuses when the status has changed since we read it. A custom admin role may also
        hold the right to deactivate users without the right to suspend them.
        """
        try:
            done = await self._do(spec.SUSPEND, Access(AccessKind.SIGN_IN, self._user["id"]))
        except ConnectorFault as fault:
            if fault.category not in _REFUSED:
                raise
            await self._read_again()
            return self._from_directory(fault)
        if done:
            self._become(status.SUSPENDED)
        return done

    async def _deactivate(self) -> _Actions:
        ends = [Access(AccessKind.ASSIGNMENT, spec.APPS)]
        if not status.is_blocked(self._user):
            ends.insert(0, Access(AccessKind.SIGN_IN, self._user["id"]))
        try:
            done = await self._do(spec.DEACTIVATE, *ends)
        except ConnectorFault as fault:
            if fault.category not in _REFUSED:
                raise
            await self._read_again()
            if status.is_deactivated(self._user):
                return ()
            if (refusal := self._from_directory(fault)) is fault:
                raise
            raise refusal from fault
        if done:
            self._become(status.DEPROVISIONED)
        return done

    async def _finish(self) -> _Actions:
        """Deactivate a user who is suspended by now; never one who is on the way already."""
        is_suspended = self._user["status"] == status.SUSPENDED
        if not self._is_final or not is_suspended or status.is_transitioning(self._user):
            return ()
        self._require_ours()
        return await self._deactivate()

    async def _clear_sessions(self, before: Observation) -> _Actions:
        """Clear what the snapshot shows, and what somebody may have left who only suspended.

        Whether suspending ends sessions Okta does not say; deactivating leaves nobody to hold one.
        """
        is_kept = not self._is_final and not before.signs_in and before.standing
        if not is_kept and all(way.kind is not AccessKind.SESSION for way in before.standing):
            return ()
        return await self._do(spec.SESSIONS, Access(AccessKind.SESSION, spec.ALL))

    async def _close(self, row: Holding, before: Observation) -> _Actions:
        if AccessKind.FACTOR in row.kinds:
            return await self._reset_factors(row, before)
        due = await self._standing(row, before)
        (call,) = row.close.calls
        steps: list[Step] = [partial(self._do, call, one, ref=one.ref) for one in due]
        if due and AccessKind.TOKEN in row.kinds:
            # Clearing sessions ends the tokens as well; the calls per client make an entry of
            # their own in Okta's log, and work where another authorisation server's are left.
            steps.insert(0, partial(self._do, spec.GRANTS))
        return await carry_out(*steps, at_once=spec.MAX_PARALLEL)

    async def _reset_factors(self, row: Holding, before: Observation) -> _Actions:
        """Unenrol factors, but only behind a blocked sign-in: else a new one could be enrolled.

        When the user is about to be deactivated a failure is let go, because the factors then open
        nothing, and waiting for them would keep the apps provisioned.
        """
        if self._user["status"] != status.SUSPENDED:
            return ()
        try:
            due = await self._standing(row, before)
            return await self._do(spec.FACTORS, *due) if due else ()
        except ConnectorFault:
            if self._is_final:
                return ()
            raise

    async def _standing(self, row: Holding, before: Observation) -> list[Access]:
        """What to close: what ``before`` shows, or what of it still stands if that is older."""
        known = [way for way in dict.fromkeys(before.standing) if way.kind in row.kinds]
        if not known or not before.signs_in:
            return known
        read = await self._holdings.read(self._words, self._transcript, [row])
        held = self._holdings.of_record(read, self._user)
        for unread in held.unread:
            raise fault_of(unread, connector=self._api.kind)
        return [way for way in held.standing if way in known]

    async def _do(self, call: Call, *ends: Access, ref: str = "") -> _Actions:
        words = {**self._words, "ref": ref}
        return actions(ends, await self._api.do([call], words, self._transcript, thing=self._user))

    async def _read_again(self) -> None:
        user = await self._records.one(self._user["id"], self._transcript)
        self._user = user or self._user

    def _become(self, now: str) -> None:
        self._user = {**self._user, "status": now, "transitioningToStatus": None}

    def _require_ours(self) -> None:
        """Leave a directory's user to a person, where the organisation wants that."""
        directory = status.directory_of(self._user)
        if directory and self._asks_person:
            raise self._api.fault(FaultCategory.MANAGED_ELSEWHERE, "users.block", directory)

    def _from_directory(self, fault: ConnectorFault) -> ConnectorFault:
        """A refused change of a directory's user is the directory's to make."""
        is_refused = fault.category is FaultCategory.UNEXPECTED_ANSWER
        if not (status.directory_of(self._user) and is_refused):
            return fault
        return ConnectorFault(
            FaultCategory.MANAGED_ELSEWHERE,
            connector=fault.connector,
            operation=fault.operation,
            code=fault.code,
            request_id=fault.request_id,
        )
