"""Google Workspace by the Admin SDK (Directory and Reports): what it offers, as rows.

Vendor rules, from https://developers.google.com/workspace/admin (directory: users, tokens, asps,
groups, roleAssignments; reports: login) and, where marked, the documentation of GAM:

- ``suspended: true`` is the block. The same write empties recovery address and telephone, by which
  a suspended account could ask its way back.
- Backup codes and two-step verification of a suspended user cannot be changed (GAM, "Users -
  Deprovision"). The block comes first; codes open nothing without a sign-in and are told as what
  an unblock revives.
- Grants to apps and app passwords stay recorded while a user is suspended and work again
  afterwards: they are deleted.
- A search may lag by up to 36 hours, so that nothing is read back by one.
- An empty list is left out of its answer, which says of which kind it is.
- Being asked too often is 403 ``userRateLimitExceeded`` as well as 429.
- A user who was deleted can be restored for 20 days and answers 404.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final

from connectors.google_workspace import quirks
from connectors.http import Dialect
from connectors.kit import options
from connectors.kit.abilities.rows import Active, Log
from connectors.kit.auth.ways import JwtBearer
from connectors.kit.calls import Call, Listed, Wire
from connectors.kit.faults import FaultRow
from connectors.kit.holdings import Close, Holding, always
from connectors.kit.pages import Cursor, Shape
from connectors.kit.residuals import Outlives
from connectors.kit.spec import Door, Finding, KeyAt, Record, RestSpec, SignIn
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.access import AccessKind, Category
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.pace import Limit

KIND: Final = "google_workspace"
ALL: Final = "all"
"""Ref of what is ended as a whole and not listed: sessions."""
LIST_LIMIT: Final = 500
"""The largest page of users."""

_BASE_URL = options.address(
    "base_url", "address of the Admin SDK", default="https://admin.googleapis.com"
)
_TOKEN_URL = options.address(
    "token_url", "address that gives tokens", default="https://oauth2.googleapis.com/token"
)
_ACCOUNT = options.text(
    "service_account", "address of the service account with domain-wide delegation", required=True
)
_ADMIN = options.text(
    "admin", "administrator on whose behalf it acts: not a person who may leave", required=True
)
_KEY = options.secret("private_key", "its private key, PEM", required=True)
NUMBER_TYPE = options.text(
    "employee_number_type",
    "type of the external id that holds the employee number; the console's is organization",
    default="organization",
)
WORKER_TYPE = options.text(
    "worker_id_type", "type of the external id that holds HR's worker id", default=""
)
_GROUPS = options.flag("strip_groups", "leave groups", default=True)
_TOKEN_BOUND = options.seconds(
    "access_token_s", "longest life of an app's access token, in seconds", default=3600
)

_SCOPES: Final = (
    ("admin.directory.user", "find, read and suspend users"),
    ("admin.directory.user.security", "end sessions, app grants and app passwords"),
    ("admin.directory.group", "list groups and leave them"),
    ("admin.directory.rolemanagement", "take away administrator's roles"),
    ("admin.reports.audit.readonly", "tell sign-ins afterwards"),
)
_USER, _SECURITY, _GROUP, _ROLE, _AUDIT = (name for name, _ in _SCOPES)
_V1: Final = "/admin/directory/v1"
_FULL: Final = {"projection": "full"}
_CUSTOMER: Final = {"customer": "my_customer"}


def _list(path: str, operation: str, needs: str, at: str, kind: str, **more: Any) -> Listed:
    call = Call("GET", path, f"{operation}.list", needs, more.pop("params", {}))
    pager = Cursor("pageToken", ("nextPageToken",), more.pop("size", None))
    return Listed(call, pager, Shape(at=(at,), says=("kind", kind), **more))


def _holding(listed: Listed, kind: AccessKind, undo: tuple[str, str], **more: Any) -> Holding:
    path, operation = undo
    call = Call("DELETE", path, operation, listed.call.needs)
    name = listed.shape.ref
    return Holding(listed, {kind: always}, Close((call,)), ref=lambda item: str(item[name]), **more)


_EVERYBODY = _list(
    f"{_V1}/users",
    "users",
    _USER,
    "users",
    "admin#directory#users",
    params={**_CUSTOMER, **_FULL},
    size={"maxResults": LIST_LIMIT},
)
SEARCH = _list(
    f"{_V1}/users",
    "users.search",
    _USER,
    "users",
    "admin#directory#users",
    params={**_CUSTOMER, **_FULL, "query": "{query}"},
)
SIGN_OUT = Call("POST", f"{_V1}/users/{{id}}/signOut", "users.sign_out", _SECURITY)

_HOLDINGS = (
    _holding(
        _list(
            f"{_V1}/users/{{id}}/tokens",
            "tokens",
            _SECURITY,
            "items",
            "admin#directory#tokenList",
            ref="clientId",
        ),
        AccessKind.TOKEN,
        (f"{_V1}/users/{{id}}/tokens/{{ref}}", "tokens.delete"),
        owner="userKey",
    ),
    _holding(
        _list(
            f"{_V1}/users/{{id}}/asps",
            "app_passwords",
            _SECURITY,
            "items",
            "admin#directory#aspList",
            ref="codeId",
        ),
        AccessKind.SECRET,
        (f"{_V1}/users/{{id}}/asps/{{ref}}", "app_passwords.delete"),
        owner="userKey",
    ),
    _holding(
        _list(
            f"{_V1}/customer/my_customer/roleassignments",
            "roles",
            _ROLE,
            "items",
            "admin#directory#roleAssignments",
            params={"userKey": "{id}"},
            ref="roleAssignmentId",
        ),
        AccessKind.ROLE,
        (f"{_V1}/customer/my_customer/roleassignments/{{ref}}", "roles.delete"),
        owner="assignedTo",
    ),
    _holding(
        _list(
            f"{_V1}/groups",
            "groups",
            _GROUP,
            "groups",
            "admin#directory#groups",
            params={"userKey": "{id}"},
        ),
        AccessKind.GROUP,
        (f"{_V1}/groups/{{ref}}/members/{{id}}", "groups.leave"),
        where=lambda values: values[_GROUPS],
    ),
)


def _signed_in(who: str) -> Listed:
    return _list(
        f"/admin/reports/v1/activity/users/{who}/applications/login",
        "sign_ins",
        _AUDIT,
        "items",
        "admin#reports#activities",
        params={"startTime": "{since}", "endTime": "{until}"},
        ref="",
    )


_ACTIVITY = Log(
    _signed_in("{id}"),
    at=("id", "time"),
    what=quirks.event_of,
    kind=quirks.use_of,
    sees="sign-ins and refused ones; not what apps did with a grant. Entries come up to hours late",
    mine=lambda entry, words: (
        isinstance(entry.get("actor"), dict) and str(entry["actor"].get("profileId")) == words["id"]
    ),
    oldest=_signed_in("all"),
    kept=timedelta(days=180),
    widest=timedelta(days=179),
)

_LIMITED: Final = frozenset({"userRateLimitExceeded", "rateLimitExceeded", "quotaExceeded"})

SPEC = RestSpec(
    kind=KIND,
    title="Google Workspace",
    category=Category.IDENTITY,
    options=(
        _BASE_URL,
        _TOKEN_URL,
        _ACCOUNT,
        _ADMIN,
        _KEY,
        NUMBER_TYPE,
        WORKER_TYPE,
        _GROUPS,
        _TOKEN_BOUND,
    ),
    base_url=_BASE_URL,
    auth=(
        JwtBearer(
            _ACCOUNT,
            _KEY,
            _ADMIN,
            token_at=_TOKEN_URL,
            scope=" ".join(f"https://www.googleapis.com/auth/{name}" for name, _ in _SCOPES),
            scope_in_claims=True,
        ),
    ),
    wire=Wire(
        Dialect(
            KIND,
            request_id_headers=("x-request-id",),
            error_code=("error", "errors", "0", "reason"),
            faults=(FaultRow(FaultCategory.RATE_LIMITED, codes=_LIMITED),),
        ),
        effect_ok=frozenset({200, 204}),
        ids=re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,256}"),
        gone=frozenset({"notFound"}),
    ),
    record=Record(
        Call("GET", f"{_V1}/users/{{id}}", "users.get", _USER, _FULL),
        keys=(KeyAt(KeyKind.USERNAME, ("primaryEmail",)), KeyAt(KeyKind.EMAIL, quirks.addresses)),
        name=("name", "fullName"),
        created=("creationTime",),
        used=("lastLoginTime",),
        says=("primaryEmail",),
    ),
    finding=Finding(everybody=_EVERYBODY, compared={}),
    sign_in=SignIn(
        doors=(
            Door(quirks.is_shut, shut=True),
            Door(quirks.is_shut, shut=True, ref=ALL, kind=AccessKind.SESSION),
        ),
        block=Close(
            (
                Call(
                    "PATCH",
                    f"{_V1}/users/{{id}}",
                    "users.suspend",
                    _USER,
                    body={"suspended": True, "recoveryEmail": "", "recoveryPhone": ""},
                ),
            )
        ),
    ),
    holdings=_HOLDINGS,
    outlives=(
        Outlives("access_token", _TOKEN_BOUND),
        Outlives("backup_codes"),
    ),
    active=Active(
        _EVERYBODY,
        "users that are neither suspended nor archived; the list may lag by up to 36 hours",
    ),
    activity=_ACTIVITY,
    revives_on_unblock=frozenset(kind for row in _HOLDINGS for kind in row.kinds),
    # 2,400 queries a minute for the administrator in whose name is asked.
    limit=Limit(2400, 60.0),
    calls=12,
    permissions=tuple(f"{name}: {why}" for name, why in _SCOPES),
    lacking=(
        "The service account or its administrator lacks {missing}.",
        (
            "Delegate https://www.googleapis.com/auth/{missing} to the service account, and give"
            " the administrator a role that holds it."
        ),
    ),
    proves="GET /users/{id} says suspended or archived (or 404 for a known id, who can be restored"
    " for 20 days); app grants, app passwords, administrator's roles and direct groups are read"
    " again and empty. Sessions are not listed: they end with the suspension, and are signed out"
    " besides. Google does not say since when a user is suspended. Nothing of this was tried at a"
    " real domain.",
)
