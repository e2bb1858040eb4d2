"""A made-up vendor, in memory: the peer of the page's example, of recipes and of programs."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx

from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from tests.connectors.harness import FaultScript, FaultTransport
from tests.connectors.harness_sandbox import retry_after

TOKEN = "desk-token-77e0"


class Desk:
    """The vendor, as an `httpx.MockTransport` calls it."""

    def __init__(self, page: int) -> None:
        self.page = page
        self.people: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, dict[str, Any]] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.headers["authorization"] != f"Bearer {TOKEN}":
            return httpx.Response(401)
        match request.method, request.url.path.split("/")[1:]:
            case "GET", ["people"]:
                email = request.url.params.get("email", "").lower()
                found = [one for one in self.people.values() if email in {one["email"], ""}]
                return self._page(request, "people", found)
            case "DELETE", ["keys", key]:
                return httpx.Response(200 if self.keys.pop(key, None) else 404)
            case _, ["people", person, *rest] if person in self.people:
                if rest == ["keys"]:
                    own = [key for key in self.keys.values() if key["person"] == person]
                    return self._page(request, "keys", own)
                if rest == ["block"]:
                    self.people[person]["blocked"] = True
                return httpx.Response(200, json=self.people[person])
        return httpx.Response(404)

    def _page(
        self, request: httpx.Request, name: str, found: list[dict[str, Any]]
    ) -> httpx.Response:
        start = int(request.url.params.get("cursor", 0))
        end = start + self.page
        following = {"next": str(end)} if end < len(found) else {}
        return httpx.Response(200, json={name: found[start:end], **following})


class DeskHarness:
    """Hires people at a desk and asks it, not the connector, what still opens."""

    secret = TOKEN

    def __init__(self, kind: str, *, page: int = 3) -> None:
        self.kind = kind
        self.script = FaultScript()
        self._desk = Desk(page)

    def transport(self) -> FaultTransport:
        """The way to the desk, with the faults of the script on it."""
        return FaultTransport(
            self.script,
            rate_limit_headers=retry_after,
            inner=httpx.MockTransport(self._desk),
        )

    async def hire(self, worker: str) -> LeaverKeys:
        person = {"id": uuid4().hex, "email": f"{worker}@example.test", "blocked": False}
        self._desk.people[person["id"]] = person
        self._give_keys(person)
        return LeaverKeys((Key(KeyKind.EMAIL, person["email"]), Key(KeyKind.WORKER_ID, worker)))

    async def still_in(self, keys: LeaverKeys) -> bool:
        person = self._of(keys)
        held = any(key["person"] == person["id"] for key in self._desk.keys.values())
        return held or not person["blocked"]

    async def give_back(self, keys: LeaverKeys) -> None:
        person = self._of(keys)
        person["blocked"] = False
        self._give_keys(person)

    def _give_keys(self, person: dict[str, Any]) -> None:
        for key in (uuid4().hex, uuid4().hex):
            self._desk.keys[key] = {"id": key, "person": person["id"]}

    @staticmethod
    def blind(request: httpx.Request) -> httpx.Response | None:
        """A search that finds nobody, although the list shows them."""
        return httpx.Response(200, json={"people": []}) if request.url.params.get("email") else None

    def _of(self, keys: LeaverKeys) -> dict[str, Any]:
        return next(one for one in self._desk.people.values() if one["email"] == keys.emails[0])
