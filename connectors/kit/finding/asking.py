"""Finding accounts at a vendor that can be asked in several ways: by a read, by several searches.

While somebody is found, each key is asked for once. Where nobody is, further questions are put,
every way of asking is proved to find, and where one is not proved all accounts are listed and
compared. What an index or a list showed is read again by id before it is believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from connectors.base import ConnectorFault, Transcript
from connectors.kit.calls import Api, Listed
from connectors.kit.finding.proving import Prover, together
from connectors.kit.finding.searching import Searching
from connectors.kit.pages import Item
from connectors.kit.records import Records
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Account, Location, Match, Proof, Search
from lockstep.domain.systems.keys import comparable, local_part

_STRENGTH = list(KeyKind)
_NUMBERS = frozenset({KeyKind.WORKER_ID, KeyKind.EMPLOYEE_NUMBER})


@dataclass(frozen=True, slots=True)
class Way:
    """One way of asking.

    Args:
        name: for the memory of its proof.
        proved_by: the kind of key of a known account that proves it.
        attribute: that a search compares; none for a read, which shows the account as it is now.
        is_prefix: whether it finds what begins with a name and an @.
    """

    name: str
    proved_by: KeyKind
    attribute: str = ""
    is_prefix: bool = False

    def wanted(self, value: str) -> str:
        """What the vendor is asked for."""
        return f"{value}@" if self.is_prefix else value


BY_ID = Way("id", KeyKind.ACCOUNT_ID)
"""A read by the vendor's own id, which needs no proof."""
_LISTED = Way("list", KeyKind.ACCOUNT_ID, "list")

Question = tuple[Key, Way]


@dataclass(frozen=True, slots=True)
class Hit:
    """What one question returned.

    ``flaw`` says why nothing follows from whom it did not return: UNPROVED where the vendor refused
    the question, or answered with accounts that do not hold what was asked for; FAILED without an
    answer.
    """

    key: Key
    way: Way
    records: Sequence[Item] = field(default=(), repr=False)
    flaw: Proof | None = None

    @property
    def account_ids(self) -> list[str]:
        return [record["id"] for record in self.records]

    def proof(self, proofs: Mapping[Question, Proof]) -> Proof:
        """How it is known that it would have found somebody."""
        if self.flaw is not None:
            return self.flaw
        if self.way == BY_ID:
            return Proof.BY_ID
        if self.records and not proofs:
            return Proof.PROVED  # it has found
        return proofs.get((self.key, self.way), Proof.UNPROVED)


class Vendor(Protocol):
    """What only the vendor knows: what to ask it, and how."""

    def first(self, keys: Iterable[Key]) -> Iterable[Question]:
        """What is asked for every leaver."""

    def further(self, keys: Iterable[Key]) -> Iterable[Question]:
        """What is asked besides before nobody is concluded."""

    def proves(self, record: Item) -> bool:
        """Whether an account can be asked for in every way."""

    async def ask(self, key: Key, way: Way, transcript: Transcript) -> Hit:
        """Put one question."""


class Asking:
    """The questions of one system; remembers for a day which ways were seen to find.

    Args:
        everybody: the list of all accounts. Whoever made our credential is in it, so that a list of
            nobody hides people.
        full: entries of its largest page.
    """

    def __init__(
        self, vendor: Vendor, api: Api, records: Records, everybody: Listed, *, full: int
    ) -> None:
        self._vendor = vendor
        self._api = api
        self._records = records
        self._everybody = everybody
        self._full = full
        self._prover = Prover(empty=Proof.UNPROVED)

    async def locate(
        self, keys: tuple[Key, ...], transcript: Transcript, searching: Searching
    ) -> Location:
        """See `connectors.base.Connector.locate`."""
        hits = await self._asked(self._vendor.first(keys), transcript, searching)
        matches = await self._matches(hits, transcript, searching)
        if not _is_enough(matches, searching):
            hits += await self._asked(self._vendor.further(keys), transcript, searching)
            matches = await self._matches(hits, transcript, searching)
        if _is_enough(matches, searching):
            return searching.told(Location(matches, _searched(hits, {})))
        proofs = {
            (hit.key, hit.way): await self.proof(hit.way, transcript, hit.way.wanted(hit.key.value))
            for hit in hits
            if hit.way != BY_ID
        }
        searched = _searched(hits, proofs)
        if all(one.proof is not Proof.UNPROVED for one in searched):
            return Location(matches, searched)
        return await self._by_list(keys, Location(matches, searched), transcript, searching)

    async def proof(self, way: Way, transcript: Transcript, wanted: str = "") -> Proof:
        """Whether this way of asking finds an account that is known to be there."""

        async def known(value: str) -> Sequence[Match]:
            name = local_part(value) if way.is_prefix else value
            hit = await self._vendor.ask(Key(way.proved_by, name), way, transcript)
            records = () if hit.flaw else hit.records
            return [self._records.match(one, way.proved_by) for one in records]

        async def sample() -> Sequence[Match]:
            some = await self._api.some(self._everybody, {}, transcript)
            some.sort(key=lambda record: not self._vendor.proves(record))
            return [self._records.match(one, KeyKind.ACCOUNT_ID) for one in some]

        return await self._prover.proof_of(
            way.name, way.proved_by, wanted=wanted, sample=sample, ask=known
        )

    def forget(self) -> None:
        """Prove anew."""
        self._prover.forget()

    async def _asked(
        self, questions: Iterable[Question], transcript: Transcript, searching: Searching
    ) -> list[Hit]:
        asked = list(questions)
        hits = await searching.each(
            partial(self._vendor.ask, key, way, transcript) for key, way in asked
        )
        return [
            Hit(key, way, flaw=Proof.FAILED) if isinstance(hit, ConnectorFault) else hit
            for (key, way), hit in zip(asked, hits, strict=True)
        ]

    async def _matches(
        self, hits: Sequence[Hit], transcript: Transcript, searching: Searching
    ) -> tuple[Match, ...]:
        """Each account once, under the strongest key, as its own record shows it."""
        records = await self._confirmed(hits, transcript, searching)
        found: dict[str, Match] = {}
        for hit in sorted(hits, key=lambda hit: _STRENGTH.index(hit.key.kind)):
            for account_id in hit.account_ids:
                if account_id not in records or account_id in found:
                    continue
                kind = hit.key.kind
                if kind is KeyKind.ACCOUNT_ID and account_id != hit.key.value:
                    kind = KeyKind.USERNAME  # HR's id is a login: a name, not an id
                match = self._records.match(records[account_id], kind)
                if not hit.way.attribute or is_under(match.account, hit.key):
                    found[account_id] = match
        return tuple(found.values())

    async def _confirmed(
        self, hits: Sequence[Hit], transcript: Transcript, searching: Searching
    ) -> dict[str, Item]:
        """Read what a search showed again by id: its index may be stale."""
        known = {one["id"]: one for hit in hits if not hit.way.attribute for one in hit.records}
        unread = {one for hit in hits for one in hit.account_ids} - known.keys()
        reads = (partial(self._records.one, one, transcript) for one in sorted(unread))
        read = await searching.each(reads)
        return known | {one["id"]: one for one in read if isinstance(one, dict)}

    async def _by_list(
        self,
        keys: tuple[Key, ...],
        before: Location,
        transcript: Transcript,
        searching: Searching,
    ) -> Location:
        """Compare every account that the vendor lists with every key."""
        ids: set[str] = set()
        held = {KeyKind.ACCOUNT_ID}
        hits: list[Hit] = []
        walk = self._api.walk(self._everybody, {}, transcript)
        async with aclosing(walk.pages()) as pages:
            async for page in pages:
                for record in page:
                    account = self._records.match(record, KeyKind.ACCOUNT_ID).account
                    ids.add(account.id)
                    held.update(key.kind for key in account.known_keys if key.value)
                    fitting = (key for key in keys if is_under(account, key))
                    hits += [Hit(key, _LISTED, [record]) for key in fitting]
        self._api.require_whole(walk, self._everybody)
        listed = await self._matches(hits, transcript, searching)
        by_id = {match.account.id: match for match in (*listed, *before.matches)}
        found = replace(before, matches=tuple(by_id.values()))
        searching.require_somebody(found.matches)
        # A full page that names no next one may have lost its link on the way.
        if not ids or walk.shown >= self._full:
            return searching.told(found)
        searches = tuple(replace(one, proof=_listed(one, held)) for one in before.searches)
        return searching.told(replace(found, searches=searches, listed=len(ids)))


def keys_for(keys: LeaverKeys, system: str) -> tuple[Key, ...]:
    """The leaver's keys by which one system can be asked, each once."""
    ids = (Key(KeyKind.ACCOUNT_ID, value) for value in keys.account_ids(system))
    return (*ids, *(Key(kind, value) for kind in KeyKind for value in keys.of_kind(kind)))


def is_under(account: Account, key: Key) -> bool:
    """Whether the vendor itself holds ``key`` of the account, or a login that begins with it.

    The law says what each is worth (`lockstep.domain.systems.finding`).
    """
    wanted = comparable(key.kind, key.value)
    if not wanted or key.kind is KeyKind.EXTERNAL_ID:
        return False
    if key.kind in _NUMBERS:
        numbers = (one.value for one in account.known_keys if one.kind is key.kind)
        return wanted in {comparable(key.kind, number) for number in numbers}
    if key.kind is not KeyKind.EMAIL and account.id == key.value:
        return True
    wanted = comparable(KeyKind.USERNAME, key.value)
    names = [one for one in account.known_keys if one.kind not in _NUMBERS]
    if wanted in {comparable(one.kind, one.value) for one in names}:
        return True
    is_short = key.kind is KeyKind.USERNAME and "@" not in wanted
    return is_short and local_part(account.locator) == wanted


def _is_enough(matches: Sequence[Match], searching: Searching) -> bool:
    """Whether somebody was found, so that nobody need be proved.

    Raises:
        ConnectorFault: of a search that failed, where no other found anybody.
    """
    searching.require_somebody(matches)
    return searching.found(matches)


def _searched(hits: Sequence[Hit], proofs: Mapping[Question, Proof]) -> tuple[Search, ...]:
    """By key, how it is known that it would have been found."""
    by_key: dict[Key, list[Proof]] = {}
    for hit in hits:
        by_key.setdefault(hit.key, []).append(hit.proof(proofs))
    return tuple(Search(key.kind, key.value, together(proofs)) for key, proofs in by_key.items())


def _listed(search: Search, held: set[KeyKind]) -> Proof:
    if search.proof is Proof.BY_ID or search.proof is Proof.PROVED:
        return search.proof
    return Proof.LISTED if search.kind in held else Proof.NOT_HELD
