"""What the ledger says of systems since somebody asked to try them again."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Text, bindparam, column, func, select, true
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.evidence.ledger.entries import EntryKind
from lockstep.storage.tables.ledger import ledger_entries

Pick = tuple[str, str]
"""(case id, system)"""

_TOLD = (
    EntryKind.REVOCATION_FAULT.value,
    EntryKind.REVOCATION_NEEDS_PERSON.value,
    EntryKind.REVOCATION_OUTCOME.value,
)
_WANTED = (
    func.unnest(
        bindparam("cases", type_=ARRAY(Text)),
        bindparam("systems", type_=ARRAY(Text)),
        bindparam("marks", type_=ARRAY(BigInteger)),
    )
    .table_valued(
        column("w_case", Text),
        column("w_system", Text),
        column("w_mark", BigInteger),
        name="wanted",
    )
    .render_derived()
)
_LAST = (
    select(
        ledger_entries.c.id,
        ledger_entries.c.kind,
        ledger_entries.c.body,
        func.extract("epoch", func.now() - ledger_entries.c.recorded_at).label("age_s"),
    )
    .where(
        ledger_entries.c.case_id == _WANTED.c.w_case,
        ledger_entries.c.system == _WANTED.c.w_system,
        ledger_entries.c.id > _WANTED.c.w_mark,
        ledger_entries.c.kind.in_(_TOLD),
    )
    .order_by(ledger_entries.c.id.desc())
    .limit(1)
    .lateral("last")
)


@dataclass(frozen=True, slots=True)
class Said:
    """The last that was written of a try.

    Args:
        category: of the fault, "" for an outcome.
        outcome: "" for a fault.
        age_s: how long ago it was written.
    """

    mark: int
    kind: str
    category: str
    outcome: str
    age_s: float


class Tries:
    """Reads only; what may be seen of a case is asked before."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def marks(self, picks: Collection[Pick]) -> dict[Pick, int]:
        """Where the ledger is with each system now: what is written later is new."""
        found = await self._read(dict.fromkeys(picks, 0))
        return {pick: found[pick].mark if pick in found else 0 for pick in picks}

    async def since(self, marks: Mapping[Pick, int]) -> dict[Pick, Said]:
        """The last that was written of each system after its mark, where anything was."""
        return await self._read(marks)

    async def _read(self, marks: Mapping[Pick, int]) -> dict[Pick, Said]:
        query = select(_WANTED.c.w_case, _WANTED.c.w_system, _LAST).select_from(
            _WANTED.join(_LAST, true())
        )
        values = {
            "cases": [case_id for case_id, _ in marks],
            "systems": [system for _, system in marks],
            "marks": list(marks.values()),
        }
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query, values)).all()
        return {(row.w_case, row.w_system): _said(row) for row in rows}


def _said(row: Any) -> Said:
    data = json.loads(row.body).get("data", {})
    category, outcome = str(data.get("category", "")), str(data.get("outcome", ""))
    return Said(row.id, row.kind, category, outcome, float(row.age_s))
