"""Which cases must have a workflow, and what the comparison with Temporal found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    Text,
    all_,
    and_,
    bindparam,
    delete,
    false,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.contracts.policies import DOUBT_PATIENCE
from lockstep.domain.cases.clocks import whole_ms
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.policy import Policy
from lockstep.domain.rights import EVERYTHING, Scope
from lockstep.domain.sweeping import PATIENCE, Expected, Loss, rest_after
from lockstep.evidence.ledger.entries import EntryKind
from lockstep.storage.cases.entries import case_entry
from lockstep.storage.cases.reads import UnknownCaseError, clock, locked
from lockstep.storage.ledger.append import Append, append_all
from lockstep.storage.people.visibility import visible
from lockstep.storage.records import CaseRow
from lockstep.storage.tables.case import cases, policies
from lockstep.storage.tables.ledger import ledger_entries
from lockstep.storage.tables.running import lost_workflows, task_looks

KEPT = timedelta(days=7)
"""How long it is told of a case that it was taken up again."""
FRESH = timedelta(minutes=2)
"""A comparison counts for so long."""
_LEASE = timedelta(seconds=30)
_ABOUT = "workflows"
_IDS = bindparam("ids", type_=ARRAY(Text))
_STILL_S = 20 * 60
_MOST = 500
_AWAKENS = timedelta(seconds=3)
"""A case that wakes by itself has begun by then, unless its worker is busy."""
_OVERSLEPT = timedelta(minutes=15)
_MOST_WOKEN = 50


def _expected_sql(only: str) -> str:
    """The cases that must have a workflow; ``only`` narrows each part, so that its index serves."""
    return f"""
    with pinned as (
      select * from unnest(cast(:digests as text[]), cast(:watches as float8[]),
                           cast(:stills as float8[])) as p(digest, watch_s, still_s)
    ), wanted as (
      select c.case_id from cases c where c.status in ('scheduled', 'revoking') {only}
      union
      select c.case_id from cases c join pinned p on p.digest = c.policy
       where c.status = 'closed' and c.unwatched_at is null
         and c.closed_at > now() - make_interval(secs => :longest)
         and c.closed_at > now() - make_interval(secs => p.watch_s) {only}
      union
      select c.case_id from revocations r join cases c on c.case_id = r.case_id
       where r.state <> 'settled' and r.state <> 'stopped' and c.status = 'closed' {only}
      union
      select c.case_id from findings f join cases c on c.case_id = f.case_id
        join pinned p on p.digest = c.policy
       where f.kind = 'account_in_doubt' and f.resolved_at is null and c.status = 'closed'
         and c.unwatched_at is null
         and c.closed_at > now() - make_interval(secs => p.watch_s + :doubts) {only}
    )
    select c.case_id, c.status,
      c.status = 'scheduled' and c.cutoff_at < now() - make_interval(secs => :patience) as is_late,
      c.status = 'revoking' and c.updated_at < now() - make_interval(secs => p.still_s)
        and not exists (
          select from revocations r
           where r.case_id = c.case_id and r.required and r.state <> 'stopped'
             and (r.state = 'needs_person'
               or r.updated_at > now() - make_interval(secs => p.still_s)
               or r.retry_at > now() - make_interval(secs => p.still_s)
               or exists (select from pauses q where q.system = r.system and q.ended_at is null
                            and q.until > now() and not c.kind = any (q.spares)
                            and (q.partners = '{{}}' or c.partner = any (q.partners))))
        ) as is_still
      from wanted w join cases c on c.case_id = w.case_id
      join pinned p on p.digest = c.policy
      join subjects s on s.subject_id = c.subject_id
     where s.wrapped_key is not null and c.opened_at < now() - make_interval(secs => :young)
     order by c.cutoff_at, c.case_id
    """  # noqa: S608 - our own words alone


_EXPECTED = text(_expected_sql(""))
_ONE_EXPECTED = text(_expected_sql("and c.case_id = :only"))
_SAID = (
    select(func.count())
    .select_from(ledger_entries)
    .where(
        ledger_entries.c.case_id == bindparam("case"),
        ledger_entries.c.kind == EntryKind.CASE_RESTARTED.value,
    )
)
_YOUNG_S = 20
"""A case that was opened just now is started by whoever opened it."""


@dataclass(frozen=True, slots=True)
class LostWorkflow:
    """What became of a case's workflow. ``restarted_at``: when the case was taken up again."""

    workflow_id: str
    loss: Loss
    since: datetime
    restarts: int
    restarted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Swept:
    """What is known, within a scope.

    Args:
        age: how long ago a worker compared cases with workflows last; None is never.
        problem: why it could not; "" where it could.
        rows: what was found within `KEPT`; what is not mended first.
    """

    age: timedelta | None = None
    problem: str = ""
    rows: tuple[LostWorkflow, ...] = ()

    @property
    def is_known(self) -> bool:
        return self.age is not None and self.age <= FRESH and not self.problem

    @property
    def open(self) -> tuple[LostWorkflow, ...]:
        """What is not mended."""
        return tuple(row for row in self.rows if row.restarted_at is None)

    @property
    def mended(self) -> tuple[LostWorkflow, ...]:
        return tuple(row for row in self.rows if row.restarted_at is not None)


class Sweeps:
    """Any number of workers compare; each loss is mended by one of them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._policies: dict[str, Policy] = {}
        self.young_s = _YOUNG_S

    async def expected(self) -> list[Expected]:
        """The cases that must have a workflow, the earliest cutoff first.

        Those that are open; closed ones while they are watched, while an optional system is open
        and while a person has to pick accounts. None of a leaver whose data were erased.
        """
        async with self._engine.connect() as connection:
            rows = await connection.execute(_EXPECTED, await self._spans(connection))
            return [
                Expected(
                    row.case_id, CaseStatus(row.status), is_late=row.is_late, is_still=row.is_still
                )
                for row in rows
            ]

    async def overslept(self) -> list[str]:
        """Cases whose cutoff has come by the database's clock, and that have not begun.

        The latest of them only: who is late for longer is the comparison's.
        """
        now = func.clock_timestamp()
        query = (
            select(cases.c.case_id)
            .where(
                cases.c.status == CaseStatus.SCHEDULED.value,
                cases.c.cutoff_at.between(now - _OVERSLEPT, now - _AWAKENS),
            )
            .order_by(cases.c.cutoff_at)
            .limit(_MOST_WOKEN)
        )
        async with self._engine.connect() as connection:
            return list((await connection.scalars(query)).all())

    async def known(self, ids: Sequence[str]) -> set[str]:
        """Those of some workflow ids that are cases."""
        query = select(cases.c.case_id).where(cases.c.case_id == func.any(_IDS))
        async with self._engine.connect() as connection:
            return set((await connection.scalars(query, {"ids": list(ids)})).all())

    async def clock(self) -> tuple[datetime, timedelta | None]:
        """The database's time, and how long ago a worker compared."""
        query = select(task_looks.c.looked_at).where(task_looks.c.about == _ABOUT)
        async with self._engine.connect() as connection:
            now = await clock(connection)
            seen = await connection.scalar(query)
        return now, now - seen if seen else None

    async def looked(self, at: datetime, *, total: int, problem: str = "") -> None:
        """Note that a comparison began at ``at``, and what it found or why it could not be had."""
        values = {"looked_at": at, "total": total, "problem": problem}
        row = insert(task_looks).values(about=_ABOUT, **values)
        row = row.on_conflict_do_update(
            index_elements=["about"], set_=values, where=task_looks.c.looked_at < at
        )
        async with self._engine.begin() as connection:
            await connection.execute(row)

    async def astray(self, found: Mapping[str, Loss]) -> list[str]:
        """Note what runs and does not do what it should; those that have not for `PATIENCE`.

        What is well again, and was not replaced, is forgotten.
        """
        gone = delete(lost_workflows).where(
            lost_workflows.c.loss.in_([loss.value for loss in Loss if not loss.is_gone]),
            lost_workflows.c.restarted_at.is_(None),
            lost_workflows.c.workflow_id != all_(_IDS),
        )
        old = delete(lost_workflows).where(lost_workflows.c.restarted_at < func.now() - KEPT)
        async with self._engine.begin() as connection:
            await connection.execute(gone, {"ids": sorted(found)})
            await connection.execute(old)
            for workflow_id, loss in sorted(found.items()):
                await connection.execute(_noted(workflow_id, loss))
            due = select(lost_workflows.c.workflow_id).where(
                lost_workflows.c.workflow_id == func.any(_IDS),
                lost_workflows.c.since < func.now() - PATIENCE,
                lost_workflows.c.restarted_at.is_(None),
                func.coalesce(lost_workflows.c.claimed_until, func.now()) <= func.now(),
                lost_workflows.c.loss != Loss.UNKNOWN.value,
            )
            return sorted((await connection.scalars(due, {"ids": sorted(found)})).all())

    async def claim(self, case_id: str, loss: Loss) -> CaseRow | None:
        """Take a case to start its workflow anew, and put on record why, in one transaction.

        None where another worker is at it, or where it needs none any more.
        """
        try:
            async with self._engine.begin() as connection:
                case = await locked(connection, case_id)
                spans = {**await self._spans(connection), "only": case_id}
                if (await connection.execute(_ONE_EXPECTED, spans)).one_or_none() is None:
                    return None  # it has ended meanwhile, as it should
                mine = lost_workflows.c.workflow_id == case_id
                before = (await connection.execute(select(lost_workflows).where(mine))).first()
                if not await connection.scalar(_claiming(case_id, loss)):
                    return None
                said = int(await connection.scalar(_SAID, {"case": case_id}) or 0)
                # One that was claimed and not started is on record already.
                again = before and before.restarted_at is None and before.claimed_until
                number = said if again and said else said + 1
                now = await clock(connection)
                await append_all(connection, [_restarted(case, number, loss, now)])
                return case
        except UnknownCaseError:
            return None

    async def restarted(self, case_id: str, loss: Loss) -> None:
        """The case's workflow runs again."""
        mine = lost_workflows.c.workflow_id == case_id
        async with self._engine.begin() as connection:
            done = await connection.scalar(select(lost_workflows.c.restarts).where(mine))
            count = int(done or 0) + 1
            await connection.execute(
                update(lost_workflows)
                .where(mine)
                .values(
                    restarts=count,
                    restarted_at=func.now(),
                    claimed_until=func.now() + rest_after(loss, count),
                )
            )

    async def _spans(self, connection: AsyncConnection) -> dict[str, Any]:
        """By policy: how long a case is watched, and how long it may be silent, in seconds."""
        unread = select(policies.c.digest, policies.c.document).where(
            policies.c.digest != all_(_IDS)
        )
        for row in await connection.execute(unread, {"ids": list(self._policies)}):
            self._policies[row.digest] = Policy.from_document(row.document)
        watches, stills = [], []
        for policy in self._policies.values():
            watches.append(max((delay.total_seconds() for delay in policy.watch), default=0.0))
            longest = max((s.start_to_close.total_seconds() for s in policy.systems), default=0.0)
            stills.append(max(_STILL_S, 2 * longest))
        return {
            "digests": list(self._policies),
            "watches": watches,
            "stills": stills,
            "longest": max(watches, default=0.0),
            "doubts": DOUBT_PATIENCE.total_seconds(),
            "patience": PATIENCE.total_seconds(),
            "young": self.young_s,
        }

    async def read(self, scope: Scope = EVERYTHING) -> Swept:
        """What is known of the cases that ``scope`` may know of."""
        of_nobody = and_(
            lost_workflows.c.loss == Loss.UNKNOWN.value,
            cases.c.case_id.is_(None),
            false() if scope.partners is not None else ~false(),
        )
        query = (
            select(lost_workflows)
            .outerjoin(cases, cases.c.case_id == lost_workflows.c.workflow_id)
            .where(or_(and_(cases.c.case_id.is_not(None), visible(scope)), of_nobody))
            .order_by(lost_workflows.c.restarted_at.desc().nulls_first(), lost_workflows.c.since)
            .limit(_MOST)
        )
        seen = select(
            task_looks.c.problem, (func.clock_timestamp() - task_looks.c.looked_at).label("age")
        ).where(task_looks.c.about == _ABOUT)
        async with self._engine.connect() as connection:
            look = (await connection.execute(seen)).one_or_none()
            rows = (await connection.execute(query)).all()
        found = tuple(_row(row) for row in rows)
        return Swept(look.age, look.problem, found) if look else Swept(rows=found)


def _noted(workflow_id: str, loss: Loss) -> Any:
    """A row of what is wrong now; since when is kept while it is the same and not mended."""
    row = insert(lost_workflows).values(workflow_id=workflow_id, loss=loss.value, since=func.now())
    new = row.excluded
    return row.on_conflict_do_update(
        index_elements=["workflow_id"],
        set_={"loss": new.loss, "since": new.since, "restarted_at": None},
        # A replaced one that does not move either is shown again.
        where=or_(
            lost_workflows.c.loss != new.loss, lost_workflows.c.restarted_at < func.now() - PATIENCE
        ),
    )


def _claiming(case_id: str, loss: Loss) -> Any:
    row = insert(lost_workflows).values(
        workflow_id=case_id, loss=loss.value, since=func.now(), claimed_until=func.now() + _LEASE
    )
    new = row.excluded
    since = func.coalesce(
        # What is not mended yet is so since then.
        select(lost_workflows.c.since)
        .where(lost_workflows.c.workflow_id == case_id, lost_workflows.c.restarted_at.is_(None))
        .scalar_subquery(),
        new.since,
    )
    return row.on_conflict_do_update(
        index_elements=["workflow_id"],
        set_={
            "loss": new.loss,
            "since": since,
            "claimed_until": new.claimed_until,
            "restarted_at": None,
        },
        where=func.coalesce(lost_workflows.c.claimed_until, func.now()) <= func.now(),
    ).returning(lost_workflows.c.workflow_id)


def _restarted(case: CaseRow, number: int, loss: Loss, now: datetime) -> Append:
    kind = EntryKind.CASE_RESTARTED
    return Append(case_entry(case, kind, number, data={"was": loss.value}, now=whole_ms(now)))


def _row(row: Any) -> LostWorkflow:
    return LostWorkflow(row.workflow_id, Loss(row.loss), row.since, row.restarts, row.restarted_at)
