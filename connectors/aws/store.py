"""IAM Identity Center users: assignments, applications, memberships and the user itself.

Facts this file stands on (Identity Store and SSO Admin API references):

- No call disables a user or ends a portal session; both exist only in the console. Deleting the
  user is the only way to end sign-in by API, so where policy deletes it comes first. Ids are never
  given again: what is left of a deleted user's assignments opens nothing. AWS still lists it by the
  id, so it is removed afterwards.
- Changes to a user that a directory provisions are not written back and are undone by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from connectors.aws import spec
from connectors.aws.spec import STORE_USER
from connectors.aws.store_find import StoreFinder, describe
from connectors.aws.wire import complete, fault
from connectors.base import Transcript
from connectors.kit.calls import Api, Words, actions
from connectors.kit.holdings import Held, Holdings
from connectors.kit.options import Values
from connectors.kit.pages import Item
from connectors.kit.steps import with_actions
from lockstep.domain.cases.leavers import LeaverKeys
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Account,
    Action,
    Location,
    Observation,
    Residual,
)
from lockstep.domain.systems.faults import FaultCategory

# Portal and application sessions end at their next refresh, at most an hour after the user or
# the session is gone (User Guide, "Authentication sessions").
_PORTAL_SESSION_S = 3_600


class IdentityCenterUsers:
    """The Identity Center half of an AWS system."""

    def __init__(self, values: Values, api: Api) -> None:
        self._values = values
        self._api = api
        self._holdings = Holdings(spec.store_rows(values), api, values)
        self.finder = StoreFinder(values, api)
        self._instance: Words | None = None
        self._finding_instance = asyncio.Lock()

    async def locate(
        self,
        ids: Sequence[str],
        keys: LeaverKeys,
        transcript: Transcript,
        *,
        not_theirs: Collection[str] = (),
    ) -> Location:
        if not self.finder.usable(ids, keys):
            return Location((), ())
        words = await self.instance(transcript)
        return await self.finder.locate(
            words, ids, keys, transcript, look=self._door, not_theirs=not_theirs
        )

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        words = await self.instance(transcript)
        user = await describe(self._api, words, account.id, transcript)
        if user is None:
            return Observation(account.id, exists=False, standing=())
        return self._door(user)

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Delete the user, where policy lets us.

        Raises:
            ConnectorFault: `FaultCategory.MANAGED_ELSEWHERE` for a directory's user,
                `FaultCategory.MANUAL` for a user that policy keeps.
        """
        if not before.signs_in:
            return ()
        words = await self.instance(transcript)
        user = await describe(self._api, words, account.id, transcript)
        if user is None or not _sign_in(user):
            return ()
        operation = spec.DELETE_USER.operation
        if self._is_directory_owned(user):
            raise fault(FaultCategory.MANAGED_ELSEWHERE, operation, "directory_user")
        if self._values[spec.USER_FATE] != "delete":
            raise fault(FaultCategory.MANUAL, operation, "disable_in_console")
        theirs = {**words, "id": account.id}
        answer = await self._api.do([spec.DELETE_USER], theirs, transcript, thing=user)
        return actions([STORE_USER], answer)

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        """The user, and everything that AWS lists under the id, also once the user is gone."""
        words = await self.instance(transcript)
        user = await describe(self._api, words, account.id, transcript)
        held = await self._held(words, account, user, transcript)
        return Observation(
            account.id,
            exists=user is not None,
            standing=(*(_sign_in(user) if user else ()), *held.standing),
            residuals=self._residuals(),
            unread=held.unread,
        )

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Close what ``before`` shows and a fresh look does not contradict.

        Raises:
            ConnectorFault: `FaultCategory.MANAGED_ELSEWHERE` for memberships that a directory
                owns; the rest is closed first.
        """
        if not before.standing:
            return ()
        words = await self.instance(transcript)
        user = await describe(self._api, words, account.id, transcript)
        theirs = {**words, "id": account.id}
        groups = [way for way in before.standing if way.kind is AccessKind.GROUP]
        rest = [way for way in before.standing if way.kind is AccessKind.ASSIGNMENT]
        if user is None:  # a membership ends with its user
            return await self._holdings.close(rest, theirs, transcript)
        if not self._is_directory_owned(user):
            return await self._holdings.close([*groups, *rest], theirs, transcript)
        done = await self._holdings.close(rest, theirs, transcript)
        now = await self._holdings.read(theirs, transcript, [spec.MEMBERSHIPS])
        if (now.unread and groups) or any(way in now.things for way in groups):
            operation = "identitystore.DeleteGroupMembership"
            refused = fault(FaultCategory.MANAGED_ELSEWHERE, operation, "directory_user")
            raise with_actions(refused, done)
        return done

    async def instance(self, transcript: Transcript) -> Words:
        """The configured instance, or the only one, in the words of calls.

        Raises:
            ConnectorFault: `FaultCategory.MISCONFIGURED` when there is none, or several.
        """
        async with self._finding_instance:
            if self._instance is None:
                operation = spec.INSTANCES.call.operation
                found = await self._api.whole(spec.INSTANCES, {}, transcript)
                wanted = self._values[spec.INSTANCE_ARN]
                fit = [one for one in found if not wanted or one["InstanceArn"] == wanted]
                if len(fit) != 1:
                    code = "several_instances" if fit else "no_instance"
                    raise fault(FaultCategory.MISCONFIGURED, operation, code)
                complete(fit, operation, "IdentityStoreId")
                self._instance = {
                    "instance": fit[0]["InstanceArn"],
                    "store": fit[0]["IdentityStoreId"],
                }
            return self._instance

    def _door(self, user: Item) -> Observation:
        return Observation(
            user["UserId"],
            exists=True,
            standing=_sign_in(user),
            residuals=self._residuals(),
            unread=self._holdings.unasked,
        )

    async def _held(
        self, words: Words, account: Account, user: Item | None, transcript: Transcript
    ) -> Held:
        """What stands beside the sign-in; a membership ends with its user."""
        rows = spec.store_rows(self._values)
        due = [row for row in rows if user is not None or row is not spec.MEMBERSHIPS]
        return await self._holdings.read({**words, "id": account.id}, transcript, due)

    def _residuals(self) -> tuple[Residual, ...]:
        return (
            Residual("permission_set_session", self._values[spec.ROLE_SESSION]),
            Residual("identity_center_session", _PORTAL_SESSION_S),
        )

    def _is_directory_owned(self, user: Item) -> bool:
        """SCIM and Active Directory leave an external id; users made in the store have none."""
        source = self._values[spec.IDENTITY_SOURCE]
        return bool(user.get("ExternalIds")) if source == "detect" else source == "external"


def _sign_in(user: Item) -> tuple[Access, ...]:
    """A user without a status stands: only DISABLED is proof."""
    return () if user.get("UserStatus") == "DISABLED" else (STORE_USER,)
