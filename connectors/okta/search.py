"""The ways in which Okta can be asked for users.

Reading by login is authoritative. ``search`` is an index: it lags, is blind for an attribute that
it does not hold, and refuses one that it does not know; so each way is proved
(`connectors.kit.finding.asking`). A short user name finds logins that begin with it: those are
told, and a person decides. Okta's list leaves out users that are DEPROVISIONED already: there is
nothing to close for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import aclosing

from connectors.base import ConnectorFault, Transcript
from connectors.kit.finding.asking import BY_ID, Hit, Question, Way
from connectors.kit.pages import Item
from connectors.kit.rest import Parts
from connectors.okta import spec
from connectors.okta.status import profile
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.access import Proof
from lockstep.domain.systems.keys import comparable

_BY_LOGIN = Way("users.find", KeyKind.USERNAME)
_LOGIN = Way("profile.login", KeyKind.USERNAME, "login")
_LOGIN_PREFIX = Way("profile.login.prefix", KeyKind.USERNAME, "login", is_prefix=True)
_EMAIL = Way("profile.email", KeyKind.EMAIL, "email")


class Searches:
    """What Okta is asked, and how; see `connectors.kit.finding.asking.Vendor`."""

    def __init__(self, parts: Parts) -> None:
        self._api = parts.api
        self._records = parts.records
        pairs = (
            (KeyKind.WORKER_ID, parts.values[spec.WORKER_ID]),
            (KeyKind.EMPLOYEE_NUMBER, parts.values[spec.EMPLOYEE_NUMBER]),
        )
        # By attributes that hold numbers of HR's.
        self._numbers = {kind: Way(f"profile.{name}", kind, name) for kind, name in pairs if name}

    @property
    def ways(self) -> tuple[Way, ...]:
        """Those that every leaver is asked for by."""
        return (_BY_LOGIN, _EMAIL, *self._numbers.values())

    def first(self, keys: Iterable[Key]) -> Iterator[Question]:
        asked: set[str] = set()
        for key in keys:
            is_new = comparable(KeyKind.USERNAME, key.value) not in asked
            if key.kind is KeyKind.ACCOUNT_ID:
                yield key, BY_ID
            elif key.kind in self._numbers:
                yield key, self._numbers[key.kind]
            elif key.kind is KeyKind.USERNAME:
                yield key, _BY_LOGIN if _can_be_read(key.value) else _LOGIN
                asked.add(comparable(key.kind, key.value))
            elif key.kind is KeyKind.EMAIL:
                yield key, _EMAIL
                # Most organisations use the address as login, and the read by login does not lag.
                if is_new and _can_be_read(key.value):
                    yield key, _BY_LOGIN

    def further(self, keys: Iterable[Key]) -> Iterator[Question]:
        """Okta reads a login by its part before the @ only while that is unambiguous."""
        for key in keys:
            if key.kind is KeyKind.USERNAME:
                if _can_be_read(key.value):
                    yield key, _LOGIN
                if "@" not in key.value:
                    yield key, _LOGIN_PREFIX

    def proves(self, record: Item) -> bool:
        return _can_be_read(profile(record, "login"))

    async def ask(self, key: Key, way: Way, transcript: Transcript) -> Hit:
        if way == BY_ID and not _can_be_read(key.value):
            return Hit(key, way, flaw=Proof.UNPROVED)
        if not way.attribute:
            answer = await self._api.read(spec.FIND, {"name": key.value}, transcript)
            return Hit(key, way, [self._records.of(answer, spec.FIND.operation)] if answer else ())
        try:
            return await self._search(key, way, transcript)
        except ConnectorFault as fault:
            is_search = fault.operation == spec.SEARCH.call.operation
            if not (is_search and fault.code.rpartition(".")[2] == spec.NO_SUCH_SEARCH):
                raise
            return Hit(key, way, flaw=Proof.UNPROVED)  # no attribute of this organisation

    async def _search(self, key: Key, way: Way, transcript: Transcript) -> Hit:
        """Users who hold it; no more is asked of an answer that shows any who do not."""
        asked = way.wanted(key.value)
        wanted = comparable(way.proved_by, asked)
        escaped = asked.replace("\\", "\\\\").replace('"', '\\"')
        search = f'profile.{way.attribute} {"sw" if way.is_prefix else "eq"} "{escaped}"'
        users: list[Item] = []
        walk = self._api.walk(spec.SEARCH, {"search": search}, transcript)
        async with aclosing(walk.pages()) as pages:
            async for page in pages:
                fitting = [user for user in page if self._fits(user, way, wanted)]
                users += fitting
                if len(fitting) < len(page):
                    return Hit(key, way, users, Proof.UNPROVED)
        self._api.require_whole(walk, spec.SEARCH)
        return Hit(key, way, users)

    def _fits(self, user: Item, way: Way, wanted: str) -> bool:
        held = self._records.field_of(user, ("profile", way.attribute))
        have = comparable(way.proved_by, held)
        return have.startswith(wanted) if way.is_prefix else have == wanted


def _can_be_read(name: str) -> bool:
    """Whether ``GET /users/{name}`` means this name.

    "When fetching a user by login, URL encode the request parameter … logins with a / character
    can only be fetched by id", and "me" is whoever made our token.
    """
    return "/" not in name and name.casefold() not in {"", ".", "..", "me"}
