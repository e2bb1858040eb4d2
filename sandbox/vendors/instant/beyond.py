"""What Instant tells beyond one account: who is there, who was switched off at once, what was done.

Everybody has an account at Instant, and nobody counts them: the list shows who was seeded or
switched off.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

from sandbox.kit.accounts import Item
from sandbox.kit.clock import iso
from sandbox.kit.wire import Request, Response, json_response

__all__ = ["Beyond"]

PAGE: Final = 50
MOST_AT_ONCE: Final = 100
STARTED: Final = iso()
SIGN_IN: Final = "sign_in"


class Beyond:
    """Its answers, and what it must remember for them.

    Args:
        off: when each account was switched off, by worker key.
        switch: switches one off.
        account: an account as JSON values, by worker key.
        key_of: the worker key of an account id.
    """

    def __init__(
        self,
        off: Mapping[str, str],
        switch: Callable[[str], None],
        account: Callable[[str], Item],
        key_of: Callable[[str], str | None],
    ) -> None:
        self.people: dict[str, Item] = {}
        self.uses: list[Item] = []
        self._off = off
        self._switch = switch
        self._account = account
        self._key_of = key_of

    def answer(self, request: Request) -> Response | None:
        """The answer, or None for a path that is not one of these."""
        match request.method, request.path.split("/")[1:]:
            case "GET", ["people"]:
                return self._list(request.query.get("after", ""))
            case "POST", ["off"]:
                return self._many(request)
            case "GET", ["accounts", account_id, "uses"]:
                return self._used(unquote(account_id), request.query.get("since", ""))
            case "GET", ["accounts", account_id, "robots"]:
                key = self._key_of(unquote(account_id)) or ""
                return _told(robots=self.people.get(key, {}).get("robots", []))
        return None

    def _list(self, after: str) -> Response:
        keys = sorted({*self.people, *self._off})
        begin = next((place for place, key in enumerate(keys) if key > after), len(keys))
        page = keys[begin : begin + PAGE]
        following = page[-1] if begin + PAGE < len(keys) else None
        return _told(accounts=[self._account(key) for key in page], next=following)

    def _many(self, request: Request) -> Response:
        ids = request.json().get("ids", [])
        if not ids or len(ids) > MOST_AT_ONCE:
            return json_response(HTTPStatus.BAD_REQUEST, {"error": "1 to 100 ids"})
        keys = [key for one in ids if (key := self._key_of(str(one))) is not None]
        for key in keys:
            self._switch(key)
        return _told(accounts=[self._account(key) for key in keys])

    def _used(self, account_id: str, since: str) -> Response:
        key = self._key_of(account_id)
        uses = [use for use in self.uses if use["user"] == key and use["at"] >= since]
        shown = [{name: use[name] for name in ("id", "at", "what", "refused")} for use in uses]
        return _told(uses=shown, **{"from": STARTED})

    def seed(self, key: str, *, robots: int) -> None:
        """Put somebody into the list."""
        made = [{"id": f"{key}-{n}", "name": f"robot {n}"} for n in range(robots)]
        self.people[key] = {"robots": made}

    def has_seat(self, key: str) -> bool:
        """Whether somebody pays for the account while it is on."""
        return bool(self.people.get(key, {}).get("seat"))

    def use(self, key: str, what: str, *, refused: bool, at: str) -> None:
        """Remember that an account was used."""
        number = f"use-{len(self.uses) + 1}"
        named = {"id": number, "user": key, "what": what or SIGN_IN}
        self.uses.append({**named, "refused": refused, "at": at})

    def dump(self) -> Item:
        return {"people": self.people, "uses": self.uses}

    def load(self, value: Item) -> None:
        self.people = dict(value.get("people", {}))
        self.uses = list(value.get("uses", ()))

    def clear(self) -> None:
        self.people.clear()
        self.uses.clear()


def _told(**values: object) -> Response:
    return json_response(HTTPStatus.OK, values)
