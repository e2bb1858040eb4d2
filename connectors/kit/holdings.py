"""What an account can hold, as rows: one engine reads them, closes them, says what it cannot see.

A row says where the vendor lists a kind of access, whose an entry is and whether it still opens,
and how one is closed. The order of closing is that of `AccessKind`, for every vendor. A list that
cannot be read is `Unread` with its reason, for its own kinds and for no other.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from connectors.base import ConnectorFault, Transcript
from connectors.kit.calls import Api, Call, Listed, Words, actions
from connectors.kit.options import Option, Values
from connectors.kit.pages import Item
from connectors.kit.steps import AT_ONCE, attempt, fault_of, in_order, unread
from lockstep.domain.systems.access import Access, AccessKind, Action, Unread
from lockstep.domain.systems.faults import FaultCategory

Test = Callable[[Item], bool]
Step = Callable[[], Awaitable[Sequence[Action]]]


def always(_: Item) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Close:
    """How one thing is closed: these calls in turn, or those that an option's word chooses."""

    calls: tuple[Call, ...] = ()
    option: Option[str] | None = None
    by_word: Mapping[str, tuple[Call, ...]] = field(default_factory=dict, hash=False)

    def chosen(self, values: Values) -> tuple[Call, ...]:
        return self.by_word[values[self.option]] if self.option is not None else self.calls


@dataclass(frozen=True, slots=True)
class Holding:
    """One list of what accounts hold.

    Args:
        listed: the list; ``{id}`` and ``{locator}`` stand for the account.
        kinds: what an entry is: the first whose test holds.
        close: how one entry is closed; ``{ref}`` stands for it.
        owner: the field that must name the account: an entry of a stranger's is a fault, because
            the vendor did not heed the filter.
        mine: of a list of everybody's, whether an entry is the account's.
        adds: what stands because no entry of the list shuts it.
        stands: whether it still opens anything.
        ref: what names an entry where that is not its id; one name within a kind.
        again: whether the list is read again before closing, because the vendor does not say that
            a thing was closed already.
        where: whether the settings want it looked at and closed at all.
        moot: of the account's own record, whether its things open nothing any more.
        ended: of the same, whether a 404 of the list says that there are none.
        leaves: residuals by code, and the test of an entry that makes one.
        probe: the query by which health tries the list, where it is another.
        named: what its refs look like, where other lists hold the same kind: it tells them apart,
            and its groups fill in the calls that close. So a thing whose list cannot be looked at
            again is closed all the same.
    """

    listed: Listed
    kinds: Mapping[AccessKind, Test] = field(hash=False)
    close: Close
    owner: str = ""
    mine: Callable[[Item, Words], bool] = lambda _item, _words: True
    adds: Callable[[list[Item], Words], Iterable[Item]] = lambda _items, _words: ()
    stands: Test = always
    ref: Callable[[Item], str] = lambda item: str(item["id"])
    again: bool = False
    where: Callable[[Values], bool] = lambda _: True
    moot: Test = lambda _: False
    ended: Test = lambda _: False
    leaves: Mapping[str, Test] = field(default_factory=dict, hash=False)
    probe: Mapping[str, str | int] | None = field(default=None, hash=False)
    named: re.Pattern[str] | None = None

    def holds(self, access: Access) -> bool:
        """Whether it can be of this list."""
        is_named = self.named is None or self.named.fullmatch(access.ref)
        return access.kind in self.kinds and bool(is_named)

    def words(self, access: Access) -> Words:
        """What the thing fills in the calls that close it."""
        found = self.named.fullmatch(access.ref) if self.named is not None else None
        return {"ref": access.ref, **(found.groupdict() if found else {})}

    def kind_of(self, item: Item) -> AccessKind:
        return next(kind for kind, test in self.kinds.items() if test(item))


@dataclass(frozen=True, slots=True)
class Held:
    """What the lists show of one account."""

    things: Mapping[Access, tuple[Holding, Item]]
    unread: tuple[Unread, ...] = ()
    leaves: Mapping[str, Holding] = field(default_factory=dict)
    """What outlives the account, and the list that shows it."""

    @property
    def standing(self) -> tuple[Access, ...]:
        return tuple(sorted(self.things, key=lambda way: _ORDER[way.kind]))

    def merged(self, other: Held) -> Held:
        return Held(
            {**self.things, **other.things},
            (*self.unread, *other.unread),
            {**self.leaves, **other.leaves},
        )


_ORDER: Final = {kind: place for place, kind in enumerate(AccessKind)}


class Holdings:
    """The rows of one vendor, run against one system."""

    def __init__(self, rows: Sequence[Holding], api: Api, values: Values) -> None:
        self._rows = tuple(row for row in rows if row.where(values))
        self._api = api
        self._values = values

    @property
    def rows(self) -> tuple[Holding, ...]:
        """Those that the settings want."""
        return self._rows

    @property
    def unasked(self) -> tuple[Unread, ...]:
        """What nobody has looked at yet: every kind that can stand."""
        return _unread(self._rows)

    def unasked_of(self, record: Item) -> tuple[Unread, ...]:
        """The same, of an account with this record."""
        return _unread(row for row in self._rows if not row.moot(record))

    def of_record(self, held: Held, record: Item) -> Held:
        """What the lists say of an account with this record."""
        moot = {row.listed.call.operation for row in self._rows if row.moot(record)}
        ended = {row.listed.call.operation for row in self._rows if row.ended(record)}
        unread = (
            row
            for row in held.unread
            if row.operation not in moot
            and not (row.operation in ended and self._api.is_gone(row.code))
        )
        things = {
            way: (row, item)
            for way, (row, item) in held.things.items()
            if row.listed.call.operation not in moot
        }
        return replace(held, things=things, unread=tuple(unread))

    async def read(
        self, words: Words, transcript: Transcript, rows: Iterable[Holding] | None = None
    ) -> Held:
        """Every list, a few at a time."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(row: Holding) -> Held:
            async with gate:
                return await self._one(row, words, transcript)

        rows = self._rows if rows is None else rows
        found = Held({})
        for held in await asyncio.gather(*map(one, rows)):
            found = found.merged(held)
        return found

    async def reread(self, held: Held, before: Words, now: Words, transcript: Transcript) -> Held:
        """The same, with those lists anew that were asked for by a name that is no more."""
        gone = {name for name in now if now[name] != before.get(name)}
        rows = [row for row in self._rows if any(f"{{{name}}}" in _asked(row) for name in gone)]
        if not rows:
            return held
        asked = {row.listed.call.operation for row in rows}
        kept = Held(
            {way: each for way, each in held.things.items() if each[0] not in rows},
            tuple(row for row in held.unread if row.operation not in asked),
            {what: row for what, row in held.leaves.items() if row not in rows},
        )
        return kept.merged(await self.read(now, transcript, rows))

    async def close(
        self, before: Iterable[Access], words: Words, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Close what stood, kind after kind; nothing is lost where one of them fails.

        Raises:
            ConnectorFault: at the end, with what was done.
        """
        due = [access for access in before if any(row.holds(access) for row in self._rows)]
        again = [row for row in self._rows if self._is_looked_at(row) and self._is_due(row, due)]
        held = await self.read(words, transcript, again)
        named = {row.listed.call.operation for row in self._rows if row.named is not None}
        lost: list[Step] = [
            partial(_cannot, fault_of(row, connector=self._api.kind))
            for row in held.unread
            if row.operation not in named and any(access.kind is row.kind for access in due)
        ]
        stages: list[list[Step]] = [
            [
                step
                for access in due
                if access.kind is kind and (step := self._step(access, held, words, transcript))
            ]
            for kind in AccessKind
        ]
        return await in_order(*(stage for stage in (*stages, lost) if stage))

    def _step(
        self, access: Access, held: Held, words: Words, transcript: Transcript
    ) -> Step | None:
        row, thing = held.things.get(access, (None, {}))
        if row is None:
            row = next(each for each in self._rows if each.holds(access))
            asked = row.listed.call.operation
            is_hidden = any(each.operation == asked for each in held.unread)
            if self._is_looked_at(row) and not (is_hidden and row.named is not None):
                return None  # it was looked at: closed by now, or in a list that cannot be read
        return partial(self._close_one, row, access, thing, words, transcript)

    async def _close_one(
        self, row: Holding, access: Access, thing: Item, words: Words, transcript: Transcript
    ) -> tuple[Action, ...]:
        calls = row.close.chosen(self._values)
        answer = await self._api.do(calls, {**words, **row.words(access)}, transcript, thing=thing)
        return actions([access], answer)

    async def _one(self, row: Holding, words: Words, transcript: Transcript) -> Held:
        told = await attempt(self._entries(row, words, transcript))
        if isinstance(told, ConnectorFault):
            return Held({}, tuple(unread(kind, told) for kind in row.kinds))
        leaves = {what: row for what, test in row.leaves.items() if any(map(test, told))}
        things = {
            Access(row.kind_of(item), row.ref(item)): (row, item)
            for item in told
            if row.stands(item) and not any(test(item) for test in row.leaves.values())
        }
        return Held(things, leaves=leaves)

    async def _entries(self, row: Holding, words: Words, transcript: Transcript) -> list[Item]:
        items = await self._api.whole(row.listed, words, transcript)
        if row.owner and any(str(item.get(row.owner)) != words["id"] for item in items):
            raise self._api.fault(
                FaultCategory.UNEXPECTED_ANSWER, row.listed.call.operation, "other_owner"
            )
        return [*(item for item in items if row.mine(item, words)), *row.adds(items, words)]

    def _is_looked_at(self, row: Holding) -> bool:
        """Also where another list holds the same kind: only the list says whose a thing is."""
        if row.named is not None:
            return row.again
        others = (each for each in self._rows if each is not row)
        return row.again or any(set(each.kinds) & set(row.kinds) for each in others)

    def _is_due(self, row: Holding, due: Iterable[Access]) -> bool:
        return any(row.holds(access) for access in due)


def _unread(rows: Iterable[Holding]) -> tuple[Unread, ...]:
    return tuple(Unread(kind) for kind in dict.fromkeys(kind for row in rows for kind in row.kinds))


def _asked(row: Holding) -> str:
    """Everything of a list's call that may hold a name."""
    return f"{row.listed.call.path} {row.listed.call.params}"


async def _cannot(fault: ConnectorFault) -> tuple[Action, ...]:
    """What stood in a list that cannot be read now is neither closed nor gone."""
    raise fault
