"""The ledger's only door: append an entry together with the projections that it explains."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Executable, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.evidence.entries import Entry, sealed
from lockstep.storage.batching import Batcher
from lockstep.storage.tables import ledger_entries


@dataclass(frozen=True, slots=True)
class Change:
    """One projection row to write: a statement with bind parameters, and their values."""

    statement: Executable
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Append:
    """An entry and the changes that stand or fall with it."""

    entry: Entry
    changes: tuple[Change, ...] = ()


async def append_all(connection: AsyncConnection, appends: Sequence[Append]) -> list[bool]:
    """Append inside the caller's transaction; True where the entry is new.

    An entry whose key stands already is left alone, and so are its changes: the transaction that
    wrote it wrote them. This makes every retry of an activity harmless.
    """
    if not appends:
        return []
    rows = [_row(append.entry) for append in appends]
    statement = (
        insert(ledger_entries)
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(ledger_entries.c.key)
    )
    inserted = set((await connection.scalars(statement, rows)).all())
    fresh = []
    for append in appends:
        fresh.append(append.entry.key in inserted)
        inserted.discard(append.entry.key)  # the same key twice in one commit: the first stands
    # By place first: within an append the order counts, as in "reopen, then needs a person".
    steps: dict[tuple[int, Executable], list[Mapping[str, object]]] = defaultdict(list)
    for append, is_new in zip(appends, fresh, strict=True):
        if is_new:
            for place, change in enumerate(append.changes):
                steps[place, change.statement].append(change.values)
    for (_, change_statement), values in sorted(steps.items(), key=lambda step: step[0][0]):
        await connection.execute(change_statement, values)
    return fresh


class Ledger:
    """Appends with group commit: entries of concurrent activities share one transaction.

    The caller goes on only after the commit, so nothing is promised that a crash could lose.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._batcher: Batcher[Append, bool] = Batcher(self._run)

    async def append(self, append: Append) -> bool:
        """Append durably; False if an entry with this key stood already."""
        return await self._batcher.submit(append)

    async def entries(self, case_id: str) -> list[bytes]:
        """The exact bytes of a case's entries, in the order of insertion."""
        query = (
            select(ledger_entries.c.body)
            .where(ledger_entries.c.case_id == case_id)
            .order_by(ledger_entries.c.id)
        )
        async with self._engine.connect() as connection:
            return list((await connection.scalars(query)).all())

    async def _run(self, appends: Sequence[Append]) -> Sequence[bool]:
        async with self._engine.begin() as connection:
            return await append_all(connection, appends)


def _row(entry: Entry) -> dict[str, object]:
    body, leaf = sealed(entry)
    return {
        "key": entry.key,
        "kind": entry.kind.value,
        "case_id": entry.case_id or None,
        "system": entry.system or None,
        "recorded_at": entry.recorded_at,
        "body": body,
        "leaf_hash": leaf,
    }
