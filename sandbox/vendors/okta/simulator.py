"""The simulated Okta org.

Facts come from Okta's management specification and error catalogue
(https://github.com/okta/okta-management-openapi-spec,
https://developer.okta.com/docs/reference/error-codes/); what neither says is marked as this
simulation's reading where it is decided.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from sandbox.kit.accounts import Account, Item, stable_id
from sandbox.kit.calls import Route
from sandbox.kit.clock import iso, now
from sandbox.kit.vendor import Vendor
from sandbox.kit.wire import Request, Response
from sandbox.vendors.okta.access import ACCESS_ROUTES
from sandbox.vendors.okta.answers import error, ok
from sandbox.vendors.okta.log import list_api_tokens, system_log
from sandbox.vendors.okta.seed import build_accounts
from sandbox.vendors.okta.users import USER_ROUTES, complete_due

__all__ = ["Okta"]

# Higher than any real org's, because it is shown and not enforced: a client that paces itself by
# the headers must not be slowed down by a limit that is not there. Faults do the limiting.
SHOWN_LIMIT: Final = 100_000


class Okta(Vendor):
    """A simulated Okta org."""

    name = "okta"
    title = "Okta"
    owned_parts = ("sessions", "tokens")

    def __init__(self, token: str, limited: Mapping[str, Iterable[str]] | None = None) -> None:
        """Create an empty org.

        Args:
            token: the API token that may do everything.
            limited: more tokens, each with the permission areas that it lacks.
        """
        super().__init__()
        self._tokens = {token, *(limited or {})}
        self.lacks = {t: frozenset(areas) for t, areas in (limited or {}).items()}
        self._minute = (0, 0)

    def routes(self) -> Iterable[Route]:
        """The operations of its API."""
        return (
            *USER_ROUTES,
            *ACCESS_ROUTES,
            Route("GET", "/api/v1/logs", "logs", lambda call: system_log(call, self.uses)),
            Route("GET", "/api/v1/api-tokens", "api_tokens", list_api_tokens),
        )

    def build(self, person: Item, shape: Mapping[str, Any]) -> list[Account]:
        """The person's account, or two when the shape is ambiguous."""
        return build_accounts(person, shape)

    def permit(self, request: Request) -> str | None:
        """Accept `SSWS <token>`, and `Bearer` for clients that use an OAuth service app."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        known = scheme in ("SSWS", "Bearer") and (token in self._tokens or token in self.lacks)
        return token if known else None

    def subject(self, request: Request, params: dict[str, str]) -> Account | None:
        """The user in the path, by id or login; for a search the only user that it can mean."""
        word = params.get("user", "")
        if word:
            account = self.accounts.get(word)
            if account is not None:
                return account
            return next((a for a in self.accounts.named(word) if _login(a) == word.lower()), None)
        text = request.query.get("search") or request.query.get("filter") or ""
        quoted = text.split('"')[1::2]
        named = {a.id: a for part in quoted for a in self.accounts.named(part)}
        return next(iter(named.values())) if len(named) == 1 else None

    def settle(self, account: Account) -> None:
        """Complete an asynchronous deactivation that is due."""
        complete_due(account)

    def refusal(self, status: int, detail: str = "") -> Response:
        """An error in Okta's words."""
        match status:
            case HTTPStatus.UNAUTHORIZED:
                return error(status, "E0000011")
            case HTTPStatus.FORBIDDEN:
                return error(status, "E0000006")
            case HTTPStatus.NOT_FOUND:
                return error(status, "E0000007", detail)
            case HTTPStatus.BAD_REQUEST:
                return error(status, "E0000001", detail, [detail] if detail else [])
        return error(status, "E0000009", causes=[detail] if detail else [])

    def rate_limited(self, reset_after: int | None) -> Response:
        """429 E0000047 with the reset as UTC epoch seconds, or without any word about it."""
        response = error(HTTPStatus.TOO_MANY_REQUESTS, "E0000047")
        if reset_after is not None:
            response.headers += _limits(left=0, reset=int(now()) + reset_after)
        return response

    def dress(self, response: Response, request_id: str) -> Response:
        """Add the request id and the rate limit headers."""
        response.headers.append(("X-Okta-Request-Id", request_id))
        if response.status == HTTPStatus.TOO_MANY_REQUESTS:
            return response
        minute = int(now()) // 60
        used = self._minute[1] + 1 if self._minute[0] == minute else 1
        self._minute = (minute, used)
        response.headers += _limits(left=max(SHOWN_LIMIT - used, 1), reset=(minute + 1) * 60)
        return response

    def standing(self, account: Account) -> Item:
        """What the person can still do, and hold, here."""
        parts = account.parts
        removable = [g for g in parts["groups"] if g["type"] == "OKTA_GROUP"]
        return {
            "sign_in": account.doc["status"] == "ACTIVE" and not account.deleted,
            "status": "DELETED" if account.deleted else account.doc["status"],
            "sessions": len(parts["sessions"]),
            "tokens": len(parts["tokens"]),
            "grants": len(parts["grants"]),
            "factors": len(parts["factors"]),
            "groups": len(removable),
            "imported_groups": sum(g["type"] == "APP_GROUP" for g in parts["groups"]),
            "roles": len(parts["roles"]),
        }

    # Not part of Okta's API: a user's own side of the door, so that a demonstration can show that
    # what worked a moment ago does not work any more.

    def public(self, request: Request) -> Response | None:
        """Answer `GET /sandbox/okta/whoami` and `POST /sandbox/okta/login`."""
        match request.method, request.path:
            case "GET", "/sandbox/okta/whoami":
                return self._whoami(request)
            case "POST", "/sandbox/okta/login":
                return self._login(request)
        return None

    def _whoami(self, request: Request) -> Response:
        secret = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if not secret:
            secret = request.headers.get("cookie", "").partition("sid=")[2].partition(";")[0]
        account = self.accounts.owner_of(secret)
        if account is not None and not account.deleted:
            self.settle(account)
            parts = account.parts
            by_session = any(item["id"] == secret for item in parts["sessions"])
            by_token = any(item["access"] == secret for item in parts["tokens"])
            if by_session or by_token:
                via = "session" if by_session else "oauth"
                login = account.doc["profile"]["login"]
                return ok({"simulated": True, "login": login, "via": via})
        return self.refusal(HTTPStatus.UNAUTHORIZED)

    def _login(self, request: Request) -> Response:
        try:
            login = str(request.json().get("login", ""))
        except (AttributeError, ValueError):
            return self.refusal(HTTPStatus.BAD_REQUEST, "login")
        found = [a for a in self.accounts.named(login) if _login(a) == login.lower()]
        if not found or not self.standing(found[0])["sign_in"]:
            return error(HTTPStatus.UNAUTHORIZED, "E0000004")
        account = found[0]
        number = len(account.parts["sessions"])
        secret = f"sandbox-session-{stable_id(account.id, iso(), number, length=22)}"
        account.parts["sessions"].append({"id": secret, "created": iso()})
        account.touch()
        self.accounts.put(account)
        self.on_change()
        return ok({"simulated": True, "session": secret, "login": login})


def _limits(*, left: int, reset: int) -> list[tuple[str, str]]:
    return [
        ("X-Rate-Limit-Limit", str(SHOWN_LIMIT)),
        ("X-Rate-Limit-Remaining", str(left)),
        ("X-Rate-Limit-Reset", str(reset)),
    ]


def _login(account: Account) -> str:
    return str(account.doc["profile"]["login"]).lower()
