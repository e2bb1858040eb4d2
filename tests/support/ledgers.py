"""A ledger on a real database: sequencers, entries, and what they left behind."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from lockstep.evidence.format.merkle import Frontier
from lockstep.evidence.format.notes import FileSigner, VerifierKey, open_note, parse_checkpoint
from lockstep.evidence.ledger.entries import Entry, EntryKind, sealed
from lockstep.storage.engine.direct import Link, append_entry, connect
from lockstep.storage.ledger.head import HeadFile
from lockstep.storage.ledger.sequencer import SealedLedger, Sequencer, Step

TENANT = "acme"
ORIGIN = "acme/lockstep-ledger"
OWN = ("ledger:key_adopted", "metric:adopted")
"""What every ledger begins with."""
LOCK_WAIT_S = 60


def entry(
    kind: EntryKind = EntryKind.WATCH_LOOK, key: str = "", *, case_id: str = "", **data: object
) -> Entry:
    """Any entry, of a case that need not exist."""
    now = datetime.now(UTC)
    return Entry(
        kind=kind,
        key=key or secrets.token_hex(8),
        tenant=TENANT,
        occurred_at=now,
        recorded_at=now,
        case_id=case_id,
        data=data,
    )


class PromptSequencer(Sequencer):
    """One whose lock is free as soon as it is closed.

    The server drops the session of a closed connection a moment later, and its lock with it.
    """

    def close(self) -> None:
        pid = self._link.info.backend_pid if self._link else 0
        super().close()
        if not pid:
            return
        with (
            contextlib.suppress(psycopg.OperationalError),  # a server that is down has no sessions
            connect(self._url, application="test") as link,
        ):
            _until_gone(link, pid)


class LedgerBook:
    """One ledger: its database, its head file and its signing key."""

    def __init__(self, app_url: str, superuser_url: str, folder: Path) -> None:
        self.app_url = app_url
        self.superuser_url = superuser_url
        self.signer = FileSigner.generate(ORIGIN)
        self.head = HeadFile(folder / "ledger-head", ORIGIN)
        self._open: list[Sequencer] = []

    def sequencer(self, **changes: object) -> Sequencer:
        """A sequencer; ``changes`` replace fields of `SealedLedger`, or ``fold``, ``now``."""
        parts = {name: changes.pop(name) for name in ("fold", "now") if name in changes}
        fields = {
            "tenant": TENANT,
            "origin": ORIGIN,
            "open_signer": lambda: self.signer,
            "head": self.head,
            "heartbeat": timedelta(hours=24),
            **changes,
        }
        made = PromptSequencer(self.app_url, SealedLedger(**fields), **parts)
        self._open.append(made)
        return made

    def close(self) -> None:
        for each in self._open:
            each.close()

    @contextlib.contextmanager
    def link(self, *, superuser: bool = False) -> Iterator[Link]:
        """A connection of its own; as the application unless told otherwise."""
        made = connect(self.superuser_url if superuser else self.app_url, application="test")
        with made:
            yield made

    def append(self, *entries: Entry) -> None:
        with self.link() as link:
            for each in entries:
                assert append_entry(link, each)

    def ask(self, query: str, *values: object) -> list[tuple]:
        with self.link() as link:
            return link.execute(query.encode(), values).fetchall()

    def order(self) -> list[str]:
        """Keys of the placed entries in order; fails unless the indexes are 0, 1, 2 and so on."""
        rows = self.ask(
            "select leaf_index, e.key from ledger_leaves l join ledger_entries e"
            " on e.id = l.entry_id order by leaf_index"
        )
        assert [index for index, _ in rows] == list(range(len(rows)))
        return [key for _, key in rows]

    def mine(self) -> list[str]:
        """As `order`, without what the sequencer said itself."""
        return [
            key for key in self.order() if not key.startswith(("ledger:", "metric:", "policy:"))
        ]

    def heads(self) -> list[tuple[int, bytes, str]]:
        """Size, root and reason of each stored head; fails unless note and tree agree with it."""
        rows = self.ask("select size, root, note, reason from checkpoints order by size")
        bodies = self.bodies()
        for size, root, note, _ in rows:
            body, signers = open_note(bytes(note).decode(), self.trusted())
            said = parse_checkpoint(body)
            assert signers
            assert (said.origin, said.size, said.root) == (ORIGIN, size, root)
            assert tree_of(bodies[:size]).root() == root
        return [(size, bytes(root), reason) for size, root, _, reason in rows]

    def trusted(self) -> list[VerifierKey]:
        return [self.signer.verifier]

    def bodies(self) -> list[bytes]:
        rows = self.ask(
            "select e.body from ledger_leaves l join ledger_entries e"
            " on e.id = l.entry_id order by leaf_index"
        )
        return [bytes(row[0]) for row in rows]

    def kinds(self) -> list[str]:
        return [json.loads(body)["kind"] for body in self.bodies()]

    def unplaced(self) -> int:
        [row] = self.ask(
            "select count(*) from ledger_entries e where not exists"
            " (select from ledger_leaves l where l.entry_id = e.id)"
        )
        return int(row[0])

    def tamper(self, *statements: str) -> None:
        """As the database's superuser, with the triggers switched off."""
        with self.link(superuser=True) as link:
            link.execute("set session_replication_role = replica")
            for statement in statements:
                link.execute(statement.encode())


def tree_of(bodies: list[bytes]) -> Frontier:
    """A tree computed anew, from the bytes."""
    from hashlib import sha256  # noqa: PLC0415 - on purpose not the product's own leaf hash

    tree = Frontier()
    for body in bodies:
        tree.append(sha256(b"\x00" + body).digest())
    return tree


def advisory_locks(book: LedgerBook) -> int:
    """How many are held in this database; the server's other databases are other tests'."""
    [(count,)] = book.ask(
        "select count(*) from pg_locks l join pg_database d on d.oid = l.database"
        " where locktype = 'advisory' and datname = current_database()"
    )
    return int(count)


def settle(sequencer: Sequencer) -> None:
    """Step until nothing more is to be placed; wait for the lock of one that was killed."""
    deadline = time.monotonic() + LOCK_WAIT_S
    while (step := sequencer.step()) is not Step.IDLE:
        if step is Step.WAITING:
            assert time.monotonic() < deadline, "another sequencer holds the lock"
            time.sleep(0.01)


def _until_gone(link: Link, pid: int) -> None:
    deadline = time.monotonic() + LOCK_WAIT_S
    while link.execute("select from pg_stat_activity where pid = %s", (pid,)).fetchone():
        assert time.monotonic() < deadline, "the server keeps the session of a closed connection"
        time.sleep(0.005)


def plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@contextlib.contextmanager
def held_back(book: LedgerBook, *entries: Entry) -> Iterator[psycopg.Connection]:
    """A transaction that has appended, and commits only when the block says so."""
    with psycopg.connect(plain(book.app_url)) as connection:
        for each in entries:
            body, leaf = sealed(each)
            connection.execute(
                "insert into ledger_entries (key, kind, recorded_at, body, leaf_hash)"
                " values (%s, %s, now(), %s, %s)",
                (each.key, each.kind.value, body, leaf),
            )
        yield connection
