"""The configuration audit log of the simulated tailnet.

That it wants `start` and `end`, has no pages and goes back 90 days is documented
(https://tailscale.com/kb/1203/audit-logging); an entry's fields are as other clients read them
(`eventTime`, `eventGroupID`, `origin`, `actor`, `target`, `action`). What it writes for a sign-in
is this simulation's reading.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from sandbox.kit.accounts import Item
from sandbox.kit.calls import Call
from sandbox.kit.clock import iso
from sandbox.kit.wire import Response, json_response

if TYPE_CHECKING:
    from sandbox.kit.vendor import Vendor

__all__ = ["changes"]

KEPT: Final = timedelta(days=90)
_SERVICE: Final = {"id": "", "type": "SERVICE", "loginName": "", "displayName": "Tailscale"}


def changes(vendor: "Vendor", call: Call) -> Response:
    """Every entry from `start` to `end`, both included."""
    try:
        begin, end = (datetime.fromisoformat(call.request.query[name]) for name in ("start", "end"))
    except (KeyError, ValueError):
        return json_response(HTTPStatus.BAD_REQUEST, {"message": "start and end: RFC 3339"})
    entries = sorted(_entries(vendor, begin, end), key=lambda entry: str(entry["eventTime"]))
    return json_response(HTTPStatus.OK, {"version": "1.1", "logs": entries or None})


def _entries(vendor: "Vendor", begin: datetime, end: datetime) -> Iterator[Item]:
    begin = max(begin, datetime.now(UTC) - KEPT)
    for use in vendor.uses:
        account = vendor.accounts.get(use["user"])
        # What was refused changed nothing, and stands in no log of changes.
        if account and not use["refused"] and begin <= datetime.fromisoformat(use["at"]) <= end:
            kind, _, action = (use["what"] or "NODE.LOGIN").partition(".")
            actor = {
                "id": account.id,
                "type": "USER",
                "loginName": account.doc["loginName"],
                "displayName": account.doc["displayName"],
            }
            yield _entry(use["at"], actor, kind, action)
    # The service itself renews certificates every morning.
    day = begin.replace(hour=5, minute=0, second=0, microsecond=0)
    while day <= end:
        if day >= begin:
            yield _entry(iso(int(day.timestamp() * 1000)), _SERVICE, "TAILNET", "UPDATE")
        day += timedelta(days=1)


def _entry(at: str, actor: Item, kind: str, action: str) -> Item:
    return {
        "eventTime": at,
        "eventGroupID": f"group-{at}",
        "origin": "CONTROL",
        "actor": actor,
        "target": {"id": "", "name": "", "type": kind},
        "action": action,
    }
