"""What several searches for one leaver returned, gathered; whose it is, the law decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from connectors.kit.finding.proving import together
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Location, Match, Proof, Search

_STRENGTH = list(KeyKind)


@dataclass(slots=True)
class Gathered:
    """Accounts found so far, each once under its strongest key, and how each key was searched."""

    _matches: dict[str, Match] = field(default_factory=dict, repr=False)
    _proofs: dict[Key, list[Proof]] = field(default_factory=dict, repr=False)

    @property
    def matches(self) -> tuple[Match, ...]:
        return tuple(sorted(self._matches.values(), key=_strength))

    def searched(self, key: Key, proof: Proof) -> None:
        """Say that a key was searched in one more way."""
        self._proofs.setdefault(key, []).append(proof)

    def add(self, match: Match) -> None:
        earlier = self._matches.get(match.account.id)
        if earlier is None or _strength(match) < _strength(earlier):
            self._matches[match.account.id] = match

    def location(self, listed: int | None = None) -> Location:
        searches = (
            Search(key.kind, key.value, together(proofs)) for key, proofs in self._proofs.items()
        )
        return Location(self.matches, tuple(searches), listed)


def joined(*parts: Location) -> Location:
    """One location out of those of several halves: a key not proved in one is not proved."""
    searched = Gathered()
    for part in parts:
        for search in part.searches:
            searched.searched(Key(search.kind, search.value), search.proof)
    listed = [part.listed for part in parts if part.listed is not None]
    matches = tuple(match for part in parts for match in part.matches)
    rows = tuple(row for part in parts for row in part.unread)
    searches = searched.location().searches
    return Location(matches, searches, sum(listed) if listed else None, rows)


def failed(keys: Iterable[Key]) -> Location:
    """What is known of a half that could not be searched for any of these keys."""
    return Location((), tuple(Search(key.kind, key.value, Proof.FAILED) for key in keys))


def distinct(ids: Sequence[str], keys: LeaverKeys) -> Iterator[Key]:
    """The leaver's keys, strongest first, each once; of the account ids these."""
    yield from (Key(KeyKind.ACCOUNT_ID, value) for value in ids)
    for kind in KeyKind:
        yield from (Key(kind, value) for value in keys.of_kind(kind))


def _strength(match: Match) -> int:
    return _STRENGTH.index(match.found_by)
