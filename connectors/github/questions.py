"""What GitHub is asked by GraphQL, and the REST calls that say whether somebody is inside.

Fields are those of the public schema (https://docs.github.com/public/fpt/schema.docs.graphql);
paths those of https://docs.github.com/rest.
"""

from __future__ import annotations

from typing import Final

from connectors.kit import graphql
from connectors.kit.calls import Call, Listed
from connectors.kit.pages import LinkHeader, Shape

ORG: Final = "/orgs/{organization}"
_PAGE: Final = "$first: Int!, $after: String"
_TURN: Final = "pageInfo { hasNextPage endCursor }"

_MEMBERS = f"""query Members($organization: String!, {_PAGE}) {{
  organization(login: $organization) {{
    membersWithRole(first: $first, after: $after) {{
      nodes {{
        id: databaseId login name createdAt
        emails: organizationVerifiedDomainEmails(login: $organization)
      }}
      {_TURN}
    }}
  }}
}}"""
_IDENTITY = f"""nodes {{
  id: guid
  samlIdentity {{ nameId username emails {{ value }} }}
  scimIdentity {{ username emails {{ value }} }}
  user {{ databaseId login name createdAt }}
}} {_TURN}"""
_OF_ORG = f"""query Identities($organization: String!, $name: String, {_PAGE}) {{
  organization(login: $organization) {{
    samlIdentityProvider {{
      externalIdentities(first: $first, after: $after, userName: $name) {{ {_IDENTITY} }}
    }}
  }}
}}"""
_OF_ENTERPRISE = f"""query Identities($enterprise: String!, $name: String, {_PAGE}) {{
  enterprise(slug: $enterprise) {{
    ownerInfo {{
      samlIdentityProvider {{
        externalIdentities(first: $first, after: $after, userName: $name) {{ {_IDENTITY} }}
      }}
    }}
  }}
}}"""
_IN_ENTERPRISE = f"""query EnterpriseMembers($enterprise: String!, $like: String, {_PAGE}) {{
  enterprise(slug: $enterprise) {{
    id
    members(first: $first, after: $after, query: $like) {{
      nodes {{
        ... on User {{ login databaseId name createdAt }}
        ... on EnterpriseUserAccount {{ login user {{ databaseId login name createdAt }} }}
      }}
      {_TURN}
    }}
  }}
}}"""
_REMOVE = """mutation RemoveFromEnterprise($enterprise: ID!, $user: ID!) {
  removeEnterpriseMember(input: {enterpriseId: $enterprise, userId: $user}) { user { id } }
}"""

MEMBERS: Final = graphql.connection(
    graphql.call(
        _MEMBERS, "members.list", "Members and verified domains", organization="{organization}"
    ),
    ("organization", "membersWithRole"),
)
_PROVIDER = "samlIdentityProvider"


def identities(saml: str, name: str | None = None) -> Listed:
    """Everybody's linked identity, or those under one user name or NameID."""
    of_org = saml == "organization"
    query = _OF_ORG if of_org else _OF_ENTERPRISE
    within = {"organization": "{organization}"} if of_org else {"enterprise": "{enterprise}"}
    operation = "identities.list" if name is None else "identities.find"
    at = ("organization",) if of_org else ("enterprise", "ownerInfo")
    # In a variable that is a function nothing is filled in: a brace in a name stays one.
    call = graphql.call(query, operation, "SAML identities", name=lambda _: name, **within)
    return graphql.connection(call, (*at, _PROVIDER, "externalIdentities"))


def enterprise_members(login: str | None = None, *, size: int = 100) -> Listed:
    """Everybody of the enterprise, whether in an organisation or not; or those like a login."""
    operation = "enterprise.members.list" if login is None else "enterprise.members.find"
    call = graphql.call(
        _IN_ENTERPRISE,
        operation,
        "read:enterprise",
        enterprise="{enterprise}",
        like=lambda _: login,
    )
    return graphql.connection(call, ("enterprise", "members"), size=size, ref="login")


def _began(data: object) -> bool:
    """Whether the mutation's own payload came, and no null."""
    told = data.get("data") if isinstance(data, dict) else None
    return isinstance(told, dict) and isinstance(told.get("removeEnterpriseMember"), dict)


LEAVE_ENTERPRISE: Final = Call(
    "POST",
    "/graphql",
    "enterprise.members.remove",
    "admin:enterprise",
    body={
        "query": lambda _: _REMOVE,
        "variables": {"enterprise": "{enterprise_node}", "user": "{node}"},
    },
    when=lambda record: bool(record["enterprise"]),
    begun=_began,
)
# One that is not accepted yet is cancelled by the same call.
LEAVE_ORG: Final = Call(
    "DELETE",
    f"{ORG}/memberships/{{locator}}",
    "memberships.remove",
    "Members",
    when=lambda record: bool(record["membership"]) and not record["enterprise"],
)
LEAVE_REPOSITORIES: Final = Call(
    "DELETE",
    f"{ORG}/outside_collaborators/{{locator}}",
    "outside_collaborators.remove",
    "Members",
    when=lambda record: bool(record["outside"]),
)


def rest_list(
    path: str, operation: str, needs: str, at: tuple[str, ...] = (), **more: str
) -> Listed:
    call = Call("GET", path, operation, needs, more)
    return Listed(call, LinkHeader({"per_page": 100}), Shape(at=at))


USER: Final = Call("GET", "/user/{id}", "users.get")
MEMBERSHIP: Final = Call("GET", f"{ORG}/memberships/{{locator}}", "memberships.get", "Members")
OWNERS: Final = rest_list(f"{ORG}/members", "owners.list", "Members", role="admin")
OUTSIDE: Final = rest_list(f"{ORG}/outside_collaborators", "outside_collaborators.list", "Members")
