"""Microsoft Entra ID by Microsoft Graph v1.0: what it offers, as rows.

Vendor rules, from https://learn.microsoft.com/graph/api (user, authenticationmethods-overview,
group-delete-members, user-assignlicense, user-revokesigninsessions, throttling-limits):

- ``accountEnabled: false`` is the block. It ends no token: an access token lives on, for an hour
  to ninety minutes, unless the resource evaluates access continuously.
- Sessions are not listed. They stand until the account is disabled and the instant from which they
  count has moved (`entra.quirks`); `entra.connector` moves it.
- People whom a directory synchronises (``onPremisesSyncEnabled``) are closed there: the next
  synchronisation would undo what is written here.
- Members that a rule decides, groups of an on-premises directory and mail groups of Exchange refuse
  removal: they are told as what stays.
- A removal without ``/$ref`` at its end would delete the user and not the membership.
- ``eq`` in filters needs no ``ConsistencyLevel: eventual``, and so asks no index that lags.
- A user who was deleted lies in ``directory/deletedItems`` for 30 days and answers 404.
"""

from __future__ import annotations

import re
from typing import Final

from connectors.entra import beyond, calls, quirks, settings
from connectors.entra.holdings import HOLDINGS
from connectors.http import Dialect
from connectors.kit.abilities.rows import Active
from connectors.kit.auth.clients import Authority
from connectors.kit.auth.ways import ClientCertificate, ClientSecret
from connectors.kit.calls import Call, Wire
from connectors.kit.faults import FaultRow
from connectors.kit.holdings import Close
from connectors.kit.residuals import Outlives
from connectors.kit.spec import Door, Finding, Guard, KeyAt, Record, RestSpec, SignIn
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.abilities import EnforcedAt, Enforcement
from lockstep.domain.systems.access import AccessKind, Category
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.pace import Limit

KIND: Final = "entra"
ALL: Final = "all"
"""Ref of what is ended as a whole and not listed: sessions and refresh tokens."""
LIST_LIMIT: Final = 999
"""The largest page of users."""


def _faults() -> tuple[FaultRow, ...]:
    return (
        # Two changes of one user at once.
        FaultRow(FaultCategory.VENDOR_ERROR, statuses=frozenset({409, 412})),
        FaultRow(
            FaultCategory.MISCONFIGURED,
            codes=frozenset(
                {
                    "AadPremiumLicenseRequired",
                    "Authentication_RequestFromNonPremiumTenantOrB2CTenant",
                }
            ),
        ),
    )


SPEC = RestSpec(
    kind=KIND,
    title="Microsoft Entra ID",
    category=Category.IDENTITY,
    options=(
        settings.BASE_URL,
        settings.LOGIN_URL,
        settings.SCOPE,
        settings.TENANT,
        settings.CLIENT_ID,
        settings.SECRET,
        settings.CERTIFICATE,
        settings.KEY,
        settings.EMPLOYEE_NUMBER,
        settings.WORKER_ID,
        settings.DEVICES,
        settings.LICENCES,
        settings.PIM,
        settings.ACCESS_TOKEN,
        settings.APP_SESSION,
    ),
    base_url=settings.BASE_URL,
    auth=tuple(
        way(
            Authority(
                settings.LOGIN_URL,
                "/{tenant}/oauth2/v2.0/token",
                settings.CLIENT_ID,
                settings.SCOPE,
            ),
            *proof,
        )
        for way, proof in (
            (ClientSecret, (settings.SECRET,)),
            (ClientCertificate, (settings.CERTIFICATE, settings.KEY)),
        )
    ),
    wire=Wire(
        Dialect(
            KIND,
            request_id_headers=("request-id",),
            error_code=("error", "code"),
            faults=_faults(),
        ),
        effect_ok=frozenset({200, 201, 204}),
        ids=re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~-]{1,256}"),
        gone=frozenset(
            {"Request_ResourceNotFound", "ResourceNotFound", "resourceNotFound", "itemNotFound"}
        ),
    ),
    record=Record(
        Call("GET", "/users/{id}", "users.get", calls.USER, calls.SELECTED),
        keys=(
            KeyAt(KeyKind.USERNAME, ("userPrincipalName",)),
            KeyAt(KeyKind.WORKER_ID, ("{worker_id_attribute}",)),
            KeyAt(KeyKind.EMPLOYEE_NUMBER, ("{employee_number_attribute}",)),
            KeyAt(KeyKind.EMAIL, quirks.addresses),
        ),
        name=("displayName",),
        created=("createdDateTime",),
        says=("userPrincipalName",),
    ),
    finding=Finding(
        everybody=calls.listed(
            "/users", "users", calls.USER, params=calls.SELECTED, size={"$top": LIST_LIMIT}
        ),
        compared={},
    ),
    sign_in=SignIn(
        doors=(
            Door(("accountEnabled",), shut=False),
            Door(quirks.sessions_ended, shut=True, ref=ALL, kind=AccessKind.SESSION),
        ),
        block=Close(
            (
                Call(
                    "PATCH",
                    "/users/{id}",
                    "users.disable",
                    calls.DISABLE,
                    body={"accountEnabled": False},
                ),
            )
        ),
        guards=(Guard(("onPremisesSyncEnabled",), True, FaultCategory.MANAGED_ELSEWHERE),),
    ),
    holdings=HOLDINGS,
    outlives=(
        Outlives("access_token", settings.ACCESS_TOKEN),
        Outlives("app_session", settings.APP_SESSION),
        Outlives("groups_by_rule", of_things=True),
        Outlives("on_premises_groups", of_things=True),
        Outlives("exchange_groups", of_things=True),
        Outlives("licences_by_group", of_things=True),
    ),
    active=Active(
        calls.listed(
            "/users", "users", calls.USER, params=calls.SELECTED, size={"$top": LIST_LIMIT}
        ),
        "users that are enabled, guests too. When somebody was last used is not told: Graph says so"
        " with a P1 licence only",
    ),
    activity=beyond.ACTIVITY,
    owned=beyond.OWNED,
    revives_on_unblock=frozenset(kind for row in HOLDINGS for kind in row.kinds)
    | {AccessKind.SESSION},
    enforced_at=EnforcedAt(
        Enforcement.NOT_READ, "every app, which takes an access token until it ends"
    ),
    # https://learn.microsoft.com/graph/throttling-limits: 3,000 writes in 150 s for one app and
    # tenant; reads have a budget of their own that is wider.
    limit=Limit(3000, 150.0),
    calls=20,
    permissions=(
        f"{calls.USER}: find people and read them back",
        f"{calls.DISABLE}: block; for administrators the app itself needs a higher role",
        "User.RevokeSessions.All: end sessions and refresh tokens",
        f"{calls.METHODS}: remove authentication methods",
        f"{calls.GROUPS}: leave groups",
        f"{calls.GRANTS}: withdraw consents that the person gave to apps",
        f"{calls.APP_ROLES}: end assignments to apps",
        f"{calls.ROLES}: end roles and eligible roles, and leave groups that give roles",
        f"{calls.DEVICE}: only with devices = disable",
        f"{calls.SEATS}: only with licences = remove",
        f"{calls.READ}: optional: name the apps and groups that the person owns",
        f"{calls.SIGN_INS}: optional: tell sign-ins afterwards",
    ),
    lacking=(
        "The app registration lacks {missing}.",
        "Give it the application permission {missing}, and grant admin consent.",
    ),
    proves="GET /users/{id} says accountEnabled: false (or 404 for a known id, which stays in the"
    " recycle bin for 30 days); the person's consents, authentication methods, role assignments,"
    " eligible roles, direct groups and app assignments are read again and empty. Sessions are not"
    " listed: the instant from which they count is later than the last password, so that older ones"
    " are refused. Graph does not say since when an account is disabled. Nothing of this was tried"
    " at a real tenant.",
)
