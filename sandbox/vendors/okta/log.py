"""The simulated Okta's System Log, and the list of API tokens by owner."""

from collections.abc import Iterable
from datetime import timedelta
from http import HTTPStatus
from typing import Final
from uuid import NAMESPACE_OID, uuid5

from sandbox.kit.accounts import Account, Item
from sandbox.kit.calls import Call
from sandbox.kit.clock import iso, now_ms
from sandbox.kit.wire import Response
from sandbox.vendors.okta.answers import error, page
from sandbox.vendors.okta.expressions import ExpressionError, matcher, parse, terms

__all__ = ["list_api_tokens", "system_log"]

KEPT: Final = timedelta(days=90)
SIGN_IN: Final = "user.session.start"


def system_log(call: Call, uses: Iterable[Item]) -> Response:
    """The vendor's own record: `filter`, `since`, `until`, `sortOrder`, pages by `after`.

    Args:
        call: the question.
        uses: what people did themselves.
    """
    query = call.request.query
    try:
        expression = parse(query["filter"]) if query.get("filter") else None
    except ExpressionError as problem:
        return error(HTTPStatus.BAD_REQUEST, "E0000031", causes=[str(problem)])
    targets = [
        term.value
        for term in (terms(expression) if expression else ())
        if term.name == "target.id" and term.operator == "eq"
    ]
    accounts = map(call.accounts.get, targets) if targets else iter(call.accounts)
    events = [e for a in accounts if a is not None for e in call.see(a).parts["events"]]
    for use in uses:
        account = call.accounts.get(use["user"])
        if account is not None:
            events.append(_event(use, account))
    if expression:
        holds = matcher(expression, fold_case=True)
        events = [event for event in events if holds(event)]
    oldest = iso(now_ms() - int(KEPT.total_seconds() * 1000))
    since, until = max(query.get("since", ""), oldest), query.get("until", "~")
    events = [event for event in events if since <= event["published"] <= until]
    events.sort(
        key=lambda event: event["published"], reverse=query.get("sortOrder") == "DESCENDING"
    )
    return page(call, events, default=100, most=1000)


def list_api_tokens(call: Call) -> Response:
    """Everybody's active API tokens: what is known of each, never the token itself."""
    return page(
        call,
        [token for account in call.everybody() for token in account.parts.get("api_tokens", ())],
        default=200,
        most=200,
    )


def _event(use: Item, account: Account) -> Item:
    what = use["what"] or SIGN_IN
    profile = account.doc["profile"]
    result = {"result": "SUCCESS"}
    if use["refused"]:
        result = {"result": "FAILURE", "reason": "INVALID_CREDENTIALS"}
    return {
        "uuid": str(uuid5(NAMESPACE_OID, f"{use['n']} {use['at']} {what} {account.id}")),
        "published": use["at"],
        "eventType": what,
        "version": "0",
        "severity": "WARN" if use["refused"] else "INFO",
        "displayMessage": "User login to Okta" if what == SIGN_IN else what,
        "actor": {
            "id": account.id,
            "type": "User",
            "alternateId": profile["login"],
            "displayName": f"{profile['firstName']} {profile['lastName']}".strip(),
        },
        "outcome": result,
        "target": [],
    }
