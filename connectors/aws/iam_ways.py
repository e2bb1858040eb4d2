"""What an IAM user may hold: one row for each list, with what of it stands and how it is closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.aws.settings import AwsSettings
from lockstep.domain.systems.access import Access, AccessKind

LOGIN_PROFILE = Access(AccessKind.SIGN_IN, "login_profile")
ANY_REQUEST = Access(AccessKind.SIGN_IN, "any_request")
"""Requests signed with any credential of the user's: they stand until AWSDenyAll is attached."""

_DEAD = frozenset({"Inactive", "Expired"})


@dataclass(frozen=True, slots=True)
class Row:
    """One list of a user's: where AWS keeps it, what it tells of, and what of it stands.

    ``has`` are the members that every item must have; none where the items are plain text.
    """

    listing: str
    key: str
    kinds: tuple[AccessKind, ...]
    has: tuple[str, ...]
    ways: Callable[[list[Any]], Iterator[Access]]


@dataclass(frozen=True, slots=True)
class Secret:
    """One kind of long-lived secret and the calls that list, deactivate and delete it."""

    prefix: str
    listing: str
    key: str
    id_field: str
    update: str
    delete: str


SECRETS = {
    secret.prefix: secret
    for secret in (
        Secret(
            "access_key",
            "ListAccessKeys",
            "AccessKeyMetadata",
            "AccessKeyId",
            "UpdateAccessKey",
            "DeleteAccessKey",
        ),
        Secret(
            "ssh_key",
            "ListSSHPublicKeys",
            "SSHPublicKeys",
            "SSHPublicKeyId",
            "UpdateSSHPublicKey",
            "DeleteSSHPublicKey",
        ),
        Secret(
            "certificate",
            "ListSigningCertificates",
            "Certificates",
            "CertificateId",
            "UpdateSigningCertificate",
            "DeleteSigningCertificate",
        ),
        Secret(
            "service_credential",
            "ListServiceSpecificCredentials",
            "ServiceSpecificCredentials",
            "ServiceSpecificCredentialId",
            "UpdateServiceSpecificCredential",
            "DeleteServiceSpecificCredential",
        ),
    )
}


def own_key(access_key_id: str) -> Access:
    """The way in that an access key is."""
    return Access(AccessKind.SECRET, f"access_key:{access_key_id}")


def policies(settings: AwsSettings, deny_policy: str) -> Row:
    """The list that tells whether the deny is attached; its other policies are roles."""
    kinds = [AccessKind.SIGN_IN] if settings.deny_all else []
    kinds += [AccessKind.ROLE] if settings.strip_policies else []

    def ways(items: list[Any]) -> Iterator[Access]:
        arns = [item["PolicyArn"] for item in items]
        if settings.deny_all and deny_policy not in arns:
            yield ANY_REQUEST
        if settings.strip_policies:
            yield from (Access(AccessKind.ROLE, arn) for arn in arns if arn != deny_policy)

    listing, key = "ListAttachedUserPolicies", "AttachedPolicies"
    return Row(listing, key, tuple(kinds), ("PolicyArn",), ways)


def rows(settings: AwsSettings, deny_policy: str) -> tuple[Row, ...]:
    """Every list that this system looks at."""
    found = [_secret_row(secret, settings) for secret in SECRETS.values()]
    if not settings.service_credentials:
        found.pop()
    found.append(
        _row("ListMFADevices", "MFADevices", kind=AccessKind.FACTOR, member="SerialNumber")
    )
    attached = policies(settings, deny_policy)
    if attached.kinds:
        found.append(attached)
    if settings.strip_policies:
        found.append(Row("ListUserPolicies", "PolicyNames", (AccessKind.ROLE,), (), _inline))
    found.append(_row("ListGroupsForUser", "Groups", kind=AccessKind.GROUP, member="GroupName"))
    return tuple(found)


def closing(  # noqa: PLR0911 - one return per kind reads best
    access: Access, settings: AwsSettings, deny_policy: str
) -> tuple[str, Mapping[str, str]]:
    """The call that closes one way in, without the user's name."""
    match access.kind:
        case AccessKind.SIGN_IN if access == ANY_REQUEST:
            return "AttachUserPolicy", {"PolicyArn": deny_policy}
        case AccessKind.SIGN_IN:
            return "DeleteLoginProfile", {}
        case AccessKind.FACTOR:
            return "DeactivateMFADevice", {"SerialNumber": access.ref}
        case AccessKind.GROUP:
            return "RemoveUserFromGroup", {"GroupName": access.ref}
        case AccessKind.ROLE:
            name = access.ref.removeprefix("inline:")
            is_inline = name != access.ref
            operation = "DeleteUserPolicy" if is_inline else "DetachUserPolicy"
            return operation, {"PolicyName" if is_inline else "PolicyArn": name}
        case _:
            prefix, _, secret_id = access.ref.partition(":")
            secret = SECRETS[prefix]
            if settings.delete_keys:
                return secret.delete, {secret.id_field: secret_id}
            return secret.update, {secret.id_field: secret_id, "Status": "Inactive"}


def _row(listing: str, key: str, *, kind: AccessKind, member: str) -> Row:
    def ways(items: list[Any]) -> Iterator[Access]:
        return (Access(kind, item[member]) for item in items)

    return Row(listing, key, (kind,), (member,), ways)


def _secret_row(secret: Secret, settings: AwsSettings) -> Row:
    """Live ones; where policy says delete, dead ones too, because they could be revived."""

    def ways(items: list[Any]) -> Iterator[Access]:
        return (
            Access(AccessKind.SECRET, f"{secret.prefix}:{item[secret.id_field]}")
            for item in items
            if settings.delete_keys or item["Status"] not in _DEAD
        )

    has = (secret.id_field, "Status")
    return Row(secret.listing, secret.key, (AccessKind.SECRET,), has, ways)


def _inline(items: list[Any]) -> Iterator[Access]:
    return (Access(AccessKind.ROLE, f"inline:{name}") for name in items)
