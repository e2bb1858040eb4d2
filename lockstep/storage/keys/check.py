"""Whether a keyring belongs to a database, asked before anything is written."""

from __future__ import annotations

import hmac

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.storage.engine.database import StorageError
from lockstep.storage.keys.keyring import Keyring, KeyringError
from lockstep.storage.keys.subjects import Subject
from lockstep.storage.tables.leavers import subjects
from lockstep.storage.tables.running import keyring_mark

_TEXT = b"written by the keyring that fits"
_CONTEXT = b"keyring-mark"


async def check_keyring(engine: AsyncEngine, ring: Keyring) -> None:
    """Refuse a keyring that does not open what this database holds.

    Raises:
        StorageError: before anything is written that only the other keyring could not read.
    """
    async with engine.begin() as connection:
        await require_keyring(connection, ring)


async def require_keyring(connection: AsyncConnection, ring: Keyring) -> None:
    """The same within a transaction; the first keyring that comes to a database leaves its mark.

    So two processes that start on an empty database with a keyring each do not both write.

    Raises:
        StorageError: the mark, or what was written before there were marks, is another's.
    """
    mark = select(keyring_mark.c.sealed, keyring_mark.c.found_by)
    row = (await connection.execute(mark)).one_or_none()
    if row is None:
        await _require_newest(connection, ring)
        left = {"id": 1, "sealed": ring.encrypt(_TEXT, context=_CONTEXT), "found_by": _found(ring)}
        await connection.execute(insert(keyring_mark).values(left).on_conflict_do_nothing())
        row = (await connection.execute(mark)).one()  # which may be another's that came first
    try:
        fits = ring.decrypt(row.sealed, context=_CONTEXT) == _TEXT
    except KeyringError:
        fits = False
    if not (fits and hmac.compare_digest(row.found_by, _found(ring))):
        raise _strange()


async def _require_newest(connection: AsyncConnection, ring: Keyring) -> None:
    newest = (
        select(subjects)
        .where(subjects.c.wrapped_key.is_not(None))
        .order_by(subjects.c.created_at.desc())
        .limit(1)
    )
    row = (await connection.execute(newest)).one_or_none()
    try:
        if row is not None:
            Subject.open(ring, row.subject_id, row.wrapped_key, row.private)
    except KeyringError:
        raise _strange() from None


def _found(ring: Keyring) -> bytes:
    """What the index key makes of a word: rows would not be found under another."""
    return ring.blind_index("keyring-mark")


def _strange() -> StorageError:
    return StorageError(
        "keyring: it does not open this database's data: restore the one that wrote them"
    )
