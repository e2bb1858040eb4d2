"""How the ledger is doing, for people: read only, and beside the sequencer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from lockstep.evidence.format.notes import VerifierKey
from lockstep.storage.engine.direct import Link
from lockstep.storage.ledger.head import HeadFile, LedgerRefusedError
from lockstep.storage.ledger.keys import read_chain
from lockstep.storage.ledger.lock import LOCK
from lockstep.storage.ledger.tree import check_head, read_tree

ORDER_GRACE = timedelta(minutes=2)
"""So long an entry may wait for its place: a long transaction or a restart explains no more."""
LATE_COMMITS = 10_000
"""Ids can commit out of order, but not by more than this: a look at the tail is enough."""
WAITING_SINCE = """
    select min(e.recorded_at) from ledger_entries e
     where e.id > coalesce((select max(entry_id) from ledger_leaves), 0) - {late}
       and not exists (select from ledger_leaves l where l.entry_id = e.id)
"""
"""When the oldest entry without a place was recorded; null where all have theirs."""


async def not_in_order_since(connection: AsyncConnection) -> datetime | None:
    """Since when nothing was placed that should have been; None while all goes on."""
    since: datetime | None = await connection.scalar(text(WAITING_SINCE.format(late=LATE_COMMITS)))
    return since if since is not None and datetime.now(UTC) - since > ORDER_GRACE else None


@dataclass(frozen=True, slots=True)
class Head:
    """The last signed head."""

    size: int
    root: bytes
    note: str
    signed_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class LedgerState:
    """What is in order and what is not.

    Args:
        leaves: entries that have a place.
        unplaced: entries that wait for one.
        waiting_since: when the first of these was recorded.
        sealing: whether some process holds the sequencer's lock; what it does with it, the entries
            that wait tell.
        anchored: checkpoints that an anchor holds, by the anchor's name.
        refused: why nothing can be signed, as (code, text); None if it can.
    """

    leaves: int
    unplaced: int
    waiting_since: datetime | None
    head: Head | None
    sealing: bool
    anchored: dict[str, int]
    refused: tuple[str, str] | None

    def not_in_order_since(self, now: datetime) -> datetime | None:
        """Since when nothing was placed that should have been; None while all goes on."""
        since = self.waiting_since
        return since if since is not None and now - since > ORDER_GRACE else None


def read_state(link: Link, origin: str, *, key: VerifierKey | None, file: HeadFile) -> LedgerState:
    """Look at everything that the sequencer looks at before it signs.

    ``key`` is the configured one; None leaves the keys unquestioned.
    """
    refused = None
    try:
        remembered = file.read()  # before the database is looked at: it is never ahead of that
    except LedgerRefusedError as error:
        remembered, refused = None, (error.code, str(error))
    with link.transaction():  # one state of the database for all of it
        try:
            keys = read_chain(link)
            if key is not None:
                keys.require(key)
            tree = read_tree(link, origin, keys)
            check_head(link, origin, keys, tree=tree, head=remembered)
        except LedgerRefusedError as error:
            refused = refused or (error.code, str(error))
        return _counted(link, refused)


def _counted(link: Link, refused: tuple[str, str] | None) -> LedgerState:
    leaves, entries, since = link.execute(
        f"""
        select (select count(*) from ledger_leaves), (select count(*) from ledger_entries),
               ({WAITING_SINCE.format(late=LATE_COMMITS)})
        """.encode()  # noqa: S608 - constants
    ).fetchone() or (0, 0, None)
    holder = link.execute(
        """
        select 1 from pg_locks where locktype = 'advisory' and classid = 0 and objid = %s
           and database = (select oid from pg_database where datname = current_database())
        """,
        (LOCK,),
    ).fetchone()
    anchored = link.execute(
        "select anchor, count(*) from anchorings where done_at is not null group by anchor"
    ).fetchall()
    return LedgerState(
        leaves=leaves,
        unplaced=max(0, entries - leaves),
        waiting_since=since,
        head=latest_head(link),
        sealing=holder is not None,
        anchored=dict(sorted(anchored)),
        refused=refused,
    )


def latest_head(link: Link) -> Head | None:
    """The last signed head, as stored; not checked."""
    row = link.execute(
        "select size, root, note, signed_at, reason from checkpoints order by size desc limit 1"
    ).fetchone()
    if row is None:
        return None
    size, root, note, signed_at, reason = row
    return Head(size, bytes(root), bytes(note).decode("utf-8", "replace"), signed_at, reason)
