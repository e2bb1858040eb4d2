"""IAM users of one AWS account: console password, keys, factors, groups and policies.

IAM calls take a user *name*, and a name can be given to somebody else. Every look and every
revocation therefore first finds the name that belongs to the pinned user id today.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
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

LOGIN_PROFILE = Access(AccessKind.SIGN_IN, "login_profile")
TEMPORARY_CREDENTIALS = Access(AccessKind.SESSION, "temporary_credentials")

# AWS documents no bound for IAM's eventual consistency ("most changes are immediate"); ours.
_PROPAGATION_S = 60
# GetSessionToken and GetFederationToken: at most 36 hours (STS API reference).
_TEMPORARY_CREDENTIALS_S = 129_600
_PAGE = {"MaxItems": 1000}
_USABLE = (KeyKind.EMPLOYEE_NUMBER, KeyKind.USERNAME, KeyKind.EMAIL)


@dataclass(frozen=True, slots=True)
class _Secret:
    """One kind of long-lived secret and the calls that list, deactivate and delete it."""

    prefix: str
    listing: str
    key: str
    id_field: str
    update: str
    delete: str


_SECRETS = {
    secret.prefix: secret
    for secret in (
        _Secret(
            "access_key",
            "ListAccessKeys",
            "AccessKeyMetadata",
            "AccessKeyId",
            "UpdateAccessKey",
            "DeleteAccessKey",
        ),
        _Secret(
            "ssh_key",
            "ListSSHPublicKeys",
            "SSHPublicKeys",
            "SSHPublicKeyId",
            "UpdateSSHPublicKey",
            "DeleteSSHPublicKey",
        ),
        _Secret(
            "certificate",
            "ListSigningCertificates",
            "Certificates",
            "CertificateId",
            "UpdateSigningCertificate",
            "DeleteSigningCertificate",
        ),
        _Secret(
            "service_credential",
            "ListServiceSpecificCredentials",
            "ServiceSpecificCredentials",
            "ServiceSpecificCredentialId",
            "UpdateServiceSpecificCredential",
            "DeleteServiceSpecificCredential",
        ),
    )
}
_DEAD = frozenset({"Inactive", "Expired"})
_LATER: tuple[frozenset[AccessKind], ...] = (
    frozenset({AccessKind.SECRET}),
    frozenset({AccessKind.FACTOR}),  # after the secrets: policies may ask for a factor
    frozenset({AccessKind.ROLE, AccessKind.GROUP}),
)
_NO_ROOM = "409.LimitExceeded"
"""A user may have ten managed policies (IAM quotas)."""


@dataclass(frozen=True, slots=True)
class _User:
    """Who bears the pinned id today."""

    name: str
    deny_policy: str


class IamUsers:
    """The IAM half of an AWS system."""

    def __init__(self, settings: AwsSettings, calls: AwsCalls) -> None:
        self._settings = settings
        self._calls = calls

    async def locate(
        self, account_ids: Sequence[str], keys: LeaverKeys, transcript: Transcript
    ) -> Location:
        """Search the account's users: one listing answers every key.

        An account holds at most 5,000 users, so a listing is at most 5 calls; it compares names
        without regard to case, as IAM does, which `GetUser` by name does not promise.
        """
        finds = Finds(keys, "iam.ListUsers")
        if not account_ids and not keys.of_kind(*_USABLE):
            return finds.location()
        users = await self._list_users(transcript)
        self._by_id(finds, users, account_ids)
        self._by_tag(finds, users, KeyKind.EMPLOYEE_NUMBER, self._settings.employee_number_tag)
        self._by_name(finds, users, KeyKind.USERNAME, keys.usernames)
        self._by_tag(finds, users, KeyKind.EMAIL, self._settings.email_tag)
        self._by_name(finds, users, KeyKind.EMAIL, keys.emails)
        if self._settings.match_email_local_part:
            local_parts = [email.partition("@")[0] for email in keys.emails]
            self._by_name(finds, users, KeyKind.EMAIL, local_parts)
        return finds.location()

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        user = await self._find(account, transcript)
        standing = await self._standing(user.name, user, transcript) if user else ()
        return Observation(
            account.id, exists=user is not None, standing=standing, residuals=self._residuals()
        )

    async def revoke(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Close what ``before`` shows and a fresh look confirms, kind after kind.

        Raises:
            ConnectorFault: `FaultCategory.PROTECTED_ACCOUNT` when the user's key is our own.
        """
        user = await self._find(account, transcript)
        if user is None:
            return ()
        now = await self._standing(user.name, user, transcript)
        todo = [access for access in now if access in before.standing]
        self._refuse_own_key(now)
        signed_out, denied = await all_of(
            self._close([access for access in todo if access == LOGIN_PROFILE], user, transcript),
            self._deny(todo, user, transcript),
        )
        actions: list[Action] = [*signed_out, *(denied or ())]
        for kinds in _LATER:
            some = [access for access in todo if access.kind in kinds]
            actions += await self._close(some, user, transcript)
        if denied is None:
            actions += await self._close([TEMPORARY_CREDENTIALS], user, transcript)
        return tuple(actions)

    async def _deny(
        self, todo: Sequence[Access], user: _User, transcript: Transcript
    ) -> list[Action] | None:
        """Deny everything; None when the user has no room for it until policies are stripped."""
        try:
            return await self._close(
                [access for access in todo if access == TEMPORARY_CREDENTIALS], user, transcript
            )
        except ConnectorFault as fault:
            if fault.category is FaultCategory.MISCONFIGURED and fault.code == _NO_ROOM:
                return None
            raise

    async def _list_users(self, transcript: Transcript) -> list[dict[str, Any]]:
        """All users; with their tags only if a tag is configured (another permission)."""
        if self._settings.employee_number_tag or self._settings.email_tag:
            return await self._calls.pages(
                "iam",
                "GetAccountAuthorizationDetails",
                {"Filter": ["User"], **_PAGE},
                transcript,
                key="UserDetailList",
            )
        return await self._calls.pages("iam", "ListUsers", _PAGE, transcript, key="Users")

    def _by_id(self, finds: Finds, users: list[dict[str, Any]], account_ids: Sequence[str]) -> None:
        for wanted in account_ids:
            finds.tried(KeyKind.ACCOUNT_ID)
            found = [user for user in users if wanted in (user["UserId"], user["Arn"])]
            finds.add([self._account(user) for user in found], KeyKind.ACCOUNT_ID)

    def _by_tag(
        self, finds: Finds, users: list[dict[str, Any]], kind: KeyKind, tag: str | None
    ) -> None:
        if tag is None:
            return
        for wanted in finds.keys.of_kind(kind):
            finds.tried(kind)
            found = [user for user in users if _same(_tags(user).get(tag, ""), wanted)]
            finds.add([self._account(user) for user in found], kind)

    def _by_name(
        self, finds: Finds, users: list[dict[str, Any]], kind: KeyKind, names: Iterable[str]
    ) -> None:
        for wanted in names:
            finds.tried(kind)
            found = [user for user in users if _same(user["UserName"], wanted)]
            finds.add([self._account(user) for user in found], kind)

    def _account(self, user: dict[str, Any]) -> Account:
        tags = _tags(user)
        known = [Key(KeyKind.USERNAME, user["UserName"])]
        for kind, tag in (
            (KeyKind.EMPLOYEE_NUMBER, self._settings.employee_number_tag),
            (KeyKind.EMAIL, self._settings.email_tag),
        ):
            if tag and tags.get(tag):
                known.append(Key(kind, tags[tag]))
        return Account(user["UserId"], user["UserName"], tuple(known))

    async def _find(self, account: Account, transcript: Transcript) -> _User | None:
        """The user who bears the id now: by the remembered name, else in the whole list."""
        if account.locator:
            answer = await self._calls.call_unless_gone(
                "iam", "GetUser", {"UserName": account.locator}, transcript
            )
            if answer is not None and answer.need("User")["UserId"] == account.id:
                return _user(answer.data["User"])
        # Renamed, deleted, or deleted and made anew under the same name.
        users = await self._calls.pages("iam", "ListUsers", _PAGE, transcript, key="Users")
        return next((_user(user) for user in users if user["UserId"] == account.id), None)

    async def _standing(self, name: str, user: _User, transcript: Transcript) -> tuple[Access, ...]:
        secrets = [
            secret
            for secret in _SECRETS.values()
            if self._settings.service_credentials or secret.prefix != "service_credential"
        ]
        profile, factors, attached, inline, groups, *lists = await all_of(
            self._calls.call_unless_gone("iam", "GetLoginProfile", {"UserName": name}, transcript),
            self._list("ListMFADevices", "MFADevices", name, transcript),
            self._list("ListAttachedUserPolicies", "AttachedPolicies", name, transcript),
            self._list("ListUserPolicies", "PolicyNames", name, transcript),
            self._list("ListGroupsForUser", "Groups", name, transcript),
            *(self._list(secret.listing, secret.key, name, transcript) for secret in secrets),
        )
        arns = [policy["PolicyArn"] for policy in attached]
        standing = [LOGIN_PROFILE] if profile is not None else []
        if self._settings.deny_all and user.deny_policy not in arns:
            standing.append(TEMPORARY_CREDENTIALS)
        for secret, items in zip(secrets, lists, strict=True):
            standing += self._secrets_standing(secret, items)
        standing += [Access(AccessKind.FACTOR, item["SerialNumber"]) for item in factors]
        if self._settings.strip_policies:
            others = [arn for arn in arns if arn != user.deny_policy]
            standing += [Access(AccessKind.ROLE, arn) for arn in others]
            standing += [Access(AccessKind.ROLE, f"inline:{policy}") for policy in inline]
        standing += [Access(AccessKind.GROUP, group["GroupName"]) for group in groups]
        return tuple(standing)

    def _list(
        self, operation: str, key: str, name: str, transcript: Transcript
    ) -> Awaitable[list[Any]]:
        return self._calls.pages("iam", operation, {"UserName": name}, transcript, key=key)

    def _secrets_standing(self, secret: _Secret, items: list[dict[str, Any]]) -> list[Access]:
        """Live ones; where policy says delete, dead ones too, because they could be revived."""
        return [
            Access(AccessKind.SECRET, f"{secret.prefix}:{item[secret.id_field]}")
            for item in items
            if self._settings.delete_keys or item["Status"] not in _DEAD
        ]

    def _refuse_own_key(self, standing: Iterable[Access]) -> None:
        own = self._settings.static_keys
        if own and Access(AccessKind.SECRET, f"access_key:{own[0]}") in standing:
            raise ConnectorFault(
                FaultCategory.PROTECTED_ACCOUNT,
                connector="aws",
                operation="iam.UpdateAccessKey",
                code="own_credential",
            )

    async def _close(
        self, accesses: Sequence[Access], user: _User, transcript: Transcript
    ) -> list[Action]:
        """Close at once what may be closed in any order; gone already yields no action."""
        done = await all_of(*(self._close_one(access, user, transcript) for access in accesses))
        return [action for action in done if action is not None]

    async def _close_one(
        self, access: Access, user: _User, transcript: Transcript
    ) -> Action | None:
        operation, params = self._closing(access, user)
        params = {"UserName": user.name, **params}
        answer: AwsAnswer | None
        if operation == "AttachUserPolicy":  # "no such entity" would mean: nothing is denied
            answer = await self._calls.call("iam", operation, params, transcript)
        else:
            answer = await self._calls.call_unless_gone("iam", operation, params, transcript)
        if answer is None:
            return None
        exchange = answer.exchange
        return Action(access, answer.answered_at, exchange.operation, exchange.request_id)

    def _closing(  # noqa: PLR0911 - one return per kind reads best
        self, access: Access, user: _User
    ) -> tuple[str, dict[str, str]]:
        match access.kind:
            case AccessKind.SIGN_IN:
                return "DeleteLoginProfile", {}
            case AccessKind.SESSION:
                return "AttachUserPolicy", {"PolicyArn": user.deny_policy}
            case AccessKind.FACTOR:
                return "DeactivateMFADevice", {"SerialNumber": access.ref}
            case AccessKind.GROUP:
                return "RemoveUserFromGroup", {"GroupName": access.ref}
            case AccessKind.ROLE if access.ref.startswith("inline:"):
                return "DeleteUserPolicy", {"PolicyName": access.ref.removeprefix("inline:")}
            case AccessKind.ROLE:
                return "DetachUserPolicy", {"PolicyArn": access.ref}
            case _:
                prefix, _, secret_id = access.ref.partition(":")
                secret = _SECRETS[prefix]
                if self._settings.delete_keys:
                    return secret.delete, {secret.id_field: secret_id}
                return secret.update, {secret.id_field: secret_id, "Status": "Inactive"}

    def _residuals(self) -> tuple[Residual, ...]:
        known = [
            Residual("assumed_role_session", self._settings.role_session_s),
            Residual("iam_propagation", _PROPAGATION_S),
        ]
        if not self._settings.deny_all:
            known.append(Residual("temporary_credentials", _TEMPORARY_CREDENTIALS_S))
        return tuple(known)


def _user(data: dict[str, Any]) -> _User:
    """``arn:<partition>:iam::…``: China and GovCloud keep their own copies of AWS's policies."""
    partition = data["Arn"].split(":")[1]
    return _User(data["UserName"], f"arn:{partition}:iam::aws:policy/AWSDenyAll")


def _tags(user: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in user.get("Tags", ())}


def _same(theirs: str, ours: str) -> bool:
    return theirs.casefold() == ours.casefold()
