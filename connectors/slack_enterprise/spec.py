"""Slack's Enterprise organisation: the user is deactivated everywhere, the sessions are reset.

Vendor rules, from https://docs.slack.dev/reference/methods and https://slack.com/help:

- Every answer is 200: ``ok`` says whether it is one, ``error`` why not.
- ``admin.users.deactivate`` takes a user off the organisation and all its workspaces;
  ``admin.users.remove`` takes one off one workspace only, and is not used.
- Deactivating revokes the user's API tokens. Bots, webhooks and workflows that they made go on.
- Sessions are listed for one workspace only; whether any is open says
  ``admin.users.session.getSettings``, which leaves out whoever has none.
- The primary owner cannot be deactivated, and nobody else may end their sessions.
- A search by address finds no deactivated user: nobody is concluded from a list of both only.
"""

from __future__ import annotations

import re

from connectors.http import Dialect
from connectors.kit import options
from connectors.kit.abilities.rows import Active, Owned, Owns
from connectors.kit.auth.ways import bearer
from connectors.kit.calls import Call, Listed, Wire
from connectors.kit.faults import FaultRow, ReallyOk
from connectors.kit.holdings import Close, Holding, always
from connectors.kit.pages import Cursor, Shape, Total, Whole
from connectors.kit.residuals import Outlives
from connectors.kit.rest import manifest_of
from connectors.kit.spec import Door, Finding, Guard, KeyAt, Record, RestSpec, SignIn
from connectors.slack_enterprise import quirks
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.access import AccessKind, Category
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.owned import OwnedKind

KIND = "slack_enterprise"

_BASE = options.address(
    "base_url",
    "API address; https://api.slack-gov.com/api with GovSlack",
    default="https://slack.com/api",
)
_TOKEN = options.secret(
    "token",
    "user token (xoxp-) of an owner, of an app installed on the organisation",
    required=True,
)

_NEXT = ("response_metadata", "next_cursor")


def _people(active: str) -> Listed:
    call = Call(
        "GET", "/admin.users.list", "admin.users.list", "admin.users:read", {"is_active": active}
    )
    return Listed(call, Cursor("cursor", _NEXT, {"limit": 100}), Shape(at=("users",)), 1000)


_SESSIONS = Listed(
    Call(
        "GET",
        "/admin.users.session.getSettings",
        "admin.users.session.getSettings",
        "admin.users:read",
        {"user_ids": '["{id}"]'},
    ),
    Whole(),
    Shape(read=quirks.with_sessions),
)
_WORKFLOWS = Listed(
    Call(
        "GET",
        "/admin.workflows.search",
        "admin.workflows.search",
        "admin.workflows:read",
        {"collaborator_ids": '["{id}"]'},
    ),
    Cursor("cursor", _NEXT, {"limit": 50}),
    Shape(at=("workflows",), total=Total(("total_found",))),
)


def _refused(category: FaultCategory, *codes: str) -> FaultRow:
    return FaultRow(category, frozenset(codes))


_FAULTS = (
    _refused(
        FaultCategory.CREDENTIALS_REJECTED,
        "invalid_auth",
        "not_authed",
        "token_revoked",
        "token_expired",
        "account_inactive",
    ),
    _refused(
        FaultCategory.PERMISSION_MISSING,
        "missing_scope",
        "not_an_admin",
        "admin_unauthorized",
        "not_allowed_token_type",
        "no_permission",
        "access_denied",
        "restricted_action",
        "feature_not_enabled",
        "team_access_not_granted",
    ),
    _refused(
        FaultCategory.PROTECTED_ACCOUNT,
        "cannot_reset_primary_owner",
        "cannot_invalidate_primary_owner",
        "session_reset_not_allowed",
    ),
    _refused(FaultCategory.RATE_LIMITED, "ratelimited", "rate_limited"),
    _refused(
        FaultCategory.VENDOR_ERROR,
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
        "deactivation_failed",
    ),
)

SPEC = RestSpec(
    kind=KIND,
    title="Slack (Enterprise organisation)",
    category=Category.SAAS,
    options=(_BASE, _TOKEN),
    base_url=_BASE,
    auth=(bearer(_TOKEN),),
    wire=Wire(
        Dialect(
            KIND,
            request_id_headers=("x-slack-req-id",),
            faults=_FAULTS,
            ok=ReallyOk(("ok",)),
            gone=frozenset({"user_not_found", "users_not_found"}),
        ),
        effect_ok=frozenset({200}),
        ids=re.compile("[UW][A-Z0-9]{6,}"),
    ),
    record=Record(
        Call("GET", "/users.info", "users.info", "users:read", {"user": "{id}"}),
        keys=(KeyAt(KeyKind.EMAIL, quirks.addresses),),
        name=quirks.name_of,
        created=("date_created",),
        within=("user",),
    ),
    # The search finds active users only, and each list one half: nobody is in neither.
    finding=Finding(
        everybody=_people("true"),
        also=(_people("false"),),
        compared={KeyKind.USERNAME: quirks.address_of, KeyKind.EMAIL: quirks.address_of},
        search=Listed(
            Call(
                "GET",
                "/users.lookupByEmail",
                "users.lookupByEmail",
                "users:read.email",
                {"email": "{value}"},
            ),
            Whole(),
            Shape(read=quirks.found_user),
            gone_is_empty=True,
        ),
        proves_nobody=False,
        addresses_only=True,
    ),
    sign_in=SignIn(
        doors=(Door(quirks.is_shut, shut=True),),
        block=Close(
            (
                Call(
                    "POST",
                    "/admin.users.deactivate",
                    "admin.users.deactivate",
                    "admin.users:write",
                    body={"user_id": "{id}"},
                ),
            )
        ),
        guards=(
            Guard(("is_primary_owner",), value=True),
            Guard(("enterprise_user", "is_primary_owner"), value=True),
        ),
    ),
    holdings=(
        Holding(
            _SESSIONS,
            {AccessKind.SESSION: always},
            Close(
                (
                    Call(
                        "POST",
                        "/admin.users.session.reset",
                        "admin.users.session.reset",
                        "admin.users:write",
                        body={"user_id": "{id}"},
                    ),
                )
            ),
            mine=lambda item, words: item["id"] == words["id"],
            ref=lambda _: "all",
            again=True,
            named=re.compile("all"),  # what cannot be asked about again is reset all the same
        ),
    ),
    outlives=(Outlives("bots_and_webhooks"),),
    active=Active(
        _people("true"),
        "everybody who is not deactivated, guests and bots too; people of other organisations in"
        " shared channels are not in it",
    ),
    owned=Owned(
        (
            Owns(
                _WORKFLOWS,
                {OwnedKind.FLOW: always},
                mine=lambda item, words: quirks.works_with(item, words["id"]),
                name=("title",),
                used=("date_updated",),
                others=quirks.has_another,
            ),
        ),
        "published workflows that the user manages, with or without others. Slack does not list"
        " who installed an app or made a webhook: those are not looked at",
    ),
    permissions=(
        "admin.users:read: list people, see whether sessions are open",
        "admin.users:write: deactivate people, reset their sessions",
        "users:read, users:read.email: read a user, find one by address",
        "admin.workflows:read: optional: name the workflows that the user manages",
    ),
    lacking=(
        "The token lacks {missing}, or its owner is no owner or administrator of the organisation.",
        "Add {missing} to the app's user scopes, and install it on the organisation anew.",
    ),
    proves="users.info by id says deleted: true; admin.users.session.getSettings, which leaves out"
    " whoever has no session, leaves the user out. Slack says no time of deactivation. The user's"
    " tokens end with the deactivation, as Slack documents; memberships of channels and user groups"
    " stay written and open nothing.",
    calls=9,
    # The next sign-in makes new sessions; the old ones were not ended by the block for certain.
    revives_on_unblock=frozenset({AccessKind.SESSION}),
    secret_marks=("xoxp-", "xoxb-", "xoxe-"),
)

MANIFEST = manifest_of(SPEC)
