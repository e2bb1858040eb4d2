"""The simulated Entra tenant, as Microsoft Graph v1.0 shows it.

Facts come from https://learn.microsoft.com/graph/api. Only the filters that are used are read; any
other is refused, so that a misspelt one does not look like an answer.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

from sandbox.kit.accounts import Account, Item
from sandbox.kit.calls import Call, Route
from sandbox.kit.clock import iso, now
from sandbox.kit.vendor import Vendor
from sandbox.kit.wire import Request, Response, json_response
from sandbox.vendors.entra.seed import ENTRA_PARTS, build_account, guid

__all__ = ["Entra"]

TOKEN_SECONDS: Final = 3599
V1: Final = "/v1.0"
LISTS: Final = {
    "oauth2PermissionGrants": "consents",
    "registeredDevices": "devices",
    "ownedDevices": "devices",
    "memberOf": "groups",
    "appRoleAssignments": "apps",
    "ownedObjects": "owned",
}
_TERM: Final = re.compile(r"([\w.]+) eq '((?:[^']|'')*)'")
_WAITING: Final = "Insufficient privileges to complete the operation."

Handler = Callable[[Call], Response]


def refuse(status: int, code: str, message: str = "") -> Response:
    """An error as Graph writes one."""
    error = {"code": code, "message": message or code, "innerError": {"date": iso()}}
    return json_response(status, {"error": error})


class Entra(Vendor):
    """A simulated tenant."""

    name = "entra"
    title = "Microsoft Entra ID"
    owned_parts = ENTRA_PARTS

    def __init__(self, tenant: str, client_id: str, client_secret: str) -> None:
        super().__init__()
        self._tenant = tenant
        self._client = (client_id, client_secret)

    def routes(self) -> Iterable[Route]:
        """The operations of its API."""
        user, roles = f"{V1}/users/{{user}}", f"{V1}/roleManagement/directory"
        lists = [
            Route("GET", f"{user}/{name}", part, self._lister(part)) for name, part in LISTS.items()
        ]
        return (
            *lists,
            Route("GET", f"{V1}/users", "users", self._list_users),
            Route("GET", user, "users", self._get_user),
            Route("PATCH", user, "users", self._patch_user),
            Route("POST", f"{user}/revokeSignInSessions", "users", self._revoke),
            Route("POST", f"{user}/assignLicense", "licences", self._assign_licence),
            Route("GET", f"{user}/authentication/methods", "methods", self._lister("methods")),
            Route(
                "DELETE",
                f"{user}/authentication/{{collection}}/{{item}}",
                "methods",
                self._delete_method,
            ),
            Route(
                "DELETE",
                f"{V1}/oauth2PermissionGrants/{{item}}",
                "consents",
                self._taker("consents"),
            ),
            Route("PATCH", f"{V1}/devices/{{item}}", "devices", self._patch_device),
            Route("GET", f"{roles}/roleAssignments", "roles", self._of_principal("roles")),
            Route("DELETE", f"{roles}/roleAssignments/{{item}}", "roles", self._taker("roles")),
            Route(
                "GET",
                f"{roles}/roleEligibilitySchedules",
                "eligible",
                self._of_principal("eligible"),
            ),
            Route(
                "POST", f"{roles}/roleEligibilityScheduleRequests", "eligible", self._end_eligible
            ),
            Route("DELETE", f"{V1}/groups/{{item}}/members/{{user}}/$ref", "groups", self._leave),
            Route("DELETE", f"{user}/appRoleAssignments/{{item}}", "apps", self._taker("apps")),
            Route("GET", f"{V1}/auditLogs/signIns", "sign_ins", self._sign_ins),
        )

    def build(self, person: Item, shape: Mapping[str, Any]) -> list[Account]:
        """The person's user."""
        return [build_account(person, shape)]

    def permit(self, request: Request) -> str | None:
        """Accept a token of the token endpoint while it lasts."""
        _, _, given = request.headers.get("authorization", "").partition(" ")
        if given in self.lacks:
            return given
        expires, _, mark = given.partition(".")
        good = expires.isdigit() and int(expires) > now() and mark == self._mark(expires)
        return self._client[1] if good else None

    def subject(self, request: Request, params: dict[str, str]) -> Account | None:
        """The user in the path, in the filter or the body, or the owner of the item in the path."""
        if "user" in params:
            name = params["user"]
            return self.accounts.get(name) or next(iter(self._by_name(name)), None)
        if "item" in params:
            return self.accounts.owner_of(params["item"])
        found = re.search(r"principalId eq '([^']*)'", request.query.get("$filter", ""))
        if found:
            return self.accounts.get(found[1])
        if request.method == "POST" and request.path.endswith("ScheduleRequests"):
            return self.accounts.get(str(request.json().get("principalId")))
        return None

    def refusal(self, status: int, detail: str = "") -> Response:
        """An error in Graph's words."""
        codes = {
            HTTPStatus.UNAUTHORIZED: "InvalidAuthenticationToken",
            HTTPStatus.FORBIDDEN: "Authorization_RequestDenied",
            HTTPStatus.NOT_FOUND: "Request_ResourceNotFound",
        }
        message = detail or (_WAITING if status == HTTPStatus.FORBIDDEN else "")
        return refuse(status, codes.get(HTTPStatus(status), "UnknownError"), message)

    def rate_limited(self, reset_after: int | None) -> Response:
        """429, with `Retry-After` in seconds or without."""
        response = refuse(HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequests")
        if reset_after is not None:
            response.headers.append(("Retry-After", str(reset_after)))
        return response

    def dress(self, response: Response, request_id: str) -> Response:
        """Graph names every answer."""
        response.headers.append(("request-id", request_id))
        return response

    def standing(self, account: Account) -> Item:
        """What the person can still do here."""
        parts, groups = account.parts, account.parts["groups"]
        enabled = account.doc["accountEnabled"] is True and not account.deleted
        return {
            "sign_in": enabled,
            "sessions": len(parts["sessions"]),
            "status": "deleted" if account.deleted else "enabled" if enabled else "disabled",
            "devices": sum(device["accountEnabled"] for device in parts["devices"]),
            "groups": sum(not _refusal_of(group) for group in groups),
            "licences": sum(row["assignedByGroup"] is None for row in parts["licences"]),
            **{n: len(parts[n]) for n in ("consents", "methods", "roles", "eligible", "apps")},
        }

    # OAuth: tokens carry their own expiry and proof, so they outlive a restart.

    def public(self, request: Request) -> Response | None:
        """Answer the token endpoint, which needs no token."""
        if (request.method, request.path) != ("POST", f"/{self._tenant}/oauth2/v2.0/token"):
            return None
        form = {k: v[-1] for k, v in parse_qs(request.body.decode("utf-8", "replace")).items()}
        if not form.get("scope", "").endswith("/.default"):
            return json_response(HTTPStatus.BAD_REQUEST, {"error": "invalid_scope"})
        if (form.get("client_id"), form.get("client_secret")) != self._client:
            return json_response(HTTPStatus.UNAUTHORIZED, {"error": "invalid_client"})
        expires = str(int(now()) + TOKEN_SECONDS)
        token = f"{expires}.{self._mark(expires)}"
        grant = {"token_type": "Bearer", "expires_in": TOKEN_SECONDS, "access_token": token}
        return json_response(HTTPStatus.OK, grant)

    def _mark(self, expires: str) -> str:
        return sha256(f"{self._client[1]}:{expires}".encode()).hexdigest()[:32]

    # Users.

    def _by_name(self, name: str) -> list[Account]:
        return [a for a in self.accounts if a.doc["userPrincipalName"].lower() == name.lower()]

    def _list_users(self, call: Call) -> Response:
        written = call.request.query.get("$filter", "")
        test = _user_filter(written)
        if test is None:
            return refuse(HTTPStatus.BAD_REQUEST, "Request_UnsupportedQuery", written[:20])
        everybody = [account.doc for account in call.everybody()]
        return self._page(call, [_shown(call, doc) for doc in everybody if test(doc)])

    def _page(self, call: Call, items: list[Item]) -> Response:
        """`$top` at a time; what follows has an address of its own."""
        query = call.request.query
        size, begin = int(query.get("$top", 100)), int(query.get("$skiptoken", 0))
        value: Item = {"value": items[begin : begin + size]}
        if begin + size < len(items):
            host = call.request.headers.get("host", "")
            following = urlencode({**query, "$skiptoken": begin + size})
            value["@odata.nextLink"] = f"http://{host}{call.request.path}?{following}"
        return json_response(HTTPStatus.OK, value)

    def _get_user(self, call: Call) -> Response:
        if call.account is None:
            return self.refusal(HTTPStatus.NOT_FOUND)
        doc = {**call.account.doc, "licenseAssignmentStates": call.account.parts["licences"]}
        return json_response(HTTPStatus.OK, _shown(call, doc))

    def _patch_user(self, call: Call) -> Response:
        account, news = call.account, call.request.json()
        if account is None:
            return self.refusal(HTTPStatus.NOT_FOUND)
        if account.doc["onPremisesSyncEnabled"]:
            return refuse(HTTPStatus.BAD_REQUEST, "Request_BadRequest", "mastered on-premises")
        call.applied = account.doc["accountEnabled"] != news["accountEnabled"]
        account.doc["accountEnabled"] = news["accountEnabled"]
        return Response(HTTPStatus.NO_CONTENT)

    def _revoke(self, call: Call) -> Response:
        account = call.account
        if account is None:
            return self.refusal(HTTPStatus.NOT_FOUND)
        account.doc["signInSessionsValidFromDateTime"] = iso()
        account.parts["sessions"].clear()
        call.applied = True
        return json_response(HTTPStatus.OK, {"value": True})

    # What a person holds.

    def _lister(self, part: str) -> Handler:
        def handler(call: Call) -> Response:
            if call.account is None:
                return self.refusal(HTTPStatus.NOT_FOUND)
            return self._page(call, call.account.parts[part])

        return handler

    def _of_principal(self, part: str) -> Handler:
        def handler(call: Call) -> Response:
            if "principalId eq" not in call.request.query.get("$filter", ""):
                return refuse(HTTPStatus.BAD_REQUEST, "Request_UnsupportedQuery")
            return self._page(call, call.account.parts[part] if call.account else [])

        return handler

    def _taker(self, part: str) -> Handler:
        def handler(call: Call) -> Response:
            if call.account is None or call.account.take(part, call.params["item"]) is None:
                return self.refusal(HTTPStatus.NOT_FOUND)
            call.applied = True
            return Response(HTTPStatus.NO_CONTENT)

        return handler

    def _delete_method(self, call: Call) -> Response:
        account, collection = call.account, call.params["collection"]
        found = account.item("methods", call.params["item"]) if account else None
        kind = collection.removesuffix("Methods")
        if found is None or account is None or f".{kind}Auth" not in found["@odata.type"]:
            return refuse(HTTPStatus.NOT_FOUND, "resourceNotFound")
        account.take("methods", found["id"])
        call.applied = True
        return Response(HTTPStatus.NO_CONTENT)

    def _patch_device(self, call: Call) -> Response:
        device = call.account.item("devices", call.params["item"]) if call.account else None
        if device is None:
            return self.refusal(HTTPStatus.NOT_FOUND)
        enabled = call.request.json()["accountEnabled"]
        call.applied = device["accountEnabled"] != enabled
        device["accountEnabled"] = enabled
        return Response(HTTPStatus.NO_CONTENT)

    def _end_eligible(self, call: Call) -> Response:
        asked, rows = call.request.json(), call.account.parts["eligible"] if call.account else []
        mine = [
            row
            for row in rows
            if (row["roleDefinitionId"], row["directoryScopeId"])
            == (asked.get("roleDefinitionId"), asked.get("directoryScopeId"))
        ]
        if asked.get("action") != "adminRemove" or not mine or call.account is None:
            return refuse(HTTPStatus.BAD_REQUEST, "RoleAssignmentDoesNotExist")
        call.account.take("eligible", mine[0]["id"])
        call.applied = True
        return json_response(HTTPStatus.CREATED, {"id": guid(iso()), "status": "Revoked"})

    def _leave(self, call: Call) -> Response:
        group = call.account.item("groups", call.params["item"]) if call.account else None
        if group is None or call.account is None:
            return self.refusal(HTTPStatus.NOT_FOUND)
        if why := _refusal_of(group):
            return refuse(HTTPStatus.BAD_REQUEST, "Request_BadRequest", why)
        call.account.take("groups", group["id"])
        call.applied = True
        return Response(HTTPStatus.NO_CONTENT)

    def _assign_licence(self, call: Call) -> Response:
        account, gone = call.account, call.request.json()["removeLicenses"]
        if account is None:
            return self.refusal(HTTPStatus.NOT_FOUND)
        rows = account.parts["licences"]
        kept = [r for r in rows if r["skuId"] not in gone or r["assignedByGroup"]]
        if len(kept) == len(rows):
            return refuse(HTTPStatus.BAD_REQUEST, "Request_BadRequest", "does not have the license")
        rows[:] = kept
        call.applied = True
        return json_response(HTTPStatus.OK, {"id": account.id})

    def _sign_ins(self, call: Call) -> Response:
        written = call.request.query.get("$filter", "")
        user = re.search(r"userId eq '([^']*)'", written)
        span = re.search(r"createdDateTime ge (\S+) and createdDateTime le (\S+)", written)
        if span is None:
            return refuse(HTTPStatus.BAD_REQUEST, "BadRequest")
        entries = [
            {
                "id": guid("sign-in", use["n"]),
                "createdDateTime": use["at"],
                "userId": use["user"],
                "status": {"errorCode": 50057 if use["refused"] else 0},
            }
            for use in self.uses
            if span[1] <= use["at"] <= span[2] and (not user or user[1] == use["user"])
        ]
        return self._page(call, entries)


def _refusal_of(group: Item) -> str:
    """Why nobody can be taken out of it; "" where somebody can."""
    if "DynamicMembership" in group["groupTypes"]:
        return "dynamic"
    if group["onPremisesSyncEnabled"]:
        return "mastered on-premises"
    mail = group["mailEnabled"] and "Unified" not in group["groupTypes"]
    return "mail-enabled" if mail else ""


def _shown(call: Call, doc: Item) -> Item:
    """Only what `$select` names; a name that Graph does not know is left out there, too."""
    fields = call.request.query.get("$select", "id,displayName,userPrincipalName,mail").split(",")
    return {name: doc[name] for name in fields if name in doc}


def _user_filter(written: str) -> Callable[[Item], bool] | None:
    """What a filter on users means; None for one that is not read here."""
    if not written:
        return lambda _: True
    prefix = re.fullmatch(r"startswith\(userPrincipalName,'((?:[^']|'')*)'\)", written)
    if prefix:
        begin = prefix[1].replace("''", "'").lower()
        return lambda doc: doc["userPrincipalName"].lower().startswith(begin)
    known = {"mail", "userPrincipalName", "employeeId"}
    terms = [(name, value.replace("''", "'").lower()) for name, value in _TERM.findall(written)]
    left = re.sub(r"\w+/any\(p:|\)| or ", "", _TERM.sub("", written))
    if left or not terms or not {name for name, _ in terms} <= known | {"p"}:
        return None

    def test(doc: Item) -> bool:
        plural = {str(one).lower() for one in (*doc["otherMails"], *doc["proxyAddresses"])}
        return any(
            value in plural if name == "p" else str(doc.get(name) or "").lower() == value
            for name, value in terms
        )

    return test
