"""Finding a leaver's accounts at a SCIM server, and proving that nobody is there.

Filters are the quick way. Where they find nobody, each must show that it finds somebody known;
else everybody is listed and compared. The law of whose account it is lies elsewhere
(`lockstep.domain.systems.finding`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import uuid4

from connectors.base import ConnectorFault, Transcript
from connectors.kit.finding.proving import Prover, Shape, is_among, shape_of, together
from connectors.kit.finding.searching import Searching
from connectors.scim import wire
from connectors.scim.client import PAGE, Page, ScimClient, fault, refuses
from connectors.scim.pages import LONG_ANSWER_BYTES, Walk
from connectors.scim.wire import Query
from lockstep.domain.cases.leavers import KeyKind, LeaverKeys
from lockstep.domain.systems.access import Location, Match, Proof, Search
from lockstep.domain.systems.faults import FaultCategory

_UNSHOWN_AT_MOST = 3


@dataclass(slots=True)
class _Round:
    """What the searches for one leaver have brought so far; each account under its best key."""

    keys: LeaverKeys = field(repr=False)
    given: tuple[str, ...] = field(repr=False)
    groups: bool
    queries: tuple[Query, ...] = field(repr=False)
    matches: dict[str, Match] = field(default_factory=dict, repr=False)
    hit: set[Query] = field(default_factory=set, repr=False)
    unanswered: set[Query] = field(default_factory=set, repr=False)
    denied: set[Query] = field(default_factory=set, repr=False)
    searching: Searching = field(default_factory=Searching, repr=False)
    failed: set[Query | str] = field(default_factory=set, repr=False)
    """The queries, and the ids that HR gave, for which there was no answer."""

    @property
    def is_found(self) -> bool:
        """Whether somebody was found who may be the leaver."""
        return self.searching.found(self.matches.values())

    def by_attribute(self) -> dict[str, dict[str, list[Query]]]:
        """The queries by attribute and by the value that is compared."""
        wanted: dict[str, dict[str, list[Query]]] = {}
        for query in self.queries:
            found = wanted.setdefault(query.attribute, {})
            found.setdefault(query.comparable, []).append(query)
        return wanted

    def pin(self, query: Query, users: Iterable[Mapping[str, Any]]) -> None:
        for user in users:
            self.pin_user(user, query.kind)
            self.hit.add(query)

    def pin_user(self, user: Mapping[str, Any], kind: KeyKind) -> None:
        self.matches.setdefault(wire.id_of(user), wire.match_of(user, kind, groups=self.groups))

    def location(self, proofs: Mapping[Query, Proof], listed: int | None = None) -> Location:
        """The result, with one line for each key that was searched."""
        by_key: dict[tuple[KeyKind, str], list[Proof]] = {}
        for query in self.queries:
            proof = Proof.PROVED if query in self.hit else proofs.get(query, Proof.UNPROVED)
            proof = Proof.FAILED if query in self.failed else proof
            by_key.setdefault((query.kind, query.value), []).append(proof)
        by_id = {one: Proof.FAILED if one in self.failed else Proof.BY_ID for one in self.given}
        searches = [Search(KeyKind.ACCOUNT_ID, one, proof) for one, proof in by_id.items()]
        searches += [
            Search(kind, value, together(proofs)) for (kind, value), proofs in by_key.items()
        ]
        location = Location(tuple(self.matches.values()), tuple(searches), listed)
        return self.searching.told(location)


class ScimSearch:
    """The searches of one server.

    Args:
        system: for the account ids that HR gave for it.
        groups: whether groups are closed too, so that a first look has not seen them.
        searched: the attributes that filters take; any where it names none.
    """

    def __init__(
        self, client: ScimClient, *, system: str, groups: bool, searched: frozenset[str]
    ) -> None:
        self._client = client
        self._searched = searched or frozenset(wire.HELD_AS)
        self._system = system
        self._groups = groups
        self.prover = Prover()

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, not_theirs: Collection[str] = ()
    ) -> Location:
        """Search by id, employee number, externalId, userName and e-mail address."""
        given = keys.account_ids(self._system)
        made = _Round(keys, given, self._groups, wire.queries_for(keys))
        made.searching.not_theirs = not_theirs
        for user_id in given:
            await self._pin(made, user_id, transcript)
        await self._client.learn(transcript)
        for query in made.queries:
            await self._search(made, query, query.value, transcript)
        made.searching.require_somebody(made.matches.values())
        if not made.is_found:
            await self._search_other_spellings(made, transcript)
        if made.is_found or not made.queries:
            return made.location({})
        proofs = await self._proofs(made, transcript)
        if all(proofs[one] is not Proof.UNPROVED for one in made.queries if one not in made.hit):
            nobody = Proof.LISTED in proofs.values()  # the sample was a list of nobody
            return made.location(proofs, 0 if nobody else None)
        return await self._listed(made, proofs, transcript)

    async def unproved(self, transcript: Transcript) -> list[str]:
        """The attributes by which the server was not seen to find anybody; for health."""
        self.prover.forget()
        if not self._client.supports("filter"):
            return []
        proofs = {
            name: await self._proof(name, transcript)
            for name in wire.HELD_AS
            if name in self._searched
        }
        return [name for name, proof in proofs.items() if proof is Proof.UNPROVED]

    async def _pin(self, made: _Round, user_id: str, transcript: Transcript) -> None:
        """The account that HR named, where it is there."""
        read = partial(self._client.get_user, user_id, transcript)
        answer = await made.searching.one(read, found=made.matches.values())
        if isinstance(answer, ConnectorFault):
            made.failed.add(user_id)
        elif answer is not None:
            made.pin_user(answer.data, KeyKind.ACCOUNT_ID)

    async def _search(self, made: _Round, query: Query, value: str, transcript: Transcript) -> None:
        """One search; what fails in it is kept, and leaves the other searches their chance."""
        search = partial(self._filtered, made, query, value, transcript)
        told = await made.searching.one(search, found=made.matches.values())
        if isinstance(told, ConnectorFault):
            made.failed.add(query)

    async def _filtered(
        self, made: _Round, query: Query, value: str, transcript: Transcript
    ) -> None:
        """One filter; the accounts in its answer that hold the key, or that do not show it."""
        if query.attribute not in self._searched or not self._client.supports("filter"):
            made.unanswered.add(query)
            return
        walk = self._walk(query, value, transcript)
        try:
            users = await walk.few(query.hits)
        except ConnectorFault as told:
            if not refuses(told):
                raise
            made.unanswered.add(query)
            return
        if walk.denied:
            made.denied.add(query)
        hits = [user for user in users if query.hits(user)]
        others = [user for user in users if not query.hits(user)]
        made.pin(query, hits)
        if others:
            made.pin(query, await self._unshown(query, others, transcript))
            if query not in made.hit:
                made.unanswered.add(query)  # the filter was ignored

    async def _search_other_spellings(self, made: _Round, transcript: Transcript) -> None:
        for query in made.queries:
            if query not in made.unanswered:
                for value in query.spellings[1:]:
                    await self._search(made, query, value, transcript)

    def _walk(self, query: Query, value: str, transcript: Transcript) -> Walk:
        only = {"filter": wire.equals(query.attribute, value)}
        return Walk(self._client, "/Users", "users.search", transcript, only)

    async def _unshown(
        self, query: Query, users: list[dict[str, Any]], transcript: Transcript
    ) -> list[dict[str, Any]]:
        """Users whom a filter found by an attribute that its answer does not show.

        They count if their own record shows it, or if it is shown nowhere and the server does
        heed this filter: for a value that nobody can have it finds nobody.
        """
        if len(users) > _UNSHOWN_AT_MOST or any(
            wire.values_of(user, query.attribute) for user in users
        ):
            return []
        found, silent = [], []
        for user in users:
            answer = await self._client.get_user(wire.id_of(user), transcript)
            if answer is not None and query.hits(answer.data):
                found.append(answer.data)
            elif answer is not None and not wire.values_of(answer.data, query.attribute):
                silent.append(answer.data)
        if silent:
            with suppress(ConnectorFault):
                nobody = await self._walk(query, uuid4().hex, transcript).few(query.hits)
                found += silent if not nobody else []
        return found

    async def _proofs(self, made: _Round, transcript: Transcript) -> dict[Query, Proof]:
        proofs = {}
        for query in made.queries:
            if query in made.unanswered:
                proofs[query] = Proof.UNPROVED
            else:
                proofs[query] = await self._proof(query.attribute, transcript, query.value)
        return proofs

    async def _proof(self, attribute: str, transcript: Transcript, wanted: str = "") -> Proof:
        """Whether the very same search finds an account that is known to hold the attribute."""

        async def ask(value: str) -> list[Match]:
            query = Query(wire.HELD_AS[attribute], attribute, value)
            found = []
            for spelled in query.spellings:
                users = await self._walk(query, spelled, transcript).few(query.hits)
                if all(map(query.hits, users)):  # else the filter was ignored
                    found += [wire.match_of(user, query.kind, groups=False) for user in users]
            return found

        async def sample() -> list[Match]:
            return await self._sample(transcript)

        try:
            return await self.prover.proof_of(
                attribute,
                wire.HELD_AS[attribute],
                sample=sample,
                ask=ask,
                wanted=wanted,
            )
        except ConnectorFault as told:
            if told.is_transient and not refuses(told):
                raise
            return Proof.UNPROVED

    async def _sample(self, transcript: Transcript) -> list[Match]:
        """A page of users without a filter, from both ends of the list.

        Those with several addresses come first, the last address first: a filter may look at the
        primary one only. One is read by id, because lists may show less than records.
        """
        first = await self._users({"startIndex": 1, "count": PAGE}, transcript)
        users, total = first.resources, first.total or 0
        if total and not users:
            raise fault(FaultCategory.UNEXPECTED_ANSWER, "users.list", "hidden")
        if total > len(users) > 0:
            with suppress(ConnectorFault):
                last = await self._users({"startIndex": total, "count": 1}, transcript)
                users = [*users, *last.resources]
        users = sorted(users, key=lambda user: -len(wire.values_of(user, wire.EMAIL)))
        if users:
            answer = await self._client.get_user(wire.id_of(users[0]), transcript)
            users = [answer.data, *users] if answer is not None else users
        return [_sampled(user) for user in users]

    async def _users(self, params: Mapping[str, str | int], transcript: Transcript) -> Page:
        return await self._client.page(
            "/Users", "users.list", transcript, params, most=LONG_ANSWER_BYTES
        )

    async def _listed(
        self, made: _Round, proofs: dict[Query, Proof], transcript: Transcript
    ) -> Location:
        """List everybody, keeping only ids and who holds a key.

        A list that the server does not give leaves what is unproved unproved, unless nothing was
        answered at all: then its refusal is the news.
        """
        walk = Walk(self._client, "/Users", "users.list", transcript)
        shown: set[str] = set()
        shapes: set[Shape] = set()
        try:
            async for users in walk.pages():
                _compare(made, users, shown)
                shapes.update(map(shape_of, filter(None, map(_name_of, users))))
        except ConnectorFault as told:
            answered = len(made.unanswered | made.denied) < len(made.queries)
            if told.is_transient or not (answered or made.matches):
                raise
            return made.location(proofs)
        if not walk.whole:
            return made.location(proofs, len(walk.seen))
        hidden = await self._hidden(made, walk, shown, transcript)
        for query, proof in proofs.items():
            if proof is Proof.UNPROVED and query.attribute not in hidden:
                held = query.attribute in shown or not walk.seen
                if query.attribute == wire.USER_NAME:
                    held = held and is_among(query.value, shapes)
                proofs[query] = Proof.LISTED if held else Proof.NOT_HELD
        return made.location(proofs, len(walk.seen))

    async def _hidden(
        self, made: _Round, walk: Walk, shown: set[str], transcript: Transcript
    ) -> set[str]:
        """Attributes that a user's own record shows and the list shows for nobody."""
        unshown = {query.attribute for query in made.queries} - shown
        if not walk.seen or not unshown:
            return set()
        answer = await self._client.get_user(min(walk.seen), transcript)
        record = answer.data if answer is not None else {}
        return {name for name in unshown if wire.values_of(record, name)}


def _compare(made: _Round, users: list[dict[str, Any]], shown: set[str]) -> None:
    """Take over who holds a key, and note which attributes the list shows at all."""
    wanted = made.by_attribute()
    for user in users:
        for name, queries in wanted.items():
            held = wire.comparables_of(user, name)
            if not held:
                continue
            shown.add(name)
            for folded in held & queries.keys():
                for query in queries[folded]:
                    made.pin(query, [user])


def _name_of(user: Mapping[str, Any]) -> str:
    return wire.text(wire.attribute(user, wire.USER_NAME))


def _sampled(user: Mapping[str, Any]) -> Match:
    match = wire.match_of(user, KeyKind.USERNAME, groups=False)
    keys = tuple(reversed(match.account.known_keys))
    return Match(type(match.account)(match.account.id, known_keys=keys), match.found_by)
