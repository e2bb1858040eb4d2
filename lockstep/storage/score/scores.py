"""What the metric is computed from, what it was, and what others report beside it."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Text, cast, func, insert, not_, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.domain.cases.terminations import TerminationKind
from lockstep.evidence.format.canonical import instant_text
from lockstep.evidence.ledger.entries import Entry, EntryKind
from lockstep.scorecard.facts import Feed, Finding
from lockstep.storage.intake.feeds import read_feeds
from lockstep.storage.ledger.append import Append, append_all
from lockstep.storage.ledger.state import LATE_COMMITS
from lockstep.storage.outgoing.deliveries import enqueue
from lockstep.storage.people.visibility import is_sealed_fact
from lockstep.storage.score.facts_proof import (
    FINGERPRINT,
    READ_MARK,
    UNMARKED,
    FactsState,
    Seal,
    mark_of,
    state_of,
)
from lockstep.storage.tables.case import cases, findings, policies
from lockstep.storage.tables.ledger import checkpoints
from lockstep.storage.tables.score import case_facts, metric_reports, score_snapshots

PAGE = 500
"""Documents read at once: about 2 MB."""
MOST_FINDINGS = 100_000
MOST_POINTS = 1100
"""Days of a trend: three years."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEEP_ALL = timedelta(days=35)
_SNAPSHOT_LOCK = 7_212_019_001
_REPORT_LOCK = 7_212_019_002


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """The newest signed head, and how the ledger has grown since.

    Args:
        size: leaves under the newest checkpoint; 0 without one.
        root: its root in hex, or "".
        signed_at: when it was signed, or None.
        sequenced: leaves that have their place, signed or not.
        unsequenced: entries that wait for theirs.
        unsigned_since: when the oldest entry that no signed head covers was recorded, or None.
        unsequenced_since: when the oldest entry without a place was recorded, or None.
    """

    size: int
    root: str
    signed_at: datetime | None
    sequenced: int
    unsequenced: int
    unsigned_since: datetime | None
    unsequenced_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class MetricReport:
    """What the owner of another metric said: ``value`` is a decimal from 0 to 20."""

    report_id: str
    metric: str
    value: str
    as_of: datetime
    source: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One reading that was kept."""

    taken_at: datetime
    reason: str
    document: Mapping[str, Any]


class Reading:
    """One consistent look at the database: facts, findings and head belong together."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def documents(
        self, *, start: datetime, end: datetime, partner: str | None = None, sealed: bool = True
    ) -> AsyncGenerator[list[str], None]:
        """Facts as pages of JSON texts, for `facts_from_document`; parsing is work for a thread.

        They are all that can count in the window, and a few more, which the metric passes over:
        the column holds the cutoff as shown, which lies behind the one that counts where HR moved
        it too late. A definition may count from an earlier one still: a dismissal's first, or that
        of a case which this one goes on from.

        Without ``sealed`` a dismissal that is a secret is not among them, whatever its first cutoff
        was: it would be counted, if only as left out. It counts, all of its time, once it begins.
        """
        document = case_facts.c.document
        shown = case_facts.c.cutoff_at
        counts = cast(document["cutoff_at"], BigInteger)
        first = cast(document["first_cutoff_at"].astext, BigInteger)
        goes_on = func.jsonb_array_length(document["earlier"]) > 0
        query = (
            select(cast(document, Text))
            .where(or_(shown >= start, case_facts.c.is_open))
            .where(or_(counts < _ms(end), first < _ms(end), goes_on))
        )
        if partner is not None:
            query = query.where(case_facts.c.partner == partner)
        if not sealed:
            query = query.where(not_(is_sealed_fact()))
        query = query.execution_options(yield_per=PAGE)
        async with self._connection.stream_scalars(query) as result:
            try:
                async for page in result.partitions():
                    yield list(page)
            finally:  # also where a reader wants no more: SQLAlchemy would leave the cursor open
                await result.close()

    async def policies(self, digests: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Documents of pinned policies; they are never changed."""
        query = select(policies.c.digest, policies.c.document)
        query = query.where(policies.c.digest.in_(digests))
        rows = await self._connection.execute(query)
        return {row.digest: row.document for row in rows}

    async def called_off(self, *, partner: str | None = None) -> list[str]:
        """Facts of the cases that HR took back, as JSON texts: others may go on from them."""
        document = case_facts.c.document
        query = select(cast(document, Text)).where(document["called_off_at"].astext.is_not(None))
        if partner is not None:
            query = query.where(case_facts.c.partner == partner)
        return list((await self._connection.scalars(query)).all())

    async def facts_state(self, seal: Seal, *, tenant: str, size: int) -> FactsState:
        """Whether all facts are what the sequencer wrote, in this look.

        Args:
            seal: the key of the sequencer's marks.
            tenant: whose.
            size: leaves that have their place.
        """
        query = text(READ_MARK.replace("%s", ":tenant"))
        row = (await self._connection.execute(query, {"tenant": tenant})).one_or_none()
        if row is None:
            return UNMARKED
        fingerprint = bytes(await self._connection.scalar(text(FINGERPRINT)) or b"")
        return state_of(mark_of(tuple(row)), fingerprint, size, seal)

    async def scheduled(self, *, after: datetime) -> int:
        """How many open cases have their cutoff still to come; dismissals are a secret until it."""
        dismissed = case_facts.c.document["kind"].astext == TerminationKind.INVOLUNTARY.value
        query = (
            select(func.count())
            .select_from(case_facts)
            .where(case_facts.c.is_open, case_facts.c.cutoff_at > after, not_(dismissed))
        )
        return await self._connection.scalar(query) or 0

    async def findings(self, *, start: datetime, partner: str | None = None) -> list[Finding]:
        """Findings that stand, or stood since ``start``."""
        query = (
            select(findings)
            .where(or_(findings.c.resolved_at.is_(None), findings.c.resolved_at >= start))
            .order_by(findings.c.raised_at, findings.c.finding_id)
            .limit(MOST_FINDINGS)
        )
        if partner is not None:
            whose = cases.c.case_id == findings.c.case_id
            query = query.join(cases, whose).where(cases.c.partner == partner)
        return [
            Finding(
                kind=row.kind,
                raised_at=_ms(row.raised_at),
                resolved_at=None if row.resolved_at is None else _ms(row.resolved_at),
                case_id=row.case_id,
                system=row.system,
            )
            for row in (await self._connection.execute(query)).all()
        ]

    async def feeds(self, *, partner: str | None = None) -> list[Feed]:
        """The expected sources of HR, and when each was heard."""
        return await read_feeds(self._connection, partner=partner)

    async def reports(self) -> list[MetricReport]:
        """The report that counts of each metric: the newest as-of, the last recorded of these."""
        rows = await self._connection.execute(_STANDING_REPORTS)
        return [MetricReport(**row._mapping) for row in rows]  # noqa: SLF001 - public by documentation

    async def head(self) -> LedgerHead:
        """Where the ledger is."""
        newest = select(checkpoints).order_by(checkpoints.c.size.desc()).limit(1)
        row = (await self._connection.execute(newest)).one_or_none()
        size = row.size if row else 0
        rest = (await self._connection.execute(_REST, {"size": size, "late": LATE_COMMITS})).one()
        return LedgerHead(
            size=size,
            root=bytes(row.root).hex() if row else "",
            signed_at=row.signed_at if row else None,
            sequenced=rest.sequenced,
            unsequenced=rest.unsequenced,
            unsigned_since=rest.unsigned_since,
            unsequenced_since=rest.unsequenced_since,
        )


class Scores:
    """Reads what the metric needs; keeps readings and the reports of other metrics."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[Reading]:
        """Open one consistent look; it changes nothing."""
        async with self._engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            yield Reading(connection)

    async def snapshots(self, *, since: datetime) -> list[Snapshot]:
        """The last reading of each day (UTC), oldest first; `MOST_POINTS` at most."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(_DAILY, {"since": since, "most": MOST_POINTS})
            return [Snapshot(*row) for row in reversed(rows.all())]

    async def newest(self) -> Snapshot | None:
        """The newest reading."""
        async with self._engine.connect() as connection:
            return await _newest(connection)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn | None]:
        """The right to take the next reading, in one transaction; None if another has it."""
        async with self._engine.begin() as connection:
            taken = await connection.scalar(
                text("select pg_try_advisory_xact_lock(:key)"), {"key": _SNAPSHOT_LOCK}
            )
            yield Turn(connection) if taken else None

    async def report(self, report: MetricReport, *, tenant: str) -> tuple[MetricReport, bool]:
        """Keep a report and say so in the ledger, in one transaction.

        Returns the report that stands and whether it is new: what the same source said last of
        the same metric and instant is not recorded twice.
        """
        same = (
            select(metric_reports)
            .where(
                metric_reports.c.metric == report.metric,
                metric_reports.c.as_of == report.as_of,
                metric_reports.c.source == report.source,
            )
            .order_by(metric_reports.c.recorded_at.desc())
            .limit(1)
        )
        async with self._engine.begin() as connection:
            await connection.execute(
                text("select pg_advisory_xact_lock(:key)"), {"key": _REPORT_LOCK}
            )
            row = (await connection.execute(same)).one_or_none()
            if row is not None and row.value == report.value:
                return MetricReport(**row._mapping), False  # noqa: SLF001 - public by documentation
            await connection.execute(
                insert(metric_reports).values(
                    report_id=report.report_id,
                    metric=report.metric,
                    value=report.value,
                    as_of=report.as_of,
                    source=report.source,
                    recorded_at=report.recorded_at,
                )
            )
            await append_all(connection, [Append(_reported(report, tenant))])
        return report, True

    async def reported(self, *, limit: int = 100) -> list[MetricReport]:
        """What was reported, the last recorded first."""
        query = select(metric_reports).order_by(metric_reports.c.recorded_at.desc()).limit(limit)
        async with self._engine.connect() as connection:
            return [MetricReport(**row._mapping) for row in await connection.execute(query)]  # noqa: SLF001


class Turn:
    """One transaction in which a reading is taken."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def newest(self) -> Snapshot | None:
        return await _newest(self._connection)

    async def news(self, *, covered: int) -> str:
        """Why the ledger was sealed beyond its first ``covered`` leaves; "" if for nothing new.

        The kind of the entry that asked for the newest head. A closing can share a head with
        what asked before it, so every head counts; but a heartbeat only if a closing is under it.
        """
        bound = {"covered": covered, "heartbeat": EntryKind.LEDGER_HEARTBEAT.value}
        reason = await self._connection.scalar(_NEWS, bound)
        if reason is None:
            closed = {"covered": covered, "closed": EntryKind.CASE_CLOSED.value}
            reason = await self._connection.scalar(_CLOSED_BENEATH, closed)
        return reason or ""

    async def keep(
        self, snapshot: Snapshot, *, target: str | None = None, body: bytes = b""
    ) -> None:
        """Keep a reading, and put ``body`` into the outbox for ``target`` with it.

        Readings older than 35 days are thinned out to the last of each day (UTC).
        """
        await self._connection.execute(
            insert(score_snapshots).values(
                taken_at=snapshot.taken_at, reason=snapshot.reason, document=snapshot.document
            )
        )
        if target:
            await enqueue(self._connection, target=target, body=body, at=snapshot.taken_at)
        await self._connection.execute(_THIN_OUT, {"before": snapshot.taken_at - _KEEP_ALL})


def new_report_id() -> str:
    return f"rep_{uuid.uuid4().hex}"


async def _newest(connection: AsyncConnection) -> Snapshot | None:
    query = (
        select(score_snapshots.c.taken_at, score_snapshots.c.reason, score_snapshots.c.document)
        .order_by(score_snapshots.c.taken_at.desc())
        .limit(1)
    )
    row = (await connection.execute(query)).one_or_none()
    return Snapshot(*row) if row else None


def _reported(report: MetricReport, tenant: str) -> Entry:
    return Entry(
        kind=EntryKind.METRIC_REPORTED,
        key=f"metric:reported:{report.report_id}",
        tenant=tenant,
        occurred_at=report.recorded_at,
        recorded_at=report.recorded_at,
        data={
            "metric": report.metric,
            "value": report.value,
            "as_of": instant_text(report.as_of),
            "source": report.source,
        },
    )


def _ms(moment: datetime) -> int:
    """Whole milliseconds since the epoch, as the ledger's entries hold them."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


_STANDING_REPORTS = text(
    """
    select distinct on (metric) report_id, metric, value, as_of, source, recorded_at
      from metric_reports order by metric, as_of desc, recorded_at desc
    """
)

_DAILY = text(
    """
    select distinct on (date_trunc('day', taken_at, 'UTC')) taken_at, reason, document
      from score_snapshots where taken_at >= :since
     order by date_trunc('day', taken_at, 'UTC') desc, taken_at desc limit :most
    """
)

_NEWS = text(
    """
    select reason from checkpoints where size > :covered and reason <> :heartbeat
     order by size desc limit 1
    """
)

_CLOSED_BENEATH = text(
    """
    select e.kind from ledger_leaves l join ledger_entries e on e.id = l.entry_id
     where l.leaf_index >= :covered and l.leaf_index < (select max(size) from checkpoints)
       and e.kind = :closed
     limit 1
    """
)
"""Short where it is asked: between heartbeats alone lies what nobody wanted sealed at once."""

_REST = text(
    """
    with unplaced as (
        select e.recorded_at from ledger_entries e
        where e.id > coalesce((select max(entry_id) from ledger_leaves), 0) - :late
          and not exists (select 1 from ledger_leaves l where l.entry_id = e.id)
    )
    select
        coalesce((select max(leaf_index) from ledger_leaves), -1) + 1 as sequenced,
        (select count(*) from unplaced) as unsequenced,
        (select min(recorded_at) from unplaced) as unsequenced_since,
        least(
            (select min(recorded_at) from unplaced),
            (select e.recorded_at from ledger_leaves l
               join ledger_entries e on e.id = l.entry_id where l.leaf_index = :size)
        ) as unsigned_since
    """
)
"""Ids can commit out of order, but not by more than ``late``: a look at the tail is enough."""

_THIN_OUT = text(
    """
    delete from score_snapshots s where s.taken_at < :before and exists (
        select 1 from score_snapshots later
        where later.taken_at > s.taken_at
          and later.taken_at < date_trunc('day', s.taken_at, 'UTC') + interval '1 day'
    )
    """
)
