"""A small Okta organisation of several people, which can be odd: for whose account it is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import httpx

from connectors.base import ConnectorOptions, Transcript
from connectors.okta.connector import OktaConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Location
from tests.connectors.okta.dialogue import answer, error

SYSTEM = "okta"
_TOP = frozenset({"status", "created", "lastLogin"})
_SEARCH = re.compile(r'profile\.(\w+) (eq|sw) "(.*)"')


@dataclass
class People(httpx.AsyncBaseTransport):
    """Users by id, each a profile; search and list as Okta has them unless told otherwise.

    Args:
        unknown: attributes that the organisation's schema does not hold.
        ignores_search: every search is answered with everybody.
        minds_case: names and values are compared as they are written.
        page: users to a page.
    """

    users: dict[str, dict[str, Any]]
    unknown: frozenset[str] = frozenset()
    ignores_search: bool = False
    minds_case: bool = False
    page: int = 2
    calls: list[str] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = unquote(request.url.raw_path.decode().partition("?")[0])
        self.calls.append(f"{request.method} {path} {request.url.params.get('search', '')}".strip())
        assert request.method == "GET"
        if path != "/api/v1/users":
            found = self._named(path.removeprefix("/api/v1/users/"))
            said = answer(found) if found else error(404, "E0000007")
        elif "search" in request.url.params:
            said = self._search(request.url.params["search"])
        else:
            said = self._list(int(request.url.params.get("after", 0)))
        return httpx.Response(said.status_code, headers=said.headers, content=said.content)

    def _doc(self, user_id: str) -> dict[str, Any]:
        person = dict(self.users[user_id])
        top = {
            name: person.pop(name) for name in ("status", "created", "lastLogin") & person.keys()
        }
        return {"id": user_id, "status": "ACTIVE", **top, "profile": person}

    def _same(self, text: str) -> str:
        return text if self.minds_case else text.lower()

    def _named(self, name: str) -> dict[str, Any] | None:
        if name in self.users:
            return self._doc(name)
        logins = {one: self._same(person["login"]) for one, person in self.users.items()}
        exact = [one for one, login in logins.items() if login == self._same(name)]
        short = [one for one, login in logins.items() if login.split("@")[0] == self._same(name)]
        found = exact or (short if len(short) == 1 else [])
        return self._doc(found[0]) if found else None

    def _search(self, text: str) -> httpx.Response:
        wanted = _SEARCH.fullmatch(text)
        assert wanted, text
        attribute, operator, value = wanted.groups()
        if attribute in self.unknown:
            return error(400, "E0000031")
        if self.ignores_search:
            return self._list(0)
        held = {
            one: self._same(str(person.get(attribute, ""))) for one, person in self.users.items()
        }
        test = str.startswith if operator == "sw" else str.__eq__
        found = [one for one, have in held.items() if have and test(have, self._same(value))]
        return answer([self._doc(one) for one in found])

    def _list(self, start: int) -> httpx.Response:
        listed = [one for one in self.users if self.users[one].get("status") != "DEPROVISIONED"]
        after = start + self.page
        more = f'<https://x.test/api/v1/users?after={after}>; rel="next"'
        said = answer([self._doc(one) for one in listed[start:after]])
        if after < len(listed):
            said.headers["link"] = more
        return said


async def locate(people: People, keys: LeaverKeys, **settings: object) -> Location:
    options = ConnectorOptions(
        SYSTEM, {"base_url": "https://example.okta.test", **settings}, {"token": "t0ken"}
    )
    return await OktaConnector(options, transport=people).locate(keys, Transcript())


def leaver(
    *emails: str, number: str = "", usernames: tuple[str, ...] = (), pinned: str = ""
) -> LeaverKeys:
    """Keys as HR gives them."""
    keys = [Key(KeyKind.ACCOUNT_ID, pinned, SYSTEM)] if pinned else []
    keys += [Key(KeyKind.EMPLOYEE_NUMBER, number)] if number else []
    keys += [Key(KeyKind.USERNAME, name) for name in usernames]
    keys += [Key(KeyKind.EMAIL, email) for email in emails]
    return LeaverKeys(tuple(keys))
