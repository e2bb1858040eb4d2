"""The ledger's only door: append an entry together with the projections that it explains."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Executable, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.evidence.ledger.entries import Entry, sealed
from lockstep.storage.engine.batching import Batcher
from lockstep.storage.tables.ledger import ledger_entries


@dataclass(frozen=True, eq=False)
class ArrayUpdate:
    """An update of many rows in one statement: each bind parameter is an array, a place per row.

    ``row`` names the parameters that together find the row; a row that occurs twice in a batch
    is written twice, in order, because one statement would write it once.
    """

    statement: Executable
    row: tuple[str, ...]

    def batches(self, values: Sequence[Mapping[str, object]]) -> list[dict[str, list[object]]]:
        """Arrays by parameter; several batches where a row occurs more than once."""
        layers: list[list[Mapping[str, object]]] = []
        times: Counter[tuple[object, ...]] = Counter()
        for row in values:
            place = tuple(row[name] for name in self.row)
            if times[place] == len(layers):
                layers.append([])
            layers[times[place]].append(row)
            times[place] += 1
        return [{name: [row[name] for row in layer] for name in layer[0]} for layer in layers]


Statement = Executable | ArrayUpdate


@dataclass(frozen=True, slots=True)
class Change:
    """One projection row to write: a statement with bind parameters, and their values."""

    statement: Statement
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
    inserted = set((await connection.scalars(_INSERT, _columns(appends))).all())
    fresh = []
    for append in appends:
        fresh.append(append.entry.key in inserted)
        inserted.discard(append.entry.key)  # the same key twice in one commit: the first stands
    # By place first: within an append the order counts, as in "reopen, then needs a person".
    steps: dict[tuple[int, Executable | ArrayUpdate], list[Mapping[str, object]]] = defaultdict(
        list
    )
    for append, is_new in zip(appends, fresh, strict=True):
        if is_new:
            for place, change in enumerate(append.changes):
                steps[place, change.statement].append(change.values)
    for (_, change_statement), values in sorted(steps.items(), key=lambda step: step[0][0]):
        if isinstance(change_statement, ArrayUpdate):
            for arrays in change_statement.batches(values):
                await connection.execute(change_statement.statement, arrays)
        else:
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


_INSERT = text(
    """
    insert into ledger_entries (key, kind, case_id, system, recorded_at, body, leaf_hash)
    select * from unnest(
        cast(:key as text[]), cast(:kind as text[]), cast(:case_id as text[]),
        cast(:system as text[]), cast(:recorded_at as timestamptz[]), cast(:body as bytea[]),
        cast(:leaf_hash as bytea[])
    )
    on conflict (key) do nothing
    returning key
    """
)
"""One statement whatever the size of the batch, so that it is parsed and planned once."""


def _columns(appends: Sequence[Append]) -> dict[str, list[object]]:
    entries = [append.entry for append in appends]
    seals = [sealed(entry) for entry in entries]
    return {
        "key": [entry.key for entry in entries],
        "kind": [entry.kind.value for entry in entries],
        "case_id": [entry.case_id or None for entry in entries],
        "system": [entry.system or None for entry in entries],
        "recorded_at": [entry.recorded_at for entry in entries],
        "body": [body for body, _ in seals],
        "leaf_hash": [leaf for _, leaf in seals],
    }
