"""The ways in which the directory can be asked for people: by query, each proved before believed.

Nobody is read by an address: for one of a foreign domain Google answers 403 and not 404.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import aclosing
from dataclasses import replace

from connectors.base import Transcript
from connectors.google_workspace import quirks, spec
from connectors.kit.finding.asking import BY_ID, Hit, Question, Way
from connectors.kit.pages import Item
from connectors.kit.rest import Parts
from connectors.kit.spec import KeyAt, RestSpec
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.access import Proof
from lockstep.domain.systems.keys import comparable

_ADDRESS = Way("email", KeyKind.EMAIL, "email={}")
_SHORT = re.compile("[A-Za-z0-9._+-]+")
_PREFIX = Way("email.prefix", KeyKind.EMAIL, "email:{}*", is_prefix=True)


def numbered(number_type: str, worker_type: str) -> RestSpec:
    """The spec whose records show external ids of the types that the settings name."""
    types = ((KeyKind.EMPLOYEE_NUMBER, number_type), (KeyKind.WORKER_ID, worker_type))
    rows = tuple(KeyAt(kind, quirks.numbers(name)) for kind, name in types if name)
    return replace(
        spec.SPEC, record=replace(spec.SPEC.record, keys=(*spec.SPEC.record.keys, *rows))
    )


class Searches:
    """What the directory is asked; see `connectors.kit.finding.asking.Vendor`."""

    def __init__(self, parts: Parts) -> None:
        self._api = parts.api
        self._records = parts.records
        types = (
            (KeyKind.EMPLOYEE_NUMBER, parts.values[spec.NUMBER_TYPE]),
            (KeyKind.WORKER_ID, parts.values[spec.WORKER_TYPE]),
        )
        self._numbers = {
            kind: Way(f"externalId.{name}", kind, "externalId={}") for kind, name in types if name
        }

    def first(self, keys: Iterable[Key]) -> Iterator[Question]:
        for key in keys:
            if key.kind is KeyKind.ACCOUNT_ID:
                yield key, BY_ID
            elif key.kind in self._numbers:
                yield key, self._numbers[key.kind]
            elif key.kind is KeyKind.EMAIL or (key.kind is KeyKind.USERNAME and "@" in key.value):
                yield key, _ADDRESS

    def further(self, keys: Iterable[Key]) -> Iterator[Question]:
        for key in keys:
            # It is no quoted text: whatever could be read as more than one word is left out.
            if key.kind is KeyKind.USERNAME and _SHORT.fullmatch(key.value):
                yield key, _PREFIX

    def proves(self, record: Item) -> bool:
        """Whoever has an external id shows more."""
        return bool(record.get("externalIds"))

    async def ask(self, key: Key, way: Way, transcript: Transcript) -> Hit:
        if way != BY_ID:
            return await self._search(key, way, transcript)
        # The same address also takes an e-mail address: the record's own id decides.
        if not key.value.isdecimal():
            return Hit(key, way, flaw=Proof.UNPROVED)
        record = await self._records.one(key.value, transcript)
        return Hit(key, way, [record] if record else ())

    async def _search(self, key: Key, way: Way, transcript: Transcript) -> Hit:
        """Users who hold it; no more is asked of an answer that shows any who do not.

        An external id of another type may have the same value: that one is no sign of a search
        that is not heeded.
        """
        asked = way.wanted(key.value)
        wanted = comparable(way.proved_by, asked)
        query = way.attribute.format(asked if way.is_prefix else quirks.quoted(asked))
        users: list[Item] = []
        walk = self._api.walk(spec.SEARCH, {"query": query}, transcript)
        async with aclosing(walk.pages()) as pages:
            async for page in pages:
                fitting = [user for user in page if self._fits(user, way, wanted)]
                users += fitting
                if len(fitting) < len(page) and way.proved_by is KeyKind.EMAIL:
                    return Hit(key, way, users, Proof.UNPROVED)
        self._api.require_whole(walk, spec.SEARCH)
        return Hit(key, way, users)

    def _fits(self, user: Item, way: Way, wanted: str) -> bool:
        held = self._records.match(user, way.proved_by).account.known_keys
        have = {comparable(key.kind, key.value) for key in held if key.kind is way.proved_by}
        return any(one.startswith(wanted) if way.is_prefix else one == wanted for one in have)
