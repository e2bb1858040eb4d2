"""Whether the kept facts are what the ledger's entries come to, asked without folding them again.

The application's own database role may change `case_facts`: the sequencer must. So the sequencer
knows what it wrote, by a digest per case, and seals all of them together in the transaction that
writes them, with a key that the database does not hold. Whoever reads the facts compares. What
does not fit is folded anew from the ledger, put right, and said in the ledger, for good.

Not noticed: what whoever holds the keyring writes into the mark. A pack needs neither; it is
recomputed from the entries.
"""

from __future__ import annotations

import hashlib
import hmac
from bisect import insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.evidence.ledger.entries import Entry, EntryKind
from lockstep.storage.engine.direct import Link, append_entry
from lockstep.storage.score.projection import ROW_DIGEST
from lockstep.storage.score.refold import Refolded, refold

log = structlog.get_logger("lockstep.ledger")

FOLD: Final = 2
"""Which fold wrote the facts; one higher with every release that folds otherwise."""
CHECK: Final = timedelta(seconds=60)
"""How often the sequencer compares what stands with what it wrote."""
SHARE: Final = 20
"""It compares less often where that takes long: it takes so small a part of the time."""

UNPROVED: Final = timedelta(minutes=30)
"""So long after the last comparison somebody should look why."""
TOLD_FOR: Final = timedelta(days=7)
"""How long another hand is told of."""

Seal = Callable[[str], bytes]
"""A keyed digest of a text; the key is not in the database."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What the sequencer says of the facts.

    Args:
        size: leaves of the ledger that are folded in.
        fold: see `FOLD`.
        fingerprint: of all rows.
        proved_at: when they were last compared.
        differed_at: when they were last found changed by another hand, or None.
        differed: how many cases that were.
    """

    size: int
    fold: int
    fingerprint: bytes
    proved_at: datetime
    differed_at: datetime | None = None
    differed: int = 0
    seal: bytes = b""

    def text(self) -> str:
        """What is sealed."""
        when = self.differed_at.astimezone(UTC).isoformat() if self.differed_at else ""
        proved = self.proved_at.astimezone(UTC).isoformat()
        parts = self.size, self.fold, self.fingerprint.hex(), proved, when, self.differed
        return "\n".join(["case_facts", *map(str, parts)])

    def sealed(self, seal: Seal) -> Mark:
        return replace(self, seal=seal(self.text()))

    def is_sealed(self, seal: Seal) -> bool:
        """Whether it is the sequencer's own word."""
        return hmac.compare_digest(self.seal, seal(self.text()))


ALL_DIGESTS: Final = f"select case_id, {ROW_DIGEST} from case_facts"  # noqa: S608 - a constant
FINGERPRINT: Final = f"""
select sha256(coalesce(string_agg(digest, ''::bytea order by case_id collate "C"), ''::bytea))
  from (select case_id, {ROW_DIGEST} as digest from case_facts) as rows
"""  # noqa: S608 - made of constants
READ_MARK: Final = """
select size, fold, fingerprint, proved_at, differed_at, differed, seal from facts_mark
 where tenant = %s
"""
_WRITE_MARK: Final = """
insert into facts_mark
    (tenant, size, fold, fingerprint, proved_at, differed_at, differed, seal)
values (%s, %s, %s, %s, %s, %s, %s, %s)
on conflict (tenant) do update set
    size = excluded.size, fold = excluded.fold, fingerprint = excluded.fingerprint,
    proved_at = excluded.proved_at, differed_at = excluded.differed_at,
    differed = excluded.differed, seal = excluded.seal
"""


@dataclass(frozen=True, slots=True)
class FactsState:
    """What a reader may make of the facts.

    Args:
        is_proved: whether they are what the sequencer wrote; None where nothing was ever marked.
        proved_at: when they were last compared with it.
        differed_at: when another hand was last found in them, which was put right, or None.
        differed: in how many cases.
    """

    is_proved: bool | None
    proved_at: datetime | None = None
    differed_at: datetime | None = None
    differed: int = 0


UNMARKED: Final = FactsState(None)


def state_of(mark: Mark | None, fingerprint: bytes, size: int, seal: Seal) -> FactsState:
    """Judge a mark by the rows and the order that were read in one look with it."""
    if mark is None:
        return UNMARKED
    if not mark.is_sealed(seal):
        return FactsState(is_proved=False)
    is_proved = mark.fingerprint == fingerprint and mark.size == size
    return FactsState(is_proved, mark.proved_at, mark.differed_at, mark.differed)


@dataclass(slots=True)
class FactsProof:
    """The sequencer's own knowledge of what it wrote; thrown away with its reign.

    Args:
        seal: makes marks nobody else can make; without one nothing is marked.
    """

    tenant: str
    seal: Seal | None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _digests: dict[str, bytes] = field(default_factory=dict)
    _order: list[str] = field(default_factory=list)
    _mark: Mark | None = None
    _next: datetime | None = None

    def begin(self, link: Link, size: int) -> None:
        """Trust what stands if the mark fits it; else fold the ledger anew."""
        if self.seal is None:
            return
        self._mark = self._read(link)
        self._load(link)
        mark = self._mark
        if mark and mark.fold == FOLD and mark.size == size and self._fits(mark):
            return
        is_ours = mark is not None and mark.is_sealed(self.seal)
        is_other = mark is not None and not (is_ours and mark.fold != FOLD)
        self._prove(link, size, is_alarming=is_other)

    def knows(self, case_id: str, digest: bytes) -> bool:
        """Whether a row is as it was written; where nothing is marked, nobody can say."""
        return self.seal is None or self._digests.get(case_id) == digest

    def wrote(self, digests: Mapping[str, bytes]) -> None:
        """Remember rows that were written in the transaction that is under way."""
        for case_id, digest in digests.items():
            if case_id not in self._digests:
                insort(self._order, case_id)
            self._digests[case_id] = digest

    def mark(self, link: Link, size: int) -> None:
        """Seal what was written, in the same transaction."""
        if self.seal is None:
            return
        before = self._mark
        proved = before.proved_at if before else self.now()
        self._write(link, self._made(size, proved, before))

    def check(self, link: Link, size: int) -> None:
        """Compare what stands with what was written, if it is time."""
        now = self.now()
        if self.seal is None or (self._next is not None and now < self._next):
            return
        row = link.execute(FINGERPRINT.encode()).fetchone()
        if row is not None and bytes(row[0]) == self._fingerprint():
            mark = self._read(link)
            if mark is not None and mark.is_sealed(self.seal):
                self._write(link, self._made(size, now, mark))
            else:
                self._prove(link, size, is_alarming=True)
        else:
            self._prove(link, size, is_alarming=True)
        self._next = now + max(CHECK, SHARE * (self.now() - now))

    def _prove(self, link: Link, size: int, *, is_alarming: bool) -> None:
        """Fold the ledger anew, put right what stands otherwise, and say so."""
        found = refold(link)
        self._load(link, but=found.strays)
        now, changed = self.now(), found.rewritten + len(found.strays)
        mark = self._made(size, now, self._mark)
        if is_alarming:
            mark = replace(mark, differed_at=now, differed=changed)
            log.error("facts_changed_by_another", count=changed)
        elif changed:
            log.info("facts_folded_anew", count=changed)
        with link.transaction():
            if is_alarming:
                append_entry(link, _differed(self.tenant, found, now))
            self._write(link, mark)
        self._next = now + CHECK

    def _load(self, link: Link, *, but: list[str] | tuple[str, ...] = ()) -> None:
        """Take over what stands; rows that the ledger does not know are never taken over."""
        rows = link.execute(ALL_DIGESTS.encode(), binary=True).fetchall()
        strays = frozenset(but)
        self._digests = {row[0]: bytes(row[1]) for row in rows if row[0] not in strays}
        self._order = sorted(self._digests)

    def _fingerprint(self) -> bytes:
        return hashlib.sha256(b"".join([self._digests[name] for name in self._order])).digest()

    def _fits(self, mark: Mark) -> bool:
        assert self.seal is not None  # noqa: S101 - asked only where marks are made
        return mark.is_sealed(self.seal) and mark.fingerprint == self._fingerprint()

    def _made(self, size: int, proved: datetime, before: Mark | None) -> Mark:
        made = Mark(size, FOLD, self._fingerprint(), proved)
        if before is None:
            return made
        return replace(made, differed_at=before.differed_at, differed=before.differed)

    def _read(self, link: Link) -> Mark | None:
        row = link.execute(READ_MARK.encode(), (self.tenant,)).fetchone()
        return None if row is None else mark_of(row)

    def _write(self, link: Link, mark: Mark) -> None:
        assert self.seal is not None  # noqa: S101 - asked only where marks are made
        self._mark = kept = mark.sealed(self.seal)
        link.execute(
            _WRITE_MARK.encode(),
            (
                self.tenant,
                kept.size,
                kept.fold,
                kept.fingerprint,
                kept.proved_at,
                kept.differed_at,
                kept.differed,
                kept.seal,
            ),
        )


@dataclass(frozen=True, slots=True)
class Changed:
    """Another hand was found in the facts."""

    at: datetime
    cases: int


async def changed_facts(engine: AsyncEngine) -> Changed | None:
    """When another hand was last found in the facts.

    The same hand could write here too; then the seal is broken, which is found within a minute.
    """
    query = text("select differed_at, differed from facts_mark where differed_at is not null")
    async with engine.connect() as connection:
        row = (await connection.execute(query)).first()
    return None if row is None else Changed(*row)


def mark_of(row: tuple[object, ...]) -> Mark:
    """A mark from its row."""
    size, fold, fingerprint, proved_at, differed_at, differed, seal = row
    assert isinstance(fingerprint, bytes | memoryview)  # noqa: S101 - the column's type
    assert isinstance(seal, bytes | memoryview)  # noqa: S101 - the column's type
    assert isinstance(proved_at, datetime)  # noqa: S101 - the column's type
    assert differed_at is None or isinstance(differed_at, datetime)  # noqa: S101 - the same
    return Mark(
        int(str(size)),
        int(str(fold)),
        bytes(fingerprint),
        proved_at,
        differed_at,
        int(str(differed)),
        bytes(seal),
    )


def _differed(tenant: str, found: Refolded, now: datetime) -> Entry:
    return Entry(
        kind=EntryKind.LEDGER_FACTS_DIFFERED,
        key=f"{EntryKind.LEDGER_FACTS_DIFFERED.value}:{int(now.timestamp() * 1000)}",
        tenant=tenant,
        occurred_at=now,
        recorded_at=now,
        data={"cases": found.rewritten, "unknown": len(found.strays)},
    )
