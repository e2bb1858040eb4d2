"""A user as Okta shows it, and what that record alone says of the person's access and keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from connectors.http import Answer, vendor_instant
from connectors.kit.instants import told_instant
from connectors.okta.faults import unexpected
from connectors.okta.options import Disable, OktaOptions
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Account,
    Match,
    Observation,
    Residual,
    Unread,
)
from lockstep.domain.systems.keys import comparable, local_part

ACTIVE = "ACTIVE"
SUSPENDED = "SUSPENDED"
DEPROVISIONED = "DEPROVISIONED"

_NUMBERS = (KeyKind.WORKER_ID, KeyKind.EMPLOYEE_NUMBER)

ALL = "all"
"""Ref of what Okta ends as a whole and does not list: sessions."""
APPS = "apps"
"""Ref of the app assignments, which stand until the user is deactivated."""
ACCESS_TOKEN = "access_token"  # noqa: S105 - the code of a residual, not a secret
APP_SESSION = "app_session"


@dataclass(frozen=True, slots=True)
class OktaUser:
    """One user as the authoritative endpoint shows it.

    ``status`` stays Okta's text: a status that we do not know must count as open.
    Its own instants and ``seen_at`` are in UTC, all by Okta's clock.
    """

    id: str
    status: str
    seen_at: datetime
    transitioning_to: str | None = None
    status_changed: datetime | None = None
    created: datetime | None = None
    last_login: datetime | None = None
    provider: str = ""
    profile: Mapping[str, object] = field(default_factory=dict, repr=False)

    @property
    def is_transitioning(self) -> bool:
        return self.transitioning_to is not None

    @property
    def is_blocked(self) -> bool:
        """Whether sign-in is off, for good or until somebody unsuspends."""
        return self.status in {SUSPENDED, DEPROVISIONED} and not self.is_transitioning

    @property
    def is_deactivated(self) -> bool:
        return self.status == DEPROVISIONED and not self.is_transitioning

    @property
    def is_directory_owned(self) -> bool:
        return self.provider in {"ACTIVE_DIRECTORY", "LDAP"}

    def attribute(self, name: str) -> str:
        """A profile attribute as trimmed text; empty when unset."""
        value = self.profile.get(name) if name else None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        is_text = isinstance(value, str | int | float) and not isinstance(value, bool)
        return str(value).strip() if is_text else ""

    @property
    def login(self) -> str:
        return self.attribute("login")

    @property
    def name(self) -> str:
        """For people to compare; Okta keeps no display name unless somebody fills it in."""
        parts = (self.attribute("firstName"), self.attribute("lastName"))
        return self.attribute("displayName") or " ".join(part for part in parts if part)


def strong_attributes(options: OktaOptions) -> tuple[tuple[KeyKind, str], ...]:
    """The profile attributes that hold numbers of HR's, by kind of key."""
    pairs = (
        (KeyKind.WORKER_ID, options.worker_id_attribute),
        (KeyKind.EMPLOYEE_NUMBER, options.employee_number_attribute),
    )
    return tuple((kind, attribute) for kind, attribute in pairs if attribute)


def keys_of(user: OktaUser, options: OktaOptions) -> tuple[Key, ...]:
    """Every identity key that Okta holds of a user."""
    held = [(kind, user.attribute(name)) for kind, name in strong_attributes(options)]
    held.append((KeyKind.USERNAME, user.login))
    held += [(KeyKind.EMAIL, user.attribute(name)) for name in ("email", "secondEmail")]
    return tuple(dict.fromkeys(Key(kind, value) for kind, value in held if value))


def is_under(user: OktaUser, key: Key, options: OktaOptions) -> bool:
    """Whether Okta itself holds ``key`` of the user, or a login that begins with it.

    The law says what each is worth (`lockstep.domain.systems.finding`).
    """
    wanted = comparable(key.kind, key.value)
    if not wanted or key.kind is KeyKind.EXTERNAL_ID:
        return False
    if key.kind in _NUMBERS:
        name = dict(strong_attributes(options)).get(key.kind, "")
        return comparable(key.kind, user.attribute(name)) == wanted
    if key.kind is not KeyKind.EMAIL and user.id == key.value:
        return True
    wanted = comparable(KeyKind.USERNAME, key.value)
    held = keys_of(user, options)
    if wanted in {comparable(one.kind, one.value) for one in held if one.kind not in _NUMBERS}:
        return True
    is_short = key.kind is KeyKind.USERNAME and "@" not in wanted
    return is_short and local_part(user.login) == wanted


def account_of(user: OktaUser, options: OktaOptions) -> Account:
    return Account(user.id, user.login, keys_of(user, options))


def listed_match(user: OktaUser, options: OktaOptions, found_by: KeyKind) -> Match:
    """A user as a list or the index shows it: good for comparing, not for knowing what stands."""
    return Match(
        account_of(user, options),
        found_by,
        name=user.name,
        created_at=user.created,
        last_used_at=user.last_login,
    )


def doors(user: OktaUser, options: OktaOptions) -> tuple[Access, ...]:
    """What stands by the user's own record; the rest is kept in lists of its own."""
    standing: list[Access] = []
    if not user.is_blocked:
        standing += [Access(AccessKind.SIGN_IN, user.id), Access(AccessKind.SESSION, ALL)]
    if options.disable is Disable.DEACTIVATE and not user.is_deactivated:
        standing.append(Access(AccessKind.ASSIGNMENT, APPS))
    return tuple(standing)


def lists_of(options: OktaOptions) -> tuple[AccessKind, ...]:
    """The kinds of access that Okta keeps in lists of their own, and that this system closes."""
    wanted = {
        AccessKind.TOKEN: True,
        AccessKind.FACTOR: options.reset_factors,
        AccessKind.ROLE: options.strip_roles,
        AccessKind.GROUP: options.strip_groups,
    }
    return tuple(kind for kind, is_wanted in wanted.items() if is_wanted)


def open_lists(user: OktaUser, options: OktaOptions) -> tuple[AccessKind, ...]:
    """Those that say something of this user.

    A deactivated user's factors open nothing, and Okta refuses to reset them.
    """
    is_moot = {AccessKind.FACTOR} if user.is_deactivated else set[AccessKind]()
    return tuple(kind for kind in lists_of(options) if kind not in is_moot)


def door(user: OktaUser, options: OktaOptions) -> Observation:
    """What the user's own record says; what Okta keeps in lists is not read yet."""
    return Observation(
        account_id=user.id,
        exists=True,
        standing=doors(user, options),
        off_since=user.status_changed if user.is_blocked else None,
        residuals=residuals(user, options),
        unread=tuple(Unread(kind) for kind in open_lists(user, options)),
    )


def residuals(user: OktaUser, options: OktaOptions) -> tuple[Residual, ...]:
    """What outlives the block, until its bound has passed by Okta's clock."""
    if not user.is_blocked:
        return ()
    bounds = {ACCESS_TOKEN: options.access_token_s, APP_SESSION: options.app_session_s}
    off_since = user.status_changed
    return tuple(
        Residual(what, seconds)
        for what, seconds in bounds.items()
        if seconds is None
        or off_since is None
        or user.seen_at < off_since + timedelta(seconds=seconds)
    )


def read_user(data: Any, answer: Answer, operation: str) -> OktaUser:
    """Read one user.

    Raises:
        ConnectorFault: unexpected answer, without an id and a status nothing can be said.
    """
    if not isinstance(data, dict):
        raise unexpected(operation, "no_object", answer)
    user_id, status = data.get("id"), data.get("status")
    if not isinstance(user_id, str) or not user_id or not isinstance(status, str):
        raise unexpected(operation, "no_id_or_status", answer)
    profile = data.get("profile")
    credentials = data.get("credentials")
    provider = credentials.get("provider") if isinstance(credentials, dict) else None
    transition = data.get("transitioningToStatus")
    return OktaUser(
        id=user_id,
        status=status,
        seen_at=answer.exchange.at_by_vendor,
        transitioning_to=None if transition is None else str(transition),
        status_changed=vendor_instant(data.get("statusChanged")),
        created=told_instant(data.get("created")),
        last_login=told_instant(data.get("lastLogin")),
        provider=str(provider.get("type", "")) if isinstance(provider, dict) else "",
        profile=profile if isinstance(profile, dict) else {},
    )
