"""Kisi: shut the doors, end the logins, deactivate the cards, take the roles and teams away.

Vendor rules, from https://api.kisi.io/docs and docs.kisi.io (remove access rights):

- ``query`` searches e-mail, name and notes: only an equal e-mail is a match.
- A user whom a directory manages (SCIM) gets in only while both ``access_enabled`` and the
  read-only ``scim_access_enabled`` are true, so that our false outlasts any sync.
- ``/logins`` without ``user_id`` lists our own; a filter that is not heeded must not delete a
  stranger's things. Therefore every entry names its owner.
- A role can come by a team: both role assignments and team memberships are taken away.
- Five requests a second for each key. Readers keep a cache for when they are offline.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from connectors.http import Dialect
from connectors.kisi import beyond
from connectors.kisi.beyond import listed
from connectors.kit import options
from connectors.kit.auth.ways import Header
from connectors.kit.calls import Call, Wire
from connectors.kit.holdings import Close, Holding, Test, always
from connectors.kit.residuals import Outlives
from connectors.kit.rest import manifest_of
from connectors.kit.spec import Door, Finding, KeyAt, Record, RestSpec, SignIn
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.abilities import EnforcedAt, Enforcement
from lockstep.domain.systems.access import AccessKind, Category
from lockstep.domain.systems.pace import Limit

KIND = "kisi"

_BASE_URL = options.address("base_url", "API address", default="https://api.kisi.io")
_NUMBER_KEY = options.text(
    "employee_number_key",
    "key in a user's metadata that holds the employee number; unset: not compared",
)
_CACHE_BOUND = options.bound(
    "offline_cache_bound_s",
    "seconds for which a reader without network goes on opening, if you have measured it;"
    " Kisi states none",
)
_PER_SECOND = options.whole(
    "requests_per_second",
    "calls a second with this key, over all that use it; 0 for no pace of our own",
    default="5",
)
_API_KEY = options.secret("api_key", "API key, sent as KISI-LOGIN", required=True)

_EMAIL = ("email",)
# The doors, and signing in by password: two flags, one PATCH.
_FLAGS = ("access_enabled", "password_flow_enabled")
_OF_USER = {"assignee_type": "User", "assignee_id": "{id}"}


def _holding(
    area: str,
    kinds: Mapping[AccessKind, Test],
    owner: str,
    params: Mapping[str, str],
    undo: tuple[str, str, str] = ("DELETE", "", "delete"),
    *,
    again: bool = False,
    probe: Mapping[str, str | int] | None = None,
) -> Holding:
    method, suffix, verb = undo
    call = Call(method, f"/{area}/{{ref}}{suffix}", f"{area}.{verb}", area)
    return Holding(
        listed(area, 250, **params),
        kinds,
        Close((call,)),
        owner,
        stands=lambda item: item.get("status", "activated") == "activated",
        again=again,
        probe=probe or {"limit": 1},
    )


_HOLDINGS = (
    # A login of the mobile app opens doors like a session; one of an API is a long-lived key.
    # Of logins health asks for the key's own, the only ones that need no user's id.
    _holding(
        "logins",
        {AccessKind.SECRET: lambda item: item.get("type") == "api", AccessKind.SESSION: always},
        "user_id",
        {"user_id": "{id}"},
        probe={"limit": 1, "user_id": "me"},
    ),
    # Deleting twice says 404, deactivating twice does not.
    _holding(
        "card_assignments",
        {AccessKind.CREDENTIAL: always},
        "assignee_id",
        {**_OF_USER, "status": "activated"},
        ("POST", "/deactivate", "deactivate"),
        again=True,
    ),
    _holding("role_assignments", {AccessKind.ROLE: always}, "assignee_id", _OF_USER),
    _holding(
        "team_memberships",
        {AccessKind.GROUP: always},
        "member_id",
        {"member_type": "User", "member_id": "{id}"},
    ),
)

_NEEDED = tuple(
    f"{area}_read, {area}_write: {why}"
    for area, why in (
        ("users", "find the user and shut the doors"),
        ("logins", "end app sessions and API keys of the user"),
        ("card_assignments", "deactivate cards"),
        ("role_assignments", "take away roles"),
        ("team_memberships", "take away what comes by a team"),
    )
)

SPEC = RestSpec(
    kind=KIND,
    title="Kisi",
    category=Category.BADGE,
    options=(_BASE_URL, _NUMBER_KEY, _CACHE_BOUND, _PER_SECOND, _API_KEY),
    base_url=_BASE_URL,
    auth=(Header(_API_KEY, "KISI-LOGIN {}"),),
    wire=Wire(
        Dialect(KIND, error_code=("code",)),
        effect_ok=frozenset({204}),
        missing=("{needs}_read", "{needs}_write"),
        ids=re.compile("[0-9]+"),
    ),
    record=Record(
        Call("GET", "/users/{id}", "users.get", "users"),
        keys=(
            KeyAt(KeyKind.EMAIL, _EMAIL),
            KeyAt(KeyKind.EMPLOYEE_NUMBER, ("metadata", "{employee_number_key}")),
        ),
        name=("name",),
        created=("created_at",),
        used=("last_accessed_at",),
    ),
    # Kisi knows no user names; one that is an address may be the address that it knows.
    finding=Finding(
        everybody=listed("users", 100),
        compared={KeyKind.USERNAME: _EMAIL, KeyKind.EMAIL: _EMAIL},
        search=listed("users", 100, query="{value}"),
        addresses_only=True,
    ),
    sign_in=SignIn(
        doors=tuple(Door((flag,), shut=False, ref=flag) for flag in _FLAGS),
        block=Close(
            (
                Call(
                    "PATCH",
                    "/users/{id}",
                    "users.disable",
                    "users",
                    body={"user": dict.fromkeys(_FLAGS, False)},
                ),
            )
        ),
        off_since=("updated_at",),
    ),
    holdings=_HOLDINGS,
    outlives=(Outlives("offline_reader_cache", _CACHE_BOUND),),
    probe={"limit": 1},
    active=beyond.ACTIVE,
    activity=beyond.ACTIVITY,
    owned=beyond.OWNED,
    permissions=(
        *_NEEDED,
        "event_sets_read, event_sets_write: optional: tell what the user did afterwards",
        "group_links_read: optional: name the links that the user made",
    ),
    lacking=(
        "The key's role lacks {missing}.",
        (
            "Give the user who made the API key a role with {missing}, such as organisation"
            " administrator."
        ),
    ),
    proves="GET /users/{id} shows access_enabled and password_flow_enabled false (or 404 for the"
    " pinned id); no login, activated card, role assignment or team membership of the user is"
    " left. The user's updated_at is the latest moment at which the doors can have been shut."
    " Group links are told by who made them (list_owned) and not"
    " closed; shares are not seen.",
    limit=Limit(5),  # for each key (docs.kisi.io, rate limits)
    calls=20,
    # Two flags are turned off; all that a user holds stays where it is until it is taken away.
    revives_on_unblock=frozenset(kind for row in _HOLDINGS for kind in row.kinds),
    enforced_at=EnforcedAt(Enforcement.NOT_READ, "readers, which keep a cache"),
)

MANIFEST = manifest_of(SPEC)
