"""The log of the simulated Kisi organisation: event sets, ordered first and read afterwards.

Shapes follow the schemas Event Set and Event of Kisi's API description. That a set is not ready in
the answer that orders it is one of the two things that the description allows.
"""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_OID, uuid5

from sandbox.kit.accounts import Item
from sandbox.kit.calls import Call
from sandbox.kit.clock import iso
from sandbox.kit.wire import Response, json_response

if TYPE_CHECKING:
    from sandbox.kit.vendor import Vendor

__all__ = ["EventSets"]

WIDEST: Final = timedelta(days=90)
KEPT: Final = timedelta(days=365)
MOST_SETS: Final = 100
DOOR: Final = "lock.unlock"


class EventSets:
    """Sets of events, as they were asked for."""

    def __init__(self, vendor: "Vendor") -> None:
        self._vendor = vendor
        self._numbers = itertools.count(1)
        self._sets: dict[int, Item] = {}

    def order(self, call: Call) -> Response:
        """Order a set: by interval, and by actor where one is named."""
        try:
            wanted = dict(call.request.json()["event_set"])
            begin, end = map(datetime.fromisoformat, wanted["interval"].split("/"))
        except (KeyError, TypeError, ValueError):
            return _invalid("interval", "is not Start/End in ISO 8601")
        if end - begin > WIDEST:
            return _invalid("interval", "cannot be wider than 90 days")
        number = next(self._numbers)
        actor = wanted.get("event_actor_id")
        events = [e for e in self._events(begin, end) if actor in {None, e["actor_id"]}]
        events.sort(key=lambda event: event["created_at"], reverse=True)
        self._sets[number] = {"id": number, "created_at": iso(), **wanted, "all": events}
        while len(self._sets) > MOST_SETS:
            del self._sets[min(self._sets)]
        return json_response(HTTPStatus.OK, self._shown(number, status="in_progress"))

    def show(self, call: Call) -> Response:
        """One page of a set."""
        query = call.request.query
        number, begin = call.params["set"], query.get("cursor", "0")
        if not number.isdigit() or int(number) not in self._sets or not begin.isdigit():
            return self._vendor.refusal(HTTPStatus.NOT_FOUND)
        size = int(query.get("limit", 50))
        events = self._sets[int(number)]["all"]
        page = events[int(begin) : int(begin) + size]
        following = str(int(begin) + size) if int(begin) + size < len(events) else None
        shown = self._shown(int(number), status="finished")
        return json_response(HTTPStatus.OK, {**shown, "events": page, "cursor": following})

    def _shown(self, number: int, *, status: str) -> Item:
        kept = {name: value for name, value in self._sets[number].items() if name != "all"}
        return {**kept, "status": status, "cursor": None}

    def _events(self, begin: datetime, end: datetime) -> Iterator[Item]:
        begin = max(begin, datetime.now(UTC) - KEPT)
        for use in self._vendor.uses:
            if begin <= datetime.fromisoformat(use["at"]) < end:
                yield _event(
                    use["at"], use["what"] or DOOR, use["user"], success=not use["refused"]
                )
        # The main door is unlocked every morning, whoever comes.
        day = begin.replace(hour=6, minute=0, second=0, microsecond=0)
        while day < end:
            if day >= begin:
                yield _event(iso(int(day.timestamp() * 1000)), "lock.scheduled_unlock_started", "")
            day += timedelta(days=1)


def _event(at: str, what: str, user: str, *, success: bool = True) -> Item:
    kind, _, action = what.partition(".")
    return {
        "uuid": str(uuid5(NAMESPACE_OID, f"{at} {what} {user} {success}")),
        "type": what,
        "actor_type": "User" if user else None,
        "actor_id": int(user) if user else None,
        "object_type": kind.capitalize(),
        "object_id": 7001,
        "object_name": "Main door",
        "action": action,
        "created_at": at,
        "success": success,
        "error_code": None if success else "access_denied",
    }


def _invalid(field: str, reason: str) -> Response:
    return json_response(HTTPStatus.UNPROCESSABLE_ENTITY, {"errors": {field: [reason]}})
