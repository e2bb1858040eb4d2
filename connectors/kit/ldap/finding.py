"""Finding people in a directory: by each attribute, proved, or else among everybody."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from connectors.base import ConnectorFault
from connectors.kit.finding.proving import Prover, together
from connectors.kit.finding.searching import Searching
from connectors.kit.ldap import filters
from connectors.kit.ldap.channel import OpenDirectory, Query
from connectors.kit.ldap.filters import Filter
from connectors.kit.ldap.messages import Entry
from connectors.kit.ldap.people import Held, People
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.access import Location, Match, Observation, Proof, Search

SEARCH = "people.search"
ONE = "people.get"
LIST = "people.list"
_SAMPLE = 20
_PERMISSION = "read people below the base"


@dataclass(slots=True)
class Finder:
    """The searches of one directory.

    Args:
        people: how it names them.
        base: where people are searched for.
        root: where one is read by id: a person who was moved is not gone.
        seen: what an entry says of what stands.
        elsewhere: whether parts of the tree may be on other servers.
    """

    people: People
    base: str = field(repr=False)
    root: str = field(repr=False)
    seen: Callable[[Entry], Observation]
    elsewhere: bool = False
    _provers: dict[Held, Prover] = field(default_factory=dict)

    async def one(self, server: OpenDirectory, account_id: str) -> Entry | None:
        """The person's entry by immutable id; None where there is none by now.

        Raises:
            ConnectorFault: also where the same search finds nobody at all.
        """
        wanted = self.people.by_id(account_id)
        if wanted is None:
            return None
        found = await server.all(self._query(ONE, wanted, self.root))
        if len(found) == 1:
            return found[0]
        if found:
            raise server.odd(ONE, "several")
        await self._prove_by_id(server)
        return None

    async def locate(
        self, server: OpenDirectory, ids: Iterable[str], wanted: Iterable[Key], searching: Searching
    ) -> Location:
        """See `connectors.base.Connector.locate`."""
        found: dict[str, Match] = {}
        searches: list[Search] = []
        for account_id in ids:
            entry = await searching.one(partial(self.one, server, account_id), found=found.values())
            failed = isinstance(entry, ConnectorFault)
            if isinstance(entry, Entry):
                found[account_id] = self._match(entry, KeyKind.ACCOUNT_ID)
            proof = Proof.FAILED if failed else Proof.BY_ID
            searches.append(Search(KeyKind.ACCOUNT_ID, account_id, proof))
        for key in wanted:
            hits = await searching.one(partial(self._by_key, server, key), found=found.values())
            proof = Proof.FAILED
            if not isinstance(hits, ConnectorFault):
                for match in hits:
                    found.setdefault(match.account.id, match)
                proof = Proof.PROVED if hits else Proof.UNPROVED
            searches.append(Search(key.kind, key.value, proof))
        searching.require_somebody(found.values())
        listed = None
        if not searching.found(found.values()):
            searches, listed = await self._proved(server, searches, found)
        return searching.told(Location(tuple(found.values()), tuple(searches), listed=listed))

    async def everybody(self, server: OpenDirectory) -> tuple[Entry, ...]:
        """Every person, whole or not at all."""
        return await server.all(self._query(LIST, self.people.wanted, self.base))

    async def sample(self, server: OpenDirectory) -> Entry | None:
        """Anybody."""
        some = await server.some(self._query(LIST, self.people.wanted, self.base, page=1))
        return next(iter(some), None)

    def _query(self, operation: str, wanted: Filter, base: str, *, page: int = 500) -> Query:
        return Query(
            operation,
            base,
            wanted,
            self.people.attributes,
            page=page,
            missing=_PERMISSION,
            elsewhere=self.elsewhere,
        )

    def _match(self, entry: Entry, found_by: KeyKind) -> Match:
        return self.people.match(entry, found_by, self.seen)

    async def _by_key(self, server: OpenDirectory, key: Key) -> list[Match]:
        rows = self.people.rows(key.kind)
        wanted = filters.any_of(*(row.search(key.value) for row in rows))
        return await self._asked(server, wanted, key)

    async def _by_row(self, server: OpenDirectory, row: Held, value: str) -> list[Match]:
        return await self._asked(server, row.search(value), Key(row.kind, value))

    async def _asked(self, server: OpenDirectory, wanted: Filter, key: Key) -> list[Match]:
        both = filters.all_of(self.people.wanted, wanted)
        entries = await server.all(self._query(SEARCH, both, self.base))
        named = (one for one in entries if self.people.is_named(one, key.kind, key.value))
        return [self._match(one, key.kind) for one in named]

    async def _prove_by_id(self, server: OpenDirectory) -> None:
        """That nobody has an id is believed of a search that finds somebody by one."""
        entry = await self.sample(server)
        known = self.people.by_id(self.people.naming.of(entry)) if entry is not None else None
        if known is None or not await server.all(self._query(ONE, known, self.root)):
            raise server.odd(ONE, "blind")

    async def _proved(
        self, server: OpenDirectory, searches: list[Search], found: dict[str, Match]
    ) -> tuple[list[Search], int | None]:
        """The searches that found nobody, with the proof that they could; else a whole list."""
        open_ones = [one for one in searches if one.proof is Proof.UNPROVED]
        proofs = {one: await self._proof(server, one) for one in open_ones}
        listed = None
        if Proof.UNPROVED in proofs.values():
            entries = await self.everybody(server)
            # Our own account is an entry too, as a rule: an empty list was not the directory.
            proof, listed = (Proof.LISTED if entries else Proof.UNPROVED), len(entries)
            for one in open_ones:
                if proofs[one] is Proof.UNPROVED:
                    proofs[one] = proof
                for entry in entries:
                    if self.people.is_named(entry, one.kind, one.value):
                        match = self._match(entry, one.kind)
                        found.setdefault(match.account.id, match)
        return [replace(one, proof=proofs.get(one, one.proof)) for one in searches], listed

    async def _proof(self, server: OpenDirectory, search: Search) -> Proof:
        """What the attributes that may hold the key prove together."""
        proofs = [
            await self._provers.setdefault(row, Prover(empty=Proof.UNPROVED)).proof_of(
                row.attribute,
                row.kind,
                wanted=search.value,
                sample=partial(self._holders, server, row),
                ask=partial(self._by_row, server, row),
            )
            for row in self.people.rows(search.kind)
        ]
        return together(proofs)

    async def _holders(self, server: OpenDirectory, row: Held) -> list[Match]:
        """Some who hold an attribute; else anybody, who does not hold it."""
        holding = filters.all_of(self.people.wanted, filters.present(row.attribute))
        some = await server.some(self._query(LIST, holding, self.base, page=_SAMPLE))
        if not some:
            some = await server.some(self._query(LIST, self.people.wanted, self.base, page=_SAMPLE))
        alone = replace(self.people, held=(row,))
        return [alone.match(one, row.kind, self.seen) for one in some]
