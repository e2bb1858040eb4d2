"""The options of an Okta system, checked once, before the first call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from connectors.base import ConnectorOptions, OptionSpec
from connectors.http import require_safe_url
from connectors.kit.bounds import UNKNOWN, stated

ACCESS_TOKEN_S = 3600
"""Okta's default life of an access token: a resource server that checks it offline goes on."""

_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


class Disable(StrEnum):
    """What becomes of the user in the end."""

    DEACTIVATE = "deactivate"
    """Final: every assigned app is deprovisioned, which may destroy data there."""
    SUSPEND = "suspend"
    """Reversible: group and app assignments stay, apps behind Okta are told nothing."""


class DirectoryUsers(StrEnum):
    """What to do with a user that Active Directory or LDAP owns."""

    TRY = "try"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class OktaOptions:
    """Options after the check; names and meaning as in `SPECS`."""

    base_url: str
    disable: Disable
    directory_users: DirectoryUsers
    reset_factors: bool
    strip_groups: bool
    strip_roles: bool
    employee_number_attribute: str
    worker_id_attribute: str
    access_token_s: int
    app_session_s: int | None
    """Sessions that apps behind Okta made themselves; Okta cannot know, so None unless stated."""


SPECS: tuple[OptionSpec, ...] = (
    OptionSpec("base_url", "Your organisation's address, for instance https://example.okta.com"),
    OptionSpec("token", "API token (SSWS) of a service administrator", secret=True),
    OptionSpec(
        "disable",
        "deactivate is final and deprovisions every app; suspend is reversible, works for ACTIVE "
        "users only, and sends nothing to the apps behind Okta",
        required=False,
        default="deactivate",
        choices=tuple(Disable),
    ),
    OptionSpec(
        "ad_mastered",
        "Users owned by Active Directory or LDAP: try in Okta and read back, or ask a person",
        required=False,
        default="try",
        choices=tuple(DirectoryUsers),
    ),
    OptionSpec(
        "reset_factors",
        "Unenrol all factors while the user is suspended",
        required=False,
        default=True,
    ),
    OptionSpec("strip_groups", "Remove from Okta's own groups", required=False, default=True),
    OptionSpec("strip_roles", "Unassign admin roles", required=False, default=True),
    OptionSpec(
        "employee_number_attribute",
        "Profile attribute that holds the employee number",
        required=False,
        default="employeeNumber",
    ),
    OptionSpec(
        "worker_id_attribute",
        "Profile attribute that holds HR's worker id; empty when the organisation has none",
        required=False,
        default="",
    ),
    OptionSpec(
        "access_token_s",
        "Longest life of an access token, in seconds",
        required=False,
        default=ACCESS_TOKEN_S,
    ),
    OptionSpec(
        "app_session_s",
        "Longest session of an app behind Okta, in seconds, as your apps are set; Okta knows none",
        required=False,
        default=UNKNOWN,
    ),
)


def parse_options(options: ConnectorOptions) -> OktaOptions:
    """Check the options of one system.

    Raises:
        ValueError: naming the option that is missing or wrong.
    """
    settings = options.settings
    unknown = set(settings) - {spec.name for spec in SPECS if not spec.secret}
    if unknown:
        raise ValueError(f"{min(unknown)}: the okta connector has no such option")
    if not options.secrets.get("token"):
        raise ValueError("token: the okta connector needs an API token")
    return OktaOptions(
        base_url=require_safe_url(_text(settings, "base_url", "")),
        disable=Disable(_choice(settings, "disable", Disable.DEACTIVATE, tuple(Disable))),
        directory_users=DirectoryUsers(
            _choice(settings, "ad_mastered", DirectoryUsers.TRY, tuple(DirectoryUsers))
        ),
        reset_factors=_flag(settings, "reset_factors"),
        strip_groups=_flag(settings, "strip_groups"),
        strip_roles=_flag(settings, "strip_roles"),
        employee_number_attribute=_attribute(
            settings, "employee_number_attribute", "employeeNumber"
        ),
        worker_id_attribute=_attribute(settings, "worker_id_attribute", ""),
        access_token_s=_seconds(settings, "access_token_s", ACCESS_TOKEN_S),
        app_session_s=stated(settings, "app_session_s"),
    )


def _text(settings: Mapping[str, object], name: str, default: str) -> str:
    value = settings.get(name, default)
    if not isinstance(value, str):
        raise ValueError(f"{name}: text expected")  # noqa: TRY004 - the contract says ValueError
    return value


def _choice(
    settings: Mapping[str, object], name: str, default: str, choices: tuple[str, ...]
) -> str:
    value = _text(settings, name, default)
    if value not in choices:
        raise ValueError(f"{name}: one of {', '.join(choices)} expected")
    return value


def _flag(settings: Mapping[str, object], name: str) -> bool:
    value = settings.get(name, True)
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise ValueError(f"{name}: true or false expected")  # noqa: TRY004 - as above
    return value


def _attribute(settings: Mapping[str, object], name: str, default: str) -> str:
    """A profile attribute goes into a search expression unquoted: plain names only."""
    value = _text(settings, name, default)
    if value and not _ATTRIBUTE.fullmatch(value):
        raise ValueError(f"{name}: a plain attribute name expected")
    return value


def _seconds(settings: Mapping[str, object], name: str, default: int) -> int:
    value = settings.get(name, default)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name}: whole seconds expected")
    return value
