"""Whether a keyring belongs to a database, asked before anything is written."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.storage.engine import StorageError
from lockstep.storage.keyring import Keyring, KeyringError
from lockstep.storage.subjects import Subject
from lockstep.storage.tables.leavers import subjects


async def check_keyring(engine: AsyncEngine, ring: Keyring) -> None:
    """Refuse a keyring that does not open what this database holds.

    Raises:
        StorageError: before anything is written that only the other keyring could not read.
    """
    newest = (
        select(subjects)
        .where(subjects.c.wrapped_key.is_not(None))
        .order_by(subjects.c.created_at.desc())
        .limit(1)
    )
    async with engine.connect() as connection:
        row = (await connection.execute(newest)).one_or_none()
    try:
        if row is not None:
            Subject.open(ring, row.subject_id, row.wrapped_key, row.private)
    except KeyringError:
        raise StorageError(
            "keyring: it does not open this database's data: restore the one that wrote them"
        ) from None
