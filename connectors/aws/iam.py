"""IAM users of one AWS account: console password, requests, and all that a user holds.

IAM calls take a user *name*, and a name can be given to somebody else. Every look and every
change therefore first finds the name that belongs to the pinned user id today.

The sign-in of an IAM user is two doors: the console's login profile, and every request that is
signed with a key or temporary credentials of the user's, which AWSDenyAll shuts. Both are shut by
`contain`. Whether the deny is attached is told by a list; it is waited for a few seconds only, and
a deny that was not seen counts as missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from connectors.aws import spec
from connectors.aws.iam_find import list_users
from connectors.aws.spec import ANY_REQUEST, LOGIN_PROFILE
from connectors.aws.wire import AwsWire, fault, need
from connectors.base import ConnectorFault, Transcript
from connectors.kit.calls import Api, Words, actions
from connectors.kit.holdings import Held, Holdings
from connectors.kit.options import Values
from connectors.kit.residuals import residual
from connectors.kit.steps import Step, attempt, carry_out, unread
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Account,
    Action,
    Observation,
    Residual,
    Unread,
)
from lockstep.domain.systems.faults import FaultCategory

BRIEF_S = 3
# GetSessionToken and GetFederationToken: at most 36 hours (STS API reference).
_TEMPORARY_CREDENTIALS_S = 129_600
_NO_ROOM = "409.LimitExceeded"
"""A user may have ten managed policies (IAM quotas)."""

T = TypeVar("T")


class IamUsers:
    """The IAM half of an AWS system."""

    def __init__(self, values: Values, api: Api, wire: AwsWire) -> None:
        self._values = values
        self._api = api
        self._wire = wire
        self._holdings = Holdings(spec.iam_rows(values), api, values)

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        """The user, and whether both doors are known to be shut; what is not known is open."""
        user = await self._find(account, transcript)
        if user is None:
            return Observation(account.id, exists=False, standing=())
        # Whose credential we use is asked here, so that containing does not wait for it.
        profile, denied, _ = await asyncio.gather(
            brief("iam.GetLoginProfile", self._api.read(spec.GET_PROFILE, user, transcript)),
            self._is_denied(user, transcript),
            brief("sts.GetCallerIdentity", self._wire.own_user_id(transcript)),
        )
        unasked = tuple(row for row in self._holdings.unasked if row.kind is not AccessKind.SIGN_IN)
        doors, unseen = _profile(profile)
        if self._denies and not denied:
            doors = (*doors, ANY_REQUEST)
        if unseen and not doors:
            doors = (LOGIN_PROFILE,)
        return self._observed(account, doors, (*unseen, *unasked))

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Delete the login profile, then deny everything.

        Raises:
            ConnectorFault: `FaultCategory.PROTECTED_ACCOUNT` when the user's credential is ours;
                `FaultCategory.MISCONFIGURED` when the user has no room for the deny and keeps its
                policies. Else `strip` makes room first.
        """
        if not before.signs_in:
            return ()
        user = await self._find(account, transcript)
        if user is None:
            return ()
        await self._refuse_ourselves(user, before.standing, transcript)
        doors: list[Step] = [partial(self._end_console, user, transcript)]
        if self._denies:
            doors.append(partial(self._deny, user, transcript))
        return await carry_out(*doors, at_once=1)

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        user = await self._find(account, transcript)
        if user is None:
            return Observation(account.id, exists=False, standing=())
        profile, held = await asyncio.gather(
            attempt(self._api.read(spec.GET_PROFILE, user, transcript)),
            self._holdings.read(user, transcript),
        )
        doors, unseen = _profile(profile)
        return self._observed(account, (*doors, *held.standing), (*unseen, *held.unread))

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Close what ``before`` shows and a fresh look does not contradict, kind after kind.

        Raises:
            ConnectorFault: `FaultCategory.PROTECTED_ACCOUNT` when the user's credential is ours.
        """
        if not before.standing:
            return ()
        user = await self._find(account, transcript)
        if user is None:
            return ()
        await self._refuse_ourselves(user, before.standing, transcript)
        stages: list[Step] = [
            partial(self._holdings.close, before.standing, user, transcript),
            # There was no room for the deny before, or somebody took it off.
            partial(self._deny, user, transcript, at_last=True),
        ]
        return await carry_out(*stages, at_once=1)

    @property
    def _denies(self) -> bool:
        return self._values[spec.DENY] == "all"

    async def _find(self, account: Account, transcript: Transcript) -> Words | None:
        """Who bears the id now, in the words of calls: by the remembered name, else in the list."""
        if account.locator:
            known = {"locator": account.locator}
            answer = await self._api.read(spec.GET_USER, known, transcript)
            if answer is not None:
                user = {name: need(answer, "User", name) for name in ("UserId", "UserName", "Arn")}
                if user["UserId"] == account.id:
                    return _words(user)
        # Renamed, deleted, or deleted and made anew under the same name.
        users = await list_users(self._api, transcript)
        return next((_words(one) for one in users if one["UserId"] == account.id), None)

    async def _refuse_ourselves(
        self, user: Words, standing: Iterable[Access], transcript: Transcript
    ) -> None:
        """Never shut ourselves out: whose credential we use is asked once, and for seconds only.

        An answer that does not come must not keep a leaver's door open, so it refuses nothing.
        """
        operation = "sts.GetCallerIdentity"
        own = await brief(operation, self._wire.own_user_id(transcript))
        is_given = self._values[spec.CREDENTIALS] == "keys"
        ours = Access(AccessKind.SECRET, f"access_key:{self._values[spec.ACCESS_KEY_ID]}")
        if own == user["id"] or (is_given and ours in standing):
            raise fault(FaultCategory.PROTECTED_ACCOUNT, operation, "own_credential")

    async def _is_denied(self, user: Words, transcript: Transcript) -> bool | None:
        """Whether requests are denied; None where that is not answered in good time."""
        if not self._denies:
            return None
        row = spec.attached_row(self._values)
        asked = self._holdings.read(user, transcript, [row])
        held = await brief(row.listed.call.operation, asked)
        if not isinstance(held, Held) or any(held.unread):
            return None
        return ANY_REQUEST not in held.things

    async def _end_console(self, user: Words, transcript: Transcript) -> Sequence[Action]:
        calls = [spec.DELETE_PROFILE]
        return actions([LOGIN_PROFILE], await self._api.do(calls, user, transcript, thing={}))

    async def _deny(
        self, user: Words, transcript: Transcript, *, at_last: bool = False
    ) -> Sequence[Action]:
        """Attach the deny unless it is there: attaching again would be told as done again.

        ``at_last`` only where it is seen not to be there.
        """
        denied = await self._is_denied(user, transcript) if self._denies else True
        if denied or (at_last and denied is None):
            return ()
        try:  # "no such entity" would mean: nothing is denied
            answer = await self._api.probe(spec.ATTACH_DENY, user, transcript)
        except ConnectorFault as refused:
            is_full = refused.category is FaultCategory.MISCONFIGURED and refused.code == _NO_ROOM
            if is_full and self._values[spec.STRIP_POLICIES] and not at_last:
                return ()
            raise
        return actions([ANY_REQUEST], answer)

    def _observed(
        self, account: Account, standing: Iterable[Access], unseen: Iterable[Unread]
    ) -> Observation:
        known = [
            Residual("assumed_role_session", self._values[spec.ROLE_SESSION]),
            *residual("iam_propagation", self._values[spec.PROPAGATION]),
        ]
        if not self._denies:
            known.append(Residual("temporary_credentials", _TEMPORARY_CREDENTIALS_S))
        bare = Observation(account.id, exists=True, standing=tuple(standing))
        return replace(bare, residuals=tuple(known), unread=tuple(unseen))


async def brief(operation: str, work: Awaitable[T]) -> T | ConnectorFault:
    """A read that must not hold up the first write: its result or its fault, in good time."""
    try:
        async with asyncio.timeout(BRIEF_S):
            return await attempt(work)
    except TimeoutError:
        return fault(FaultCategory.TIMEOUT, operation, "not_waited_for")


def _profile(read: object) -> tuple[tuple[Access, ...], tuple[Unread, ...]]:
    """What the login profile's own call says: it is there, it is gone, or it cannot be read."""
    if isinstance(read, ConnectorFault):
        return (), (unread(AccessKind.SIGN_IN, read),)
    return ((LOGIN_PROFILE,) if read is not None else ()), ()


def _words(user: dict[str, str]) -> Words:
    """``arn:<partition>:iam::…``: China and GovCloud keep their own copies of AWS's policies."""
    deny = f"arn:{user['Arn'].split(':')[1]}:iam::aws:policy/AWSDenyAll"
    return {"id": user["UserId"], "locator": user["UserName"], "deny": deny}
