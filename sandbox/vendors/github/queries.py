"""The four questions of GraphQL that the simulation understands, told apart by their names.

It is no GraphQL server: it reads the name of the operation and the variables, and answers with the
fields of https://docs.github.com/graphql that such a question asks for.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from sandbox.kit.accounts import Account, Item
from sandbox.kit.calls import Call
from sandbox.kit.wire import Response, json_response

if TYPE_CHECKING:
    from sandbox.vendors.github.simulator import GitHub

__all__ = ["answer", "operation_of"]

_OPERATION: Final = re.compile(r"\s*(?:query|mutation)\s+(\w+)")
ENTERPRISE_NODE: Final = "E_sandbox"


def operation_of(body: Item) -> str:
    """The name of the operation."""
    found = _OPERATION.match(str(body.get("query")))
    return found.group(1) if found else ""


def answer(vendor: "GitHub", call: Call) -> Response:
    """The answer, always under 200; an error beside a null where something is not there."""
    body = call.request.json()
    variables = body.get("variables") or {}
    names = {"organization": vendor.organization, "enterprise": vendor.enterprise}
    operation = operation_of(body)
    for name, own in names.items():
        if operation != "RemoveFromEnterprise" and variables.get(name, own) != own:
            return _refused({name: None}, "NOT_FOUND", f"Could not resolve to {name}")
    handler = _OPERATIONS.get(operation)
    if handler is None:
        return _refused(None, "undefinedField", "not simulated")
    return handler(vendor, call, variables)


def _refused(data: Item | None, kind: str, message: str) -> Response:
    error = {"type": kind, "path": [], "message": message}
    return json_response(HTTPStatus.OK, {"data": data, "errors": [error]})


def _page(nodes: Sequence[Item], variables: Mapping[str, object]) -> Item:
    first, begin = int(str(variables["first"])), int(str(variables.get("after") or 0))
    end = begin + first
    info = {"hasNextPage": end < len(nodes), "endCursor": str(min(end, len(nodes))) or None}
    return {"nodes": list(nodes[begin:end]), "pageInfo": info}


def _user(account: Account) -> Item:
    doc = account.doc
    return {
        "databaseId": doc["id"],
        "login": doc["login"],
        "name": doc["name"],
        "createdAt": doc["created_at"],
    }


def _members(vendor: "GitHub", call: Call, variables: Item) -> Response:
    nodes = [vendor.owner_node]
    for account in call.everybody():
        membership = account.parts["membership"]
        if membership and membership[0]["state"] == "active":
            user = _user(account)
            emails = [one["id"] for one in account.parts["emails"]]
            nodes.append({**user, "id": user["databaseId"], "emails": emails})
    data = {"organization": {"membersWithRole": _page(nodes, variables)}}
    return json_response(HTTPStatus.OK, {"data": data})


def _identities(vendor: "GitHub", call: Call, variables: Item) -> Response:
    del vendor
    wanted = variables.get("name")
    nodes = [
        {**identity, "user": _user(account)}
        for account in call.everybody()
        for identity in account.parts["identities"]
        if wanted is None or identity["samlIdentity"]["nameId"].lower() == str(wanted).lower()
    ]
    found: Item = {"samlIdentityProvider": {"externalIdentities": _page(nodes, variables)}}
    of_org = "organization" in variables
    data = {"organization": found} if of_org else {"enterprise": {"ownerInfo": found}}
    return json_response(HTTPStatus.OK, {"data": data})


def _enterprise(vendor: "GitHub", call: Call, variables: Item) -> Response:
    wanted = str(variables.get("like") or "").lower()
    users = [_user(one) for one in call.everybody() if one.parts["enterprise"]]
    owner = {name: vendor.owner_node[name] for name in ("databaseId", "login", "name", "createdAt")}
    nodes = [
        {"login": user["login"], "user": user}
        for user in (owner, *users)
        if wanted in user["login"].lower()
    ]
    found = {"id": ENTERPRISE_NODE, "members": _page(nodes, variables)}
    return json_response(HTTPStatus.OK, {"data": {"enterprise": found}})


def _remove(vendor: "GitHub", call: Call, variables: Item) -> Response:
    del vendor
    account = call.account
    if account is None or variables.get("enterprise") != ENTERPRISE_NODE:
        return _refused(
            {"removeEnterpriseMember": None}, "NOT_FOUND", "Could not resolve to a node"
        )
    if not account.parts["enterprise"]:
        return _refused({"removeEnterpriseMember": None}, "UNPROCESSABLE", "not a member")
    account.parts["enterprise"].clear()
    account.parts["membership"].clear()
    call.applied = True
    payload = {"user": {"id": account.doc["node_id"]}}
    return json_response(HTTPStatus.OK, {"data": {"removeEnterpriseMember": payload}})


_OPERATIONS: Final[Mapping[str, Callable[["GitHub", Call, Item], Response]]] = {
    "Members": _members,
    "Identities": _identities,
    "EnterpriseMembers": _enterprise,
    "RemoveFromEnterprise": _remove,
}
