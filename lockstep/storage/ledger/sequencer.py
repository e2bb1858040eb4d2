"""The sequencer: gives every entry its place in the tree, and signs the tree's heads.

One works at a time: it holds a session lock on the very connection that it writes by, so that a
sequencer that lost its lock cannot commit either.

**Which entries are next.** Ids are drawn before a transaction commits, so a small id can appear
after larger ones, and an id whose transaction failed never appears. Two marks avoid looking at
everything again: all entries up to ``taken`` that could be seen have their place; up to
``settled`` nothing new can appear. An insert holds a table lock from before it draws an id until
its transaction ends. Hence: whatever was seen before the holders of that lock were listed had its
id drawn by then; a smaller id that a later look does not see belongs to one of these holders; when
none of them is left, that part is settled. (Transaction ids would not do: an insert draws its id
before it has one, and may wait in between, for a key that another transaction has just used.)

**Order.** A pass looks once, at one state of the database, and takes the smallest ids first. What
was written in the knowledge of another entry was written after that one's commit, by a larger id:
so causes always come before effects.

**Heads.** The order is committed first; a head is signed over committed order only. So the tree
of a size is settled before it is signed, and signing it again gives the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import structlog
from sqlalchemy.engine import URL

from lockstep.evidence.format.canonical import leaf_hash
from lockstep.evidence.format.notes import Checkpoint, Signer, open_note, sign_note
from lockstep.evidence.ledger.entries import Entry, EntryKind
from lockstep.evidence.ledger.history import apply
from lockstep.scorecard.definition import DEFAULT, Definition
from lockstep.storage.engine.direct import Link, append_entry, connect
from lockstep.storage.ledger.head import HeadFile, LedgerRefusedError
from lockstep.storage.ledger.keys import KeyChain, adoption, read_chain
from lockstep.storage.ledger.lock import LOCK
from lockstep.storage.ledger.tree import Tree, check_head, read_tree
from lockstep.storage.score.facts_proof import FactsProof, Seal
from lockstep.storage.score.projection import Fold, Placed, Projection

log = structlog.get_logger("lockstep.ledger")

APPLICATION = "lockstep-sequencer"
BATCH = 2000
"""Entries placed in one transaction: short enough for the cases that run beside it."""
PACE = timedelta(seconds=1)
"""Heads are signed no more often than this; closings in between share one."""


class Step(StrEnum):
    """How a pass ended."""

    WAITING = "waiting"
    """Another process is the sequencer."""
    IDLE = "idle"
    MORE = "more"
    """There is more to place at once."""


@dataclass(frozen=True, slots=True)
class SealedLedger:
    """Which ledger it is, and how it is signed.

    Args:
        origin: its name in every head.
        open_signer: reads the key; again after a hand-over. Raises ValueError.
        head: what this machine has signed.
        heartbeat: a head is signed at least so often, so that a cut tail shows.
        definition: the metric that the ledger adopts.
        seal: marks the facts that were folded, so that another's hand in them shows.
    """

    tenant: str
    origin: str
    open_signer: Callable[[], Signer]
    head: HeadFile
    heartbeat: timedelta = timedelta(hours=24)
    definition: Definition = DEFAULT
    seal: Seal | None = None


@dataclass(slots=True)
class Horizon:
    """Up to where the order is complete; see the top of this file."""

    taken: int
    settled: int = 0
    _mark: int = 0
    _holders: frozenset[str] = frozenset()

    def move(self, holders: frozenset[str], *, taken: int, complete: bool) -> None:
        """After a pass that listed ``holders`` first, then looked, and took up to ``taken``.

        ``complete`` says that it took all it saw up to the former mark ``taken``.
        """
        if complete and not self._holders & holders:
            self.settled = self._mark
            self._mark, self._holders = self.taken, holders
            if not holders:
                self.settled = self._mark
        self.taken = max(self.taken, taken)


@dataclass(slots=True)
class _Reign:
    """What holds while this process is the sequencer; thrown away at the first trouble."""

    signer: Signer
    keys: KeyChain
    tree: Tree
    horizon: Horizon
    projection: Projection
    proof: FactsProof
    unsaid: list[Entry] = field(default_factory=list)
    sealed: float = 0.0
    """When a head was last signed, by the monotonic clock."""
    caught_up: bool = False
    """Whether the last pass left nothing to place."""


class Sequencer:
    """Places entries and signs heads, step by step; blocks, so run it in a thread of its own."""

    def __init__(
        self,
        url: str | URL,
        ledger: SealedLedger,
        *,
        fold: Fold = apply,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._url = url
        self._ledger = ledger
        self._fold = fold
        self._now = now
        self._link: Link | None = None
        self._reign: _Reign | None = None

    def step(self) -> Step:
        """Place what is new and sign a head if one is due.

        Raises:
            LedgerRefusedError: if the ledger is not as it was left; nothing is signed.
            psycopg.Error: if the database is away.
            Exception: whatever the signer raises.
        """
        try:
            return self._step()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the lock up; the next step begins anew."""
        self._reign = None
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _step(self) -> Step:
        if self._link is None:
            self._link = connect(self._url, application=APPLICATION)
        link = self._link
        if self._reign is None:
            if not _try_lock(link):
                return Step.WAITING
            self._reign = self._take_over(link)
        reign = self._reign
        batch = self._place(link, reign)
        if any(row.kind == EntryKind.LEDGER_KEY_HANDED_OVER for row in batch):
            self._reign = None  # another key is in force: begin anew by it
            return Step.MORE
        self._seal(link, reign)
        if reign.caught_up:
            reign.proof.check(link, reign.tree.size)
        return Step.IDLE if reign.caught_up else Step.MORE

    def _take_over(self, link: Link) -> _Reign:
        ledger = self._ledger
        try:
            signer = ledger.open_signer()
        except ValueError as error:
            raise LedgerRefusedError("key_unusable", str(error)) from None
        head = ledger.head.read()
        keys = read_chain(link)
        keys.require(signer.verifier)
        tree = read_tree(link, ledger.origin, keys)
        check_head(link, ledger.origin, keys, tree=tree, head=head)
        proof = FactsProof(ledger.tenant, ledger.seal, self._now)
        proof.begin(link, tree.size)
        reign = _Reign(
            signer=signer,
            keys=keys,
            tree=tree,
            horizon=Horizon(taken=_largest_placed(link)),
            projection=Projection(self._fold, knows=proof.knows),
            proof=proof,
            unsaid=self._first_words(signer),
        )
        log.info("ledger_led", count=tree.size)
        return reign

    def _first_words(self, signer: Signer) -> list[Entry]:
        """What a ledger must say once; each has a key, so saying it again changes nothing."""
        now, tenant = self._now(), self._ledger.tenant
        definition = self._ledger.definition
        metric = Entry(
            kind=EntryKind.METRIC_ADOPTED,
            key=f"metric:{definition.digest}",
            tenant=tenant,
            occurred_at=now,
            recorded_at=now,
            policy=definition.digest,
            data={
                "version": definition.version,
                "digest": definition.digest,
                "document": definition.as_document(),
            },
        )
        return [adoption(tenant, signer.verifier, now), metric]

    # --- order --------------------------------------------------------------------------------

    def _place(self, link: Link, reign: _Reign) -> list[_Row]:
        """Give what is new its places, and fold it, in one transaction."""
        holders = _holders(link)
        size = reign.tree.size
        with link.transaction():
            self._speak(link, reign)
            late = _look_again(link, reign.horizon)
            batch = [*late, *_look(link, reign.horizon, BATCH - len(late))]
            if batch:
                for row in batch:
                    row.check()
                _insert(link, size, batch)
                placed = [
                    Placed(leaf, row.case_id, row.body) for leaf, row in enumerate(batch, size)
                ]
                reign.proof.wrote(reign.projection.take(link, placed))
                reign.proof.mark(link, size + len(batch))
        for row in batch:
            reign.tree.append(row.leaf_hash, row.kind)
        if any(row.kind == EntryKind.LEDGER_KEY_ADOPTED for row in batch):
            reign.keys = read_chain(link)
        largest = batch[-1].id if batch else 0
        reign.horizon.move(holders, taken=largest, complete=len(late) < BATCH)
        reign.caught_up = len(batch) < BATCH
        return batch

    def _speak(self, link: Link, reign: _Reign) -> None:
        """The sequencer's own entries: what a ledger begins with, and the heartbeat."""
        for entry in reign.unsaid:
            append_entry(link, entry)
        reign.unsaid = []
        signed_at, now = reign.tree.signed_at, self._now()
        if signed_at is None or reign.tree.asked_by or not reign.caught_up:
            return
        # Either way: a clock that was once ahead must not keep the heart from beating.
        if abs(now - signed_at) >= self._ledger.heartbeat:
            append_entry(link, heartbeat(self._ledger.tenant, reign.tree.size, now))

    # --- heads --------------------------------------------------------------------------------

    def _seal(self, link: Link, reign: _Reign) -> None:
        """Sign a head if an entry asks for one; closings shortly after each other share one."""
        tree = reign.tree
        soon = time.monotonic() - reign.sealed < PACE.total_seconds()
        if not tree.asked_by or soon or reign.keys.at(tree.size) is None:
            return
        root = tree.frontier.root()
        note = self._sign(Checkpoint(self._ledger.origin, tree.size, root), reign.signer)
        now = self._now()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self._ledger.head.write(tree.size, root)
        link.execute(
            """
            insert into checkpoints (size, root, frontier, note, key_name, reason, signed_at)
            values (%s, %s, %s, %s, %s, %s, %s)
            """,
            (
                tree.size,
                root,
                tree.frontier.to_bytes(),
                note.encode(),
                reign.signer.verifier.name,
                tree.asked_by,
                now,
            ),
        )
        log.info("ledger_sealed", count=tree.size)
        tree.signed_size, tree.signed_at, tree.asked_by = tree.size, now, ""
        reign.sealed = time.monotonic()

    def _sign(self, head: Checkpoint, signer: Signer) -> str:
        note = sign_note(head.body(), signer)
        try:
            open_note(note, [signer.verifier])
        except ValueError:
            raise LedgerRefusedError(
                "signature_wrong", "ledger.key signs by another key than it says: correct it"
            ) from None
        return note


def heartbeat(tenant: str, size: int, now: datetime, *, asked: str = "") -> Entry:
    """An entry that asks for a head, so that the ledger's end cannot be cut unseen."""
    return Entry(
        kind=EntryKind.LEDGER_HEARTBEAT,
        key=f"{EntryKind.LEDGER_HEARTBEAT.value}:{asked or size}",
        tenant=tenant,
        occurred_at=now,
        recorded_at=now,
        data={"size": size},
    )


@dataclass(frozen=True, slots=True)
class _Row:
    id: int
    kind: str
    case_id: str | None
    body: bytes
    leaf_hash: bytes

    def check(self) -> None:
        """What is sealed is what was hashed when it was written."""
        if leaf_hash(self.body) != self.leaf_hash:
            raise LedgerRefusedError(
                "entry_altered", f"entry {self.id} was changed before it was sealed: restore it"
            )


_COLUMNS = "select e.id, e.kind, e.case_id, e.body, e.leaf_hash from ledger_entries e"


def _look_again(link: Link, horizon: Horizon) -> list[_Row]:
    """Entries that appeared among ids that were passed over."""
    if horizon.settled == horizon.taken:
        return []
    # The bounds twice: else both tables might be read from their beginning (a merge join).
    ids = link.execute(
        """
        select e.id from ledger_entries e
         where e.id > %(settled)s and e.id <= %(taken)s
           and not exists (
             select from ledger_leaves l where l.entry_id = e.id
                and l.entry_id > %(settled)s and l.entry_id <= %(taken)s)
         order by e.id limit %(most)s
        """,
        {"settled": horizon.settled, "taken": horizon.taken, "most": BATCH},
    ).fetchall()
    if not ids:
        return []
    wanted = [row[0] for row in ids]
    query = f"{_COLUMNS} where e.id = any(%s) order by e.id"
    return _rows(link, query, (wanted,))


def _look(link: Link, horizon: Horizon, limit: int) -> list[_Row]:
    """Entries beyond all that were taken so far."""
    if limit <= 0:
        return []
    query = f"{_COLUMNS} where e.id > %s order by e.id limit %s"
    return _rows(link, query, (horizon.taken, limit))


def _rows(link: Link, query: str, values: Sequence[Any]) -> list[_Row]:
    return [_Row(*row) for row in link.execute(query.encode(), values, binary=True)]


def _insert(link: Link, first: int, batch: Sequence[_Row]) -> None:
    link.execute(
        """
        insert into ledger_leaves (leaf_index, entry_id)
        select %s + place - 1, id from unnest(%s::bigint[]) with ordinality as v(id, place)
        """,
        (first, [row.id for row in batch]),
    )


def _holders(link: Link) -> frozenset[str]:
    """Transactions that may have drawn an id that cannot be seen yet, ours excepted."""
    rows = link.execute(
        """
        select virtualtransaction from pg_locks
         where locktype = 'relation' and relation = 'ledger_entries'::regclass
           and database = (select oid from pg_database where datname = current_database())
           and mode = 'RowExclusiveLock' and granted and pid is distinct from pg_backend_pid()
        """
    )
    return frozenset(row[0] for row in rows)


def _try_lock(link: Link) -> bool:
    row = link.execute("select pg_try_advisory_lock(%s)", (LOCK,)).fetchone()
    return bool(row and row[0])


def _largest_placed(link: Link) -> int:
    row = link.execute("select coalesce(max(entry_id), 0) from ledger_leaves").fetchone()
    return int(row[0]) if row else 0
