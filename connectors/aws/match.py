"""What the searches of one half of AWS returned, gathered; whose it is, the law decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from connectors.kit.finding.proving import together
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Location, Match, Proof, Search

_STRENGTH = list(KeyKind)
Usable = Callable[[LeaverKeys], list[Key]]
"""Says by which of a leaver's keys one half of AWS can be asked."""


@dataclass(slots=True)
class Finds:
    """Accounts found so far, each once under its strongest key, and how each key was searched."""

    _matches: dict[str, Match] = field(default_factory=dict, repr=False)
    _proofs: dict[Key, list[Proof]] = field(default_factory=dict, repr=False)

    @property
    def matches(self) -> tuple[Match, ...]:
        return tuple(self._matches.values())

    def searched(self, key: Key, proof: Proof) -> None:
        """Say that a key was searched in one more way."""
        self._proofs.setdefault(key, []).append(proof)

    def add(self, match: Match) -> None:
        earlier = self._matches.get(match.account.id)
        if earlier is None or _strength(match) < _strength(earlier):
            self._matches[match.account.id] = match

    def location(self, listed: int | None = None) -> Location:
        matches = sorted(self._matches.values(), key=_strength)
        searches = (
            Search(key.kind, key.value, together(proofs)) for key, proofs in self._proofs.items()
        )
        return Location(tuple(matches), tuple(searches), listed)


def joined(*parts: Location) -> Location:
    """One location out of both halves: a key that was not proved in one is not proved."""
    finds = Finds()
    for part in parts:
        for search in part.searches:
            finds.searched(Key(search.kind, search.value), search.proof)
    listed = [part.listed for part in parts if part.listed is not None]
    whole = finds.location(sum(listed) if listed else None)
    matches = tuple(match for part in parts for match in part.matches)
    rows = tuple(row for part in parts for row in part.unread)
    return Location(matches, whole.searches, whole.listed, rows)


def failed(keys: Iterable[Key]) -> Location:
    """A half of AWS that could not be searched for any of the keys that it can be asked for."""
    searches = (Search(key.kind, key.value, Proof.FAILED) for key in keys)
    return Location((), tuple(searches))


def distinct(account_ids: Sequence[str], keys: LeaverKeys) -> Iterator[Key]:
    """The leaver's keys, strongest first, each once; of the account ids these."""
    yield from (Key(KeyKind.ACCOUNT_ID, value) for value in account_ids)
    for kind in KeyKind:
        yield from (Key(kind, value) for value in keys.of_kind(kind))


def _strength(match: Match) -> int:
    return _STRENGTH.index(match.found_by)
