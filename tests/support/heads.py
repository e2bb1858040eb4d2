"""Signed heads in a database's table, as the sequencer leaves them; no ledger behind them."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.evidence.format.notes import Checkpoint, FileSigner, sign_note
from lockstep.evidence.ledger.entries import EntryKind
from lockstep.storage.tables.ledger import checkpoints

ORIGIN = "acme/lockstep-ledger"
SIGNER = FileSigner.generate(ORIGIN)


async def sign(engine: AsyncEngine, *sizes: int, reason: EntryKind = EntryKind.CASE_CLOSED) -> None:
    """One head of each size, signed now."""
    async with engine.begin() as connection:
        for size in sizes:
            root = size.to_bytes(32)
            note = sign_note(Checkpoint(ORIGIN, size, root).body(), SIGNER)
            await connection.execute(
                insert(checkpoints).values(
                    size=size,
                    root=root,
                    frontier=b"",
                    note=note.encode(),
                    key_name=ORIGIN,
                    reason=reason.value,
                    signed_at=datetime.now(UTC),
                )
            )


async def rows(engine: AsyncEngine) -> dict[tuple[str, int], tuple[str, int, str | None]]:
    """State, attempts and error by anchor and size."""
    async with engine.connect() as connection:
        found = await connection.execute(text("select * from anchorings order by anchor, size"))
        return {(row.anchor, row.size): (row.state, row.attempts, row.error) for row in found.all()}
