"""Comparing everybody who was listed with whom HR means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.access import Match
from lockstep.domain.systems.keys import comparable, local_part


def is_named(kind: KeyKind, wanted: str, held: str) -> bool:
    """Whether a key may name whoever holds this one; a short name is looked for before the @.

    Compared whole, a short name could find nobody among names that are all addresses, and would
    still count as a search that found nobody.
    """
    mine, theirs = comparable(kind, wanted), comparable(kind, held)
    is_short = kind is KeyKind.USERNAME and "@" not in mine
    return bool(theirs) and mine == (local_part(theirs) if is_short else theirs)


def found_in(everybody: Sequence[Match], wanted: Iterable[Key]) -> tuple[Match, ...]:
    """Whoever is named by one of the keys, by the first that does.

    Args:
        everybody: as listed, each with every key that the vendor holds.
        wanted: the leaver's keys, strongest first; an account id is compared as it is.
    """
    found: dict[str, Match] = {}
    for key in wanted:
        for match in everybody:
            if match.account.id not in found and _names(key, match):
                found[match.account.id] = replace(match, found_by=key.kind)
    return tuple(found.values())


def _names(key: Key, match: Match) -> bool:
    if key.kind is KeyKind.ACCOUNT_ID:
        return match.account.id == key.value
    held = (known.value for known in match.account.known_keys if known.kind is key.kind)
    return any(is_named(key.kind, key.value, value) for value in held)
