"""IAM Identity Center users: assignments, applications, memberships and the user itself.

Facts this file stands on (Identity Store and SSO Admin API references):

- No call disables a user or ends a portal session; both exist only in the console. Deleting the
  user is the only way to end sign-in by API, so where policy deletes it comes first. Ids are never
  given again: what is left of a deleted user's assignments opens nothing. AWS still lists it by the
  id, so it is removed afterwards.
- `DeleteAccountAssignment` is asynchronous: its answer says that the work began. Only a later
  listing proves it.
- Changes to a user that a directory provisions are not written back and are undone by it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from connectors.aws.faults import GoneFault
from connectors.aws.http import AwsAnswer, AwsCalls, all_of, need
from connectors.aws.settings import AwsSettings
from connectors.aws.sso_find import Finder, Instance, describe
from connectors.base import ConnectorFault, Transcript
from connectors.kit.steps import AT_ONCE, Step, carry_out, unread, with_actions
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

USER = Access(AccessKind.SIGN_IN, "user")

_USER_ID = re.compile(
    r"(?:[0-9a-f]{10}-)?[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z",
)
_UNDER_WAY = frozenset({"IN_PROGRESS", "SUCCEEDED"})
# Portal and application sessions end at their next refresh, at most an hour after the user or
# the session is gone (User Guide, "Authentication sessions").
_PORTAL_SESSION_S = 3_600


def is_user_id(text: str) -> bool:
    """Whether ``text`` is an Identity Store user id; IAM's ids hold no hyphen."""
    return _USER_ID.match(text) is not None


_Looked = tuple[list[Access], list[Unread]]


class IdentityCenterUsers:
    """The Identity Center half of an AWS system."""

    def __init__(self, settings: AwsSettings, calls: AwsCalls) -> None:
        self._settings = settings
        self._calls = calls
        self.finder = Finder(settings, calls)
        self._known_instance: Instance | None = None
        self._finding_instance = asyncio.Lock()

    def usable(self, account_ids: Sequence[str], keys: LeaverKeys) -> list[Key]:
        """The keys by which an Identity Center user can be looked up."""
        return self.finder.usable(account_ids, keys)

    async def locate(
        self,
        account_ids: Sequence[str],
        keys: LeaverKeys,
        transcript: Transcript,
        *,
        not_theirs: Collection[str] = (),
    ) -> Location:
        if not self.usable(account_ids, keys):
            return Location((), ())
        instance = await self.instance(transcript)
        return await self.finder.locate(
            instance, account_ids, keys, transcript, look=self._door, not_theirs=not_theirs
        )

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        instance = await self.instance(transcript)
        user = await describe(self._calls, instance, account.id, transcript)
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
        instance = await self.instance(transcript)
        user = await describe(self._calls, instance, account.id, transcript)
        if user is None or USER not in _sign_in(user):
            return ()
        if self._is_directory_owned(user):
            raise _cannot(FaultCategory.MANAGED_ELSEWHERE, "directory_user")
        if not self._settings.delete_user:
            raise _cannot(FaultCategory.MANUAL, "disable_in_console")
        return await self._close(instance, account.id, USER, transcript)

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        """The user, and everything that AWS lists under the id, also once the user is gone."""
        instance = await self.instance(transcript)
        user = await describe(self._calls, instance, account.id, transcript)
        lists = await self._lists(instance, account.id, transcript, exists=user is not None)
        standing, unseen = lists
        return Observation(
            account.id,
            exists=user is not None,
            standing=(*(_sign_in(user) if user else ()), *standing),
            residuals=self._residuals(),
            unread=tuple(unseen),
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
        instance = await self.instance(transcript)
        user = await describe(self._calls, instance, account.id, transcript)
        now, unseen = await self._lists(instance, account.id, transcript, exists=user is not None)
        hidden = {row.kind for row in unseen}
        todo = [way for way in before.standing if way in now or way.kind in hidden]
        theirs = AccessKind.GROUP if user and self._is_directory_owned(user) else None
        steps: list[Step] = [
            partial(self._close, instance, account.id, way, transcript)
            for way in todo
            if way.kind is not theirs
        ]
        done = await carry_out(*steps, at_once=AT_ONCE)
        if any(way.kind is theirs for way in todo):
            operation = "DeleteGroupMembership"
            fault = _cannot(FaultCategory.MANAGED_ELSEWHERE, "directory_user", operation)
            raise with_actions(fault, done)
        return done

    async def instance(self, transcript: Transcript) -> Instance:
        """The configured instance, or the only one.

        Raises:
            ConnectorFault: `FaultCategory.MISCONFIGURED` when there is none, or several.
        """
        async with self._finding_instance:
            if self._known_instance is None:
                found = await self._calls.pages(
                    "sso-admin", "ListInstances", {}, transcript, key="Instances"
                )
                need(found, "sso-admin.ListInstances", "InstanceArn")
                wanted = self._settings.instance_arn
                arns = [one for one in found if wanted in (None, one["InstanceArn"])]
                if len(arns) != 1:
                    raise ConnectorFault(
                        FaultCategory.MISCONFIGURED,
                        connector="aws",
                        operation="sso-admin.ListInstances",
                        code="several_instances" if arns else "no_instance",
                    )
                self._known_instance = Instance(arns[0]["InstanceArn"], arns[0]["IdentityStoreId"])
            return self._known_instance

    def _door(self, user: dict[str, Any]) -> Observation:
        kinds = (AccessKind.GROUP, AccessKind.ASSIGNMENT)
        return Observation(
            user["UserId"],
            exists=True,
            standing=_sign_in(user),
            residuals=self._residuals(),
            unread=tuple(Unread(kind) for kind in kinds),
        )

    def _residuals(self) -> tuple[Residual, ...]:
        return (
            Residual("permission_set_session", self._settings.role_session_s),
            Residual("identity_center_session", _PORTAL_SESSION_S),
        )

    def _is_directory_owned(self, user: dict[str, Any]) -> bool:
        """SCIM and Active Directory leave an external id; users made in the store have none."""
        if self._settings.identity_source == "detect":
            return bool(user.get("ExternalIds"))
        return self._settings.identity_source == "external"

    async def _lists(
        self, instance: Instance, user_id: str, transcript: Transcript, *, exists: bool
    ) -> _Looked:
        """What stands beside the sign-in; each list that cannot be read is told by itself."""
        looked = await all_of(
            *(
                self._row(row, instance, user_id, transcript)
                for row in _ROWS
                if (exists or row.outlives_user)
                and (self._settings.applications or row.member != "ApplicationArn")
            )
        )
        standing = [way for ways, _ in looked for way in ways]
        return standing, [row for _, unseen in looked for row in unseen]

    async def _row(
        self, row: _Row, instance: Instance, user_id: str, transcript: Transcript
    ) -> _Looked:
        params = (
            {
                "InstanceArn": instance.arn,
                "PrincipalId": user_id,
                "PrincipalType": "USER",
            }
            if row.outlives_user
            else {"IdentityStoreId": instance.store, "MemberId": {"UserId": user_id}}
        )
        try:
            found = await self._calls.pages(
                row.service, row.listing, params, transcript, key=row.key
            )
            items = need(found, f"{row.service}.{row.listing}", *row.has)
        except GoneFault:
            # AWS knows no such principal any more: nothing hangs on it.
            return [], []
        except ConnectorFault as fault:
            return [], [unread(row.kind, fault)]
        own = items if not row.outlives_user else _direct(items, user_id)
        return [Access(row.kind, row.ref(item)) for item in own], []

    async def _close(
        self, instance: Instance, user_id: str, access: Access, transcript: Transcript
    ) -> tuple[Action, ...]:
        service, operation, params = _closing(instance, user_id, access)
        answer = await self._calls.call_unless_gone(service, operation, params, transcript)
        if answer is None:
            return ()
        _refuse_failed(answer)
        exchange = answer.exchange
        return (Action(access, answer.answered_at, exchange.operation, exchange.request_id),)


@dataclass(frozen=True, slots=True)
class _Row:
    """One list: where AWS keeps it, and what each item is to us.

    ``outlives_user`` is whether it is kept under the principal's id, also for a user who is gone.
    """

    service: str
    listing: str
    key: str
    kind: AccessKind
    member: str
    outlives_user: bool

    @property
    def has(self) -> tuple[str, ...]:
        """The members that every item must have."""
        if not self.outlives_user:
            return (self.member,)
        whose = ("PrincipalType", "PrincipalId", self.member)
        return (*whose, "AccountId") if self.member == "PermissionSetArn" else whose

    def ref(self, item: dict[str, Any]) -> str:
        if self.member == "PermissionSetArn":
            return f"{item['AccountId']}/{item['PermissionSetArn']}"
        return str(item[self.member])


_ROWS = (
    _Row(
        "identitystore",
        "ListGroupMembershipsForMember",
        "GroupMemberships",
        AccessKind.GROUP,
        "MembershipId",
        outlives_user=False,
    ),
    _Row(
        "sso-admin",
        "ListAccountAssignmentsForPrincipal",
        "AccountAssignments",
        AccessKind.ASSIGNMENT,
        "PermissionSetArn",
        outlives_user=True,
    ),
    _Row(
        "sso-admin",
        "ListApplicationAssignmentsForPrincipal",
        "ApplicationAssignments",
        AccessKind.ASSIGNMENT,
        "ApplicationArn",
        outlives_user=True,
    ),
)


def _sign_in(user: dict[str, Any]) -> tuple[Access, ...]:
    """A user without a status stands: only DISABLED is proof."""
    return () if user.get("UserStatus") == "DISABLED" else (USER,)


def _closing(instance: Instance, user_id: str, access: Access) -> tuple[str, str, dict[str, str]]:
    principal = {"PrincipalType": "USER", "PrincipalId": user_id}
    if access == USER:
        user = {"IdentityStoreId": instance.store, "UserId": user_id}
        return "identitystore", "DeleteUser", user
    if access.kind is AccessKind.GROUP:
        membership = {"IdentityStoreId": instance.store, "MembershipId": access.ref}
        return "identitystore", "DeleteGroupMembership", membership
    if access.ref.startswith("arn:"):
        application = {"ApplicationArn": access.ref, **principal}
        return "sso-admin", "DeleteApplicationAssignment", application
    target, _, permission_set = access.ref.partition("/")
    assignment = {
        "InstanceArn": instance.arn,
        "TargetId": target,
        "TargetType": "AWS_ACCOUNT",
        "PermissionSetArn": permission_set,
        **principal,
    }
    return "sso-admin", "DeleteAccountAssignment", assignment


def _refuse_failed(answer: AwsAnswer) -> None:
    """A 200 whose status is FAILED, or nothing we know: the assignment stands.

    Raises:
        ConnectorFault: `FaultCategory.NOT_APPLIED`.
    """
    if answer.exchange.operation != "sso-admin.DeleteAccountAssignment":
        return
    if answer.need("AccountAssignmentDeletionStatus").get("Status") not in _UNDER_WAY:
        raise ConnectorFault(
            FaultCategory.NOT_APPLIED,
            connector="aws",
            operation=answer.exchange.operation,
            code="deletion_failed",
            request_id=answer.exchange.request_id,
        )


def _direct(assignments: list[dict[str, Any]], user_id: str) -> Iterator[dict[str, Any]]:
    """Those that name the user; those through a group fall with the membership."""
    return (
        one
        for one in assignments
        if one["PrincipalType"] == "USER" and one["PrincipalId"] == user_id
    )


def _cannot(category: FaultCategory, code: str, operation: str = "DeleteUser") -> ConnectorFault:
    return ConnectorFault(
        category, connector="aws", operation=f"identitystore.{operation}", code=code
    )
