"""GitLab, self-managed or Dedicated: the user is blocked, tokens, keys and memberships are taken.

Vendor rules, from https://docs.gitlab.com/api/user_moderation, /api/users, /api/user_tokens,
/api/user_keys, /api/personal_access_tokens and /api/members:

- Blocking shuts out of the web, of Git and of the API at once, and takes nothing away: tokens, keys
  and memberships work again as soon as somebody unblocks. So they are taken too.
- Deactivated is not shut: the next sign-in activates the user again. Blocked by LDAP, banned are.
- An administrator sees everybody's addresses and tokens; others see less, without a word.
- A membership of a group ends those of its subgroups and projects with it. The only owner of a
  group cannot leave it.
- GitLab.com lets nobody block: its groups are not what this speaks to.
"""

from __future__ import annotations

import re

from connectors.http import Dialect
from connectors.kit import options
from connectors.kit.abilities.rows import Active
from connectors.kit.auth.ways import bearer
from connectors.kit.calls import Call, Listed, Wire
from connectors.kit.holdings import Close, Holding, always
from connectors.kit.pages import Item, LinkHeader, Shape
from connectors.kit.residuals import Outlives
from connectors.kit.rest import manifest_of
from connectors.kit.spec import Door, Examined, Finding, KeyAt, Record, RestSpec, SignIn
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.access import AccessKind, Category, Problem

KIND = "gitlab"

_BASE = options.address(
    "base_url", "API address of your GitLab, for instance https://gitlab.example.com/api/v4"
)
_MEMBERSHIPS = options.flag(
    "strip_memberships", "Take the user out of groups and projects", default=True
)
_TOKEN = options.secret("token", "access token of an administrator, scope api", required=True)

_SHUT = frozenset({"blocked", "ldap_blocked", "banned"})
_API = "api, as an administrator"


def _list(path: str, operation: str, **params: str) -> Listed:
    return Listed(Call("GET", path, operation, _API, params), LinkHeader({"per_page": 100}))


def _secret(prefix: str, listed: Listed, path: str, operation: str, owner: str = "") -> Holding:
    """Tokens and keys are numbered apart: the kind stands before the number."""
    return Holding(
        listed,
        {AccessKind.SECRET: always},
        Close((Call("DELETE", path, operation, _API),)),
        owner=owner,
        stands=lambda item: item.get("revoked") is not True,
        ref=lambda item: f"{prefix}-{item['id']}",
        named=re.compile(rf"{prefix}-(?P<ref>[0-9]+)"),
        again=True,
    )


def _leave(area: str, kind: str) -> Call:
    return Call(
        "DELETE",
        f"/{area}/{{ref}}/members/{{id}}",
        f"{area}.members.remove",
        _API,
        when=lambda item: item.get("source_type") == kind,
    )


_MEMBER_OF = Listed(
    Call("GET", "/users/{id}/memberships", "users.memberships.list", _API),
    LinkHeader({"per_page": 100}),
    Shape(parts=("source_type", "source_id")),
)
_HOLDINGS = (
    _secret(
        "pat",
        _list(
            "/personal_access_tokens",
            "personal_access_tokens.list",
            user_id="{id}",
            state="active",
        ),
        "/personal_access_tokens/{ref}",
        "personal_access_tokens.revoke",
        owner="user_id",
    ),
    _secret(
        "impersonation",
        _list("/users/{id}/impersonation_tokens", "impersonation_tokens.list", state="active"),
        "/users/{id}/impersonation_tokens/{ref}",
        "impersonation_tokens.revoke",
    ),
    _secret(
        "ssh",
        _list("/users/{id}/keys", "users.keys.list"),
        "/users/{id}/keys/{ref}",
        "users.keys.delete",
    ),
    Holding(
        _MEMBER_OF,
        {AccessKind.GROUP: always},
        Close((_leave("groups", "Namespace"), _leave("projects", "Project"))),
        ref=lambda item: f"{item['source_type']}/{item['source_id']}",
        named=re.compile("(?:Namespace|Project)/(?P<ref>[0-9]+)"),
        again=True,
        where=lambda values: values[_MEMBERSHIPS],
    ),
)


def is_shut(user: Item) -> bool:
    return user.get("state") in _SHUT


def examine(seen: Examined) -> list[Problem]:
    """Whoever is no administrator is shown people without their addresses."""
    people = seen.lists.get("users.list", [])
    if not people or any("email" in one for one in people):
        return []
    return [
        Problem(
            "not_an_administrator",
            "GitLab shows people without their addresses: the token's owner is no administrator.",
            "Make the token as an administrator of the instance, scope api, in admin mode where"
            " the instance has it.",
        )
    ]


SPEC = RestSpec(
    kind=KIND,
    title="GitLab (self-managed)",
    category=Category.SAAS,
    options=(_BASE, _MEMBERSHIPS, _TOKEN),
    base_url=_BASE,
    auth=(bearer(_TOKEN),),
    wire=Wire(
        # Refusals are prose ({"message": ...}), which may hold a name: none of it is a code.
        Dialect(KIND, error_code=("",)),
        effect_ok=frozenset({201, 204}),
        ids=re.compile("[0-9]+"),
    ),
    record=Record(
        Call("GET", "/users/{id}", "users.get", _API),
        keys=(KeyAt(KeyKind.USERNAME, ("username",)), KeyAt(KeyKind.EMAIL, ("email",))),
        name=("name",),
        created=("created_at",),
        used=("last_sign_in_at",),
        says=("state",),
    ),
    finding=Finding(
        everybody=Listed(
            Call("GET", "/users", "users.list", _API), LinkHeader({"per_page": 100}), most_pages=500
        ),
        compared={KeyKind.USERNAME: ("username",), KeyKind.EMAIL: ("email",)},
        search=_list("/users", "users.search", search="{value}"),
    ),
    sign_in=SignIn(
        doors=(Door(is_shut, shut=True),),
        block=Close(
            (
                Call(
                    "POST",
                    "/users/{id}/block",
                    "users.block",
                    _API,
                    begun=lambda told: told is not False,
                ),
            )
        ),
    ),
    holdings=_HOLDINGS,
    outlives=(Outlives("deploy_tokens_and_bots"),),
    examine=examine,
    active=Active(
        _list("/users", "users.list"),
        "everybody who is neither blocked nor banned, deactivated users and bots too: the next"
        " sign-in activates them",
    ),
    permissions=(
        "scope api, of an administrator: find, block and read users, their tokens, keys and"  # noqa: ISC004 - one text
        " memberships",
    ),
    lacking=(
        "GitLab refuses: the token lacks {missing}.",
        "Make the token as an administrator, scope api. A group's only owner: add another first.",
    ),
    proves="GET /users/{id} says state blocked, ldap_blocked or banned; no active personal access"
    " or impersonation token, no SSH key and no direct membership is listed. GitLab keeps no time"
    " of the block on the user. Deploy tokens, access tokens of projects and groups, runners and"
    " pipeline schedules that the person made go on and are not looked at; GPG keys open nothing.",
    calls=16,
    revives_on_unblock=frozenset({AccessKind.SECRET, AccessKind.GROUP}),
    secret_marks=("glpat-",),
)

MANIFEST = manifest_of(SPEC)
