"""Operations of the simulated Okta on users and their life cycle."""

from http import HTTPStatus
from typing import Final

from sandbox.kit.accounts import Account
from sandbox.kit.calls import Call, Route
from sandbox.kit.clock import iso, now
from sandbox.kit.wire import Response
from sandbox.vendors.okta.answers import change, error, no_content, not_found, ok, page
from sandbox.vendors.okta.expressions import ExpressionError, matcher, parse, terms

__all__ = ["USER_ROUTES", "complete_due", "is_last_super_admin"]

ASYNC_SECONDS: Final = 1.5
INDEXED: Final = frozenset({"id", "profile.login", "profile.email", "profile.employeeNumber"})
LAST_SUPER_ADMIN: Final = "The last super administrator of an org cannot lose that role"


def missing(call: Call) -> Response:
    """404 for the user named in the path."""
    return not_found(f"{call.params.get('user', '')} (User)")


def list_users(call: Call) -> Response:
    """List, search or filter.

    Without `search` or `filter` users that are DEPROVISIONED are left out (specification of
    `GET /api/v1/users`), which is why a plain list proves nothing about a leaver.
    """
    query = call.request.query
    text = query.get("search") or query.get("filter")
    if not text:
        found = [a.doc for a in call.everybody() if a.doc["status"] != "DEPROVISIONED"]
        return page(call, found, default=200, most=200)
    try:
        expression = parse(text)
    except ExpressionError as problem:
        return error(HTTPStatus.BAD_REQUEST, "E0000031", causes=[str(problem)])
    holds = matcher(expression, fold_case="search" in query)
    wanted = list(terms(expression))
    candidates = call.everybody()
    if all(term.name in INDEXED and term.operator == "eq" for term in wanted):
        named = {a.id: a for term in wanted for a in call.accounts.named(term.value)}
        seen = [call.see(account) for account in named.values()]
        candidates = [account for account in seen if not account.deleted]
    for account in candidates:
        complete_due(account)
    found = [account.doc for account in candidates if holds(account.doc)]
    return page(call, found, default=200, most=200)


def get_user(call: Call) -> Response:
    """Read one user by id or login; the authoritative read."""
    return ok(call.account.doc) if call.account else missing(call)


def suspend(call: Call) -> Response:
    """Suspend; only from ACTIVE, else 400 E0000001 (specification of `suspendUser`).

    Sessions and tokens stay: suspending blocks the next sign-in, clearing sessions is a call of
    its own. That is this simulation's reading, chosen so that a connector that forgets the second
    call is found out.
    """
    account = call.account
    if account is None:
        return missing(call)
    if account.doc["status"] != "ACTIVE":
        cause = "Cannot suspend a user that is not active"
        return error(HTTPStatus.BAD_REQUEST, "E0000001", "suspendUser", [cause])
    _set_status(account, "SUSPENDED")
    change(call, account, "user.lifecycle.suspend", "Suspend Okta user")
    return ok({})


def unsuspend(call: Call) -> Response:
    """Undo a suspension; only from SUSPENDED."""
    account = call.account
    if account is None:
        return missing(call)
    if account.doc["status"] != "SUSPENDED":
        cause = "Cannot unsuspend a user that is not suspended"
        return error(HTTPStatus.BAD_REQUEST, "E0000001", "unsuspendUser", [cause])
    _set_status(account, "ACTIVE")
    change(call, account, "user.lifecycle.unsuspend", "Unsuspend Okta user")
    return ok({})


def deactivate(call: Call) -> Response:
    """Deactivate; not twice. With `Prefer: respond-async` the status follows after a while."""
    account = call.account
    if account is None:
        return missing(call)
    refused = _deactivation_refused(call, account)
    if refused is not None:
        return refused
    if call.request.headers.get("prefer", "").lower() == "respond-async":
        account.doc["transitioningToStatus"] = "DEPROVISIONED"
        account.pending = {"at": now() + ASYNC_SECONDS}
    else:
        complete_deactivation(account)
    change(call, account, "user.lifecycle.deactivate", "Deactivate Okta user")
    return ok({})


def _deactivation_refused(call: Call, account: Account) -> Response | None:
    if account.doc["status"] == "DEPROVISIONED" or account.pending:
        cause = "Cannot deactivate a user that is already deactivated"
        return error(HTTPStatus.BAD_REQUEST, "E0000001", "deactivateUser", [cause])
    if is_last_super_admin(call, account):
        return error(HTTPStatus.FORBIDDEN, "E0000001", "deactivateUser", [LAST_SUPER_ADMIN])
    return None


def complete_due(account: Account) -> None:
    """Complete an asynchronous deactivation whose time has come."""
    if account.pending and account.pending["at"] <= now():
        complete_deactivation(account)
        account.touch()


def complete_deactivation(account: Account) -> None:
    """End what Okta ends on deactivation: sessions, tokens of any kind, application assignments.

    Factors, groups and admin roles are left standing, so that a connector shows that it strips
    them; what Okta does with each is not in the specification.
    """
    _set_status(account, "DEPROVISIONED")
    account.doc.pop("transitioningToStatus", None)
    account.pending = {}
    for part in ("sessions", "tokens", "grants", "apps", "api_tokens"):
        account.parts[part].clear()


def delete_user(call: Call) -> Response:
    """Deactivate at the first call, delete for ever at the second; 204 both times.

    Source: specification of `deleteUser`. The reason why this call must not be retried blindly.
    """
    account = call.account
    if account is None:
        return missing(call)
    if account.doc["status"] == "DEPROVISIONED":
        account.deleted = True
        change(call, account, "user.lifecycle.delete.initiated", "Delete Okta user")
        return no_content()
    refused = _deactivation_refused(call, account)
    if refused is not None:
        return refused
    complete_deactivation(account)
    change(call, account, "user.lifecycle.deactivate", "Deactivate Okta user")
    return no_content()


def is_last_super_admin(call: Call, account: Account) -> bool:
    """Whether nobody else holds SUPER_ADMIN (simulated guard; the API's wording is not public)."""

    def holds(other: Account) -> bool:
        return any(role["type"] == "SUPER_ADMIN" for role in other.parts["roles"])

    if not holds(account):
        return False
    others = (a for a in call.everybody() if a.id != account.id)
    return not any(holds(a) and a.doc["status"] != "DEPROVISIONED" for a in others)


def _set_status(account: Account, status: str) -> None:
    account.doc["status"] = status
    account.doc["statusChanged"] = account.doc["lastUpdated"] = iso()


USER_ROUTES: Final = (
    Route("GET", "/api/v1/users", "users", list_users),
    Route("GET", "/api/v1/users/{user}", "users", get_user),
    Route("DELETE", "/api/v1/users/{user}", "users", delete_user),
    Route("POST", "/api/v1/users/{user}/lifecycle/suspend", "users", suspend),
    Route("POST", "/api/v1/users/{user}/lifecycle/unsuspend", "users", unsuspend),
    Route("POST", "/api/v1/users/{user}/lifecycle/deactivate", "users", deactivate),
)
