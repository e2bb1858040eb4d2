"""GitHub: out of the organisation, off its repositories, out of the enterprise.

Vendor rules, from https://docs.github.com/rest, https://docs.github.com/graphql and
https://docs.github.com/organizations:

- A user is a person's own, and is neither suspended nor deleted by us: access ends with the
  membership, and with it that of teams, repositories and the person's keys and tokens here.
- Whoever left every organisation of an enterprise is a member of the enterprise still, and may go
  on using a licence: where the settings name the enterprise, leaving it is what is done and proved.
- Names of users change and are given to others: calls go by the name that the id has now.
- The last owner of an organisation cannot leave it.
- 404 may mean that we may not know; see `connectors.github.inside`.
- A user that the company manages by SCIM (Enterprise Managed Users) is blocked there, not here.
"""

from __future__ import annotations

import re
from datetime import timedelta

from connectors.github import questions as ask
from connectors.github.inside import completed
from connectors.kit import graphql, options
from connectors.kit.abilities.rows import Active, Log
from connectors.kit.auth.ways import SignedExchange, bearer
from connectors.kit.calls import Call, Listed, Wire
from connectors.kit.faults import FaultRow
from connectors.kit.holdings import Close, Holding, always
from connectors.kit.pages import LinkHeader, Shape
from connectors.kit.residuals import Outlives
from connectors.kit.spec import Door, Finding, Guard, KeyAt, Record, RestSpec, SignIn
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.access import AccessKind, Category
from lockstep.domain.systems.activity import UseKind
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.pace import Limit

KIND = "github"


def _name(value: str) -> str:
    """A name of GitHub's goes into paths and searches: plain ones only."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", value):
        raise ValueError("a name as it stands in the address of its page expected")
    return value


_BASE = options.address(
    "base_url",
    "API address; https://api.<name>.ghe.com with data residency",
    default="https://api.github.com",
)
_ORG = options.text("organization", "login of the organisation", required=True, check=_name)
ENTERPRISE = options.text(
    "enterprise",
    "slug of the enterprise, which a leaver has to leave too; needs a token of an enterprise owner",
    default="",
    check=_name,
)
SAML = options.choice(
    "saml",
    "whose identity provider links users to people",
    ("none", "organization", "enterprise"),
)
LOGIN_IS = options.choice(
    "login_is",
    "what a GitHub login is of a person; username only where your people's logins are theirs with"
    " you",
    ("nothing", "username"),
)
LOGINS = options.listing(
    "logins",
    "whose single logins are, where neither identities nor domains tell: each as login=address, or"
    " login= for a machine's",
)
_TOKEN = options.secret("token", "personal access token (classic) of an owner, authorised for SSO")
_APP = options.text(
    "app_id", "id or client id of a GitHub App that the organisation installed", check=_name
)
_KEY = options.secret("private_key", "private key of that App, PEM")
_INSTALLATION = options.text("installation_id", "number of its installation", check=_name)


def _refs(kind: str) -> re.Pattern[str]:
    return re.compile(rf"{kind}-(?P<ref>[0-9]+)")


_AUTHORIZATIONS = Listed(
    Call(
        "GET",
        f"{ask.ORG}/credential-authorizations",
        "credential_authorizations.list",
        "Administration",
        {"login": "{locator}"},
    ),
    LinkHeader({"per_page": 100}),
    Shape(ref="credential_id"),
)
_TOKENS = Listed(
    Call(
        "GET",
        f"{ask.ORG}/personal-access-tokens",
        "personal_access_tokens.list",
        "Personal access tokens",
        {"owner[]": "{locator}"},
    ),
    LinkHeader({"per_page": 100}),
)
_HOLDINGS = (
    # Keys and tokens that the person authorised for the organisation's single sign-on.
    Holding(
        _AUTHORIZATIONS,
        {AccessKind.SECRET: always},
        Close(
            (
                Call(
                    "DELETE",
                    f"{ask.ORG}/credential-authorizations/{{ref}}",
                    "credential_authorizations.remove",
                    "Administration",
                ),
            )
        ),
        mine=lambda item, words: (
            str(item.get("login") or "").casefold() == words["locator"].casefold()
        ),
        ref=lambda item: f"sso-{item['credential_id']}",
        named=_refs("sso"),
        again=True,
        where=lambda values: values[SAML] != "none",
        probe={"per_page": 1},
    ),
    # Only an App may see and revoke fine-grained tokens; they end with the membership as well.
    Holding(
        _TOKENS,
        {AccessKind.SECRET: always},
        Close(
            (
                Call(
                    "POST",
                    f"{ask.ORG}/personal-access-tokens/{{ref}}",
                    "personal_access_tokens.revoke",
                    "Personal access tokens",
                    body={"action": "revoke"},
                ),
            )
        ),
        mine=lambda item, words: _owner_of(item) == words["id"],
        stands=lambda item: item.get("token_expired") is not True,
        ref=lambda item: f"pat-{item['id']}",
        named=_refs("pat"),
        again=True,
        where=lambda values: values[_APP] != "",
        probe={"per_page": 1},
    ),
)


def _owner_of(item: dict[str, object]) -> str:
    owner = item.get("owner")
    return str(owner.get("id")) if isinstance(owner, dict) else ""


def _log(phrase: str) -> Listed:
    call = Call(
        "GET",
        f"{ask.ORG}/audit-log",
        "audit_log.list",
        "Administration",
        {"phrase": f"{phrase}created:>={{since}}", "include": "web"},
    )
    return Listed(call, LinkHeader({"per_page": 100}), Shape(ref="_document_id"))


_ACTIVITY = Log(
    _log("actor:{locator} "),
    at=("@timestamp",),
    what=lambda entry: entry.get("action"),
    kind=lambda _: UseKind.USED,
    sees="what the user changed in the organisation, under the login that it had when it was found;"
    " neither signing in, nor git, nor refused tries. The audit log's API is part of GitHub"
    " Enterprise Cloud",
    mine=lambda entry, words: (
        str(entry.get("actor_id")) == words["id"]
        or str(entry.get("actor") or "").casefold() == words["locator"].casefold()
    ),
    oldest=_log(""),
    kept=timedelta(days=180),
)

SPEC = RestSpec(
    kind=KIND,
    title="GitHub",
    category=Category.SAAS,
    options=(_BASE, _ORG, ENTERPRISE, SAML, LOGIN_IS, LOGINS, _TOKEN, _APP, _INSTALLATION, _KEY),
    base_url=_BASE,
    auth=(
        bearer(_TOKEN),
        SignedExchange(_APP, _KEY, _INSTALLATION, "/app/installations/{}/access_tokens"),
    ),
    wire=Wire(
        graphql.dialect(
            KIND,
            # A 404 is REST's here; of GraphQL a name that is not found is one that we may not see.
            gone=(),
            faults=(
                FaultRow(
                    FaultCategory.PERMISSION_MISSING,
                    codes=frozenset({"NOT_FOUND", "INSUFFICIENT_SCOPES"}),
                    statuses=frozenset({200}),
                ),
            ),
            request_id_headers=("x-github-request-id",),
        ),
        effect_ok=frozenset({200, 204}),
        ids=re.compile("[0-9]+"),
        headers={
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        },
    ),
    record=Record(
        ask.USER,
        keys=(KeyAt(KeyKind.USERNAME, ("login",)),),
        name=("name",),
        created=("created_at",),
        words={"node": ("node_id",), "enterprise_node": ("enterprise", "node")},
        completes=completed,
    ),
    finding=Finding(everybody=ask.MEMBERS, compared={}),
    sign_in=SignIn(
        doors=(Door(("inside",), shut=False),),
        # One of them for almost everybody: leaving the enterprise ends the membership too.
        block=Close((ask.LEAVE_ENTERPRISE, ask.LEAVE_ORG, ask.LEAVE_REPOSITORIES)),
        guards=(Guard(("last_owner",), value=True),),
    ),
    holdings=_HOLDINGS,
    things_outlive_it=True,
    outlives=(Outlives("deploy_keys"),),
    active=Active(
        ask.MEMBERS,
        "members, outside collaborators, and everybody of the enterprise where the settings name"
        " it; invitations that nobody has accepted are not in it",
    ),
    activity=_ACTIVITY,
    permissions=(
        "Members (read and write): find, read and remove members and outside collaborators;"  # noqa: ISC004 - one text
        " admin:org of a token",
        "Administration (read and write): see and revoke what was authorised for single sign-on,"  # noqa: ISC004 - one text
        " list Apps, read the audit log",
        "Personal access tokens (read and write): optional: an App sees and revokes fine-grained"  # noqa: ISC004 - one text
        " tokens",
        "Administration of repositories (read): optional: name deploy keys; repo of a token",
        "read:enterprise, admin:enterprise: with enterprise: see its members and remove one",
    ),
    lacking=(
        "The credential lacks {missing}, or the organisation or enterprise does not exist.",
        "Check the names in the settings, then give the App or the token {missing} (docs/connect).",
    ),
    proves="GET /user/{id} for the login of today; its membership of the organisation is 404 while"
    " an owner's is shown; it is not in the list of outside collaborators; a search of the"
    " enterprise's members, which finds another, does not find it; no credential of it is"
    " authorised for single sign-on. GitHub says no time of leaving. Teams and repositories end"
    " with the membership. An invitation to an address that nobody has accepted is not seen.",
    limit=Limit(5_000, 3600),  # the least of a user's or an App's primary limit
    calls=14,
    revives_on_unblock=frozenset({AccessKind.SECRET}),
    secret_marks=("ghp_", "gho_", "ghs_", "ghu_", "github_pat_"),
)
