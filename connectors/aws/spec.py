"""AWS as rows: the options, what refusals mean, what users hold and how it is closed.

Facts these rows stand on (API references of IAM, STS, SSO Admin and Identity Store):

- The status says little: JSON services answer 400 to a rejected credential, a refused permission
  and a thing that is gone alike. The code says it.
- IAM lists what a user holds by the user's *name*; Identity Center by the user's id, and what is
  assigned to a principal also once the user is gone.
- `DeleteAccountAssignment` is asynchronous: its answer says that the work began, or failed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from connectors.http import Dialect
from connectors.kit import options
from connectors.kit.calls import Call, Listed
from connectors.kit.faults import FaultRow
from connectors.kit.holdings import Close, Holding, always
from connectors.kit.options import Values
from connectors.kit.pages import Cursor, Item, Shape
from connectors.kit.paths import at
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.access import Access, AccessKind
from lockstep.domain.systems.faults import FaultCategory

KIND: Final = "aws"
_TWELVE_HOURS: Final = 43_200


def _external_id(given: str) -> str:
    """STS takes 2 to 1,224 characters (AssumeRole, ExternalId)."""
    if not 2 <= len(given) <= 1224:  # noqa: PLR2004 - STS's own bounds
        raise ValueError("2 to 1224 characters")
    return given


REGION = options.text("region", "region of IAM Identity Center", default="us-east-1")
USERS = options.choice("users", "which users", ("both", "iam", "identity_center"))
CREDENTIALS = options.choice(
    "credentials",
    "keys: the secrets below; default: the machine's own role or profile",
    ("keys", "default"),
)
ACCESS_KEY_ID = options.secret("access_key_id", "access key")
SECRET_ACCESS_KEY = options.secret("secret_access_key", "its secret")
SESSION_TOKEN = options.secret("session_token", "for temporary credentials")
ROLE_ARN = options.text("role_arn", "role to assume for every call")
EXTERNAL_ID = options.secret(
    "external_id", "external id that the role asks for", check=_external_id
)
ENDPOINT_URL = options.optional_address(
    "endpoint_url", "another endpoint than AWS: tests, emulators"
)
KEYS = options.choice(
    "keys",
    "what to do with access keys, SSH keys, signing certificates and service credentials",
    ("deactivate", "delete"),
)
DENY = options.choice(
    "deny",
    "all: attach AWSDenyAll to the IAM user, which also ends temporary credentials",
    ("all", "none"),
)
STRIP_POLICIES = options.flag("strip_policies", "remove the user's own policies", default=True)
EMPLOYEE_NUMBER_TAG = options.text("employee_number_tag", "tag that holds the employee number")
EMAIL_TAG = options.text("email_tag", "tag that holds the e-mail address")
MATCH_LOCAL_PART = options.flag(
    "match_email_local_part",
    "also look for IAM users named as the part before the @; a person decides about these",
    default=False,
)
SERVICE_CREDENTIALS = options.flag(
    "service_credentials",
    "see and close service-specific credentials (CodeCommit, Keyspaces, Bedrock API keys)",
    default=True,
)
INSTANCE_ARN = options.text("instance_arn", "Identity Center instance, if several")
IDENTITY_SOURCE = options.choice(
    "identity_source",
    "who owns Identity Center users; detect: those with an external id are the directory's",
    ("detect", "identity_center", "external"),
)
USER_FATE = options.choice(
    "identity_center_user",
    "delete: AWS has no call that disables a user; keep: a person disables, we prove it",
    ("delete", "keep"),
)
ISSUER = options.text("external_id_issuer", "issuer of Identity Center external ids")
EXTERNAL_ID_HOLDS = options.choice(
    "external_id_holds",
    "which of our keys the issuer sends as external id",
    (KeyKind.EXTERNAL_ID, KeyKind.EMPLOYEE_NUMBER, KeyKind.WORKER_ID),
)
APPLICATIONS = options.flag("applications", "see and close application assignments", default=True)
ROLE_SESSION = options.seconds(
    "role_session_s",
    "longest session of any role the person may assume, in seconds",
    default=_TWELVE_HOURS,
    least=1,
    most=_TWELVE_HOURS,
)
ACTIVITY_REGIONS = options.listing(
    "activity_regions",
    "every Region that can be used, to say that CloudTrail shows no use; others are not looked at",
)
PROPAGATION = options.bound(
    "propagation_bound_s",
    "seconds until a change of IAM holds everywhere, if you have measured it; AWS states none",
)
# fmt: off
OPTIONS = (
    REGION, USERS, CREDENTIALS, ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN, ROLE_ARN,
    EXTERNAL_ID, ENDPOINT_URL, KEYS, DENY, STRIP_POLICIES, EMPLOYEE_NUMBER_TAG, EMAIL_TAG,
    MATCH_LOCAL_PART, SERVICE_CREDENTIALS, INSTANCE_ARN, IDENTITY_SOURCE, USER_FATE, ISSUER,
    EXTERNAL_ID_HOLDS, APPLICATIONS, ROLE_SESSION, PROPAGATION, ACTIVITY_REGIONS,
)

GONE: Final = frozenset({"NoSuchEntity", "ResourceNotFoundException"})
_REFUSALS: Final = {
    FaultCategory.RATE_LIMITED:
        "Throttling ThrottlingException ThrottledException RequestThrottled"
        " RequestThrottledException RequestLimitExceeded TooManyRequestsException SlowDown",
    FaultCategory.CREDENTIALS_REJECTED:
        "InvalidClientTokenId UnrecognizedClientException InvalidAccessKeyId SignatureDoesNotMatch"
        " InvalidSignatureException IncompleteSignature ExpiredToken ExpiredTokenException"
        " InvalidToken AuthFailure MissingAuthenticationToken MissingAuthenticationTokenException",
    FaultCategory.PERMISSION_MISSING:
        "AccessDenied AccessDeniedException UnauthorizedOperation NotAuthorized",
    # The last four pass by themselves: somebody changes the entity at this moment. What a call
    # names and does not exist passes too, unless the caller expects it: IAM is eventually
    # consistent, and a user may be renamed between two calls. The next attempt looks again.
    FaultCategory.VENDOR_ERROR:
        "ServiceFailure InternalFailure InternalError InternalServerException ServiceUnavailable"
        " ServiceUnavailableException EntityTemporarilyUnmodifiable ConcurrentModification"
        f" ConflictException DeleteConflict {' '.join(sorted(GONE))}",
    FaultCategory.PROTECTED_ACCOUNT: "UnmodifiableEntity",
    # RequestExpired: our clock is wrong.
    FaultCategory.MISCONFIGURED: "LimitExceeded RequestExpired",
}
# fmt: on
DIALECT: Final = Dialect(
    KIND,
    request_id_headers=("x-amzn-requestid",),
    gone=GONE,
    faults=tuple(
        FaultRow(category, frozenset(codes.split())) for category, codes in _REFUSALS.items()
    ),
)

LOGIN_PROFILE: Final = Access(AccessKind.SIGN_IN, "login_profile")
ANY_REQUEST: Final = Access(AccessKind.SIGN_IN, "any_request")
"""Requests signed with any credential of the user's: they stand until AWSDenyAll is attached."""
STORE_USER: Final = Access(AccessKind.SIGN_IN, "user")

_DEAD: Final = frozenset({"Inactive", "Expired"})
_ANY: Final = re.compile("(?P<thing>.+)")
_MARKER: Final = Cursor("Marker", ("Marker",), more=("IsTruncated",))
_THOUSAND: Final = replace(_MARKER, size={"MaxItems": 1000})
_TOKEN: Final = Cursor("NextToken", ("NextToken",))
_OF_USER: Final = {"UserName": "{locator}"}
_PRINCIPAL: Final = {"PrincipalId": "{id}", "PrincipalType": "USER"}


def call(service: str, action: str, /, **members: Any) -> Call:
    """One operation, and the permission that IAM wants: sso-admin authorizes as ``sso``."""
    needs = f"{service.removesuffix('-admin')}:{action}"
    return Call("POST", "/", f"{service}.{action}", needs, body=members)


def iam_list(
    action: str,
    key: str,
    *names: str,
    members: Mapping[str, Any] = _OF_USER,
    pager: Cursor = _MARKER,
) -> Listed:
    """A list of IAM's, by default of one user's; without a field for it, entries are names."""
    shape = Shape(at=(key,), parts=names, plain=not names)
    return Listed(call("iam", action, **members), pager, shape)


USER_LIST: Final = iam_list("ListUsers", "Users", "UserId", members={}, pager=_THOUSAND)
TAGGED_LIST: Final = iam_list(
    "GetAccountAuthorizationDetails",
    "UserDetailList",
    "UserId",
    members={"Filter": ["User"]},
    pager=_THOUSAND,
)
GET_USER: Final = call("iam", "GetUser", **_OF_USER)
GET_PROFILE: Final = call("iam", "GetLoginProfile", **_OF_USER)
DELETE_PROFILE: Final = call("iam", "DeleteLoginProfile", **_OF_USER)
ATTACH_DENY: Final = call("iam", "AttachUserPolicy", **_OF_USER, PolicyArn="{deny}")


def _secret(prefix: str, noun: str, listing: tuple[str, str], name: str) -> Holding:
    """One kind of long-lived secret; a dead one could be revived, so "delete" takes it too."""
    thing = {**_OF_USER, name: "{thing}"}
    return Holding(
        iam_list(*listing, name),
        {AccessKind.SECRET: always},
        Close(
            option=KEYS,
            by_word={
                "deactivate": (call("iam", f"Update{noun}", **thing, Status="Inactive"),),
                "delete": (call("iam", f"Delete{noun}", **thing),),
            },
        ),
        stands=lambda item: item.get("Status") not in _DEAD,
        ref=lambda item: f"{prefix}:{item['id']}",
        again=True,
        named=re.compile(f"{prefix}:(?P<thing>.+)"),
    )


def _held(
    kind: AccessKind, listed: Listed, undo: str, member: str, prefix: str = "", **more: Any
) -> Holding:
    """What the user is given: one call by its name takes it away."""
    named = re.compile(f"{prefix}(?P<thing>.+)")
    return Holding(
        listed,
        {kind: always},
        Close((call("iam", undo, **_OF_USER, **{member: "{thing}"}),)),
        ref=lambda item: f"{prefix}{item['id']}",
        again=True,
        **{"named": named, **more},
    )


SERVICE_ROW: Final = _secret(
    "service_credential",
    "ServiceSpecificCredential",
    ("ListServiceSpecificCredentials", "ServiceSpecificCredentials"),
    "ServiceSpecificCredentialId",
)
# Tells by what it lacks whether requests are denied; its other policies are roles.
ATTACHED: Final = _held(
    AccessKind.ROLE,
    iam_list("ListAttachedUserPolicies", "AttachedPolicies", "PolicyArn"),
    "DetachUserPolicy",
    "PolicyArn",
    named=re.compile("(?P<thing>arn:.+)"),
)
INLINE: Final = _held(
    AccessKind.ROLE,
    iam_list("ListUserPolicies", "PolicyNames"),
    "DeleteUserPolicy",
    "PolicyName",
    prefix="inline:",
)
IAM_ROWS: Final = (
    _secret("access_key", "AccessKey", ("ListAccessKeys", "AccessKeyMetadata"), "AccessKeyId"),
    _secret("ssh_key", "SSHPublicKey", ("ListSSHPublicKeys", "SSHPublicKeys"), "SSHPublicKeyId"),
    _secret(
        "certificate",
        "SigningCertificate",
        ("ListSigningCertificates", "Certificates"),
        "CertificateId",
    ),
    SERVICE_ROW,
    _held(
        AccessKind.FACTOR,
        iam_list("ListMFADevices", "MFADevices", "SerialNumber"),
        "DeactivateMFADevice",
        "SerialNumber",
    ),
    ATTACHED,
    INLINE,
    _held(
        AccessKind.GROUP,
        iam_list("ListGroupsForUser", "Groups", "GroupName"),
        "RemoveUserFromGroup",
        "GroupName",
    ),
)


def attached_row(values: Values) -> Holding:
    """The user's managed policies, of which the deny is none; only what the settings ask for."""
    kinds = {}
    if values[DENY] == "all":
        kinds[AccessKind.SIGN_IN] = lambda item: item["id"] == ANY_REQUEST.ref
    if values[STRIP_POLICIES]:
        kinds[AccessKind.ROLE] = always

    def adds(items: list[Item], words: Any) -> list[Item]:
        is_denied = values[DENY] != "all" or any(one["id"] == words["deny"] for one in items)
        return [] if is_denied else [{"id": ANY_REQUEST.ref}]

    return replace(
        ATTACHED,
        kinds=kinds,
        mine=lambda item, words: values[STRIP_POLICIES] and item["id"] != words["deny"],
        adds=adds,
    )


def iam_rows(values: Values) -> tuple[Holding, ...]:
    """Every list of a user's that this system looks at."""
    attached = attached_row(values)
    found = []
    for row in IAM_ROWS:
        if row is ATTACHED:
            found += [attached] if attached.kinds else []
        elif (row is SERVICE_ROW and not values[SERVICE_CREDENTIALS]) or (
            row is INLINE and not values[STRIP_POLICIES]
        ):
            continue
        elif AccessKind.SECRET in row.kinds and values[KEYS] == "delete":
            found.append(replace(row, stands=always))
        else:
            found.append(row)
    return tuple(found)


_STORE: Final = {"IdentityStoreId": "{store}"}
ENTERPRISE: Final = "aws:identitystore:enterprise"
INSTANCES: Final = Listed(
    call("sso-admin", "ListInstances"), _TOKEN, Shape(at=("Instances",), parts=("InstanceArn",))
)
STORE_USERS: Final = Listed(
    call("identitystore", "ListUsers", **_STORE, Extensions=[ENTERPRISE]),
    replace(_TOKEN, size={"MaxResults": 100}),  # AWS's largest page of users
    Shape(at=("Users",), ref="UserId"),
    most_pages=2000,
)
GET_USER_ID: Final = call("identitystore", "GetUserId", **_STORE)
DESCRIBE: Final = call(
    "identitystore", "DescribeUser", **_STORE, UserId="{id}", Extensions=[ENTERPRISE]
)
DELETE_USER: Final = call("identitystore", "DeleteUser", **_STORE, UserId="{id}")


def _assigned(noun: str, parts: tuple[str, ...], undo: Call, named: str) -> Holding:
    """What is assigned to the user directly; what comes by a group falls with the membership."""
    listing = call("sso-admin", f"List{noun}sForPrincipal", InstanceArn="{instance}", **_PRINCIPAL)
    return Holding(
        # AWS knows no such principal any more: nothing hangs on it.
        Listed(listing, _TOKEN, Shape(at=(f"{noun}s",), parts=parts), gone_is_empty=True),
        {AccessKind.ASSIGNMENT: always},
        Close((undo,)),
        # Whose it is not said to be, is the user's.
        mine=lambda item, words: (
            item.get("PrincipalType", "USER") == "USER"
            and item.get("PrincipalId", words["id"]) == words["id"]
        ),
        again=True,
        named=re.compile(named),
    )


_UNASSIGN: Final = replace(
    call(
        "sso-admin",
        "DeleteAccountAssignment",
        InstanceArn="{instance}",
        TargetId="{account}",
        TargetType="AWS_ACCOUNT",
        PermissionSetArn="{thing}",
        **_PRINCIPAL,
    ),
    begun=lambda data: (
        at(data, ("AccountAssignmentDeletionStatus", "Status")) in {"IN_PROGRESS", "SUCCEEDED"}
    ),
)
MEMBERSHIPS: Final = Holding(
    Listed(
        call(
            "identitystore",
            "ListGroupMembershipsForMember",
            **_STORE,
            MemberId={"UserId": "{id}"},
        ),
        _TOKEN,
        Shape(at=("GroupMemberships",), parts=("MembershipId",)),
        gone_is_empty=True,
    ),
    {AccessKind.GROUP: always},
    Close((call("identitystore", "DeleteGroupMembership", **_STORE, MembershipId="{thing}"),)),
    again=True,
    named=_ANY,
)
ACCOUNTS: Final = _assigned(
    "AccountAssignment",
    ("AccountId", "PermissionSetArn"),
    _UNASSIGN,
    "(?P<account>[^/:]+)/(?P<thing>.+)",
)
APPLICATION_ROW: Final = _assigned(
    "ApplicationAssignment",
    ("ApplicationArn",),
    call("sso-admin", "DeleteApplicationAssignment", ApplicationArn="{thing}", **_PRINCIPAL),
    "(?P<thing>arn:.+)",
)


def store_rows(values: Values) -> tuple[Holding, ...]:
    """Every list of an Identity Center user's that this system looks at."""
    return (MEMBERSHIPS, ACCOUNTS, *((APPLICATION_ROW,) if values[APPLICATIONS] else ()))
