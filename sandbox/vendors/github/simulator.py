"""The simulated GitHub organisation, its enterprise and its audit log.

Facts come from https://docs.github.com/rest and the description in github/rest-api-description.
This simulation's reading: that single sign-on authorisations stay listed after a member has left,
and the words of refusals.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from sandbox.kit.accounts import Account, Item, stable_number
from sandbox.kit.calls import Call, Route
from sandbox.kit.vendor import Vendor
from sandbox.kit.wire import Request, Response, json_response
from sandbox.vendors.github.queries import answer
from sandbox.vendors.github.seed import API, GITHUB_PARTS, build_account, simple_user

__all__ = ["GitHub"]

OWNER: Final = simple_user(1001, "northwind-owner")
REPOSITORIES: Final = ("billing", "call-router")
KEPT: Final = timedelta(days=180)


def done() -> Response:
    return Response(HTTPStatus.NO_CONTENT)


def refuse(status: int, message: str) -> Response:
    """An error as GitHub writes one."""
    page = "https://docs.github.com/rest"
    body = {"message": message, "documentation_url": page, "status": str(int(status))}
    return json_response(status, body)


def paged(call: Call, items: list[Item], wrap: str = "") -> Response:
    """A page, with a link to the next one."""
    query = dict(call.request.query)
    size, number = min(int(query.get("per_page", 30)), 100), int(query.get("page", 1))
    end = number * size
    shown = items[end - size : end]
    body: Any = {"total_count": len(items), wrap: shown} if wrap else shown
    headers = []
    if end < len(items):
        following = urlencode({**query, "page": number + 1})
        link = f'<{API}{call.request.path}?{following}>; rel="next"'
        headers.append(("Link", link))
    return Response(HTTPStatus.OK, json.dumps(body).encode(), headers)


class GitHub(Vendor):
    """One organisation, of one enterprise."""

    name = "github"
    title = "GitHub"
    owned_parts = GITHUB_PARTS

    def __init__(self, credentials: Mapping[str, str]) -> None:
        super().__init__()
        self._token = credentials["token"]
        self._installed = credentials["installation_token"]
        self.organization = credentials["organization"]
        self.enterprise = credentials["enterprise"]
        self.owner_node: Item = {
            "id": OWNER["id"],
            "databaseId": OWNER["id"],
            "login": OWNER["login"],
            "name": "Owner",
            "createdAt": "2019-01-01T00:00:00Z",
            "emails": ["owner@northwind.example.com"],
        }

    def routes(self) -> Iterable[Route]:
        """The operations of its API."""
        org, admin = "/orgs/{org}", "administration"
        authorizations, tokens = f"{org}/credential-authorizations", f"{org}/personal-access-tokens"
        membership, outside = f"{org}/memberships/{{user}}", f"{org}/outside_collaborators"
        return (
            Route("POST", "/graphql", "members", lambda call: answer(self, call)),
            Route("GET", "/user/{user}", "metadata", self._user),
            Route("GET", f"{org}/members", "members", self._owners),
            Route("GET", membership, "members", self._membership),
            Route("DELETE", membership, "members", self._leave),
            Route("GET", outside, "members", self._outside),
            Route("DELETE", f"{outside}/{{user}}", "members", self._leave_repositories),
            Route("GET", authorizations, admin, self._credentials),
            Route("DELETE", f"{authorizations}/{{item}}", admin, self._take("credentials")),
            Route("GET", tokens, "tokens", self._tokens),
            Route("POST", f"{tokens}/{{item}}", "tokens", self._take("tokens")),
            Route("GET", f"{org}/audit-log", admin, self._log),
            Route("GET", f"{org}/repos", "metadata", self._repositories),
            Route("GET", "/repos/{org}/{repository}/keys", admin, self._keys),
            Route("GET", f"{org}/installations", admin, self._installations),
            Route("GET", "/apps/{slug}", "metadata", self._app),
        )

    def build(self, person: Item, shape: Mapping[str, Any]) -> list[Account]:
        """The person's user."""
        return [build_account(person, shape)]

    def permit(self, request: Request) -> str | None:
        """Accept a token of an owner, or one of the App's installation."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        known = scheme == "Bearer" and (token in (self._token, self._installed, *self.lacks))
        return token if known else None

    def subject(self, request: Request, params: dict[str, str]) -> Account | None:
        """The user in the path or the variables, or the owner of the thing in the path."""
        if "item" in params:
            return self.accounts.owner_of(params["item"])
        word = params.get("user", "")
        if request.path == "/graphql":
            variables = request.json().get("variables") or {}
            word = str(variables.get("user") or variables.get("like") or "")
        named = self.accounts.named(word)
        return named[0] if word and len(named) == 1 else None

    def public(self, request: Request) -> Response | None:
        """The exchange of an App's signed assertion, whose signature nobody checks here."""
        parts = request.path.split("/")
        if request.method != "POST" or parts[1:3] != ["app", "installations"]:
            return None
        if request.headers.get("authorization", "").count(".") != 2:  # noqa: PLR2004 - a JWT's dots
            return self.refusal(HTTPStatus.UNAUTHORIZED)
        ends = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
        granted = {"token": self._installed, "expires_at": ends, "permissions": {}}
        return json_response(HTTPStatus.CREATED, granted)

    def refusal(self, status: int, detail: str = "") -> Response:
        """An error in GitHub's words."""
        words = {
            HTTPStatus.UNAUTHORIZED: "Bad credentials",
            HTTPStatus.FORBIDDEN: "Resource not accessible by integration",
            HTTPStatus.NOT_FOUND: "Not Found",
        }
        return refuse(status, detail or words.get(HTTPStatus(status), "Server Error"))

    def rate_limited(self, reset_after: int | None) -> Response:
        """A secondary limit: 403, and when to come back."""
        response = refuse(HTTPStatus.FORBIDDEN, "You have exceeded a secondary rate limit")
        response.headers.append(("Retry-After", str(60 if reset_after is None else reset_after)))
        return response

    def dress(self, response: Response, request_id: str) -> Response:
        """Each answer has its id."""
        response.headers.append(("X-GitHub-Request-Id", request_id))
        return response

    def standing(self, account: Account) -> Item:
        """What the person can still reach here."""
        parts = account.parts
        return {
            "sign_in": any(parts[name] for name in ("membership", "outside", "enterprise")),
            "credentials": len(parts["credentials"]),
            "tokens": len(parts["tokens"]) if parts["membership"] else 0,
        }

    # People.

    def _foreign(self, call: Call) -> bool:
        return call.params["org"] != self.organization

    def _user(self, call: Call) -> Response:
        if call.params["user"] == str(OWNER["id"]):
            return json_response(HTTPStatus.OK, {**OWNER, "name": "Owner"})
        if call.account is None or call.params["user"] != call.account.id:
            return self.refusal(HTTPStatus.NOT_FOUND)
        return json_response(HTTPStatus.OK, call.account.doc)

    def _owners(self, call: Call) -> Response:
        members = [(one, one.parts["membership"]) for one in call.everybody()]
        owners: list[Item] = [OWNER]
        owners += [_simple(one) for one, [*told] in members if told and told[0]["role"] == "admin"]
        return paged(call, [] if self._foreign(call) else owners)

    def _membership(self, call: Call) -> Response:
        about = call.account
        if self._foreign(call):
            return self.refusal(HTTPStatus.NOT_FOUND)
        if call.params["user"] == OWNER["login"]:
            return self._shown({"state": "active", "role": "admin"}, OWNER)
        if about is None or not about.parts["membership"]:
            return self.refusal(HTTPStatus.NOT_FOUND)
        return self._shown(about.parts["membership"][0], _simple(about))

    def _shown(self, membership: Item, user: Item) -> Response:
        home = f"{API}/orgs/{self.organization}"
        links = ("repos", "events", "hooks", "issues", "members", "public_members")
        organization = {
            "login": self.organization,
            "id": 9001,
            "node_id": "O_9001",
            "url": home,
            "avatar_url": f"{home}/avatar",
            "description": None,
            **{f"{name}_url": f"{home}/{name}" for name in links},
        }
        body = {
            "url": f"{home}/memberships/{user['login']}",
            "organization_url": home,
            "state": membership["state"],
            "role": membership["role"],
            "organization": organization,
            "user": user,
        }
        return json_response(HTTPStatus.OK, body)

    def _leave(self, call: Call) -> Response:
        about = call.account
        if about is None or not about.parts["membership"] or self._foreign(call):
            return self.refusal(HTTPStatus.NOT_FOUND)
        about.parts["membership"].clear()
        call.applied = True
        return done()

    def _outside(self, call: Call) -> Response:
        return paged(call, [_simple(one) for one in call.everybody() if one.parts["outside"]])

    def _leave_repositories(self, call: Call) -> Response:
        about = call.account
        if about is None:
            return self.refusal(HTTPStatus.NOT_FOUND)
        if about.parts["membership"]:
            message = (
                "You cannot specify an organization member to remove as an outside collaborator"
            )
            return refuse(HTTPStatus.UNPROCESSABLE_ENTITY, message)
        call.applied = bool(about.parts["outside"])
        about.parts["outside"].clear()
        return done()

    # Keys and tokens.

    def _credentials(self, call: Call) -> Response:
        wanted = call.request.query.get("login", "").lower()
        items = [item for one in call.everybody() for item in one.parts["credentials"]]
        return paged(call, [one for one in items if not wanted or one["login"] == wanted])

    def _tokens(self, call: Call) -> Response:
        wanted = call.request.query.get("owner[]", "").lower()
        # They end with the membership.
        members = [one for one in call.everybody() if one.parts["membership"]]
        items = [item for one in members for item in one.parts["tokens"]]
        return paged(call, [one for one in items if not wanted or one["owner"]["login"] == wanted])

    def _take(self, part: str) -> Any:
        def handler(call: Call) -> Response:
            taken = call.account.take(part, call.params["item"]) if call.account else None
            if taken is None:
                return self.refusal(HTTPStatus.NOT_FOUND)
            call.applied = True
            return done()

        return handler

    # What is owned, and the log.

    def _repositories(self, call: Call) -> Response:
        names = [{"id": n, "name": name} for n, name in enumerate(REPOSITORIES, 1)]
        return paged(call, names)

    def _keys(self, call: Call) -> Response:
        mine = call.params["repository"] == REPOSITORIES[0]
        keys = [key for one in call.everybody() for key in one.parts["deploy_keys"]]
        return paged(call, keys if mine else [])

    def _installations(self, call: Call) -> Response:
        slugs = ["northwind-lockstep"]
        slugs += [app["slug"] for one in call.everybody() for app in one.parts["apps"]]
        found = [{"id": n, "app_slug": slug} for n, slug in enumerate(slugs, 1)]
        return paged(call, found, "installations")

    def _app(self, call: Call) -> Response:
        slug = call.params["slug"]
        owner = {"id": 77, "login": self.organization}
        for one in call.everybody():
            if any(app["slug"] == slug for app in one.parts["apps"]):
                owner = _simple(one)
        body = {"id": stable_number(slug) % 10**6, "slug": slug, "owner": owner}
        return json_response(HTTPStatus.OK, {**body, "created_at": "2024-05-01T08:00:00Z"})

    def _log(self, call: Call) -> Response:
        words = dict(word.split(":", 1) for word in call.request.query["phrase"].split(" "))
        since = datetime.fromisoformat(words["created"].removeprefix(">="))
        begin = max(since, datetime.now(UTC) - KEPT)
        entries = [entry for entry in self._entries(begin) if _by(entry, words.get("actor"))]
        return paged(call, entries)

    def _entries(self, begin: datetime) -> Iterable[Item]:
        for use in self.uses:
            about = self.accounts.get(use["user"])
            at = datetime.fromisoformat(use["at"])
            if about and not use["refused"] and at >= begin:
                yield _entry(f"use{use['n']}", at, about.doc["login"], about.doc["id"])
        day = begin.replace(hour=5, minute=0, second=0, microsecond=0) + timedelta(days=1)
        while day <= datetime.now(UTC):
            yield _entry(f"day{day:%Y%m%d}", day, OWNER["login"], OWNER["id"])
            day += timedelta(days=1)


def _entry(ref: str, at: datetime, actor: object, actor_id: object) -> Item:
    return {
        "_document_id": ref,
        "@timestamp": int(at.timestamp() * 1000),
        "action": "repo.access",
        "actor": actor,
        "actor_id": actor_id,
    }


def _by(entry: Item, actor: str | None) -> bool:
    return actor is None or entry["actor"] == actor


def _simple(account: Account) -> Item:
    return simple_user(account.doc["id"], account.doc["login"])
