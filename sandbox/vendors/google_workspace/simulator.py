"""The simulated Google Workspace: the Admin SDK's Directory and Reports.

Facts come from the discovery documents and from https://developers.google.com/workspace/admin. That
suspending ends sessions, and that signing out a suspended user is accepted, is this simulation's
reading. Of an assertion it reads the claims; it does not verify the signature.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs

from sandbox.kit.accounts import Account, Item
from sandbox.kit.calls import Call, Route
from sandbox.kit.clock import now
from sandbox.kit.vendor import Vendor
from sandbox.kit.wire import Request, Response, json_response
from sandbox.vendors.google_workspace.seed import GOOGLE_PARTS, build_account

__all__ = ["GoogleWorkspace"]

TOKEN_SECONDS: Final = 3599
V1: Final = "/admin/directory/v1"
ROLES: Final = f"{V1}/customer/{{customer}}/roleassignments"
_SCOPE: Final = "https://www.googleapis.com/auth/admin.directory.user"
_CLAUSE: Final = re.compile(r"(email|externalId)='((?:[^'\\]|\\.)*)'|email:([\w.+@-]+)\*")

Handler = Callable[[Call], Response]


def refuse(status: int, reason: str, message: str = "") -> Response:
    """An error as Google writes one."""
    rows = [{"domain": "global", "reason": reason, "message": message or reason}]
    error = {"code": int(status), "message": message or reason, "errors": rows}
    return json_response(status, {"error": error})


def listed(kind: str, name: str, items: list[Item], **more: Any) -> Response:
    """A list; an empty one is left out."""
    value = {"kind": kind, "etag": '"sbx"', **({name: items} if items else {}), **more}
    return json_response(HTTPStatus.OK, value)


class GoogleWorkspace(Vendor):
    """A simulated customer of Google's."""

    name = "google_workspace"
    title = "Google Workspace"
    owned_parts = ()

    def __init__(self, service_account: str, admin: str) -> None:
        super().__init__()
        self._signers = (service_account, admin)

    def routes(self) -> Iterable[Route]:
        """The operations of its API."""
        user = f"{V1}/users/{{user}}"
        log = "/admin/reports/v1/activity/users/{user}/applications/login"
        return (
            Route("GET", f"{V1}/users", "users", self._list_users),
            Route("GET", user, "users", self._get_user),
            Route("PATCH", user, "users", self._patch_user),
            Route("POST", f"{user}/signOut", "security", self._sign_out),
            Route("GET", f"{user}/tokens", "security", self._lister("tokens", "tokenList")),
            Route("GET", f"{user}/asps", "security", self._lister("asps", "aspList")),
            Route("DELETE", f"{user}/tokens/{{item}}", "security", self._taker("tokens")),
            Route("DELETE", f"{user}/asps/{{item}}", "security", self._taker("asps")),
            Route("GET", ROLES, "roles", self._lister("roles", "roleAssignments")),
            Route("DELETE", f"{ROLES}/{{role}}", "roles", self._taker("roles")),
            Route("GET", f"{V1}/groups", "groups", self._lister("groups", "groups")),
            Route(
                "DELETE", f"{V1}/groups/{{item}}/members/{{user}}", "groups", self._taker("groups")
            ),
            Route("GET", log, "audit", self._sign_ins),
        )

    def build(self, person: Item, shape: Mapping[str, Any]) -> list[Account]:
        """The person's user."""
        return [build_account(person, shape)]

    def permit(self, request: Request) -> str | None:
        """Accept a token of the token endpoint while it lasts."""
        _, _, given = request.headers.get("authorization", "").partition(" ")
        expires, _, mark = given.partition(".")
        good = expires.isdigit() and int(expires) > now() and mark == self._mark(expires)
        return self._signers[0] if good else None

    def subject(self, request: Request, params: dict[str, str]) -> Account | None:
        """The user in the path or the query, or whose the role is."""
        word = params.get("user") or request.query.get("userKey", "")
        if role := params.get("role"):
            return next((a for a in self.accounts if a.item("roles", role)), None)
        return self.accounts.get(word) or next(iter(self.accounts.named(word)), None)

    def refusal(self, status: int, detail: str = "") -> Response:
        """An error in Google's words."""
        reasons = {
            HTTPStatus.UNAUTHORIZED: "authError",
            HTTPStatus.FORBIDDEN: "forbidden",
            HTTPStatus.NOT_FOUND: "notFound",
        }
        return refuse(status, reasons.get(HTTPStatus(status), "backendError"), detail)

    def rate_limited(self, reset_after: int | None) -> Response:
        """403 as Google answers; with a time, 429 as a proxy of its may."""
        if reset_after is None:
            return refuse(HTTPStatus.FORBIDDEN, "userRateLimitExceeded")
        response = refuse(HTTPStatus.TOO_MANY_REQUESTS, "rateLimitExceeded")
        response.headers.append(("Retry-After", str(reset_after)))
        return response

    def standing(self, account: Account) -> Item:
        """What the person can still do here."""
        shut = account.doc["suspended"] or account.doc["archived"] or account.deleted
        return {
            "sign_in": not shut,
            "recovery": bool(account.doc["recoveryEmail"] or account.doc["recoveryPhone"]),
            **{part: len(account.parts[part]) for part in ("sessions", *GOOGLE_PARTS)},
        }

    # OAuth: tokens carry their own expiry and proof, so they outlive a restart.

    def public(self, request: Request) -> Response | None:
        """Answer the token endpoint, which needs no token."""
        if (request.method, request.path) != ("POST", "/token"):
            return None
        form = {k: v[-1] for k, v in parse_qs(request.body.decode("utf-8", "replace")).items()}
        claims = _claims(form.get("assertion", ""))
        if (claims.get("iss"), claims.get("sub")) != self._signers:
            return json_response(HTTPStatus.BAD_REQUEST, {"error": "invalid_grant"})
        if _SCOPE not in str(claims.get("scope")).split():
            return json_response(HTTPStatus.BAD_REQUEST, {"error": "invalid_scope"})
        expires = str(int(now()) + TOKEN_SECONDS)
        token = f"{expires}.{self._mark(expires)}"
        grant = {"token_type": "Bearer", "expires_in": TOKEN_SECONDS, "access_token": token}
        return json_response(HTTPStatus.OK, grant)

    def _mark(self, expires: str) -> str:
        return sha256(f"{self._signers}:{expires}".encode()).hexdigest()[:32]

    # Users.

    def _list_users(self, call: Call) -> Response:
        query = call.request.query
        if query.get("customer") != "my_customer":
            return refuse(HTTPStatus.BAD_REQUEST, "badRequest", "Bad Request")
        test = _query(query.get("query", ""))
        if test is None:
            return refuse(HTTPStatus.BAD_REQUEST, "invalid", "Invalid Input: query")
        users = [account.doc for account in call.everybody() if test(account.doc)]
        size, begin = int(query.get("maxResults", 100)), int(query.get("pageToken") or 0)
        more = {"nextPageToken": str(begin + size)} if begin + size < len(users) else {}
        return listed("admin#directory#users", "users", users[begin : begin + size], **more)

    def _get_user(self, call: Call) -> Response:
        if call.account is None:
            return self.refusal(HTTPStatus.NOT_FOUND, "Resource Not Found: userKey")
        return json_response(HTTPStatus.OK, call.account.doc)

    def _patch_user(self, call: Call) -> Response:
        account = call.account
        if account is None:
            return self.refusal(HTTPStatus.NOT_FOUND, "Resource Not Found: userKey")
        known = {"suspended", "recoveryEmail", "recoveryPhone"}
        news = {name: value for name, value in call.request.json().items() if name in known}
        call.applied = any(account.doc[name] != value for name, value in news.items())
        account.doc.update(news)
        if account.doc["suspended"]:
            account.parts["sessions"].clear()
        return json_response(HTTPStatus.OK, account.doc)

    def _sign_out(self, call: Call) -> Response:
        if call.account is None:
            return self.refusal(HTTPStatus.NOT_FOUND)
        call.applied = bool(call.account.parts["sessions"])
        call.account.parts["sessions"].clear()
        return Response(HTTPStatus.NO_CONTENT)

    # What a person holds.

    def _lister(self, part: str, kind: str) -> Handler:
        name = "groups" if part == "groups" else "items"

        def handler(call: Call) -> Response:
            if call.account is None:
                return self.refusal(HTTPStatus.NOT_FOUND)
            return listed(f"admin#directory#{kind}", name, call.account.parts[part])

        return handler

    def _taker(self, part: str) -> Handler:
        def handler(call: Call) -> Response:
            item = call.params.get("item") or call.params["role"]
            if call.account is None or call.account.take(part, item) is None:
                return self.refusal(HTTPStatus.NOT_FOUND)
            call.applied = True
            return Response(HTTPStatus.NO_CONTENT)

        return handler

    def _sign_ins(self, call: Call) -> Response:
        user, query = call.params["user"], call.request.query
        entries = [
            {
                "kind": "admin#reports#activity",
                "id": {"time": use["at"], "uniqueQualifier": str(use["n"])},
                "actor": {"profileId": use["user"]},
                "events": [{"name": "login_failure" if use["refused"] else "login_success"}],
            }
            for use in self.uses
            if query["startTime"] <= use["at"] <= query["endTime"] and user in {"all", use["user"]}
        ]
        return listed("admin#reports#activities", "items", entries)


def _claims(assertion: str) -> Item:
    """What an assertion says; nothing where it cannot be read."""
    try:
        part = assertion.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _query(written: str) -> Callable[[Item], bool] | None:
    """What a query of users means; None for one that is not read here."""
    if not written:
        return lambda _: True
    found = _CLAUSE.fullmatch(written)
    if found is None:
        return None
    if found[3]:
        begin = found[3].lower()
        return lambda doc: any(one.startswith(begin) for one in _addresses(doc))
    value = re.sub(r"\\(.)", r"\1", found[2]).lower()
    if found[1] == "email":
        return lambda doc: value in _addresses(doc)
    return lambda doc: value in {row["value"].lower() for row in doc.get("externalIds", ())}


def _addresses(doc: Item) -> set[str]:
    return {row["address"].lower() for row in doc["emails"]}
