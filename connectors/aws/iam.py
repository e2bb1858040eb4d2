"""IAM users of one AWS account: console password, keys, factors, groups and policies.

IAM calls take a user *name*, and a name can be given to somebody else. Every look and every
change therefore first finds the name that belongs to the pinned user id today.

The sign-in of an IAM user is two doors: the console's login profile, and every request that is
signed with a key or temporary credentials of the user's, which AWSDenyAll shuts. Both are shut by
`contain`. Whether the deny is attached is told by a list; it is waited for a few seconds only, and
a deny that was not seen counts as missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from connectors.aws import iam_find
from connectors.aws.http import AwsAnswer, AwsCalls, all_of, brief, need
from connectors.aws.iam_ways import (
    ANY_REQUEST,
    LOGIN_PROFILE,
    Row,
    closing,
    own_key,
    policies,
    rows,
)
from connectors.aws.settings import AwsSettings
from connectors.base import ConnectorFault, Transcript
from connectors.kit.residuals import residual
from connectors.kit.steps import AT_ONCE, Step, carry_out, unread
from lockstep.domain.cases.leavers import Key, LeaverKeys
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Account,
    Action,
    Location,
    Observation,
    Residual,
    Unread,
)
from lockstep.domain.systems.faults import FaultCategory

# GetSessionToken and GetFederationToken: at most 36 hours (STS API reference).
_TEMPORARY_CREDENTIALS_S = 129_600
_STAGES: tuple[frozenset[AccessKind], ...] = (
    frozenset({AccessKind.SECRET}),
    frozenset({AccessKind.FACTOR}),  # after the secrets: policies may ask for a factor
    frozenset({AccessKind.ROLE, AccessKind.GROUP}),
)
_NO_ROOM = "409.LimitExceeded"
"""A user may have ten managed policies (IAM quotas)."""
_ORDER = {kind: place for place, kind in enumerate(AccessKind)}

_Looked = tuple[list[Access], list[Unread]]


@dataclass(frozen=True, slots=True)
class _User:
    """Who bears the pinned id today, and the transcript of this look."""

    id: str
    name: str
    deny_policy: str
    transcript: Transcript = field(repr=False)


class IamUsers:
    """The IAM half of an AWS system."""

    def __init__(self, settings: AwsSettings, calls: AwsCalls) -> None:
        self._settings = settings
        self._calls = calls

    def usable(self, account_ids: Sequence[str], keys: LeaverKeys) -> list[Key]:
        """The keys by which IAM can know a person."""
        return iam_find.usable(account_ids, keys, self._settings)

    async def locate(
        self, account_ids: Sequence[str], keys: LeaverKeys, transcript: Transcript
    ) -> Location:
        return await iam_find.locate(self._settings, self._calls, account_ids, keys, transcript)

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        """The user, and whether both doors are known to be shut; what is not known is open."""
        user = await self._find(account, transcript)
        if user is None:
            return Observation(account.id, exists=False, standing=())
        # Whose credential we use is asked here, so that containing does not wait for it.
        (profile, profile_rows), deny, _ = await all_of(
            self._profile(user, briefly=True), self._deny_stands(user), self._own_id(user)
        )
        standing = [*profile, *([ANY_REQUEST] if deny else [])]
        if profile_rows and not standing:
            standing.append(LOGIN_PROFILE)
        kinds = {
            kind: None
            for row in rows(self._settings, user.deny_policy)
            for kind in row.kinds
            if kind is not AccessKind.SIGN_IN
        }
        unasked = [Unread(kind) for kind in kinds]
        return self._observed(account, standing, [*profile_rows, *unasked])

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
        await self._refuse_ourselves(user, before.standing)
        doors: list[Step] = [partial(self._close, LOGIN_PROFILE, user)]
        if self._settings.deny_all:
            doors.append(partial(self._deny, user))
        return await carry_out(*doors, at_once=1)

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        user = await self._find(account, transcript)
        if user is None:
            return Observation(account.id, exists=False, standing=())
        standing, unseen = await self._ways(user)
        return self._observed(account, standing, unseen)

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
        await self._refuse_ourselves(user, before.standing)
        now, unseen = await self._ways(user)
        hidden = {row.kind for row in unseen}
        todo = [way for way in before.standing if way in now or way.kind in hidden]
        stages: list[Step] = [
            partial(self._close_each, [way for way in todo if way.kind in kinds], user)
            for kinds in _STAGES
        ]
        if ANY_REQUEST in now:  # there was no room for the deny, or somebody took it off
            stages.append(partial(self._close, ANY_REQUEST, user))
        return await carry_out(*stages, at_once=1)

    async def _find(self, account: Account, transcript: Transcript) -> _User | None:
        """The user who bears the id now: by the remembered name, else in the whole list."""
        if account.locator:
            answer = await self._calls.call_unless_gone(
                "iam", "GetUser", {"UserName": account.locator}, transcript
            )
            if answer is not None:
                found = need([answer.need("User")], "iam.GetUser", "UserId", "UserName", "Arn")[0]
                if found["UserId"] == account.id:
                    return _user(found["UserId"], found["UserName"], found["Arn"], transcript)
        # Renamed, deleted, or deleted and made anew under the same name.
        users = await iam_find.list_users(self._calls, transcript)
        theirs = (user for user in users if user["UserId"] == account.id)
        return next(
            (_user(one["UserId"], one["UserName"], one["Arn"], transcript) for one in theirs), None
        )

    async def _refuse_ourselves(self, user: _User, standing: Iterable[Access]) -> None:
        """Never shut ourselves out: whose credential we use is asked once, and for seconds only.

        An answer that does not come must not keep a leaver's door open, so it refuses nothing.
        """
        own = await brief("sts.GetCallerIdentity", self._calls.own_user_id(user.transcript))
        keys = self._settings.static_keys
        if own == user.id or (keys is not None and own_key(keys[0]) in standing):
            raise ConnectorFault(
                FaultCategory.PROTECTED_ACCOUNT,
                connector="aws",
                operation="sts.GetCallerIdentity",
                code="own_credential",
            )

    async def _own_id(self, user: _User) -> str | None:
        """Whose credential we use; None where that is not answered in good time."""
        asked = self._calls.own_user_id(user.transcript)
        own = await brief("sts.GetCallerIdentity", asked)
        return None if isinstance(own, ConnectorFault) else own

    async def _deny_stands(self, user: _User) -> bool:
        """Whether requests are not known to be denied; False too where policy does not deny."""
        if not self._settings.deny_all:
            return False
        row = policies(self._settings, user.deny_policy)
        ways = await brief(f"iam.{row.listing}", self._listed(row, user))
        return isinstance(ways, ConnectorFault) or ANY_REQUEST in ways

    async def _deny(self, user: _User) -> Sequence[Action]:
        """Attach the deny unless it is there: attaching again would be told as done again."""
        if not await self._deny_stands(user):
            return ()
        try:
            return await self._close(ANY_REQUEST, user)
        except ConnectorFault as fault:
            is_full = fault.category is FaultCategory.MISCONFIGURED and fault.code == _NO_ROOM
            if is_full and self._settings.strip_policies:
                return ()
            raise

    async def _ways(self, user: _User) -> _Looked:
        """Everything that stands, and each list that cannot be read, by itself."""
        looked = await all_of(
            self._profile(user),
            *(self._row(row, user) for row in rows(self._settings, user.deny_policy)),
        )
        standing = [way for ways, _ in looked for way in ways]
        standing.sort(key=lambda way: _ORDER[way.kind])
        return standing, [row for _, unseen in looked for row in unseen]

    async def _profile(self, user: _User, *, briefly: bool = False) -> _Looked:
        call = self._calls.call_unless_gone(
            "iam", "GetLoginProfile", {"UserName": user.name}, user.transcript
        )
        try:
            answer = await (brief("iam.GetLoginProfile", call) if briefly else call)
        except ConnectorFault as fault:
            answer = fault
        if isinstance(answer, ConnectorFault):
            return [], [unread(AccessKind.SIGN_IN, answer)]
        return ([] if answer is None else [LOGIN_PROFILE]), []

    async def _row(self, row: Row, user: _User) -> _Looked:
        try:
            return await self._listed(row, user), []
        except ConnectorFault as fault:
            return [], [unread(kind, fault) for kind in row.kinds]

    async def _listed(self, row: Row, user: _User) -> list[Access]:
        params = {"UserName": user.name}
        items = await self._calls.pages("iam", row.listing, params, user.transcript, key=row.key)
        return list(row.ways(need(items, f"iam.{row.listing}", *row.has) if row.has else items))

    async def _close_each(self, ways: Sequence[Access], user: _User) -> tuple[Action, ...]:
        """Close at once what may be closed in any order."""
        steps: list[Step] = [partial(self._close, way, user) for way in ways]
        return await carry_out(*steps, at_once=AT_ONCE)

    async def _close(self, access: Access, user: _User) -> tuple[Action, ...]:
        """Close one way in; gone already yields no action."""
        operation, params = closing(access, self._settings, user.deny_policy)
        params = {"UserName": user.name, **params}
        answer: AwsAnswer | None
        if access == ANY_REQUEST:  # "no such entity" would mean: nothing is denied
            answer = await self._calls.call("iam", operation, params, user.transcript)
        else:
            answer = await self._calls.call_unless_gone("iam", operation, params, user.transcript)
        if answer is None:
            return ()
        exchange = answer.exchange
        return (Action(access, answer.answered_at, exchange.operation, exchange.request_id),)

    def _observed(
        self, account: Account, standing: Sequence[Access], unseen: Sequence[Unread]
    ) -> Observation:
        known = [
            Residual("assumed_role_session", self._settings.role_session_s),
            *residual("iam_propagation", self._settings.propagation_s),
        ]
        if not self._settings.deny_all:
            known.append(Residual("temporary_credentials", _TEMPORARY_CREDENTIALS_S))
        bare = Observation(account.id, exists=True, standing=tuple(standing))
        return replace(bare, residuals=tuple(known), unread=tuple(unseen))


def _user(user_id: str, name: str, arn: str, transcript: Transcript) -> _User:
    """``arn:<partition>:iam::…``: China and GovCloud keep their own copies of AWS's policies."""
    partition = arn.split(":")[1]
    return _User(user_id, name, f"arn:{partition}:iam::aws:policy/AWSDenyAll", transcript)
