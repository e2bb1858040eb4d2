"""Closing one Okta user's access: the order, and what a second run does.

The order. Suspending takes effect at once and leaves the user manageable, deactivating may take
long (it deprovisions every app) and makes factors impossible to reset. So for an ACTIVE user:

1. suspend, which blocks sign-in;
2. all at once, because none depends on another: end sessions and OAuth tokens, revoke consents and
   each client's tokens, reset factors, unassign admin roles, leave groups;
3. deactivate, if that is the policy.

A user who is not ACTIVE cannot be suspended (400 E0000001). Then deactivating is the block, comes
first, and factors stay enrolled: they open nothing for a deactivated user.

A second run. The status is read first, so no lifecycle call is repeated. Sessions cannot be listed
in Okta, so a crash between block and clearing leaves no trace there: sessions are cleared whenever
``before`` shows them, and the caller hands over the union of the first attempt's snapshot and the
current one. Clearing answers 204 also when there is nothing to clear. Once sign-in was blocked by
an earlier run, everything else is listed again and only what still stands is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from connectors.base import ConnectorFault, Transcript
from connectors.http import Answer
from connectors.identity.okta_api import OktaApi, known_refs
from connectors.identity.okta_faults import attempt, fault_of
from connectors.identity.okta_options import DirectoryUsers, Disable, OktaOptions
from connectors.identity.okta_user import ACTIVE, DEPROVISIONED, SUSPENDED, OktaUser
from lockstep.domain.access import Access, AccessKind, Action, Observation
from lockstep.domain.faults import FaultCategory

ALL = "all"
"""Ref of what Okta ends as a whole and does not list: sessions."""
APPS = "apps"
"""Ref of the app assignments, which stand until the user is deactivated."""
UNREAD = "unread"
"""Ref of a list that could not be read while sign-in was open: it counts as standing."""

_ORDER = {kind: place for place, kind in enumerate(AccessKind)}
_REFUSED = frozenset({FaultCategory.PERMISSION_MISSING, FaultCategory.UNEXPECTED_ANSWER})


class Revocation:
    """One run over one user; collects faults, so that one refusal stops nothing else."""

    def __init__(
        self,
        api: OktaApi,
        options: OktaOptions,
        user: OktaUser,
        before: Observation,
        transcript: Transcript,
    ) -> None:
        self._api = api
        self._options = options
        self._user = user
        self._was_blocked = user.is_blocked
        self._transcript = transcript
        self._actions: list[Action] = []
        self._faults: list[ConnectorFault] = []
        self._before: dict[AccessKind, tuple[str, ...]] = {
            kind: tuple(dict.fromkeys(a.ref for a in before.standing if a.kind is kind))
            for kind in AccessKind
        }

    async def run(self) -> tuple[Action, ...]:
        """Close what stands.

        Raises:
            ConnectorFault: at once, when sign-in could not be blocked for a passing reason or our
                credential is refused; else after everything that can be closed is closed.
        """
        await self._keep(self._block())
        if any(_ends_run(fault) for fault in self._faults):
            raise self._faults[0]
        async with asyncio.TaskGroup() as group:
            for step in (
                self._clear_sessions(),
                self._revoke_tokens(),
                self._reset_factors(),
                self._close_each(AccessKind.ROLE, self._api.unassign_role),
                self._close_each(AccessKind.GROUP, self._api.leave_group),
            ):
                group.create_task(self._keep(step))
        await self._keep(self._finish())
        if self._faults:
            # A passing fault first: it is retried, and each retry leaves less for a person.
            raise min(self._faults, key=lambda fault: not fault.is_transient)
        return tuple(sorted(self._actions, key=lambda a: (_ORDER[a.access.kind], a.access.ref)))

    async def _keep(self, step: Awaitable[None]) -> None:
        if isinstance(fault := await attempt(step), ConnectorFault):
            self._faults.append(fault)

    async def _block(self) -> None:
        """Block sign-in the fastest way that this user's status and the policy allow."""
        if self._user.is_blocked or self._user.is_transitioning:
            return
        self._require_ours()
        is_final = self._options.disable is Disable.DEACTIVATE
        if self._user.status == ACTIVE:
            refusal = await self._suspend()
            if refusal is None or self._user.is_blocked:
                return
            if not is_final and self._user.status == ACTIVE:
                raise refusal
        if not is_final:
            # Deactivating instead would destroy data that the policy wants kept: a person decides.
            code = f"not_active.{self._user.status}"
            raise fault_of(FaultCategory.MISCONFIGURED, "users.suspend", code)
        await self._deactivate()

    async def _suspend(self) -> ConnectorFault | None:
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
        if answer is not None:
            self._record(AccessKind.SIGN_IN, self._user.id, answer)
            self._become(SUSPENDED)
        return None

    async def _deactivate(self) -> None:
        was_open = not self._user.is_blocked
        try:
            answer = await self._api.deactivate(self._user.id, self._transcript)
        except ConnectorFault as fault:
            if fault.category not in _REFUSED:
                raise
            await self._read_again()
            if self._user.is_deactivated:
                return
            if (refusal := self._from_directory(fault)) is fault:
                raise
            raise refusal from fault
        if answer is None:
            return
        if was_open:
            self._record(AccessKind.SIGN_IN, self._user.id, answer)
        self._record(AccessKind.ASSIGNMENT, APPS, answer)
        self._become(DEPROVISIONED)

    async def _finish(self) -> None:
        """Deactivate a user who is suspended by now; never one who is on the way already."""
        is_final = self._options.disable is Disable.DEACTIVATE
        if is_final and self._user.status == SUSPENDED and not self._user.is_transitioning:
            self._require_ours()
            await self._deactivate()

    async def _clear_sessions(self) -> None:
        """Clear what the snapshot shows, and what somebody may have left who only suspended.

        Whether suspending ends sessions Okta does not say; deactivating leaves nobody to hold one.
        """
        is_kept = self._was_blocked and self._options.disable is Disable.SUSPEND
        if not self._before[AccessKind.SESSION] and not (is_kept and any(self._before.values())):
            return
        answer = await self._api.clear_sessions(self._user.id, self._transcript)
        if answer is not None:
            self._record(AccessKind.SESSION, ALL, answer)

    async def _revoke_tokens(self) -> None:
        """Revoke consents at once and each client's refresh tokens.

        Clearing sessions ends the tokens as well; the calls per client make an entry of their own
        in Okta's log, and work where the tokens of another authorisation server are left.
        """
        clients = await self._standing(AccessKind.TOKEN)
        if not clients:
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep(self._revoke_grants()))
            for client in clients:
                close = self._close(AccessKind.TOKEN, client, self._api.revoke_tokens)
                group.create_task(self._keep(close))

    async def _revoke_grants(self) -> None:
        await self._api.revoke_grants(self._user.id, self._transcript)

    async def _reset_factors(self) -> None:
        """Unenrol factors, but only behind a blocked sign-in: else a new one could be enrolled.

        When the user is about to be deactivated a failure is let go, because the factors then open
        nothing, and waiting for them would keep the apps provisioned.
        """
        if not self._options.reset_factors or self._user.status != SUSPENDED:
            return
        try:
            factors = await self._standing(AccessKind.FACTOR)
            if not factors:
                return
            answer = await self._api.reset_factors(self._user.id, self._transcript)
        except ConnectorFault:
            if self._options.disable is Disable.DEACTIVATE:
                return
            raise
        if answer is not None:
            for factor in factors:
                self._record(AccessKind.FACTOR, factor, answer)

    async def _close_each(self, kind: AccessKind, call: _Close) -> None:
        refs = await self._standing(kind)
        async with asyncio.TaskGroup() as group:
            for ref in refs:
                group.create_task(self._keep(self._close(kind, ref, call)))

    async def _close(self, kind: AccessKind, ref: str, call: _Close) -> None:
        answer = await call(self._user.id, ref, self._transcript)
        if answer is not None:
            self._record(kind, ref, answer)

    async def _standing(self, kind: AccessKind) -> tuple[str, ...]:
        """What to close: the snapshot of a first run, or what of it still stands in a later one."""
        known = self._before[kind]
        if not known or not (self._was_blocked or UNREAD in known):
            return known
        listed = await self._api.refs(kind, self._user.id, self._transcript)
        current = known_refs(kind, listed, self._user)
        return current if UNREAD in known else tuple(ref for ref in current if ref in known)

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

    def _record(self, kind: AccessKind, ref: str, answer: Answer) -> None:
        self._actions.append(
            Action(
                access=Access(kind, ref),
                accepted_at=answer.answered_at,
                operation=answer.exchange.operation,
                request_id=answer.exchange.request_id,
            )
        )


_Close = Callable[[str, str, Transcript], Awaitable[Answer | None]]


def _ends_run(fault: ConnectorFault) -> bool:
    return fault.is_transient or fault.category is FaultCategory.CREDENTIALS_REJECTED
