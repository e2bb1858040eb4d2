"""The simulated GitLab instance, as an administrator sees it.

Facts come from https://docs.gitlab.com/api. This simulation's reading: that blocking twice is
refused with 403, and the words of refusals.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from sandbox.kit.accounts import Account, Item, stable_number
from sandbox.kit.calls import Call, Route
from sandbox.kit.clock import iso, now_ms
from sandbox.kit.vendor import Vendor
from sandbox.kit.wire import Request, Response, json_response

__all__ = ["GitLab"]

DAY_MS: Final = 86_400_000
ROOT: Final = {
    "id": 1,
    "username": "root",
    "name": "Administrator",
    "state": "active",
    "email": "admin@northwind.example.com",
    "created_at": "2020-01-01T00:00:00.000Z",
    "last_sign_in_at": None,
}


def refuse(status: int, message: str) -> Response:
    """An error as GitLab writes one."""
    return json_response(status, {"message": f"{int(status)} {message}"})


def done() -> Response:
    return Response(HTTPStatus.NO_CONTENT)


def paged(call: Call, items: list[Item]) -> Response:
    """A page, with a link to the next one."""
    query = dict(call.request.query)
    size, number = min(int(query.get("per_page", 20)), 100), int(query.get("page", 1))
    end = number * size
    headers = []
    if end < len(items):
        following = urlencode({**query, "page": number + 1})
        headers.append(
            ("Link", f'<https://gitlab.invalid{call.request.path}?{following}>; rel="next"')
        )
    return Response(HTTPStatus.OK, json.dumps(items[end - size : end]).encode(), headers)


class GitLab(Vendor):
    """One self-managed instance."""

    name = "gitlab"
    title = "GitLab"
    owned_parts = ("tokens",)

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def routes(self) -> Iterable[Route]:
        """The operations of its API that are simulated."""
        api, user = "/api/v4", "/api/v4/users/{user}"
        tokens, keys = f"{api}/personal_access_tokens", f"{user}/keys"
        impersonations = f"{user}/impersonation_tokens"
        return (
            Route("GET", f"{api}/users", "users", self._list),
            Route("GET", user, "users", self._get),
            Route("POST", f"{user}/block", "users", self._block),
            Route("GET", tokens, "tokens", self._tokens),
            Route("DELETE", f"{tokens}/{{item}}", "tokens", self._take("tokens")),
            Route("GET", impersonations, "tokens", self._of("impersonations")),
            Route("DELETE", f"{impersonations}/{{part}}", "tokens", self._take("impersonations")),
            Route("GET", keys, "keys", self._of("keys")),
            Route("DELETE", f"{keys}/{{part}}", "keys", self._take("keys")),
            Route("GET", f"{user}/memberships", "members", self._of("memberships")),
            Route("DELETE", f"{api}/groups/{{source}}/members/{{user}}", "members", self._leave),
            Route("DELETE", f"{api}/projects/{{source}}/members/{{user}}", "members", self._leave),
        )

    def build(self, person: Item, shape: Mapping[str, Any]) -> list[Account]:
        """The person's user: `tokens`, `impersonations`, `keys`, `groups`, `projects`, `state`."""
        number = stable_number("gitlab", person["worker_id"]) % 10**9
        email = person["email"]
        username = person.get("username") or email.partition("@")[0].replace(".", "-")

        def things(part: str, usual: int, **more: Any) -> list[Item]:
            made = range(shape.get(part, usual))
            ids = [stable_number(number, part, n) % 10**9 for n in made]
            return [{"id": ref, "name": f"{part} of a laptop", **more} for ref in ids]

        token = {"user_id": number, "revoked": False, "active": True, "scopes": ["api"]}
        parts = {
            "tokens": things("tokens", 1, **token),
            "impersonations": things("impersonations", 0, **token),
            "keys": things("keys", 1, title="laptop", usage_type="auth_and_signing"),
            "memberships": [
                *(_membership("Namespace", n) for n in range(shape.get("groups", 1))),
                *(_membership("Project", n) for n in range(shape.get("projects", 1))),
            ],
        }
        words = (str(number), email, username, person["worker_id"])
        doc = {
            "id": number,
            "username": username,
            "name": f"{person.get('first_name', '')} {person.get('last_name', '')}".strip(),
            "state": shape.get("state", "active"),
            "email": email,
            "created_at": iso(now_ms() - 300 * DAY_MS),
            "last_sign_in_at": iso(now_ms() - DAY_MS),
        }
        keys = list(dict.fromkeys(word.lower() for word in words))
        return [Account(id=str(number), person=person, keys=keys, doc=doc, parts=parts)]

    def permit(self, request: Request) -> str | None:
        """Accept the administrator's token."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return (
            token if scheme == "Bearer" and (token == self._token or token in self.lacks) else None
        )

    def subject(self, request: Request, params: dict[str, str]) -> Account | None:
        """The user in the path or the query, or the owner of the token in the path."""
        if "item" in params:
            return self.accounts.owner_of(params["item"])
        word = params.get("user") or request.query.get("user_id") or ""
        return self.accounts.get(word)

    def refusal(self, status: int, detail: str = "") -> Response:
        """An error in GitLab's words."""
        return refuse(status, detail or HTTPStatus(status).phrase)

    def rate_limited(self, reset_after: int | None) -> Response:
        """429, with `Retry-After` in seconds."""
        response = refuse(HTTPStatus.TOO_MANY_REQUESTS, "Too Many Requests")
        if reset_after is not None:
            response.headers.append(("Retry-After", str(reset_after)))
        return response

    def dress(self, response: Response, request_id: str) -> Response:
        """Each answer has its id."""
        response.headers.append(("X-Request-Id", request_id))
        return response

    def standing(self, account: Account) -> Item:
        """What the person can still do here."""
        return {
            "sign_in": account.doc["state"] in {"active", "deactivated"},
            **{name: len(items) for name, items in account.parts.items()},
        }

    def _list(self, call: Call) -> Response:
        users = [ROOT, *(one.doc for one in call.everybody())]
        text = call.request.query.get("search", "").lower()
        # Names in part, addresses whole.
        users = [
            user
            for user in users
            if text in user["username"] or text in user["name"].lower() or text == user["email"]
        ]
        return paged(call, users)

    def _get(self, call: Call) -> Response:
        if call.account is None:
            return self.refusal(HTTPStatus.NOT_FOUND)
        return json_response(HTTPStatus.OK, call.account.doc)

    def _block(self, call: Call) -> Response:
        about = call.account
        if about is None:
            return self.refusal(HTTPStatus.NOT_FOUND)
        if about.doc["state"] not in {"active", "deactivated"}:
            return self.refusal(HTTPStatus.FORBIDDEN)
        about.doc["state"] = "blocked"
        call.applied = True
        return json_response(HTTPStatus.CREATED, value=True)

    def _tokens(self, call: Call) -> Response:
        wanted = call.request.query.get("user_id")
        people = [one for one in call.everybody() if wanted in (None, one.id)]
        return paged(call, [item for one in people for item in one.parts["tokens"]])

    def _of(self, part: str) -> Callable[[Call], Response]:
        def handler(call: Call) -> Response:
            if call.params["user"] == str(ROOT["id"]):
                return paged(call, [])
            if call.account is None:
                return self.refusal(HTTPStatus.NOT_FOUND)
            return paged(call, call.account.parts[part])

        return handler

    def _take(self, part: str) -> Callable[[Call], Response]:
        def handler(call: Call) -> Response:
            ref = call.params.get("item") or call.params["part"]
            if call.account is None or call.account.take(part, ref) is None:
                return self.refusal(HTTPStatus.NOT_FOUND)
            call.applied = True
            return done()

        return handler

    def _leave(self, call: Call) -> Response:
        kind = "Namespace" if "/groups/" in call.request.path else "Project"
        ref = f"{kind}/{call.params['source']}"
        if call.account is None or call.account.take("memberships", ref) is None:
            return self.refusal(HTTPStatus.NOT_FOUND)
        call.applied = True
        return done()


def _membership(kind: str, n: int) -> Item:
    source = {"source_id": 100 + n, "source_name": f"team-{n}", "source_type": kind}
    return {"id": f"{kind}/{100 + n}", **source, "access_level": 30}
