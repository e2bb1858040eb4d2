"""Okta Workforce Identity: what its Management API offers, as rows.

Source of the rules: https://github.com/okta/okta-management-openapi-spec (2026.06) and
https://developer.okta.com/docs/reference/error-codes/ unless a comment names another.

Proof is ``GET /users/{id}``: status SUSPENDED or DEPROVISIONED with no transition under way, and
the user's own lists of clients, factors, roles and groups. What cannot be proved:

- Sessions are not listed. They count as standing until sign-in is blocked; see `okta.revoke`.
- Groups of type APP_GROUP (imported) and BUILT_IN, and roles that come from a group, are not ours
  to remove and are left out.
- An app behind Okta keeps the session that it made itself: that is a residual.
- Suspending tells the apps nothing, so with ``disable = "deactivate"`` a suspended user's app
  assignments still count as standing.
"""

from __future__ import annotations

import re
from typing import Any, Final

from connectors.http import Dialect
from connectors.kit import options
from connectors.kit.auth.ways import Header
from connectors.kit.calls import Call, Listed, Wire
from connectors.kit.faults import FaultRow
from connectors.kit.holdings import Close, Holding, Test, always
from connectors.kit.options import Values
from connectors.kit.pages import LinkHeader, Shape
from connectors.kit.residuals import Outlives
from connectors.kit.spec import Door, Finding, KeyAt, Record, RestSpec, SignIn
from connectors.okta import beyond, status
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.access import AccessKind, Category
from lockstep.domain.systems.faults import FaultCategory

KIND: Final = "okta"
ALL: Final = "all"
"""Ref of what Okta ends as a whole and does not list: sessions."""
APPS: Final = "apps"
"""Ref of the app assignments, which stand until the user is deactivated."""
NO_SUCH_SEARCH: Final = "E0000031"
"""Invalid search criteria: also what Okta says of an attribute that it does not know."""
LIST_LIMIT: Final = 200
"""Okta's largest page of users."""
# Okta bounds concurrent requests per organisation, apart from its rates (about 75, and as low as
# 15 on small plans): https://developer.okta.com/docs/reference/rl-best-practices/
MAX_PARALLEL: Final = 10
_ODD, _PROTECTED = FaultCategory.UNEXPECTED_ANSWER, FaultCategory.PROTECTED_ACCOUNT


def _plain(value: str) -> str:
    """A profile attribute goes into a search expression unquoted: plain names only."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,63}", value):
        raise ValueError("a plain attribute name expected")
    return value


_BASE_URL = options.address(
    "base_url", "Your organisation's address, for instance https://example.okta.com"
)
_TOKEN = options.secret("token", "API token (SSWS) of a service administrator", required=True)
DISABLE = options.choice(
    "disable",
    "deactivate is final and deprovisions every app; suspend is reversible, works for ACTIVE "
    "users only, and sends nothing to the apps behind Okta",
    ("deactivate", "suspend"),
)
AD_MASTERED = options.choice(
    "ad_mastered",
    "Users owned by Active Directory or LDAP: try in Okta and read back, or ask a person",
    ("try", "person"),
)
RESET_FACTORS = options.flag(
    "reset_factors", "Unenrol all factors while the user is suspended", default=True
)
STRIP_GROUPS = options.flag("strip_groups", "Remove from Okta's own groups", default=True)
_STRIP_ROLES = options.flag("strip_roles", "Unassign admin roles", default=True)
EMPLOYEE_NUMBER = options.text(
    "employee_number_attribute",
    "Profile attribute that holds the employee number",
    default="employeeNumber",
    check=_plain,
)
WORKER_ID = options.text(
    "worker_id_attribute",
    "Profile attribute that holds HR's worker id; empty when the organisation has none",
    default="",
    check=_plain,
)
# A resource server that checks an access token offline goes on: an hour is Okta's default.
_ACCESS_TOKEN = options.seconds(
    "access_token_s", "Longest life of an access token, in seconds", default=3600
)
_APP_SESSION = options.bound(
    "app_session_s",
    "Longest session of an app behind Okta, in seconds, as your apps are set; Okta knows none",
)


def is_final(values: Values) -> bool:
    """Whether the user is deactivated in the end, which may destroy data in the apps."""
    return values[DISABLE] == "deactivate"


def _get(path: str, operation: str, needs: str = "users") -> Call:
    return Call("GET", f"/api/v1/{path}", operation, needs)


def _lifecycle(verb: str, **params: str) -> Call:
    path = f"/api/v1/users/{{id}}/lifecycle/{verb}"
    return Call("POST", path, f"users.{verb}", "users", params)


def _delete(path: str, operation: str, needs: str = "users", **params: str) -> Call:
    return Call("DELETE", f"/api/v1/{path}", operation, needs, params)


FIND = _get("users/{name}", "users.find")
"""Takes an id, a login, or an unambiguous short name; the caller checks which it was."""
ME = _get("users/me", "users.get_me")
"""The administrator who made our token."""
GROUPS = Listed(_get("groups", "groups.list", "groups"), LinkHeader({"limit": 1}))
# ``search`` also returns DEPROVISIONED users, which the plain list leaves out.
SEARCH = Listed(
    Call("GET", "/api/v1/users", "users.search", "users", {"search": "{search}"}),
    LinkHeader({"limit": 50}),
)
# Only an ACTIVE user can be suspended; for any other Okta answers 400 E0000001.
SUSPEND = _lifecycle("suspend")
# Never sent as DELETE: a second DELETE erases the user.
DEACTIVATE = _lifecycle("deactivate", sendEmail="false")
FACTORS = _lifecycle("reset_factors")
# Ends Okta's sessions and OAuth tokens; 204 also when there are none.
SESSIONS = _delete(
    "users/{id}/sessions", "users.sessions.clear", oauthTokens="true", forgetDevices="true"
)
GRANTS = _delete("users/{id}/grants", "users.grants.revoke")


def _holding(
    name: str, kind: AccessKind, undo: Call, counts: Test = always, *, ref: str = "id", **more: Any
) -> Holding:
    # Only of roles does reading take a right of its own.
    call = _get(
        f"users/{{id}}/{name}", f"users.{name}.list", "roles" if name == "roles" else "users"
    )
    return Holding(
        Listed(call, LinkHeader(), Shape(ref=ref, counts=counts)),
        {kind: always},
        Close((undo,)),
        ref=lambda item: str(item[ref]),
        # Okta answers 404 for lists of a deactivated user (seen with factors:
        # https://github.com/okta/okta-sdk-java/issues/646); for any other user 404 says nothing.
        ended=status.is_deactivated,
        **more,
    )


HOLDINGS = (
    # Clients "for which the user has grants or tokens": one entry stands for both.
    _holding(
        "clients",
        AccessKind.TOKEN,
        _delete("users/{id}/clients/{ref}/tokens", "users.clients.tokens.revoke"),
        ref="client_id",
    ),
    # E-mail enrols itself for as long as the user has an address, so it can never be reset:
    # https://github.com/okta/okta-developer-docs/pull/2632
    _holding(
        "factors",
        AccessKind.FACTOR,
        FACTORS,
        lambda item: item.get("factorType") != "email" and item.get("status") != "NOT_SETUP",
        where=lambda values: values[RESET_FACTORS],
        # They open nothing for a deactivated user, and Okta refuses to reset them.
        moot=status.is_deactivated,
    ),
    # A role that comes from a group ends with the membership; it has no call of its own.
    _holding(
        "roles",
        AccessKind.ROLE,
        _delete("users/{id}/roles/{ref}", "users.roles.unassign", "roles"),
        lambda item: item.get("assignmentType") != "GROUP",
        where=lambda values: values[_STRIP_ROLES],
    ),
    # APP_GROUP belongs to the app that imports it, BUILT_IN is Everyone: neither can be left
    # through the API, and neither lets anybody in once sign-in is blocked.
    _holding(
        "groups",
        AccessKind.GROUP,
        _delete("groups/{ref}/users/{id}", "groups.members.remove", "groups"),
        lambda item: item.get("type") not in {"APP_GROUP", "BUILT_IN"},
        where=lambda values: values[STRIP_GROUPS],
    ),
)

# The list has all users but those that are DEPROVISIONED; no filter, and no index.
EVERYBODY = Listed(
    _get("users", "users.list"),
    LinkHeader({"limit": LIST_LIMIT}),
    most_pages=1000,  # 200,000 users, where no search is to be trusted
)

SPEC = RestSpec(
    kind=KIND,
    title="Okta Workforce Identity",
    category=Category.IDENTITY,
    options=(
        _BASE_URL,
        _TOKEN,
        DISABLE,
        AD_MASTERED,
        RESET_FACTORS,
        STRIP_GROUPS,
        _STRIP_ROLES,
        EMPLOYEE_NUMBER,
        WORKER_ID,
        _ACCESS_TOKEN,
        _APP_SESSION,
    ),
    base_url=_BASE_URL,
    auth=(Header(_TOKEN, "SSWS {}"),),
    wire=Wire(
        Dialect(
            connector=KIND,
            request_id_headers=("x-okta-request-id",),
            error_code=("errorCode",),
            reset_epoch_header="x-rate-limit-reset",
            faults=(
                FaultRow(FaultCategory.PERMISSION_MISSING, codes=frozenset({"E0000006"})),
                # "Not allowed in the user's current status".
                FaultRow(_ODD, codes=frozenset({"E0000038"}), statuses=frozenset({403})),
                # "A precondition of the endpoint is violated", 400 elsewhere: with 403 we read it
                # as the guard of the last super administrator. Okta's own wording of that guard
                # is not public.
                FaultRow(_PROTECTED, codes=frozenset({"E0000001"}), statuses=frozenset({403})),
            ),
        ),
        effect_ok=frozenset({200, 204}),
        missing=("okta.{needs}.read", "okta.{needs}.manage"),
        gone=frozenset({"E0000007", "E0000008"}),
        headers={"Accept": "application/json"},
        at_once=MAX_PARALLEL,
    ),
    record=Record(
        # The endpoint also takes logins and the word "me": the answer's own id decides.
        _get("users/{id}", "users.get"),
        keys=(
            KeyAt(KeyKind.USERNAME, ("profile", "login")),
            KeyAt(KeyKind.WORKER_ID, ("profile", "{worker_id_attribute}")),
            KeyAt(KeyKind.EMPLOYEE_NUMBER, ("profile", "{employee_number_attribute}")),
            KeyAt(KeyKind.EMAIL, ("profile", "email")),
            KeyAt(KeyKind.EMAIL, ("profile", "secondEmail")),
        ),
        name=status.name_of,
        created=("created",),
        used=("lastLogin",),
        says=("status",),
    ),
    finding=Finding(everybody=EVERYBODY, compared={}),
    sign_in=SignIn(
        doors=(
            Door(status.is_blocked, shut=True),
            Door(status.is_blocked, shut=True, ref=ALL, kind=AccessKind.SESSION),
            Door(
                status.is_deactivated,
                shut=True,
                ref=APPS,
                kind=AccessKind.ASSIGNMENT,
                where=is_final,
            ),
        ),
        block=Close((SUSPEND,)),
        off_since=("statusChanged",),
    ),
    holdings=HOLDINGS,
    at_once=True,
    active=beyond.active(EVERYBODY),
    activity=beyond.ACTIVITY,
    owned=beyond.OWNED,
    outlives=(
        Outlives("access_token", _ACCESS_TOKEN, ends=True),
        Outlives("app_session", _APP_SESSION, ends=True),
    ),
    permissions=(
        "okta.users.manage: block, end sessions, reset factors (Organization Administrator)",
        "okta.groups.manage: leave groups (Organization Administrator)",
        "okta.roles.manage: unassign roles, revoke administrators (Super Administrator)",
        "okta.logs.read: what was done with an account (optional)",
        "okta.apiTokens.read: which API tokens somebody owns (optional)",
    ),
    proves="GET /users/{id} by immutable id: status SUSPENDED or DEPROVISIONED and no transition "
    "under way; the user's own lists of clients, factors, roles and groups are empty of what can "
    "be removed.",
    lacking=(
        "The token lacks {missing}.",
        "Give the token's owner a role that holds {missing}, then run the check again.",
    ),
)
