"""What has become of a case that has begun, for a workflow that takes it up again.

The rows tell how it stands, and the ledger which numbers are spent: rounds and looks are parts of
the keys of its entries, so that nothing is said twice and nothing new is taken for a repetition.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from lockstep.contracts.payloads import CaseSoFar, DoorSoFar
from lockstep.domain.cases.outcomes import CaseStatus, RevocationState
from lockstep.domain.systems.faults import FaultCategory, rule_for
from lockstep.evidence.ledger.entries import EntryKind
from lockstep.evidence.ledger.fold import ACCOUNT_IN_DOUBT
from lockstep.storage.records import CaseRow
from lockstep.storage.tables.case import findings, revocations
from lockstep.storage.tables.ledger import ledger_entries

_PICK = "decision:pick"
_ENTRIES = (
    select(
        ledger_entries.c.kind,
        ledger_entries.c.system,
        ledger_entries.c.recorded_at,
        ledger_entries.c.body,
    )
    .where(ledger_entries.c.case_id == bindparam("case"))
    .order_by(ledger_entries.c.id)
)
_DOUBTS = select(findings.c.system).where(
    findings.c.case_id == bindparam("case"),
    findings.c.kind == ACCOUNT_IN_DOUBT,
    findings.c.resolved_at.is_(None),
)
_ROWS = select(revocations).where(revocations.c.case_id == bindparam("case"))
_LOOKS = frozenset({EntryKind.WATCH_LOOK.value, EntryKind.FINDING_RAISED.value})


@dataclass(slots=True)
class _Told:
    """What the ledger says of one system."""

    rounds: int = 0
    looks: list[tuple[int, datetime]] = field(default_factory=list)
    picked_at: datetime | None = None

    @property
    def looked_at(self) -> datetime | None:
        return max((at for _, at in self.looks), default=None)

    def since(self, at: datetime | None) -> int:
        """How many looks there were since then."""
        if at is None:
            return 0
        return len({number for number, seen in self.looks if seen >= at})


async def read_so_far(connection: AsyncConnection, case: CaseRow) -> CaseSoFar:
    """Read it; ``case`` has begun."""
    told = _told(await connection.execute(_ENTRIES, {"case": case.case_id}))
    doubts = set((await connection.scalars(_DOUBTS, {"case": case.case_id})).all())
    rows = (await connection.execute(_ROWS, {"case": case.case_id})).all()
    closed_at = case.closed_at if case.status == CaseStatus.CLOSED else None
    looks = [told[row.system].looked_at for row in rows]
    return CaseSoFar(
        [_door(row, told[row.system], is_in_doubt=row.system in doubts) for row in rows],
        closings=case.closings,
        closed_at=closed_at,
        looked_at=max((at for at in looks if at and closed_at and at >= closed_at), default=None),
        rehired=case.unwatched_at is not None,
    )


def _door(row: Any, told: _Told, *, is_in_doubt: bool) -> DoorSoFar:
    is_settled = row.state == RevocationState.SETTLED
    is_asked = row.state == RevocationState.NEEDS_PERSON
    goes_on = is_asked and row.fault is not None and rule_for(FaultCategory(row.fault)).transient
    looked_at = told.looked_at
    picked = told.picked_at
    return DoorSoFar(
        row.system,
        round=max(told.rounds, 1 if is_asked else 0),
        opening=row.opening,
        outcome=row.outcome if is_settled else "",
        settled_at=(row.confirmed_at or row.updated_at) if is_settled else None,
        waits=is_asked and not goes_on,
        overdue=goes_on,
        guarded=told.since(row.confirmed_at) if is_settled else 0,
        looks=max((number for number, _ in told.looks), default=0),
        in_doubt=is_in_doubt,
        is_picked=is_settled
        and picked is not None
        and row.confirmed_at is not None
        and picked > max(looked_at or row.confirmed_at, row.confirmed_at),
    )


def _told(rows: Iterable[Any]) -> defaultdict[str, _Told]:
    told: defaultdict[str, _Told] = defaultdict(_Told)
    for row in rows:
        if row.system is None:
            continue
        data = json.loads(row.body).get("data", {})
        of = told[row.system]
        of.rounds = max(of.rounds, data.get("round", 0))
        if row.kind in _LOOKS and "look" in data:
            of.looks.append((data["look"], row.recorded_at))
        if row.kind == _PICK:
            of.picked_at = row.recorded_at
    return told
