"""What `[systems.<id>]` may say about an AWS system, checked once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.base import ConnectorOptions, OptionSpec
from connectors.http import require_safe_url
from connectors.kit.bounds import UNKNOWN, stated
from lockstep.domain.leavers import KeyKind

_TWELVE_HOURS = 43_200
_NOT_IN_SESSION_NAME = re.compile(r"[^\w+=,.@-]+", re.ASCII)

_USERS = ("both", "iam", "identity_center")
_CREDENTIALS = ("keys", "default")
_KEYS = ("deactivate", "delete")
_DENY = ("all", "none")
_SOURCES = ("detect", "identity_center", "external")
_FATES = ("delete", "keep")
_EXTERNAL_KEYS = (KeyKind.EXTERNAL_ID, KeyKind.EMPLOYEE_NUMBER, KeyKind.WORKER_ID)

OPTIONS = (
    OptionSpec("region", "region of IAM Identity Center", required=False, default="us-east-1"),
    OptionSpec("users", "which users", required=False, default="both", choices=_USERS),
    OptionSpec(
        "credentials",
        "keys: the secrets below; default: the machine's own role or profile",
        required=False,
        default="keys",
        choices=_CREDENTIALS,
    ),
    OptionSpec("access_key_id", "access key", required=False, secret=True),
    OptionSpec("secret_access_key", "its secret", required=False, secret=True),
    OptionSpec("session_token", "for temporary credentials", required=False, secret=True),
    OptionSpec("role_arn", "role to assume for every call", required=False),
    OptionSpec("external_id", "external id that the role asks for", required=False, secret=True),
    OptionSpec("endpoint_url", "another endpoint than AWS: tests, emulators", required=False),
    OptionSpec(
        "keys",
        "what to do with access keys, SSH keys, signing certificates and service credentials",
        required=False,
        default="deactivate",
        choices=_KEYS,
    ),
    OptionSpec(
        "deny",
        "all: attach AWSDenyAll to the IAM user, which also ends temporary credentials",
        required=False,
        default="all",
        choices=_DENY,
    ),
    OptionSpec("strip_policies", "remove the user's own policies", required=False, default=True),
    OptionSpec("employee_number_tag", "tag that holds the employee number", required=False),
    OptionSpec("email_tag", "tag that holds the e-mail address", required=False),
    OptionSpec(
        "match_email_local_part",
        "also look for IAM users named as the part before the @; a person decides about these",
        required=False,
        default=False,
    ),
    OptionSpec(
        "service_credentials",
        "see and close service-specific credentials (CodeCommit, Keyspaces, Bedrock API keys)",
        required=False,
        default=True,
    ),
    OptionSpec("instance_arn", "Identity Center instance, if several", required=False),
    OptionSpec(
        "identity_source",
        "who owns Identity Center users; detect: those with an external id are the directory's",
        required=False,
        default="detect",
        choices=_SOURCES,
    ),
    OptionSpec(
        "identity_center_user",
        "delete: AWS has no call that disables a user; keep: a person disables, we prove it",
        required=False,
        default="delete",
        choices=_FATES,
    ),
    OptionSpec("external_id_issuer", "issuer of Identity Center external ids", required=False),
    OptionSpec(
        "external_id_holds",
        "which of our keys the issuer sends as external id",
        required=False,
        default=KeyKind.EXTERNAL_ID.value,
        choices=tuple(kind.value for kind in _EXTERNAL_KEYS),
    ),
    OptionSpec(
        "applications", "see and close application assignments", required=False, default=True
    ),
    OptionSpec(
        "role_session_s",
        "longest session of any role the person may assume, in seconds",
        required=False,
        default=_TWELVE_HOURS,
    ),
    OptionSpec(
        "propagation_bound_s",
        "seconds until a change of IAM holds everywhere, if you have measured it; AWS states none",
        required=False,
        default=UNKNOWN,
    ),
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


def read_settings(options: ConnectorOptions) -> AwsSettings:
    """Check the options of one system.

    Raises:
        ValueError: naming the option that is wrong.
    """
    known = {spec.name for spec in OPTIONS if not spec.secret}
    if unknown := sorted(set(options.settings) - known):
        raise ValueError(f"{unknown[0]}: no such option of an AWS system")
    given = options.settings
    users = _choice(given, "users", _USERS)
    endpoint = _text(given, "endpoint_url")
    return AwsSettings(
        system=options.system,
        region=_text(given, "region") or "us-east-1",
        endpoint_url=require_safe_url(endpoint, option="endpoint_url") if endpoint else None,
        static_keys=_static_keys(options),
        role_arn=_text(given, "role_arn"),
        role_external_id=_external_id(options),
        iam=users != "identity_center",
        identity_center=users != "iam",
        delete_keys=_choice(given, "keys", _KEYS) == "delete",
        deny_all=_choice(given, "deny", _DENY) == "all",
        strip_policies=_flag(given, "strip_policies", default=True),
        employee_number_tag=_text(given, "employee_number_tag"),
        email_tag=_text(given, "email_tag"),
        match_email_local_part=_flag(given, "match_email_local_part", default=False),
        service_credentials=_flag(given, "service_credentials", default=True),
        instance_arn=_text(given, "instance_arn"),
        identity_source=_choice(given, "identity_source", _SOURCES),
        delete_user=_choice(given, "identity_center_user", _FATES) == "delete",
        external_id_issuer=_text(given, "external_id_issuer"),
        external_id_holds=KeyKind(
            _choice(given, "external_id_holds", tuple(kind.value for kind in _EXTERNAL_KEYS))
        ),
        applications=_flag(given, "applications", default=True),
        role_session_s=_seconds(given, "role_session_s"),
        propagation_s=stated(given, "propagation_bound_s"),
    )


def _static_keys(options: ConnectorOptions) -> tuple[str, str, str | None] | None:
    if _choice(options.settings, "credentials", _CREDENTIALS) == "default":
        return None
    for name in ("access_key_id", "secret_access_key"):
        if not options.secrets.get(name):
            raise ValueError(f'{name}: missing; or set credentials = "default"')
    secrets = options.secrets
    return (
        secrets["access_key_id"],
        secrets["secret_access_key"],
        secrets.get("session_token") or None,
    )


def _external_id(options: ConnectorOptions) -> str | None:
    """STS takes 2 to 1,224 characters (AssumeRole, ExternalId)."""
    given = options.secrets.get("external_id") or None
    if given is not None and not 2 <= len(given) <= 1224:  # noqa: PLR2004 - STS's own bounds
        raise ValueError("external_id: 2 to 1224 characters")
    return given


def _choice(given: Mapping[str, object], name: str, choices: tuple[str, ...]) -> str:
    """The option's value; the first choice is the default."""
    value = given.get(name, choices[0])
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}: one of {', '.join(choices)}")
    return value


def _text(given: Mapping[str, object], name: str) -> str | None:
    value = given.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ValueError(f"{name}: a text")  # noqa: TRY004 - option errors are ValueError
    return value


def _flag(given: Mapping[str, object], name: str, *, default: bool) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        raise ValueError(f"{name}: true or false")  # noqa: TRY004 - option errors are ValueError
    return value


def _seconds(given: Mapping[str, object], name: str) -> int:
    value = given.get(name, _TWELVE_HOURS)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _TWELVE_HOURS:
        raise ValueError(f"{name}: whole seconds, from 1 to {_TWELVE_HOURS}")
    return value
