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

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from connectors.base import ConnectorFault, Transcript
from connectors.http import Answer
from connectors.kit.steps import Step, carry_out
from connectors.okta.api import MAX_PARALLEL, OktaApi
from connectors.okta.faults import fault_of
from connectors.okta.lists import known_refs
from connectors.okta.options import DirectoryUsers, Disable, OktaOptions
from connectors.okta.user import ACTIVE, ALL, APPS, DEPROVISIONED, SUSPENDED, OktaUser
from lockstep.domain.systems.access import Access, AccessKind, Action, Observation
from lockstep.domain.systems.faults import FaultCategory

_ORDER = {kind: place for place, kind in enumerate(AccessKind)}
_REFUSED = frozenset({FaultCategory.PERMISSION_MISSING, FaultCategory.UNEXPECTED_ANSWER})
_Actions = tuple[Action, ...]
_Close = Callable[[str, str, Transcript], Awaitable[Answer | None]]


class Revocation:
    """One user's way out: `contain` first, then `strip`.

    Args:
        user: as just read by id.
    """

    def __init__(
        self, api: OktaApi, options: OktaOptions, user: OktaUser, transcript: Transcript
    ) -> None:
        self._api = api
        self._options = options
        self._user = user
        self._transcript = transcript

    async def contain(self) -> _Actions:
        """Block sign-in the fastest way that this user's status and the policy allow.

        Raises:
            ConnectorFault: also where only a person may decide: a user of a directory's, or one
                who cannot be suspended while the policy is to suspend.
        """
        if self._user.is_blocked or self._user.is_transitioning:
            return ()
        self._require_ours()
        is_final = self._options.disable is Disable.DEACTIVATE
        if self._user.status == ACTIVE:
            done = await self._suspend()
            if not isinstance(done, ConnectorFault):
                return done
            if self._user.is_blocked:
                return ()
            if not is_final and self._user.status == ACTIVE:
                raise done
        if not is_final:
            # Deactivating instead would destroy data that the policy wants kept: a person decides.
            code = f"not_active.{self._user.status}"
            raise fault_of(FaultCategory.MISCONFIGURED, "users.suspend", code)
        return await self._deactivate()

    async def strip(self, before: Observation) -> _Actions:
        """Close everything else; one refusal stops nothing else.

        Raises:
            ConnectorFault: after everything that can be closed is closed.
        """
        open_ways = _OpenWays(before)
        at_once: list[Step] = [
            partial(self._clear_sessions, open_ways),
            partial(self._revoke_tokens, open_ways),
            partial(self._reset_factors, open_ways),
            partial(self._close_each, AccessKind.ROLE, self._api.unassign_role, open_ways),
            partial(self._close_each, AccessKind.GROUP, self._api.leave_group, open_ways),
        ]
        done = await carry_out(
            partial(carry_out, *at_once, at_once=MAX_PARALLEL), self._finish, at_once=1
        )
        return tuple(sorted(done, key=lambda one: (_ORDER[one.access.kind], one.access.ref)))

    async def _suspend(self) -> _Actions | ConnectorFault:
        """Suspend; give back a lasting refusal, with the user's status read anew.

        Okta refuses when the status has changed since we read it. A custom admin role may also
        hold the right to deactivate users without the right to suspend them.
        """
        try:
            answer = await self._api.suspend(self._user.id, self._transcript)
        except ConnectorFault as fault:
            if fault.category not in _REFUSED:
                raise
            await self._read_again()
            return self._from_directory(fault)
        if answer is None:
            return ()
        self._become(SUSPENDED)
        return (_action(AccessKind.SIGN_IN, self._user.id, answer),)

    async def _deactivate(self) -> _Actions:
        was_open = not self._user.is_blocked
        try:
            answer = await self._api.deactivate(self._user.id, self._transcript)
        except ConnectorFault as fault:
            if fault.category not in _REFUSED:
                raise
            await self._read_again()
            if self._user.is_deactivated:
                return ()
            if (refusal := self._from_directory(fault)) is fault:
                raise
            raise refusal from fault
        if answer is None:
            return ()
        self._become(DEPROVISIONED)
        sign_in = (_action(AccessKind.SIGN_IN, self._user.id, answer),) if was_open else ()
        return (*sign_in, _action(AccessKind.ASSIGNMENT, APPS, answer))

    async def _finish(self) -> _Actions:
        """Deactivate a user who is suspended by now; never one who is on the way already."""
        is_final = self._options.disable is Disable.DEACTIVATE
        if not is_final or self._user.status != SUSPENDED or self._user.is_transitioning:
            return ()
        self._require_ours()
        return await self._deactivate()

    async def _clear_sessions(self, ways: _OpenWays) -> _Actions:
        """Clear what the snapshot shows, and what somebody may have left who only suspended.

        Whether suspending ends sessions Okta does not say; deactivating leaves nobody to hold one.
        """
        is_kept = self._options.disable is Disable.SUSPEND and not ways.are_older
        if not ways.of(AccessKind.SESSION) and not (is_kept and ways.any):
            return ()
        answer = await self._api.clear_sessions(self._user.id, self._transcript)
        return () if answer is None else (_action(AccessKind.SESSION, ALL, answer),)

    async def _revoke_tokens(self, ways: _OpenWays) -> _Actions:
        """Revoke consents at once and each client's refresh tokens.

        Clearing sessions ends the tokens as well; the calls per client make an entry of their own
        in Okta's log, and work where the tokens of another authorisation server are left.
        """
        clients = await self._standing(AccessKind.TOKEN, ways)
        if not clients:
            return ()
        steps = self._steps(AccessKind.TOKEN, clients, self._api.revoke_tokens)
        return await carry_out(self._revoke_grants, *steps, at_once=MAX_PARALLEL)

    async def _revoke_grants(self) -> _Actions:
        await self._api.revoke_grants(self._user.id, self._transcript)
        return ()

    async def _reset_factors(self, ways: _OpenWays) -> _Actions:
        """Unenrol factors, but only behind a blocked sign-in: else a new one could be enrolled.

        When the user is about to be deactivated a failure is let go, because the factors then open
        nothing, and waiting for them would keep the apps provisioned.
        """
        if not self._options.reset_factors or self._user.status != SUSPENDED:
            return ()
        try:
            factors = await self._standing(AccessKind.FACTOR, ways)
            if not factors:
                return ()
            answer = await self._api.reset_factors(self._user.id, self._transcript)
        except ConnectorFault:
            if self._options.disable is Disable.DEACTIVATE:
                return ()
            raise
        if answer is None:
            return ()
        return tuple(_action(AccessKind.FACTOR, factor, answer) for factor in factors)

    async def _close_each(self, kind: AccessKind, call: _Close, ways: _OpenWays) -> _Actions:
        refs = await self._standing(kind, ways)
        return await carry_out(*self._steps(kind, refs, call), at_once=MAX_PARALLEL)

    def _steps(self, kind: AccessKind, refs: tuple[str, ...], call: _Close) -> list[Step]:
        return [partial(self._close, kind, ref, call) for ref in refs]

    async def _close(self, kind: AccessKind, ref: str, call: _Close) -> _Actions:
        answer = await call(self._user.id, ref, self._transcript)
        return () if answer is None else (_action(kind, ref, answer),)

    async def _standing(self, kind: AccessKind, ways: _OpenWays) -> tuple[str, ...]:
        """What to close: what ``before`` shows, or what of it still stands if that is older."""
        known = ways.of(kind)
        if not known or not ways.are_older:
            return known
        listed = await self._api.refs(kind, self._user.id, self._transcript)
        return tuple(ref for ref in known_refs(kind, listed, self._user) if ref in known)

    async def _read_again(self) -> None:
        user = await self._api.user(self._user.id, self._transcript)
        if user is not None:
            self._user = user

    def _become(self, status: str) -> None:
        self._user = replace(self._user, status=status, transitioning_to=None)

    def _require_ours(self) -> None:
        """Leave a directory's user to a person, where the organisation wants that."""
        wants_person = self._options.directory_users is DirectoryUsers.PERSON
        if wants_person and self._user.is_directory_owned:
            raise fault_of(FaultCategory.MANAGED_ELSEWHERE, "users.block", self._user.provider)

    def _from_directory(self, fault: ConnectorFault) -> ConnectorFault:
        """A refused change of a directory's user is the directory's to make."""
        is_refused = fault.category is FaultCategory.UNEXPECTED_ANSWER
        if not (self._user.is_directory_owned and is_refused):
            return fault
        return ConnectorFault(
            FaultCategory.MANAGED_ELSEWHERE,
            connector=fault.connector,
            operation=fault.operation,
            code=fault.code,
            request_id=fault.request_id,
        )


class _OpenWays:
    """What ``before`` shows, by kind."""

    def __init__(self, before: Observation) -> None:
        self._standing = before.standing
        self.are_older = before.signs_in
        """Whether the look was made before the sign-in was blocked."""

    @property
    def any(self) -> bool:
        return bool(self._standing)

    def of(self, kind: AccessKind) -> tuple[str, ...]:
        return tuple(dict.fromkeys(way.ref for way in self._standing if way.kind is kind))


def _action(kind: AccessKind, ref: str, answer: Answer) -> Action:
    return Action(
        access=Access(kind, ref),
        accepted_at=answer.answered_at,
        operation=answer.exchange.operation,
        request_id=answer.exchange.request_id,
    )
