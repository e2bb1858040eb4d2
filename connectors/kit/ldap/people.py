"""How a directory names its people, as rows."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from connectors.kit.finding.listed import is_named
from connectors.kit.ldap import filters
from connectors.kit.ldap.filters import Filter
from connectors.kit.ldap.instants import generalized
from connectors.kit.ldap.messages import Entry
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.access import Account, Match, Observation


@dataclass(frozen=True, slots=True)
class Naming:
    """The attribute with the immutable id: as we write it, and as it is held."""

    attribute: str
    read: Callable[[bytes], str]
    held: Callable[[str], bytes | None]
    """The value to search for; None where the text can be no id."""

    def of(self, entry: Entry) -> str:
        """The id of an entry, "" where it shows none."""
        return next((self.read(each) for each in entry.raw(self.attribute)), "")


def _uuid(text: str) -> bytes | None:
    try:
        return str(uuid.UUID(text)).encode()
    except ValueError:
        return None


def _guid(value: bytes) -> str:
    return str(uuid.UUID(bytes_le=value)) if len(value) == 16 else ""  # noqa: PLR2004 - bytes of a GUID


def _guid_held(text: str) -> bytes | None:
    try:
        return uuid.UUID(text).bytes_le
    except ValueError:
        return None


def textual(attribute: str) -> Naming:
    """An id that is text."""
    return Naming(attribute, lambda held: held.decode(errors="replace"), lambda text: text.encode())


ENTRY_UUID = Naming("entryUUID", lambda held: held.decode(errors="replace"), _uuid)
OBJECT_GUID = Naming("objectGUID", _guid, _guid_held)
NS_UNIQUE_ID = textual("nsUniqueId")


@dataclass(frozen=True, slots=True)
class Held:
    """One attribute that holds a key of a person; ``before`` stands before each value."""

    kind: KeyKind
    attribute: str
    before: str = ""

    def keys(self, entry: Entry) -> Iterator[Key]:
        """What an entry holds of it; values with another beginning are something else."""
        for value in entry.all(self.attribute):
            if value.lower().startswith(self.before.lower()) and (
                name := value[len(self.before) :]
            ):
                yield Key(self.kind, name)

    def names(self, entry: Entry, wanted: str) -> bool:
        return any(is_named(self.kind, wanted, key.value) for key in self.keys(entry))

    def search(self, wanted: str) -> Filter:
        return filters.equals(self.attribute, self.before + wanted)


@dataclass(frozen=True, slots=True)
class People:
    """Who counts as a person, and what is known of each.

    Args:
        naming: the immutable id.
        wanted: which entries are people.
        held: attributes that hold their keys.
        name: attributes with the name for people, best first.
        created: the attribute that says when the entry was made.
        used: when it was last used, as text and as an instant.
        also: attributes that say what stands.
    """

    naming: Naming
    wanted: Filter
    held: tuple[Held, ...]
    name: tuple[str, ...]
    created: str
    used: tuple[tuple[str, Callable[[str], datetime | None]], ...] = ()
    also: tuple[str, ...] = ()

    @property
    def attributes(self) -> tuple[str, ...]:
        named = (self.naming.attribute, *(row.attribute for row in self.held), *self.name)
        return tuple(
            dict.fromkeys((*named, self.created, *(one for one, _ in self.used), *self.also))
        )

    def by_id(self, account_id: str) -> Filter | None:
        """The filter for one person; None where the text can be no id."""
        held = self.naming.held(account_id)
        return None if held is None else filters.equals(self.naming.attribute, held)

    def rows(self, kind: KeyKind) -> tuple[Held, ...]:
        return tuple(row for row in self.held if row.kind is kind)

    def is_named(self, entry: Entry, kind: KeyKind, wanted: str) -> bool:
        return any(row.names(entry, wanted) for row in self.rows(kind))

    def match(self, entry: Entry, found_by: KeyKind, seen: Callable[[Entry], Observation]) -> Match:
        keys = tuple(dict.fromkeys(key for row in self.held for key in row.keys(entry)))
        return Match(
            Account(self.naming.of(entry), entry.dn, keys),
            found_by,
            seen(entry),
            name=next((text for one in self.name if (text := entry.one(one))), ""),
            created_at=generalized(entry.one(self.created)),
            last_used_at=self.last_used(entry),
        )

    def last_used(self, entry: Entry) -> datetime | None:
        told = (read(entry.one(name)) for name, read in self.used)
        return max((moment for moment in told if moment is not None), default=None)


def kinds_of(people: People) -> Mapping[KeyKind, tuple[Held, ...]]:
    """The rows of each kind of key that the directory holds."""
    return {row.kind: people.rows(row.kind) for row in people.held}
