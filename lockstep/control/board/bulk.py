"""The same act on many at once: first what would happen, then each as an act of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from lockstep.control.cases.afterwards import Became, after
from lockstep.control.cases.casework import CaseDesk, standing_of
from lockstep.control.cases.dates import CaseDates
from lockstep.control.cases.wording import reason_of
from lockstep.control.refusals import NotThereError, RefusedError, UnansweredError
from lockstep.domain.cases.decisions import DecisionKind, bar_to
from lockstep.domain.rights import Principal
from lockstep.storage.board.bulk import Picked
from lockstep.storage.stores import Stores
from lockstep.storage.systems.tries import Pick, Said

MOST = 500
STEP = 10
"""So many are carried out for one request, side by side."""
_LONGEST_ID = 100
_GONE = "It is not there, or not yours to see."


class BulkAction(StrEnum):
    """What can be done to many at once."""

    RETRY = "retry"
    REASSIGN = "reassign"


class Fate(StrEnum):
    """What became of one of them."""

    PENDING = "pending"
    DONE = "done"
    """Handed over; or tried again, and settled."""
    ASKED = "asked"
    """It is tried again; what becomes of that is not known yet."""
    FAILED = "failed"
    """It was tried again, failed again, and waits for a person."""
    TRYING = "trying"
    """It was tried again, failed again, and is tried on by itself."""
    SKIPPED = "skipped"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Item:
    """One system, or one case where ``system`` is "".

    Args:
        seen: what a preview showed of it.
        note: why it is skipped, or what became of it.
        mark: where the ledger was before it was tried again; "" where it was not.
    """

    case_id: str
    system: str
    fate: Fate = Fate.PENDING
    note: str = ""
    seen: str = ""
    leaver: str = field(default="", repr=False)
    partner: str = ""
    state: str = ""
    mark: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more becomes of it by itself."""
        return self.fate not in {Fate.ASKED, Fate.TRYING}

    @property
    def pick(self) -> Pick:
        return self.case_id, self.system

    @property
    def key(self) -> str:
        """How forms name it."""
        return f"{self.case_id}/{self.system}"


class Bulk:
    """Previews, and carries out."""

    def __init__(self, stores: Stores, desk: CaseDesk) -> None:
        self._reads = stores.bulk
        self._desk = desk
        self._dates = CaseDates(desk)
        self._tries = stores.tries
        self._outages = stores.outages

    async def preview(self, me: Principal, action: BulkAction, picks: Sequence[str]) -> list[Item]:
        """What would happen to each pick, in their order, each once.

        Raises:
            RefusedError: for none, too many, or something that is no pick.
        """
        wanted = _parsed(picks)
        found = await self._reads.picked(wanted, me.scope, named=me.sees_names)
        items = [_item(action, pick, found.get(pick)) for pick in wanted]
        if action is BulkAction.RETRY:
            return items
        by_case = {item.case_id: item for item in reversed(items)}
        return [by_case[case_id] for case_id in dict.fromkeys(item.case_id for item in items)]

    async def preview_held_up(self, me: Principal, system: str) -> tuple[list[Item], int]:
        """The same for all who wait for ``system`` because of its own fault, the first due first.

        Returns:
            With how many more there are than can be retried together.

        Raises:
            RefusedError: if nobody does.
        """
        most = await self._outages.count(system, me.scope)
        held = await self._outages.held_up(system, me.scope, limit=MOST)
        if not held:
            raise RefusedError(f"nobody waits for {system} because of a fault of the system")
        picks = [f"{case_id}/{name}" for case_id, name in held]
        return await self.preview(me, BulkAction.RETRY, picks), max(most - len(held), 0)

    async def carry_out(
        self,
        me: Principal,
        action: BulkAction,
        items: Sequence[Item],
        *,
        reason: str,
        give_to: str = "",
    ) -> list[Item]:
        """Act on each of ``items``, side by side; nobody's failure stops the others.

        A retry is only asked for by that: `became` tells what came of it.
        """
        found = await self._found(me, items)
        marks = await self._tries.marks(found) if action is BulkAction.RETRY and found else {}
        named = [_named(item, found, marks) for item in items]
        return list(
            await asyncio.gather(*(self._one(me, action, item, reason, give_to) for item in named))
        )

    async def became(self, me: Principal, items: Sequence[Item]) -> list[Item]:
        """What is known by now of ``items`` that were tried again."""
        found = await self._found(me, items)
        marks = {item.pick: int(item.mark) for item in items if item.pick in found}
        said = await self._tries.since(marks) if marks else {}
        return [_became(item, found.get(item.pick), said.get(item.pick)) for item in items]

    async def _found(self, me: Principal, items: Sequence[Item]) -> dict[Pick, Picked]:
        picks = [item.pick for item in items if item.system]
        return await self._reads.picked(picks, me.scope, named=me.sees_names) if picks else {}

    async def _one(
        self, me: Principal, action: BulkAction, item: Item, reason: str, give_to: str
    ) -> Item:
        try:
            if action is BulkAction.RETRY:
                await self._desk.retry(me, item.case_id, item.system, reason=reason, seen=item.seen)
            else:
                await self._dates.assign(me, item.case_id, give_to, reason=reason, seen=item.seen)
                found = await self._desk.find(me, item.case_id)
                item = replace(item, leaver=found.view.leaver if me.sees_names else "")
        except NotThereError:
            return _not_done(item, Fate.SKIPPED, _GONE)
        except UnansweredError as error:
            return _not_done(item, Fate.UNANSWERED, f"{error}. It can be sent again from the case.")
        except RefusedError as error:
            return _not_done(item, Fate.SKIPPED, f"{error}")
        return _with(item, Fate.ASKED if action is BulkAction.RETRY else Fate.DONE, "")


def _named(item: Item, found: Mapping[Pick, Picked], marks: Mapping[Pick, int]) -> Item:
    """With whose it is, and with the place that what is written later is told from."""
    picked = found.get(item.pick)
    if picked is None:
        return item
    mark = str(marks[item.pick]) if item.pick in marks else ""
    return replace(item, leaver=picked.leaver, partner=picked.partner, mark=mark)


def _became(item: Item, picked: Picked | None, said: Said | None) -> Item:
    if picked is None:
        return _with(item, Fate.SKIPPED, _GONE)
    known = after(picked.row, said)
    named = replace(item, leaver=picked.leaver, partner=picked.partner, state=picked.row.state)
    return _with(named, _FATES[known.became], known.note)


def _parsed(picks: Sequence[str]) -> list[tuple[str, str]]:
    wanted = dict.fromkeys(picks)
    if not wanted:
        raise RefusedError("nothing was selected: tick systems in the list first")
    if len(wanted) > MOST:
        raise RefusedError(f"too many were selected: {MOST} at most")
    parsed = []
    for pick in wanted:
        case_id, _, system = pick.partition("/")
        if not case_id or not system or len(pick) > _LONGEST_ID or not pick.isprintable():
            raise RefusedError("what was selected cannot be read: go back to the list")
        parsed.append((case_id, system))
    return parsed


def _item(action: BulkAction, pick: tuple[str, str], found: Picked | None) -> Item:
    case_id, system = pick
    shown = system if action is BulkAction.RETRY else ""
    if found is None:
        return Item(case_id, shown, Fate.SKIPPED, _GONE)
    taken_at = found.assigned_at.isoformat() if found.assigned_at else "nobody"
    of_system = f"{found.row.opening}.{found.decided}"
    why = _why_not(found) if action is BulkAction.RETRY else ""
    return Item(
        case_id,
        shown,
        Fate.SKIPPED if why else Fate.PENDING,
        why or (reason_of(found.row) if action is BulkAction.RETRY else ""),
        seen=of_system if action is BulkAction.RETRY else taken_at,
        leaver=found.leaver,
        partner=found.partner,
        state=found.row.state if action is BulkAction.RETRY else found.status,
    )


def _why_not(found: Picked) -> str:
    """Why a system is not tried again; "" where it is."""
    standing = standing_of(found.row, found.status)
    if (bar := bar_to(DecisionKind.RETRY, standing, now=datetime.now(UTC))) is not None:
        return f"{bar[0].upper()}{bar[1:]}."
    if found.waits:
        return "Something asked for waits for a second person: decide that first."
    return ""


def _not_done(item: Item, fate: Fate, note: str) -> Item:
    return replace(item, fate=fate, note=note, mark="")


def _with(item: Item, fate: Fate, note: str) -> Item:
    return replace(item, fate=fate, note=note)


_FATES = {
    Became.SETTLED: Fate.DONE,
    Became.FAILED: Fate.FAILED,
    Became.FAILED_TRYING: Fate.TRYING,
    Became.UNDER_WAY: Fate.ASKED,
}
