"""Who is a member of a SCIM group, without I/O: servers name members in many ways.

RFC 7643 section 4.2 has members carry the user's id in ``value``. Servers also write ids as
numbers, user names or addresses instead of ids, ``$ref`` alone, or bare strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import unquote

from connectors.scim import wire
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.keys import comparable

_CAPS = frozenset({50, 250})
_EVERY = 100
_LARGE, _LARGEST = 1000, 10_000
_ROUND = 5
"""Sizes at which servers cut a list: these, and multiples of a hundred.

Smaller round numbers are left out: too many whole teams have ten or twenty members; and of the
larger ones those that are no thousands. Nobody cuts a list beyond ten thousand.
"""
_NUMBER = re.compile(
    r"[0-9]+|[0-9a-f]{24,40}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Person:
    """The names under which a group may hold one user."""

    id: str
    names: frozenset[str] = field(default=frozenset(), repr=False)

    @classmethod
    def of(cls, user: Mapping[str, Any]) -> Self:
        spelled = (*wire.values_of(user, wire.USER_NAME), *wire.values_of(user, wire.EMAIL))
        names = {comparable(KeyKind.USERNAME, value) for value in spelled} - {""}
        return cls(wire.id_of(user), frozenset(names))


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of a group: ``value`` as the server wrote it, ``texts`` whatever may name whom."""

    value: object = field(repr=False)
    texts: tuple[str, ...] = field(repr=False)

    def is_by_name(self, person: Person) -> bool:
        return any(comparable(KeyKind.USERNAME, one) in person.names for one in self.texts)


@dataclass(frozen=True, slots=True)
class Membership:
    """One group that holds a user, and how it names the user there."""

    group_id: str
    value: object = field(repr=False)
    direct: bool = True


def members_of(group: Mapping[str, Any]) -> tuple[Member, ...] | None:
    """The members that a group shows; None where it shows no such attribute."""
    if not any(name.lower() == "members" for name in group):
        return None
    held = wire.attribute(group, "members")
    listed = held if isinstance(held, list) else [] if held is None else [held]
    return tuple(member for one in listed if (member := _member(one)) is not None)


def held_by(members: Iterable[Member], person: Person) -> tuple[Member | None, bool]:
    """How members hold a person, if they do, and whether that is by a name only."""
    named = None
    for member in members:
        if person.id in member.texts:
            return member, False
        if named is None and member.is_by_name(person):
            named = member
    return named, named is not None


def own_groups(user: Mapping[str, Any]) -> tuple[Membership, ...] | None:
    """The groups that the user's own record names; None where it has no such attribute."""
    if not any(name.lower() == "groups" for name in user):
        return None
    held = wire.attribute(user, "groups")
    user_id = wire.id_of(user)
    found = []
    for one in held if isinstance(held, list) else [] if held is None else [held]:
        ref = _last_of(wire.text(wire.attribute(one, "$ref")))
        group_id = wire.text(wire.attribute(one, "value")) or ref or wire.text(one)
        if group_id:
            kind = wire.text(wire.attribute(one, "type")).lower()
            found.append(Membership(group_id, user_id, direct=kind != "indirect"))
    return tuple({one.group_id: one for one in found}.values())


def are_names(members: Sequence[Member]) -> bool:
    """Whether some members are surely no bare ids: then a filter on ids may miss a user.

    They are not where one is an address of mail or of a resource, or where some look like the
    numbers that servers give and others do not.
    """
    values = [wire.text(member.value) for member in members if member.texts]
    numbers = [bool(_NUMBER.fullmatch(value)) for value in values]
    mixed = any(numbers) and not all(numbers)
    return mixed or any("@" in value or "/" in value or not value for value in values)


def may_be_cut(size: int) -> bool:
    """Whether a list of members of this size may be the start of a longer one."""
    every = _EVERY if size <= _LARGE else _LARGE
    return size in _CAPS or (0 < size <= _LARGEST and size % every == 0)


@dataclass(slots=True)
class Largest:
    """The largest groups that were seen, and the members that one of each shows.

    A server that cuts lists shows none that is longer. So only the largest may be cut: where they
    have the size of a usual cut, or where several of a smaller round size hold different people.
    """

    size: int = 0
    shown: dict[str, Member] = field(default_factory=dict, repr=False)
    crowds: set[int] = field(default_factory=set)

    def see(self, group_id: str, members: Sequence[Member]) -> None:
        if len(members) < max(self.size, 1):
            return
        if len(members) > self.size:
            self.size = len(members)
            self.shown.clear()
            self.crowds.clear()
        self.shown[group_id] = next((one for one in members if one.texts), members[0])
        self.crowds.add(hash(frozenset(one.texts for one in members)))

    def may_be_cut(self) -> Mapping[str, Member]:
        """By id, the groups whose list of members may be the start of a longer one."""
        is_round = self.size > 0 and self.size % _ROUND == 0
        several = is_round and len(self.crowds) > 1
        return self.shown if several or may_be_cut(self.size) else {}


def _member(one: object) -> Member | None:
    """One entry of ``members``; a group within the group has numbers of its own and is nobody."""
    if not isinstance(one, dict):
        value = wire.text(one)
        return Member(one, (value,)) if value else None
    value, ref = wire.attribute(one, "value"), wire.text(wire.attribute(one, "$ref"))
    kind = wire.text(wire.attribute(one, "type"))
    if kind.lower() == "group" or "/groups/" in ref.lower():
        return Member(value, ())
    texts = tuple(text for text in _texts(one, wire.text(value), ref) if text)
    if not texts:
        return None
    return Member(value if wire.text(value) else texts[0], texts)


def _texts(one: Mapping[str, Any], value: str, ref: str) -> Iterator[str]:
    yield value
    if "/" in value:  # an address of the resource where the id belongs
        yield _last_of(value)
    if ref:
        yield _last_of(ref)
    elif not value:
        for name in ("id", "userName", "username", "email", "display"):
            yield wire.text(wire.attribute(one, name))


def _last_of(ref: str) -> str:
    """``https://host/v2/Users/u1`` and ``../Users/u1`` name ``u1``."""
    return unquote(ref.rstrip("/").rpartition("/")[2])
