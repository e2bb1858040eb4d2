"""The options of an Okta system, checked once, before the first call."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from connectors.base import ConnectorOptions
from connectors.kit import options
from connectors.okta.faults import KIND

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


def _plain(value: str) -> str:
    """A profile attribute goes into a search expression unquoted: plain names only."""
    if not _ATTRIBUTE.fullmatch(value):
        raise ValueError("a plain attribute name expected")
    return value


_BASE_URL = options.address(
    "base_url", "Your organisation's address, for instance https://example.okta.com"
)
_TOKEN = options.secret("token", "API token (SSWS) of a service administrator", required=True)
_DISABLE = options.one_of(
    "disable",
    "deactivate is final and deprovisions every app; suspend is reversible, works for ACTIVE "
    "users only, and sends nothing to the apps behind Okta",
    Disable,
)
_AD_MASTERED = options.one_of(
    "ad_mastered",
    "Users owned by Active Directory or LDAP: try in Okta and read back, or ask a person",
    DirectoryUsers,
)
_RESET_FACTORS = options.flag(
    "reset_factors", "Unenrol all factors while the user is suspended", default=True
)
_STRIP_GROUPS = options.flag("strip_groups", "Remove from Okta's own groups", default=True)
_STRIP_ROLES = options.flag("strip_roles", "Unassign admin roles", default=True)
_EMPLOYEE_NUMBER = options.text(
    "employee_number_attribute",
    "Profile attribute that holds the employee number",
    default="employeeNumber",
    check=_plain,
)
_WORKER_ID = options.text(
    "worker_id_attribute",
    "Profile attribute that holds HR's worker id; empty when the organisation has none",
    default="",
    check=_plain,
)
_ACCESS_TOKEN = options.seconds(
    "access_token_s", "Longest life of an access token, in seconds", default=ACCESS_TOKEN_S
)
_APP_SESSION = options.bound(
    "app_session_s",
    "Longest session of an app behind Okta, in seconds, as your apps are set; Okta knows none",
)

SPECS = (
    _BASE_URL,
    _TOKEN,
    _DISABLE,
    _AD_MASTERED,
    _RESET_FACTORS,
    _STRIP_GROUPS,
    _STRIP_ROLES,
    _EMPLOYEE_NUMBER,
    _WORKER_ID,
    _ACCESS_TOKEN,
    _APP_SESSION,
)


def parse_options(given: ConnectorOptions) -> OktaOptions:
    """Check the options of one system.

    Raises:
        ValueError: naming the option that is missing or wrong.
    """
    values = options.read_options(SPECS, given, kind=KIND)
    return OktaOptions(
        base_url=values[_BASE_URL],
        disable=values[_DISABLE],
        directory_users=values[_AD_MASTERED],
        reset_factors=values[_RESET_FACTORS],
        strip_groups=values[_STRIP_GROUPS],
        strip_roles=values[_STRIP_ROLES],
        employee_number_attribute=values[_EMPLOYEE_NUMBER],
        worker_id_attribute=values[_WORKER_ID],
        access_token_s=values[_ACCESS_TOKEN],
        app_session_s=values[_APP_SESSION],
    )
