"""Finding accounts by the leaver's keys: by a search that is proved, or by a list of everybody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from connectors.base import ConnectorFault, Transcript
from connectors.kit.calls import Api
from connectors.kit.finding.listed import is_named
from connectors.kit.finding.proving import Prover
from connectors.kit.finding.searching import Searching
from connectors.kit.pages import Item
from connectors.kit.records import Records
from connectors.kit.spec import Finding
from lockstep.domain.cases.leavers import KeyKind, LeaverKeys
from lockstep.domain.systems.access import Location, Match, Proof, Search
from lockstep.domain.systems.keys import comparable


class Locator:
    """The searches of one system."""

    def __init__(self, finding: Finding, api: Api, records: Records, *, system: str) -> None:
        self._finding = finding
        self._api = api
        self._records = records
        self._system = system
        self._prover = Prover(empty=finding.empty)

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, searching: Searching
    ) -> Location:
        """See `connectors.base.Connector.locate`."""
        ids = tuple(filter(self._api.is_id, keys.account_ids(self._system)))
        wanted = [(KeyKind.USERNAME, name) for name in keys.usernames]
        if self._finding.addresses_only:
            wanted = [(kind, name) for kind, name in wanted if "@" in name]
        wanted += [(KeyKind.EMAIL, name) for name in keys.emails]
        wanted = [one for one in wanted if one[0] in self._finding.compared]
        if self._finding.search is None:
            return await self._by_list(ids, wanted, transcript, searching)
        return await self._by_search(ids, wanted, transcript, searching)

    async def _by_list(
        self,
        ids: tuple[str, ...],
        wanted: list[tuple[KeyKind, str]],
        transcript: Transcript,
        searching: Searching,
    ) -> Location:
        """List everybody and compare; where the list fails, whom HR named is read by id."""
        wanted = [*((KeyKind.ACCOUNT_ID, each) for each in ids), *wanted]
        if not wanted:
            return Location((), ())
        everybody = await searching.one(partial(self._everybody, transcript))
        if isinstance(everybody, ConnectorFault):
            read = await searching.each(
                partial(self._records.one, each, transcript) for each in ids
            )
            named = [each for each in read if isinstance(each, dict)]
            matches = tuple(self._records.match(each, KeyKind.ACCOUNT_ID) for each in named)
            told = (Search(kind, value, Proof.FAILED) for kind, value in wanted)
            return searching.told(Location(matches, tuple(told)))
        found = self._compared(everybody, wanted)
        proof = Proof.LISTED if everybody else self._finding.empty
        searches = (Search(kind, value, proof) for kind, value in wanted)
        return Location(tuple(found.values()), tuple(searches), listed=len(everybody))

    async def _by_search(
        self,
        ids: tuple[str, ...],
        wanted: list[tuple[KeyKind, str]],
        transcript: Transcript,
        searching: Searching,
    ) -> Location:
        """Read whom HR named, then search by each key; nobody is concluded without a proof."""
        found: dict[str, Match] = {}
        searches: list[Search] = []
        for account_id in ids:
            read = partial(self._records.one, account_id, transcript)
            record = await searching.one(read, found=found.values())
            proof = Proof.FAILED if isinstance(record, ConnectorFault) else Proof.BY_ID
            if isinstance(record, dict):
                found[account_id] = self._records.match(record, KeyKind.ACCOUNT_ID)
            searches.append(Search(KeyKind.ACCOUNT_ID, account_id, proof))
        for kind, value in _once(wanted):
            search = partial(self._search, kind, value, transcript)
            hits = await searching.one(search, found=found.values())
            if isinstance(hits, ConnectorFault):
                searches.append(Search(kind, value, Proof.FAILED))
                continue
            for match in hits:
                found.setdefault(match.account.id, match)
            searches.append(Search(kind, value, Proof.PROVED if hits else Proof.UNPROVED))
        searching.require_somebody(found.values())
        listed = None
        if wanted and not searching.found(found.values()):
            searches, listed = await self._proved(searches, found, transcript)
        return searching.told(Location(tuple(found.values()), tuple(searches), listed=listed))

    async def _everybody(self, transcript: Transcript) -> list[Item]:
        """Every list of accounts to its end."""
        lists = (self._finding.everybody, *self._finding.also)
        return [one for listed in lists for one in await self._api.whole(listed, {}, transcript)]

    async def _search(self, kind: KeyKind, value: str, transcript: Transcript) -> list[Match]:
        """Accounts that hold it; a search may look at names and notes too, or ignore its filter."""
        listed = self._finding.search or self._finding.everybody
        records = await self._api.whole(listed, {"value": value}, transcript)
        return [self._records.match(one, kind) for one in records if self._is(one, kind, value)]

    async def _proved(
        self, searches: list[Search], found: dict[str, Match], transcript: Transcript
    ) -> tuple[list[Search], int | None]:
        """The searches that found nobody, with the proof that they could; else a whole list."""
        proves, everybody = self._finding.proves, self._finding.everybody

        async def sample() -> list[Match]:
            some = await self._api.some(everybody, {}, transcript)
            return [self._records.match(one, proves) for one in some]

        open_ones = [one for one in searches if one.proof is Proof.UNPROVED]
        proofs = dict.fromkeys(open_ones, Proof.UNPROVED)
        for one in open_ones if self._finding.proves_nobody else ():
            proofs[one] = await self._prover.proof_of(
                self._finding.search_name,
                proves,
                wanted=one.value,
                sample=sample,
                ask=lambda value: self._search(proves, value, transcript),
            )
        listed = None
        if Proof.UNPROVED in proofs.values():
            records = await self._everybody(transcript)
            proof = Proof.LISTED if records else self._finding.empty
            proofs, listed = dict.fromkeys(open_ones, proof), len(records)
            wanted = [(one.kind, one.value) for one in open_ones]
            for account_id, match in self._compared(records, wanted).items():
                found.setdefault(account_id, match)
        return [replace(one, proof=proofs.get(one, one.proof)) for one in searches], listed

    def _compared(
        self, records: Iterable[Item], wanted: Iterable[tuple[KeyKind, str]]
    ) -> dict[str, Match]:
        """Whoever is named by one of the keys, by the first that does."""
        known = list(records)
        found: dict[str, Match] = {}
        for kind, value in wanted:
            for record in known:
                if self._is(record, kind, value):
                    match = self._records.match(record, kind)
                    found.setdefault(match.account.id, match)
        return found

    def _is(self, record: Item, kind: KeyKind, value: str) -> bool:
        """Whether the key may name the account."""
        if kind is KeyKind.ACCOUNT_ID:
            return bool(record[self._finding.everybody.shape.ref] == value)
        return is_named(kind, value, self._records.field_of(record, self._finding.compared[kind]))


def _once(wanted: Iterable[tuple[KeyKind, str]]) -> list[tuple[KeyKind, str]]:
    """Each address once, by the stronger kind of key that says it."""
    first: dict[str, tuple[KeyKind, str]] = {}
    for kind, value in wanted:
        first.setdefault(comparable(kind, value), (kind, value))
    return list(first.values())
