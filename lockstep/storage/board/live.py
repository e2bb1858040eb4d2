"""What has just changed: new entries of the ledger, and who may know of their cases."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ARRAY, BigInteger, bindparam, exists, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.domain.intake.brakes import BrakeCause, BrakeState
from lockstep.domain.rights import Scope
from lockstep.evidence.ledger.entries import EntryKind
from lockstep.storage.people.visibility import visible
from lockstep.storage.tables.case import cases
from lockstep.storage.tables.intake import brakes
from lockstep.storage.tables.ledger import ledger_entries
from lockstep.storage.tables.running import stalled_cases

_AT_ONCE = 5000
_MOST_GAPS = 5000
_GAP_S = 30.0
"""Longer than any transaction may take (`statement_timeout`): what is missing then never comes."""
_OF_BRAKES = frozenset({EntryKind.BRAKE_SET.value, EntryKind.BRAKE_DECIDED.value})
_OF_PAUSES = frozenset({EntryKind.SYSTEM_PAUSED.value, EntryKind.SYSTEM_RESUMED.value})
_SECRET_BRAKE = select(
    exists().where(
        brakes.c.cause == BrakeCause.DISMISSALS.value,
        or_(
            brakes.c.state == BrakeState.ON.value,
            brakes.c.decided_at > func.now() - timedelta(minutes=1),
        ),
    )
)
"""That many dismissals come is a secret: then pages learn of brakes by asking only."""
_STALLED = select(func.count(), func.max(stalled_cases.c.since))
_STALLED_IDS = select(stalled_cases.c.case_id).limit(_AT_ONCE)
_NEWER = text(
    """
    select id, case_id, kind from ledger_entries where id = any(:gaps)
    union all
    (select id, case_id, kind from ledger_entries where id > :high order by id limit :most)
    """
).bindparams(bindparam("gaps", type_=ARRAY(BigInteger)))


@dataclass(frozen=True, slots=True)
class Changes:
    """What is new since the last look. ``systems``: a brake or a pause."""

    case_ids: frozenset[str] = frozenset()
    systems: bool = False

    def __bool__(self) -> bool:
        return bool(self.case_ids) or self.systems


class LedgerTail:
    """Follows the ledger by number.

    Numbers are given before the commit: one that is skipped may still come, so it is asked for
    again until no transaction can be that old. Nothing is read twice, and an idle look is one
    empty range of an index.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._high: int | None = None
        self._gaps: dict[int, float] = {}
        self._stalled: tuple[object, ...] = ()
        self._stalled_ids: frozenset[str] = frozenset()

    async def look(self) -> Changes:
        """New entries since the last look; the first look only remembers where the ledger ends."""
        async with self._engine.connect() as connection:
            if self._high is None:
                newest = select(func.max(ledger_entries.c.id))
                self._high = int(await connection.scalar(newest) or 0)
                await self._look_at_stalled(connection)
                return Changes()
            values = {"gaps": list(self._gaps), "high": self._high, "most": _AT_ONCE}
            rows = (await connection.execute(_NEWER, values)).all()
            stalled = await self._look_at_stalled(connection)
            kinds = {row.kind for row in rows}
            systems = bool(kinds & _OF_PAUSES)
            if kinds & _OF_BRAKES and not systems:
                systems = not await connection.scalar(_SECRET_BRAKE)
        self._remember([row.id for row in rows])
        return Changes(stalled.union(row.case_id for row in rows if row.case_id), systems)

    async def _look_at_stalled(self, connection: AsyncConnection) -> frozenset[str]:
        """Cases that cannot go on since the last look, or can again: no entry tells of it."""
        state = tuple((await connection.execute(_STALLED)).one())
        if state == self._stalled:
            return frozenset()
        ids = frozenset((await connection.scalars(_STALLED_IDS)).all())
        changed = ids ^ self._stalled_ids
        self._stalled, self._stalled_ids = state, ids
        return changed

    async def any_visible(self, case_ids: Collection[str], scope: Scope) -> bool:
        """Whether one of these cases is in scope: of any other, not even a sign is given."""
        query = select(exists().where(cases.c.case_id.in_(sorted(case_ids)), visible(scope)))
        async with self._engine.connect() as connection:
            return bool(await connection.scalar(query))

    def _remember(self, found: list[int]) -> None:
        now = time.monotonic()
        for number in sorted(found):
            if self._gaps.pop(number, None) is not None or self._high is None:
                continue
            skipped = range(max(self._high + 1, number - _MOST_GAPS), number)
            self._gaps.update(dict.fromkeys(skipped, now))
            self._high = number
        alive = [(number, seen) for number, seen in self._gaps.items() if now - seen < _GAP_S]
        self._gaps = dict(alive[-_MOST_GAPS:])
