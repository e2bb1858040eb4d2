"""How the ledger is doing, for people: read only, and beside the sequencer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lockstep.evidence.notes import VerifierKey
from lockstep.storage.direct import Link
from lockstep.storage.ledger_head import HeadFile, LedgerRefusedError
from lockstep.storage.ledger_keys import read_chain
from lockstep.storage.ledger_tree import check_head, read_tree
from lockstep.storage.sequencer import LOCK


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
        sealing: whether some process is the sequencer now.
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
        """
        select (select count(*) from ledger_leaves), (select count(*) from ledger_entries),
               (select recorded_at from ledger_entries
                 where id > (select coalesce(max(entry_id), 0) from ledger_leaves)
                 order by id limit 1)
        """
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
