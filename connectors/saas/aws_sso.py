"""IAM Identity Center users: assignments, applications, memberships and the user itself.

Facts this file stands on (Identity Store and SSO Admin API references):

- No call disables a user or ends a portal session; both exist only in the console. Deleting the
  user is the only way to end sign-in by API.
- `DeleteAccountAssignment` is asynchronous: its answer says that the work began. Only a later
  listing proves it.
- Changes to a user that a directory provisions are not written back and are undone by it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.base import ConnectorFault, Transcript
from connectors.saas.aws_http import AwsAnswer, AwsCalls, all_of
from connectors.saas.aws_match import Finds
from connectors.saas.aws_settings import AwsSettings
from lockstep.domain.access import (
    Access,
    AccessKind,
    Account,
    Action,
    Location,
    Observation,
    Residual,
)
from lockstep.domain.faults import FaultCategory
from lockstep.domain.leavers import Key, KeyKind, LeaverKeys

USER = Access(AccessKind.SIGN_IN, "user")

_USER_ID = re.compile(
    r"(?:[0-9a-f]{10}-)?[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z",
)
_ENTERPRISE = "aws:identitystore:enterprise"
_UNDER_WAY = frozenset({"IN_PROGRESS", "SUCCEEDED"})
# Portal and application sessions end at their next refresh, at most an hour after the user or
# the session is gone (User Guide, "Authentication sessions").
_PORTAL_SESSION_S = 3_600


def is_user_id(text: str) -> bool:
    """Whether ``text`` is an Identity Store user id; IAM's ids hold no hyphen."""
    return _USER_ID.match(text) is not None


@dataclass(frozen=True, slots=True)
class _Instance:
    arn: str
    store: str


class IdentityCenterUsers:
    """The Identity Center half of an AWS system."""

    def __init__(self, settings: AwsSettings, calls: AwsCalls) -> None:
        self._settings = settings
        self._calls = calls
        self._known_instance: _Instance | None = None
        self._finding_instance = asyncio.Lock()

    async def locate(
        self, account_ids: Sequence[str], keys: LeaverKeys, transcript: Transcript
    ) -> Location:
        """Look up every key exactly; the identity store keeps user names and e-mails unique."""
        finds = Finds(keys, "identitystore.GetUserId")
        searches = list(self._searches(keys))
        if not account_ids and not searches:
            return finds.location()
        instance = await self.instance(transcript)
        ids: list[tuple[KeyKind, str | None]] = [
            (KeyKind.ACCOUNT_ID, user_id) for user_id in account_ids
        ]
        found = await all_of(
            *(self._user_id(instance, search, transcript) for _, search in searches)
        )
        ids += [(kind, user_id) for (kind, _), user_id in zip(searches, found, strict=True)]
        distinct = list(dict.fromkeys(user_id for _, user_id in ids if user_id))
        users = await all_of(*(self._describe(instance, one, transcript) for one in distinct))
        by_id = dict(zip(distinct, users, strict=True))
        for kind, user_id in ids:
            finds.tried(kind)
            user = by_id.get(user_id) if user_id else None
            finds.add([self._account(user)] if user else [], kind)
        return finds.location()

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        instance = await self.instance(transcript)
        user = await self._describe(instance, account.id, transcript)
        standing = await self._standing(instance, user, transcript) if user else ()
        residuals = (
            Residual("permission_set_session", self._settings.role_session_s),
            Residual("identity_center_session", _PORTAL_SESSION_S),
        )
        return Observation(
            account.id, exists=user is not None, standing=standing, residuals=residuals
        )

    async def revoke(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Close what ``before`` shows and a fresh look confirms; the user itself comes last.

        Assignments go first because they are listed by user: once the user is deleted, nobody
        could tell which of them are left behind.

        Raises:
            ConnectorFault: `FaultCategory.MANAGED_ELSEWHERE` for what a directory owns,
                `FaultCategory.MANUAL` for a user that policy keeps; the rest is closed first.
        """
        instance = await self.instance(transcript)
        user = await self._describe(instance, account.id, transcript)
        if user is None:
            return ()
        now = await self._standing(instance, user, transcript)
        todo = [access for access in now if access in before.standing]
        theirs = {AccessKind.SIGN_IN, AccessKind.GROUP} if self._is_directory_owned(user) else set()
        grants = [a for a in todo if a != USER and a.kind not in theirs]
        done = await all_of(
            *(self._close(instance, account.id, access, transcript) for access in grants)
        )
        if any(access.kind in theirs for access in todo):
            raise _cannot(FaultCategory.MANAGED_ELSEWHERE, "directory_user")
        if USER in todo:
            if not self._settings.delete_user:
                raise _cannot(FaultCategory.MANUAL, "disable_in_console")
            done.append(await self._close(instance, account.id, USER, transcript))
        return tuple(action for action in done if action is not None)

    async def instance(self, transcript: Transcript) -> _Instance:
        """The configured instance, or the only one.

        Raises:
            ConnectorFault: `FaultCategory.MISCONFIGURED` when there is none, or several.
        """
        async with self._finding_instance:
            if self._known_instance is None:
                found = await self._calls.pages(
                    "sso-admin", "ListInstances", {}, transcript, key="Instances"
                )
                wanted = self._settings.instance_arn
                arns = [one for one in found if wanted in (None, one["InstanceArn"])]
                if len(arns) != 1:
                    raise ConnectorFault(
                        FaultCategory.MISCONFIGURED,
                        connector="aws",
                        operation="sso-admin.ListInstances",
                        code="several_instances" if arns else "no_instance",
                    )
                self._known_instance = _Instance(arns[0]["InstanceArn"], arns[0]["IdentityStoreId"])
            return self._known_instance

    def _searches(self, keys: LeaverKeys) -> Iterator[tuple[KeyKind, dict[str, Any]]]:
        """Every exact look-up that the keys allow, strongest first."""
        issuer, kind = self._settings.external_id_issuer, self._settings.external_id_holds
        for value in keys.of_kind(kind) if issuer else ():
            yield kind, {"ExternalId": {"Issuer": issuer, "Id": value}}
        for value in keys.usernames:
            yield KeyKind.USERNAME, _unique("userName", value)
        for value in keys.emails:
            yield KeyKind.EMAIL, _unique("emails.value", value)
            yield KeyKind.EMAIL, _unique("userName", value)

    async def _user_id(
        self, instance: _Instance, search: dict[str, Any], transcript: Transcript
    ) -> str | None:
        answer = await self._calls.call_unless_gone(
            "identitystore",
            "GetUserId",
            {"IdentityStoreId": instance.store, "AlternateIdentifier": search},
            transcript,
        )
        return str(answer.need("UserId")) if answer else None

    async def _describe(
        self, instance: _Instance, user_id: str, transcript: Transcript
    ) -> dict[str, Any] | None:
        answer = await self._calls.call_unless_gone(
            "identitystore",
            "DescribeUser",
            {
                "IdentityStoreId": instance.store,
                "UserId": user_id,
                "Extensions": [_ENTERPRISE],
            },
            transcript,
        )
        if answer is None:
            return None
        answer.need("UserId")
        answer.need("UserName")
        return answer.data

    def _account(self, user: dict[str, Any]) -> Account:
        known = [Key(KeyKind.USERNAME, user["UserName"])]
        known += [Key(KeyKind.EMAIL, email["Value"]) for email in user.get("Emails", ())]
        issuer, kind = self._settings.external_id_issuer, self._settings.external_id_holds
        known += [
            Key(kind, external["Id"])
            for external in user.get("ExternalIds", ())
            if external["Issuer"] == issuer
        ]
        enterprise = user.get("Extensions", {}).get(_ENTERPRISE, {})
        if number := enterprise.get("employeeNumber"):
            known.append(Key(KeyKind.EMPLOYEE_NUMBER, str(number)))
        return Account(user["UserId"], user["UserName"], tuple(known))

    def _is_directory_owned(self, user: dict[str, Any]) -> bool:
        """SCIM and Active Directory leave an external id; users made in the store have none."""
        if self._settings.identity_source == "detect":
            return bool(user.get("ExternalIds"))
        return self._settings.identity_source == "external"

    async def _standing(
        self, instance: _Instance, user: dict[str, Any], transcript: Transcript
    ) -> tuple[Access, ...]:
        user_id = user["UserId"]
        principal = {
            "InstanceArn": instance.arn,
            "PrincipalId": user_id,
            "PrincipalType": "USER",
        }
        memberships, assignments, applications = await all_of(
            self._calls.pages(
                "identitystore",
                "ListGroupMembershipsForMember",
                {"IdentityStoreId": instance.store, "MemberId": {"UserId": user_id}},
                transcript,
                key="GroupMemberships",
            ),
            self._calls.pages(
                "sso-admin",
                "ListAccountAssignmentsForPrincipal",
                principal,
                transcript,
                key="AccountAssignments",
            ),
            self._applications(principal, transcript),
        )
        # A user without a status stands: only DISABLED is proof.
        standing = [USER] if user.get("UserStatus") != "DISABLED" else []
        standing += [Access(AccessKind.GROUP, one["MembershipId"]) for one in memberships]
        standing += [
            Access(AccessKind.ASSIGNMENT, f"{one['AccountId']}/{one['PermissionSetArn']}")
            for one in _direct(assignments, user_id)
        ]
        standing += [
            Access(AccessKind.ASSIGNMENT, one["ApplicationArn"])
            for one in _direct(applications, user_id)
        ]
        return tuple(standing)

    async def _applications(
        self, principal: dict[str, Any], transcript: Transcript
    ) -> list[dict[str, Any]]:
        if not self._settings.applications:
            return []
        return await self._calls.pages(
            "sso-admin",
            "ListApplicationAssignmentsForPrincipal",
            principal,
            transcript,
            key="ApplicationAssignments",
        )

    async def _close(
        self, instance: _Instance, user_id: str, access: Access, transcript: Transcript
    ) -> Action | None:
        service, operation, params = _closing(instance, user_id, access)
        answer = await self._calls.call_unless_gone(service, operation, params, transcript)
        if answer is None:
            return None
        _refuse_failed(answer)
        exchange = answer.exchange
        return Action(access, answer.answered_at, exchange.operation, exchange.request_id)


def _closing(instance: _Instance, user_id: str, access: Access) -> tuple[str, str, dict[str, str]]:
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


def _unique(path: str, value: str) -> dict[str, Any]:
    return {"UniqueAttribute": {"AttributePath": path, "AttributeValue": value}}


def _cannot(category: FaultCategory, code: str) -> ConnectorFault:
    return ConnectorFault(
        category, connector="aws", operation="identitystore.DeleteUser", code=code
    )
