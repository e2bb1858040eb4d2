"""The ways in which Graph can be asked for people.

Reading by user principal name is authoritative. A filter is proved before it is believed to have
found nobody (`connectors.kit.finding.asking`). A short user name finds principal names that begin
with it: those are told, and a person decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import aclosing
from typing import Final

from connectors.base import Transcript
from connectors.entra import calls, quirks, settings
from connectors.kit.finding.asking import BY_ID, Hit, Question, Way
from connectors.kit.pages import Item
from connectors.kit.rest import Parts
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.access import Proof
from lockstep.domain.systems.keys import comparable

_BY_NAME = Way("users.find", KeyKind.USERNAME)
_NAME = Way("userPrincipalName", KeyKind.USERNAME, "userPrincipalName eq {}")
_PREFIX = Way(
    "userPrincipalName.prefix",
    KeyKind.USERNAME,
    "startswith(userPrincipalName,{})",
    is_prefix=True,
)
_ADDRESS = Way("addresses", KeyKind.EMAIL, "addresses")
_PROXIES: Final = ("smtp:", "SMTP:")
"""The first address of a mailbox is written in capitals, all others are not."""


class Searches:
    """What Graph is asked, and how; see `connectors.kit.finding.asking.Vendor`."""

    def __init__(self, parts: Parts) -> None:
        self._api = parts.api
        self._records = parts.records
        pairs = (
            (KeyKind.WORKER_ID, parts.values[settings.WORKER_ID]),
            (KeyKind.EMPLOYEE_NUMBER, parts.values[settings.EMPLOYEE_NUMBER]),
        )
        self._numbers = {kind: Way(name, kind, f"{name} eq {{}}") for kind, name in pairs if name}

    @property
    def ways(self) -> tuple[Way, ...]:
        """Those that every leaver is asked for by."""
        return (_BY_NAME, _ADDRESS, *self._numbers.values())

    def first(self, keys: Iterable[Key]) -> Iterator[Question]:
        asked: set[str] = set()
        for key in keys:
            name = comparable(KeyKind.USERNAME, key.value)
            if key.kind is KeyKind.ACCOUNT_ID:
                yield key, BY_ID
            elif key.kind in self._numbers:
                yield key, self._numbers[key.kind]
            elif key.kind in {KeyKind.USERNAME, KeyKind.EMAIL}:
                if name not in asked or key.kind is KeyKind.USERNAME:
                    yield key, _BY_NAME if _can_be_read(key.value) else _NAME
                asked.add(name)
                if key.kind is KeyKind.EMAIL:
                    yield key, _ADDRESS

    def further(self, keys: Iterable[Key]) -> Iterator[Question]:
        for key in keys:
            if key.kind is KeyKind.USERNAME and "@" not in key.value:
                yield key, _PREFIX

    def proves(self, record: Item) -> bool:
        """Who has an address, and a name that can be read, shows more."""
        return bool(record.get("mail")) and _can_be_read(str(record.get("userPrincipalName")))

    async def ask(self, key: Key, way: Way, transcript: Transcript) -> Hit:
        if way == BY_ID and not quirks.GUID.fullmatch(key.value):
            return Hit(key, way, flaw=Proof.UNPROVED)
        if not way.attribute:
            answer = await self._api.read(calls.FIND, {"name": key.value}, transcript)
            return Hit(key, way, [self._records.of(answer, calls.FIND.operation)] if answer else ())
        return await self._search(key, way, transcript)

    async def _search(self, key: Key, way: Way, transcript: Transcript) -> Hit:
        """Users who hold it; no more is asked of an answer that shows any who do not."""
        asked = way.wanted(key.value)
        wanted = comparable(way.proved_by, asked)
        users: list[Item] = []
        walk = self._api.walk(calls.SEARCH, {"filter": _filter(way, asked)}, transcript)
        async with aclosing(walk.pages()) as pages:
            async for page in pages:
                fitting = [user for user in page if self._fits(user, way, wanted)]
                users += fitting
                if len(fitting) < len(page):
                    return Hit(key, way, users, Proof.UNPROVED)
        self._api.require_whole(walk, calls.SEARCH)
        return Hit(key, way, users)

    def _fits(self, user: Item, way: Way, wanted: str) -> bool:
        held = self._records.match(user, way.proved_by).account.known_keys
        have = {comparable(key.kind, key.value) for key in held if key.kind is way.proved_by}
        return any(one.startswith(wanted) if way.is_prefix else one == wanted for one in have)


def _filter(way: Way, asked: str) -> str:
    if way is not _ADDRESS:
        return way.attribute.format(quirks.quoted(asked))
    proxies = " or ".join(f"p eq {quirks.quoted(prefix + asked)}" for prefix in _PROXIES)
    plain = quirks.quoted(asked)
    return f"mail eq {plain} or otherMails/any(p:p eq {plain}) or proxyAddresses/any(p:{proxies})"


def _can_be_read(name: str) -> bool:
    """Whether ``GET /users/{name}`` means a principal name.

    It also takes ids; and a name that begins with $ is read as a part of the query language.
    """
    return "@" in name and "/" not in name and not name.startswith("$")
