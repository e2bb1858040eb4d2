"""Finding a leaver's Okta users by every usable key; whose they are, the law decides.

While somebody is found, each key is asked for once. Where nobody is, the short name is searched for
as a beginning of logins, every way of asking is proved to find, and where one is not proved all
users are listed and compared. A list of Okta's leaves out users that are DEPROVISIONED already:
there is nothing to close for them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial

from connectors.base import ConnectorFault, Transcript
from connectors.kit.finding.proving import together
from connectors.kit.finding.searching import Searching
from connectors.okta.api import LIST_LIMIT, OktaApi
from connectors.okta.options import OktaOptions
from connectors.okta.search import (
    BY_LOGIN,
    EMAIL,
    LOGIN,
    LOGIN_PREFIX,
    Answered,
    Searches,
    Way,
    can_be_read,
    holds,
)
from connectors.okta.user import OktaUser, door, is_under, keys_of, listed_match
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Location, Match, Proof, Search
from lockstep.domain.systems.keys import comparable

_STRENGTH = list(KeyKind)
_BY_ID = Way("users.get", KeyKind.ACCOUNT_ID)
_Proofs = Mapping[tuple[Key, Way], Proof]


@dataclass(frozen=True, slots=True)
class _Hit:
    """What one way of asking for one key of the leaver returned."""

    key: Key
    way: Way
    answered: Answered = field(repr=False)


class Locating:
    """One search for one leaver; reads only."""

    def __init__(
        self,
        api: OktaApi,
        options: OktaOptions,
        searches: Searches,
        *,
        system: str,
        keys: LeaverKeys,
        transcript: Transcript,
        not_theirs: Collection[str] = (),
    ) -> None:
        self._api = api
        self._options = options
        self._searches = searches
        self._transcript = transcript
        self._keys = tuple(_distinct(keys, system))
        self._searching = Searching(not_theirs)

    async def run(self) -> Location:
        """Ask for every key at once; believe of the index only what a read by id confirms."""
        hits = await self._asked(self._first_questions())
        matches = await self._matches(hits)
        if not self._is_enough(matches):
            hits += await self._asked(self._further_questions())
            matches = await self._matches(hits)
        if self._is_enough(matches):
            return self._searching.told(Location(matches, self._searched(hits, {})))
        proofs = {
            (hit.key, hit.way): await self._searches.proof(
                hit.way, self._transcript, _asked_for(hit.key, hit.way)
            )
            for hit in hits
            if hit.way != _BY_ID
        }
        searched = self._searched(hits, proofs)
        if all(one.proof is not Proof.UNPROVED for one in searched):
            return Location(matches, searched)
        return await self._by_list(searched, matches)

    def _is_enough(self, matches: Sequence[Match]) -> bool:
        """Whether somebody was found, so that nobody need be proved.

        Raises:
            ConnectorFault: of a search that failed, where no other found anybody.
        """
        self._searching.require_somebody(matches)
        return self._searching.found(matches)

    def _first_questions(self) -> Iterator[tuple[Key, Way]]:
        numbers = {way.proved_by: way for way in self._searches.numbers()}
        asked: set[str] = set()
        for key in self._keys:
            is_new = comparable(KeyKind.USERNAME, key.value) not in asked
            if key.kind is KeyKind.ACCOUNT_ID:
                yield key, _BY_ID
            elif key.kind in numbers:
                yield key, numbers[key.kind]
            elif key.kind is KeyKind.USERNAME:
                yield key, BY_LOGIN if can_be_read(key.value) else LOGIN
                asked.add(comparable(key.kind, key.value))
            elif key.kind is KeyKind.EMAIL:
                yield key, EMAIL
                # Most organisations use the address as login, and the read by login does not lag.
                if is_new and can_be_read(key.value):
                    yield key, BY_LOGIN

    def _further_questions(self) -> Iterator[tuple[Key, Way]]:
        """Okta reads a login by its part before the @ only while that is unambiguous."""
        for key in self._keys:
            if key.kind is KeyKind.USERNAME:
                if can_be_read(key.value):
                    yield key, LOGIN
                if "@" not in key.value:
                    yield key, LOGIN_PREFIX

    async def _asked(self, questions: Iterable[tuple[Key, Way]]) -> list[_Hit]:
        asked = list(questions)
        hits = await self._searching.each(partial(self._ask, key, way) for key, way in asked)
        return [
            _Hit(key, way, Answered(is_failed=True)) if isinstance(hit, ConnectorFault) else hit
            for (key, way), hit in zip(asked, hits, strict=True)
        ]

    async def _ask(self, key: Key, way: Way) -> _Hit:
        value = _asked_for(key, way)
        if way == _BY_ID and not can_be_read(value):
            return _Hit(key, way, Answered(is_sound=False))
        return _Hit(key, way, await self._searches.ask(way, value, self._transcript))

    async def _matches(self, hits: Sequence[_Hit]) -> tuple[Match, ...]:
        """Each user once, under the strongest key, as the authoritative endpoint shows it."""
        users = await self._confirmed(hits)
        found: dict[str, Match] = {}
        for hit in sorted(hits, key=lambda hit: _STRENGTH.index(hit.key.kind)):
            for user in hit.answered.users:
                now = users.get(user.id)
                if now is None or now.id in found:
                    continue
                if hit.answered.is_authoritative or is_under(now, hit.key, self._options):
                    kind = hit.key.kind
                    if kind is KeyKind.ACCOUNT_ID and now.id != hit.key.value:
                        kind = KeyKind.USERNAME  # HR's id is a login: a name, not an id
                    match = listed_match(now, self._options, kind)
                    found[now.id] = replace(match, seen=door(now, self._options))
        return tuple(found.values())

    async def _confirmed(self, hits: Sequence[_Hit]) -> dict[str, OktaUser]:
        """Read users from the index again by id: it may be stale."""
        sure = [hit.answered for hit in hits if hit.answered.is_authoritative]
        known = {user.id: user for answered in sure for user in answered.users}
        unread = {user.id for hit in hits for user in hit.answered.users} - known.keys()
        reads = (partial(self._api.user, one, self._transcript) for one in sorted(unread))
        read = await self._searching.each(reads)
        return known | {user.id: user for user in read if isinstance(user, OktaUser)}

    def _searched(self, hits: Sequence[_Hit], proofs: _Proofs) -> tuple[Search, ...]:
        """By key, how it is known that it would have been found."""
        by_key: dict[Key, list[Proof]] = {}
        for hit in hits:
            by_key.setdefault(hit.key, []).append(_proof(hit, proofs))
        return tuple(
            Search(key.kind, key.value, together(proofs)) for key, proofs in by_key.items()
        )

    async def _by_list(
        self, searched: tuple[Search, ...], found_before: Sequence[Match]
    ) -> Location:
        """Compare every user that Okta lists with every key."""
        ids: set[str] = set()
        held: set[KeyKind] = set()
        hits: list[_Hit] = []
        last = 0
        pages = self._api.everybody(self._transcript)
        async with aclosing(pages):
            async for page in pages:
                last = len(page)
                for user in page:
                    ids.add(user.id)
                    held.update(key.kind for key in keys_of(user, self._options))
                    found = Answered((user,))
                    fitting = holds(user, self._keys, self._options)
                    hits += [_Hit(key, _BY_ID, found) for key in fitting]
        by_id = {match.account.id: match for match in await self._matches(hits)}
        by_id |= {match.account.id: match for match in found_before}
        matches = tuple(by_id.values())
        self._searching.require_somebody(matches)
        # Whoever made our token is a user, so a list of nobody hides people; a full page that names
        # no next one may have lost its link on the way.
        if not ids or last >= LIST_LIMIT:
            return self._searching.told(Location(matches, searched))
        held.add(KeyKind.ACCOUNT_ID)
        listed = tuple(replace(one, proof=_listed(one, held)) for one in searched)
        return self._searching.told(Location(matches, listed, listed=len(ids)))


def _distinct(keys: LeaverKeys, system: str) -> Iterator[Key]:
    """The leaver's keys by which Okta can be asked, each once."""
    yield from (Key(KeyKind.ACCOUNT_ID, value) for value in keys.account_ids(system))
    for kind in KeyKind:
        yield from (Key(kind, value) for value in keys.of_kind(kind))


def _asked_for(key: Key, way: Way) -> str:
    """What Okta is asked for: a short name is the beginning of a login."""
    return f"{key.value}@" if way == LOGIN_PREFIX else key.value


def _proof(hit: _Hit, proofs: _Proofs) -> Proof:
    if hit.answered.is_failed:
        return Proof.FAILED
    if not hit.answered.is_sound:
        return Proof.UNPROVED
    if hit.way == _BY_ID:
        return Proof.BY_ID
    if hit.answered.users and not proofs:
        return Proof.PROVED  # it has found
    return proofs.get((hit.key, hit.way), Proof.UNPROVED)


def _listed(search: Search, held: set[KeyKind]) -> Proof:
    if search.proof is Proof.BY_ID or search.proof is Proof.PROVED:
        return search.proof
    return Proof.LISTED if search.kind in held else Proof.NOT_HELD
