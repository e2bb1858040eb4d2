"""What `[systems.<id>]` may say about an AWS system, checked once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from connectors.base import ConnectorOptions
from connectors.kit import options
from lockstep.domain.cases.leavers import KeyKind

_TWELVE_HOURS = 43_200
_NOT_IN_SESSION_NAME = re.compile(r"[^\w+=,.@-]+", re.ASCII)

_REGION = options.text("region", "region of IAM Identity Center", default="us-east-1")
_USERS = options.choice("users", "which users", ("both", "iam", "identity_center"))
_CREDENTIALS = options.choice(
    "credentials",
    "keys: the secrets below; default: the machine's own role or profile",
    ("keys", "default"),
)
_ACCESS_KEY_ID = options.secret("access_key_id", "access key")
_SECRET_ACCESS_KEY = options.secret("secret_access_key", "its secret")
_SESSION_TOKEN = options.secret("session_token", "for temporary credentials")
_ROLE_ARN = options.text("role_arn", "role to assume for every call")
_EXTERNAL_ID = options.secret("external_id", "external id that the role asks for")
_ENDPOINT_URL = options.optional_address(
    "endpoint_url", "another endpoint than AWS: tests, emulators"
)
_KEYS = options.choice(
    "keys",
    "what to do with access keys, SSH keys, signing certificates and service credentials",
    ("deactivate", "delete"),
)
_DENY = options.choice(
    "deny",
    "all: attach AWSDenyAll to the IAM user, which also ends temporary credentials",
    ("all", "none"),
)
_STRIP_POLICIES = options.flag("strip_policies", "remove the user's own policies", default=True)
_EMPLOYEE_NUMBER_TAG = options.text("employee_number_tag", "tag that holds the employee number")
_EMAIL_TAG = options.text("email_tag", "tag that holds the e-mail address")
_MATCH_LOCAL_PART = options.flag(
    "match_email_local_part",
    "also look for IAM users named as the part before the @; a person decides about these",
    default=False,
)
_SERVICE_CREDENTIALS = options.flag(
    "service_credentials",
    "see and close service-specific credentials (CodeCommit, Keyspaces, Bedrock API keys)",
    default=True,
)
_INSTANCE_ARN = options.text("instance_arn", "Identity Center instance, if several")
_IDENTITY_SOURCE = options.choice(
    "identity_source",
    "who owns Identity Center users; detect: those with an external id are the directory's",
    ("detect", "identity_center", "external"),
)
_USER_FATE = options.choice(
    "identity_center_user",
    "delete: AWS has no call that disables a user; keep: a person disables, we prove it",
    ("delete", "keep"),
)
_ISSUER = options.text("external_id_issuer", "issuer of Identity Center external ids")
_EXTERNAL_ID_HOLDS = options.choice(
    "external_id_holds",
    "which of our keys the issuer sends as external id",
    (KeyKind.EXTERNAL_ID, KeyKind.EMPLOYEE_NUMBER, KeyKind.WORKER_ID),
)
_APPLICATIONS = options.flag("applications", "see and close application assignments", default=True)
_ROLE_SESSION = options.seconds(
    "role_session_s",
    "longest session of any role the person may assume, in seconds",
    default=_TWELVE_HOURS,
    least=1,
    most=_TWELVE_HOURS,
)
_PROPAGATION = options.bound(
    "propagation_bound_s",
    "seconds until a change of IAM holds everywhere, if you have measured it; AWS states none",
)

OPTIONS = (
    _REGION,
    _USERS,
    _CREDENTIALS,
    _ACCESS_KEY_ID,
    _SECRET_ACCESS_KEY,
    _SESSION_TOKEN,
    _ROLE_ARN,
    _EXTERNAL_ID,
    _ENDPOINT_URL,
    _KEYS,
    _DENY,
    _STRIP_POLICIES,
    _EMPLOYEE_NUMBER_TAG,
    _EMAIL_TAG,
    _MATCH_LOCAL_PART,
    _SERVICE_CREDENTIALS,
    _INSTANCE_ARN,
    _IDENTITY_SOURCE,
    _USER_FATE,
    _ISSUER,
    _EXTERNAL_ID_HOLDS,
    _APPLICATIONS,
    _ROLE_SESSION,
    _PROPAGATION,
)


@dataclass(frozen=True, slots=True)
class AwsSettings:
    """Checked options. ``static_keys`` is None when the machine's own credential is used."""

    system: str
    region: str
    endpoint_url: str | None
    static_keys: tuple[str, str, str | None] | None = field(repr=False)
    role_arn: str | None
    role_external_id: str | None = field(repr=False)
    iam: bool
    identity_center: bool
    delete_keys: bool
    deny_all: bool
    strip_policies: bool
    employee_number_tag: str | None
    email_tag: str | None
    match_email_local_part: bool
    service_credentials: bool
    instance_arn: str | None
    identity_source: str
    delete_user: bool
    external_id_issuer: str | None
    external_id_holds: KeyKind
    applications: bool
    role_session_s: int
    propagation_s: int | None

    @property
    def session_name(self) -> str:
        """How our role session shows in CloudTrail; AWS allows 2 to 64 characters."""
        return f"lockstep-{_NOT_IN_SESSION_NAME.sub('-', self.system)}"[:64]


def read_settings(given: ConnectorOptions) -> AwsSettings:
    """Check the options of one system.

    Raises:
        ValueError: naming the option that is wrong.
    """
    values = options.read_options(OPTIONS, given, kind="aws")
    return AwsSettings(
        system=given.system,
        region=values[_REGION] or "us-east-1",
        endpoint_url=values[_ENDPOINT_URL] or None,
        static_keys=_static_keys(values),
        role_arn=values[_ROLE_ARN] or None,
        role_external_id=_external_id(values),
        iam=values[_USERS] != "identity_center",
        identity_center=values[_USERS] != "iam",
        delete_keys=values[_KEYS] == "delete",
        deny_all=values[_DENY] == "all",
        strip_policies=values[_STRIP_POLICIES],
        employee_number_tag=values[_EMPLOYEE_NUMBER_TAG] or None,
        email_tag=values[_EMAIL_TAG] or None,
        match_email_local_part=values[_MATCH_LOCAL_PART],
        service_credentials=values[_SERVICE_CREDENTIALS],
        instance_arn=values[_INSTANCE_ARN] or None,
        identity_source=values[_IDENTITY_SOURCE],
        delete_user=values[_USER_FATE] == "delete",
        external_id_issuer=values[_ISSUER] or None,
        external_id_holds=KeyKind(values[_EXTERNAL_ID_HOLDS]),
        applications=values[_APPLICATIONS],
        role_session_s=values[_ROLE_SESSION],
        propagation_s=values[_PROPAGATION],
    )


def _static_keys(values: options.Values) -> tuple[str, str, str | None] | None:
    if values[_CREDENTIALS] == "default":
        return None
    pair = (_ACCESS_KEY_ID, _SECRET_ACCESS_KEY)
    for option in pair:
        if not values[option]:
            raise ValueError(f'{option.name}: missing; or set credentials = "default"')
    return values[pair[0]], values[pair[1]], values[_SESSION_TOKEN] or None


def _external_id(values: options.Values) -> str | None:
    """STS takes 2 to 1,224 characters (AssumeRole, ExternalId)."""
    given = values[_EXTERNAL_ID] or None
    if given is not None and not 2 <= len(given) <= 1224:  # noqa: PLR2004 - STS's own bounds
        raise ValueError("external_id: 2 to 1224 characters")
    return given
