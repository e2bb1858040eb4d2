"""A small SCIM server inside the test, made to be odd: override one method.

It holds only what the connector asks for, and answers as servers in the field were seen to.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

import httpx

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.scim.connector import ScimConnector
from lockstep.domain.cases.leavers import LeaverKeys
from lockstep.domain.systems.access import Account, Action, Location, Observation
from tests.connectors.scim.script import EMPLOYEE, ENTERPRISE, ERROR, PATCH

HTML = "<html>Cannot do that</html>"
Answer = tuple[int, object]
Thing = dict[str, Any]
Query = dict[str, str]


def error(status: int, told: str | None = None) -> Answer:
    return status, {**ERROR, "status": str(status), **({"scimType": told} if told else {})}


def person(user_id: object = "u1", name: str = "ann@example.test", **more: Any) -> Thing:
    emails = [{"value": name, "type": "work"}]
    return {"id": user_id, "userName": name, "active": True, "emails": emails, **more}


def group(group_id: object, *members: object) -> Thing:
    shown = [one if isinstance(one, dict) else {"value": one} for one in members]
    return {"id": group_id, "displayName": f"Group {group_id}", "members": shown}


Base = type["OddScim"]


def odd(base: Base | None = None, **methods: Any) -> Base:
    """A server of which only these methods are odd."""
    return type("Odd", (base or OddScim,), methods)


class OddScim:
    """Users and groups by id; every call is kept in ``calls`` as method, path and query."""

    page_max = 100

    def __init__(self, users: Sequence[Thing] = (), groups: Sequence[Thing] = ()) -> None:
        self.users = {str(one["id"]): dict(one) for one in users}
        self.groups = {str(one["id"]): dict(one) for one in groups}
        self.calls: list[tuple[str, str, Query]] = []

    @property
    def writes(self) -> list[str]:
        return [f"{method} {path}" for method, path, _ in self.calls if method != "GET"]

    def members(self, group_id: str = "g1") -> list[str]:
        return [str(self.named(one)) for one in self.groups[group_id].get("members") or ()]

    # What may be odd

    def config(self) -> Answer:
        return error(404)

    def types(self) -> Answer:
        return error(404)

    def show(self, user: Thing) -> Thing:
        return user

    def show_group(self, one: Thing, *, alone: bool) -> Thing:
        del alone
        return one

    def same(self, attribute: str, held: object, wanted: str) -> bool:
        if attribute in {"userName", "emails.value"}:
            return str(held).lower() == wanted.lower()
        return str(held) == wanted

    def values(self, thing: Thing, attribute: str) -> list[object]:
        if attribute == "emails.value":
            held = thing.get("emails", [])
            several = held if isinstance(held, list) else [held]
            return [one.get("value") if isinstance(one, dict) else one for one in several]
        if attribute == EMPLOYEE:
            return [thing.get(ENTERPRISE, {}).get("employeeNumber")]
        if attribute in {"members", "members.value"}:
            return [self.named(one) for one in thing.get("members") or ()]
        return [thing.get(attribute)]

    def matching(self, things: list[Thing], wanted: str) -> list[Thing]:
        attribute, value = wanted.split(" eq ", 1)
        text = json.loads(value)
        return [
            one
            for one in things
            if any(
                held is not None and self.same(attribute, held, text)
                for held in self.values(one, attribute)
            )
        ]

    def listed(self, things: list[Thing], start: int, count: int) -> Answer:
        start, count = max(start, 1), min(count, self.page_max)
        page = things[start - 1 : start - 1 + count]
        return 200, {"totalResults": len(things), "startIndex": start, "Resources": page}

    def list_users(self, wanted: str | None, start: int, count: int) -> Answer:
        if wanted and " and " in wanted:
            return error(400, "invalidFilter")
        things = list(self.users.values())
        found = self.matching(things, wanted) if wanted else things
        return self.listed([self.show(one) for one in found], start, count)

    def list_groups(self, wanted: str | None, start: int, count: int) -> Answer:
        if wanted and " and " in wanted:
            return error(400, "invalidFilter")
        things = list(self.groups.values())
        found = self.matching(things, wanted) if wanted else things
        return self.listed([self.show_group(one, alone=False) for one in found], start, count)

    def get_user(self, user_id: str) -> Answer:
        known = self.users.get(user_id)
        return (200, self.show(known)) if known else error(404)

    def get_group(self, group_id: str) -> Answer:
        known = self.groups.get(group_id)
        return (200, self.show_group(known, alone=True)) if known else error(404)

    def patch_user(self, user_id: str, body: Thing) -> Answer:
        [operation] = body["Operations"]
        assert body["schemas"] == [PATCH]
        value = operation["value"]
        self.users[user_id].update(value if isinstance(value, dict) else {"active": value})
        return 200, self.show(self.users[user_id])

    def put_user(self, user_id: str, body: Thing) -> Answer:
        self.users[user_id] = {**body, "id": self.users[user_id]["id"]}
        return 200, self.show(self.users[user_id])

    def delete_user(self, user_id: str) -> Answer:
        self.users.pop(user_id, None)
        return 204, None

    def named(self, member: object) -> object:
        if not isinstance(member, dict):
            return member
        return member.get("value") or str(member.get("$ref")).rpartition("/")[2]

    def patch_group(self, group_id: str, body: Thing) -> Answer:
        [operation] = body["Operations"]
        path = re.fullmatch(r"members\[value eq (.*)\]", operation["path"])
        gone = json.loads(path[1]) if path else operation["value"][0]["value"]
        held = self.groups[group_id]["members"]
        kept = [one for one in held if str(self.named(one)) != str(gone)]
        self.groups[group_id]["members"] = kept
        return 204, None

    def refuses(self, request: httpx.Request) -> Answer | None:
        """An answer in place of all others."""
        del request

    # Plumbing

    def answer(self, request: httpx.Request) -> httpx.Response:
        path, _, _ = unquote(request.url.raw_path.decode()).partition("?")
        query = dict(request.url.params)
        self.calls.append((request.method, path, query))
        status, body = self.refuses(request) or self._route(request, path, query)
        if body is None:
            return httpx.Response(status)
        if isinstance(body, str):
            return httpx.Response(status, html=body)
        return httpx.Response(status, json=body)

    def _route(self, request: httpx.Request, path: str, query: Query) -> Answer:
        page = int(query.get("startIndex", "1")), int(query.get("count", "100"))
        kind, _, one = path.removeprefix("/v2/").partition("/")
        match kind, one:
            case (("ServiceProviderConfig" | "ResourceTypes"), _):
                return self.config() if kind.startswith("Service") else self.types()
            case "Users", "":
                return self.list_users(query.get("filter"), *page)
            case "Groups", "":
                return self.list_groups(query.get("filter"), *page)
            case "Users", _:
                return self._user(request, one)
            case _:
                return self._group(request, one)

    def _group(self, request: httpx.Request, group_id: str) -> Answer:
        if request.method == "GET":
            return self.get_group(group_id)
        return self.patch_group(group_id, json.loads(request.content))

    def _user(self, request: httpx.Request, user_id: str) -> Answer:
        match request.method:
            case "GET":
                return self.get_user(user_id)
            case "DELETE":
                return self.delete_user(user_id)
            case "PUT":
                return self.put_user(user_id, json.loads(request.content))
            case _:
                return self.patch_user(user_id, json.loads(request.content))


@asynccontextmanager
async def connected(
    server: OddScim, *, through: Any = None, **settings: object
) -> AsyncIterator[ScimConnector]:
    """A connector of this server; ``through`` answers its calls in the server's place."""
    options = ConnectorOptions(
        "scim-test", {"base_url": "http://127.0.0.1/v2", **settings}, {"token": "word"}
    )
    connector = ScimConnector(options, transport=httpx.MockTransport(through or server.answer))
    yield connector
    await connector.aclose()


async def located(server: OddScim, keys: LeaverKeys, **settings: object) -> Location:
    async with connected(server, **settings) as connector:
        return await connector.locate(keys, Transcript())


async def ended(
    server: OddScim, account: Account, **settings: object
) -> tuple[Observation, tuple[Action, ...], ConnectorFault | None]:
    """Contain, strip what a look then shows, and look again: as the activity does."""
    async with connected(server, **settings) as connector:
        return await end(connector, account)


async def end(
    connector: ScimConnector, account: Account
) -> tuple[Observation, tuple[Action, ...], ConnectorFault | None]:
    transcript, told = Transcript(), None
    door = await connector.look(account, transcript)
    actions: tuple[Action, ...] = ()
    try:
        actions = await connector.contain(account, door, transcript)
    except ConnectorFault as fault:
        told = fault
    inside = await connector.read_back(account, transcript)
    try:
        actions += await connector.strip(account, inside, transcript)
    except ConnectorFault as fault:
        actions, told = actions + fault.actions, told or fault
    return await connector.read_back(account, transcript), actions, told
