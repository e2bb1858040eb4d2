"""How the simulated Okta answers: errors, pages, and entries of its system log."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode
from uuid import uuid4

from sandbox.kit.accounts import Account, Item
from sandbox.kit.calls import Call
from sandbox.kit.clock import iso
from sandbox.kit.wire import Response, json_response

__all__ = ["change", "error", "no_content", "not_found", "ok", "page"]

# https://developer.okta.com/docs/reference/error-codes/
SUMMARIES: Final = {
    "E0000001": "Api validation failed: {0}",
    "E0000004": "Authentication failed",
    "E0000006": "You do not have permission to perform the requested action",
    "E0000007": "Not found: Resource not found: {0}",
    "E0000009": "Internal Server Error",
    "E0000011": "Invalid token provided",
    "E0000022": "The endpoint does not support the provided HTTP method",
    "E0000031": "Invalid search criteria.",
    "E0000038": "This operation is not allowed in the user's current status.",
    "E0000047": "API call exceeded rate limit due to too many requests.",
}


def error(status: int, code: str, detail: str = "", causes: Sequence[str] = ()) -> Response:
    """An error as Okta writes one."""
    return json_response(
        status,
        {
            "errorCode": code,
            "errorSummary": SUMMARIES[code].format(detail),
            "errorLink": code,
            "errorId": f"oae{uuid4().hex[:22]}",
            "errorCauses": [{"errorSummary": cause} for cause in causes],
        },
    )


def not_found(what: str) -> Response:
    """404, E0000007."""
    return error(HTTPStatus.NOT_FOUND, "E0000007", what)


def ok(value: Any) -> Response:
    """200 with a body."""
    return json_response(HTTPStatus.OK, value)


def no_content() -> Response:
    """204; a fresh one each time, because headers are added to it."""
    return Response(HTTPStatus.NO_CONTENT)


def page(call: Call, items: list[Item], *, default: int, most: int) -> Response:
    """One page of a list, with `Link` headers as Okta's pagination prescribes.

    The cursor is opaque to callers; here it is the id of the last item of the page before.
    """
    query = call.request.query
    try:
        limit = min(max(int(query.get("limit", default)), 1), most)
    except ValueError:
        return error(HTTPStatus.BAD_REQUEST, "E0000001", "limit", ["limit: not a number"])
    after, start = query.get("after", ""), 0
    if after:
        start = next((n + 1 for n, item in enumerate(items) if _cursor(item) == after), len(items))
    chosen = items[start : start + limit]
    response = Response(HTTPStatus.OK, json.dumps(chosen, separators=(",", ":")).encode())
    host = call.request.headers.get("host", "localhost")
    base = f"http://{host}{call.request.path}"
    response.headers.append(("Link", f'<{base}?{urlencode(query)}>; rel="self"'))
    if start + limit < len(items):
        following = urlencode({**query, "after": _cursor(chosen[-1]), "limit": limit})
        response.headers.append(("Link", f'<{base}?{following}>; rel="next"'))
    return response


def _cursor(item: Item) -> str:
    return str(item.get("id") or item.get("uuid"))


def change(call: Call, account: Account, event_type: str, message: str) -> None:
    """Mark the call as applied and write it to the system log.

    `transaction.id` is the request id of the answer, so an auditor can go from one to the other.
    """
    call.applied = True
    profile = account.doc["profile"]
    account.parts["events"].append(
        {
            "uuid": str(uuid4()),
            "published": iso(),
            "eventType": event_type,
            "version": "0",
            "severity": "INFO",
            "displayMessage": message,
            "actor": {
                "id": "00uSANDBOXAPITOKEN00",
                "type": "User",
                "alternateId": "api.token@example.invalid",
                "displayName": "Sandbox API token",
            },
            "outcome": {"result": "SUCCESS"},
            "target": [
                {
                    "id": account.id,
                    "type": "User",
                    "alternateId": profile["login"],
                    "displayName": f"{profile['firstName']} {profile['lastName']}".strip(),
                }
            ],
            "transaction": {"type": "WEB", "id": call.request_id, "detail": {}},
            "debugContext": {"debugData": {"requestId": call.request_id}},
        }
    )
