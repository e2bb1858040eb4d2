"""Folding every case's facts anew from the ledger, in its order.

The sequencer folds each entry once, by the release that it runs. What that release could not fold,
or folded otherwise than this one does, stays in the table of facts until somebody folds again.

Reading and folding disturb nobody. Only what differs is written, by whoever holds the sequencer's
lock: a running one remembers facts that it wrote, and is made to begin anew by ending its session,
which it survives as it survives any outage. Meanwhile entries are appended as always.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import psycopg
import structlog

from lockstep.evidence.ledger.history import History, HistoryError, facts_document
from lockstep.scorecard.facts import CaseFacts
from lockstep.storage.engine.database import StorageError
from lockstep.storage.engine.direct import Link
from lockstep.storage.ledger.lock import LOCK
from lockstep.storage.score.projection import is_open, write_facts

log = structlog.get_logger("lockstep.ledger")

PAGE = 2000
"""Leaves read at once: about 2 MB."""
CASES = 500
"""Facts read or written at once: about 2 MB."""
MOST_TOLD = 100
"""So many entries are told one by one; the others are counted."""
PATIENCE_S = 15.0
"""How long the sequencer's lock may take."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOOK_S = 0.02
_LOOKS = 3

Progress = Callable[[int, int], None]
"""Told leaves done and leaves in all."""


@dataclass(frozen=True, slots=True)
class Unfolded:
    """An entry that cannot be folded: its facts stay as they were, and every pack refuses it.

    Args:
        leaf: its place in the ledger.
        case_id: the case that it is about, or "".
        says: why, without anything that the entry says.
    """

    leaf: int
    case_id: str
    kind: str
    says: str


@dataclass(slots=True)
class Refolded:
    """What was done and what was found.

    Args:
        leaves: entries that were folded, in order.
        cases: cases that the ledger knows.
        rewritten: cases whose stored facts were missing or other, and are right now.
        strays: stored facts of cases that the ledger does not know; they are left alone.
        not_told: entries that cannot be folded, beyond the first ones.
    """

    leaves: int = 0
    cases: int = 0
    rewritten: int = 0
    strays: list[str] = field(default_factory=list)
    unfolded: list[Unfolded] = field(default_factory=list)
    not_told: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether every entry was folded, and every stored case is one of the ledger's."""
        return not self.unfolded and not self.strays


def refold(link: Link, *, progress: Progress = lambda _done, _all: None) -> Refolded:
    """Fold the whole ledger and put right what is stored otherwise; again, it changes nothing.

    Raises:
        StorageError: if an entry is missing, or the sequencer's lock cannot be had.
    """
    return _Refold(link, progress).run()


def differing(link: Link) -> Refolded:
    """As `refold`, but nothing is written: ``rewritten`` is how many cases are stored otherwise.

    Raises:
        StorageError: if an entry is missing.
    """
    return _Refold(link, lambda _done, _all: None).look()


class _Refold:
    def __init__(self, link: Link, progress: Progress) -> None:
        self._link = link
        self._progress = progress
        self._history = History()
        self._through: dict[str, int] = {}
        self._found = Refolded()

    def look(self) -> Refolded:
        self._found.rewritten = len(self._doubtful())
        self._found.cases = len(self._history.cases)
        return self._found

    def _doubtful(self) -> list[str]:
        self._fold()
        self._found.strays, doubtful = self._compare_all()
        for _ in range(_LOOKS):  # what is only newer than our fold is not other
            self._fold()
            doubtful = sorted(self._differing(doubtful))
        return doubtful

    def run(self) -> Refolded:
        doubtful = self._doubtful()
        if doubtful:
            with _sequencer_stopped(self._link):
                self._fold()
                self._found.rewritten = self._write(doubtful)
        self._found.cases = len(self._history.cases)
        return self._found

    def _fold(self) -> None:
        """Fold what has its place and was not folded yet."""
        end = _placed(self._link)
        while (start := self._found.leaves) < end:
            stop = min(start + PAGE, end)
            expected = start
            for leaf, case_id, kind, body in _page(self._link, start, stop):
                if leaf != expected or body is None:
                    break
                self._take(leaf, case_id or "", kind or "", body)
                expected += 1
            if expected != stop:
                raise StorageError(
                    f"entry {expected} of the ledger is missing: run `lockstep ledger verify`"
                )
            self._found.leaves = stop
            self._progress(stop, end)

    def _take(self, leaf: int, case_id: str, kind: str, body: bytes) -> None:
        before = self._history.cases.get(case_id)
        try:
            self._history.add(leaf, json.loads(body))
        except HistoryError as error:
            self._tell(Unfolded(leaf, case_id, kind, str(error)))
        except (ValueError, RecursionError):
            self._tell(Unfolded(leaf, case_id, kind, f"entry {leaf}: it is not JSON"))
        if self._history.cases.get(case_id) != before:
            self._through[case_id] = leaf

    def _tell(self, unfolded: Unfolded) -> None:
        if len(self._found.unfolded) < MOST_TOLD:
            self._found.unfolded.append(unfolded)
        else:
            self._found.not_told += 1

    def _compare_all(self) -> tuple[list[str], list[str]]:
        """Stored cases that the ledger does not know, and cases that are stored otherwise."""
        cases = self._history.cases
        unknown = []
        doubtful = set(cases)
        for row in _stored(self._link):
            if row.case_id not in cases:
                unknown.append(row.case_id)
            elif row.is_of(cases[row.case_id]):
                doubtful.discard(row.case_id)
        self._fold()  # what was opened meanwhile is no stray
        return [case_id for case_id in unknown if case_id not in cases], sorted(doubtful)

    def _differing(self, case_ids: Sequence[str]) -> Iterator[str]:
        """Those that are stored otherwise than the ledger says, or not at all."""
        for at in range(0, len(case_ids), CASES):
            some = case_ids[at : at + CASES]
            stored = {row.case_id: row for row in _stored_of(self._link, some)}
            for case_id in some:
                row = stored.get(case_id)
                if row is None or not row.is_of(self._history.cases[case_id]):
                    yield case_id

    def _write(self, doubtful: Sequence[str]) -> int:
        """Write what is still other than the ledger says; how many cases that were."""
        differing = list(self._differing(doubtful))
        for at in range(0, len(differing), CASES):
            some = differing[at : at + CASES]
            facts = {name: (self._through[name], self._history.cases[name]) for name in some}
            write_facts(self._link, facts)
        return len(differing)


@dataclass(frozen=True, slots=True)
class _Stored:
    case_id: str
    partner: str
    cutoff_at: datetime
    is_open: bool
    document: Mapping[str, object]

    def is_of(self, facts: CaseFacts) -> bool:
        """Whether this is what the sequencer writes for these facts."""
        return (
            self.document == facts_document(facts)
            and self.partner == facts.partner
            and self.is_open == is_open(facts)
            and self.cutoff_at == _EPOCH + timedelta(milliseconds=facts.shown_cutoff_at)
        )


_COLUMNS = "select case_id, partner, cutoff_at, is_open, document from case_facts"


def _stored(link: Link) -> Iterator[_Stored]:
    """All stored facts, a few at a time: nothing is held open meanwhile."""
    last = ""
    while True:
        query = f"{_COLUMNS} where case_id > %s order by case_id limit %s"
        rows = [_Stored(*row) for row in link.execute(query.encode(), (last, CASES))]
        yield from rows
        if len(rows) < CASES:
            return
        last = rows[-1].case_id


def _stored_of(link: Link, case_ids: Sequence[str]) -> Iterator[_Stored]:
    query = f"{_COLUMNS} where case_id = any(%s)"
    return (_Stored(*row) for row in link.execute(query.encode(), (list(case_ids),)))


def _placed(link: Link) -> int:
    """The end of the order."""
    row = link.execute("select coalesce(max(leaf_index), -1) + 1 from ledger_leaves").fetchone()
    return int(row[0]) if row else 0


_LEAVES = """
select l.leaf_index, e.case_id, e.kind, e.body from ledger_leaves l
  left join lateral (
    select case_id, kind, body from ledger_entries where id = l.entry_id offset 0) e on true
 where l.leaf_index >= %s and l.leaf_index < %s order by l.leaf_index
"""
"""``offset 0`` keeps it a look-up per leaf: a merge join would read from the first entry on."""


def _page(
    link: Link, start: int, stop: int
) -> list[tuple[int, str | None, str | None, bytes | None]]:
    return link.execute(_LEAVES.encode(), (start, stop), binary=True).fetchall()


@contextlib.contextmanager
def _sequencer_stopped(link: Link) -> Iterator[None]:
    """Hold the sequencer's lock; whoever holds it begins anew afterwards, from what is stored."""
    deadline = time.monotonic() + PATIENCE_S
    while not _try_lock(link):
        if time.monotonic() > deadline:
            raise StorageError("another process keeps the ledger's lock: run this again")
        _end_the_sequencer(link)
        time.sleep(_LOOK_S)
    try:
        yield
    finally:
        link.execute("select pg_advisory_unlock(%s)", (LOCK,))


def _try_lock(link: Link) -> bool:
    row = link.execute("select pg_try_advisory_lock(%s)", (LOCK,)).fetchone()
    return bool(row and row[0])


def _end_the_sequencer(link: Link) -> None:
    """End the session that holds the lock: the worker connects again within a second."""
    try:
        ended = link.execute(
            """
            select pg_terminate_backend(pid, 2000) from pg_locks
             where locktype = 'advisory' and objsubid = 1 and granted
               and (classid::bigint << 32) + objid::bigint = %s
               and database = (select oid from pg_database where datname = current_database())
            """,
            (LOCK,),
        ).fetchall()
    except psycopg.errors.InsufficientPrivilege:
        raise StorageError(
            "a worker keeps the ledger's lock by another database role: stop the workers first"
        ) from None
    if ended:
        log.info("ledger_taken_over", count=len(ended))
