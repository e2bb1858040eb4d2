"""The simulated Slack Enterprise organisation.

Facts come from https://docs.slack.dev/reference/methods. This simulation's reading: that sessions
outlive a deactivation until they are reset, and the errors for somebody who is deactivated already.
"""

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from sandbox.kit.accounts import Account, Item, stable_id
from sandbox.kit.calls import Call, Route
from sandbox.kit.clock import now_ms
from sandbox.kit.vendor import Vendor
from sandbox.kit.wire import Request, Response, json_response

__all__ = ["Slack"]

ENTERPRISE: Final = "E0SANDBOX01"
TEAM: Final = "T0SANDBOX01"
OWNER: Final = "W0OWNER0001"
_ERRORS: Final = {
    HTTPStatus.UNAUTHORIZED: "invalid_auth",
    HTTPStatus.FORBIDDEN: "missing_scope",
    HTTPStatus.NOT_FOUND: "unknown_method",
}


def refuse(error: str) -> Response:
    """An error as Slack writes one: under 200."""
    return json_response(HTTPStatus.OK, {"ok": False, "error": error})


def done(**more: Any) -> Response:
    return json_response(HTTPStatus.OK, {"ok": True, **more})


class Slack(Vendor):
    """One Enterprise organisation with one workspace."""

    name = "slack_enterprise"
    title = "Slack"

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def routes(self) -> Iterable[Route]:
        """The methods of its Web API that are simulated."""
        read, write = "admin.users", "admin.users:write"
        return (
            Route("GET", "/api/users.info", "users", self._info),
            Route("GET", "/api/users.lookupByEmail", "users", self._lookup),
            Route("GET", "/api/admin.users.list", read, self._list),
            Route("POST", "/api/admin.users.deactivate", write, self._deactivate),
            Route("GET", "/api/admin.users.session.getSettings", read, self._settings),
            Route("POST", "/api/admin.users.session.reset", write, self._reset),
            Route("GET", "/api/admin.workflows.search", "admin.workflows", self._workflows),
        )

    def build(self, person: Item, shape: Mapping[str, Any]) -> list[Account]:
        """The person's user: `sessions`, `workflows`, `guest`, `primary_owner`."""
        user = f"W{stable_id('slack', person['worker_id'], length=10).upper()}"
        email = person["email"]
        name = f"{person.get('first_name', '')} {person.get('last_name', '')}".strip()
        doc = _user(user, email, name, shape)
        sessions = [{"id": n, "team_id": TEAM} for n in range(shape.get("sessions", 2))]
        workflows = [
            {
                "id": f"Wf{stable_id(user, 'workflow', n, length=9).upper()}",
                "title": f"Hand-over {n + 1}",
                "collaborators": [user],
                "is_published": True,
                "date_updated": now_ms() // 1000,
            }
            for n in range(shape.get("workflows", 0))
        ]
        keys = [word.lower() for word in (user, email, person["worker_id"])]
        parts = {"sessions": sessions, "workflows": workflows}
        return [Account(id=user, person=person, keys=keys, doc=doc, parts=parts)]

    def permit(self, request: Request) -> str | None:
        """Accept the app's user token."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return (
            token if scheme == "Bearer" and (token == self._token or token in self.lacks) else None
        )

    def subject(self, request: Request, params: dict[str, str]) -> Account | None:
        """The user whom the query or the body names."""
        del params
        query = request.query
        word = query.get("user") or query.get("email") or ""
        if request.method == "POST":
            word = str(request.json().get("user_id") or "")
        if "user_ids" in query:
            word = str(json.loads(query["user_ids"])[0])
        named = self.accounts.named(word)
        return named[0] if word and len(named) == 1 else None

    def refusal(self, status: int, detail: str = "") -> Response:
        """An error in Slack's words; a fault of its servers has a status of its own."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or detail:
            body = {"ok": False, "error": "internal_error", "detail": detail}
            return json_response(status, body)
        return refuse(_ERRORS.get(HTTPStatus(status), "invalid_arguments"))

    def rate_limited(self, reset_after: int | None) -> Response:
        """429, with `Retry-After` in seconds."""
        response = json_response(
            HTTPStatus.TOO_MANY_REQUESTS, {"ok": False, "error": "ratelimited"}
        )
        if reset_after is not None:
            response.headers.append(("Retry-After", str(reset_after)))
        return response

    def dress(self, response: Response, request_id: str) -> Response:
        """Each answer has its id."""
        response.headers.append(("X-Slack-Req-Id", request_id))
        return response

    def standing(self, account: Account) -> Item:
        """What the person can still do here."""
        return {
            "sign_in": not account.doc["deleted"],
            "sessions": len(account.parts["sessions"]),
            "workflows": len(account.parts["workflows"]),
        }

    def _info(self, call: Call) -> Response:
        wanted = call.request.query.get("user")
        if call.account is None or call.account.id != wanted:
            return refuse("user_not_found")
        return done(user=call.account.doc)

    def _lookup(self, call: Call) -> Response:
        """Of active users only."""
        about = call.account
        if about is None or about.doc["deleted"]:
            return refuse("users_not_found")
        return done(user=about.doc)

    def _list(self, call: Call) -> Response:
        query = call.request.query
        active = query.get("is_active", "true") == "true"
        users = [_listed(one.doc) for one in call.everybody() if one.doc["deleted"] is not active]
        if active:
            users.insert(0, _listed(_owner()))
        return _page(call, users, "users")

    def _deactivate(self, call: Call) -> Response:
        about = call.account
        if about is None:
            return refuse("user_not_found")
        if about.doc["is_primary_owner"]:
            return refuse("access_denied")
        if about.doc["deleted"]:
            return refuse("deactivation_failed")
        about.doc["deleted"] = call.applied = True
        about.doc["enterprise_user"]["teams"] = []
        return done()

    def _settings(self, call: Call) -> Response:
        """Whoever has no session is left out; here nobody has settings of their own."""
        wanted = json.loads(call.request.query["user_ids"])
        about = call.account
        if about is None and wanted != [OWNER]:
            return refuse("user_not_found")
        found = wanted if about is None or about.parts["sessions"] else []
        return done(session_settings=[], no_settings_applied=found)

    def _reset(self, call: Call) -> Response:
        about = call.account
        if about is None:
            return refuse("user_not_found")
        if about.doc["is_primary_owner"]:
            return refuse("cannot_reset_primary_owner")
        call.applied = bool(about.parts["sessions"])
        about.parts["sessions"].clear()
        return done()

    def _workflows(self, call: Call) -> Response:
        wanted = set(json.loads(call.request.query["collaborator_ids"]))
        found = [
            flow
            for one in call.everybody()
            for flow in one.parts["workflows"]
            if wanted <= set(flow["collaborators"])
        ]
        return _page(call, found, "workflows", total_found=len(found))


def _user(user: str, email: str, name: str, shape: Mapping[str, Any]) -> Item:
    """A user as `users.info` shows one."""
    primary = bool(shape.get("primary_owner"))
    return {
        "id": user,
        "team_id": TEAM,
        "name": email.partition("@")[0],
        "deleted": False,
        "real_name": name,
        "profile": {"email": email, "real_name": name},
        "is_admin": False,
        "is_owner": primary,
        "is_primary_owner": primary,
        "is_restricted": bool(shape.get("guest")),
        "is_ultra_restricted": False,
        "is_bot": False,
        "updated": now_ms() // 1000,
        "enterprise_user": {
            "id": user,
            "enterprise_id": ENTERPRISE,
            "enterprise_name": "Northwind",
            "is_admin": False,
            "is_owner": primary,
            "is_primary_owner": primary,
            "teams": [TEAM],
        },
    }


def _owner() -> Item:
    profile = {"email": "owner@northwind.example.com"}
    names = ("is_admin", "is_restricted", "is_ultra_restricted", "is_bot", "deleted")
    doc = {"id": OWNER, "name": "owner", "real_name": "Owner", "profile": profile}
    return {**doc, **dict.fromkeys(names, False), "is_owner": True, "is_primary_owner": True}


def _listed(doc: Item) -> Item:
    """A user as `admin.users.list` shows one."""
    names = ("is_admin", "is_owner", "is_primary_owner", "is_restricted", "is_ultra_restricted")
    return {
        "id": doc["id"],
        "email": doc["profile"]["email"],
        "username": doc["name"],
        "full_name": doc["real_name"],
        "is_active": not doc["deleted"],
        "is_bot": doc["is_bot"],
        "date_created": 1_600_000_000,
        **{name: doc[name] for name in names},
    }


def _page(call: Call, items: list[Item], where: str, **more: Any) -> Response:
    query = call.request.query
    begin, size = int(query.get("cursor") or 0), int(query.get("limit", 100))
    following = str(begin + size) if begin + size < len(items) else ""
    shown = {where: items[begin : begin + size]}
    return done(**shown, **more, response_metadata={"next_cursor": following})
