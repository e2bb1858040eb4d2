"""Facts that people should know, and the outbox of what they are told."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Text,
    all_,
    any_,
    bindparam,
    cast,
    delete,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.domain.cases.outcomes import RevocationState
from lockstep.domain.notices import Fact, NoticeKind
from lockstep.domain.rights import Scope
from lockstep.evidence.ledger.fold import ACCOUNT_IN_DOUBT
from lockstep.storage.intake.brake_rows import visible_held
from lockstep.storage.intake.refused_events import troubled, waits_too_long
from lockstep.storage.packs.orders import ExportState
from lockstep.storage.people.visibility import visible
from lockstep.storage.systems.outages import is_held_up
from lockstep.storage.tables.case import cases, findings, revocations
from lockstep.storage.tables.casework import assignments
from lockstep.storage.tables.intake import brakes, held_events, inbox
from lockstep.storage.tables.outgoing import exports, notices
from lockstep.storage.tables.running import lost_workflows, stalled_cases
from lockstep.storage.tables.systems import outages

MOST_FACTS = 5000
"""Of one kind and one look; the next look finds the rest."""
KEEP = timedelta(days=90)
_RECENT = timedelta(days=2)
_EVERYBODY = Scope(partners=None)
"""Every partner; a coming dismissal stays unsaid until its cutoff."""
_OPEN = [
    RevocationState.REVOKING.value,
    RevocationState.RETRYING.value,
    RevocationState.NEEDS_PERSON.value,
]


@dataclass(frozen=True, slots=True)
class Notice:
    """One fact for one route. ``attempts`` counts the one under way."""

    notice_id: str
    fact: str
    kind: NoticeKind
    case_id: str
    system: str
    partner: str
    created_at: datetime
    attempts: int
    escalated_from: str


class Notices:
    """Finds facts, and keeps who was told what."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def about_cases(self, now: datetime) -> list[Fact]:
        """What stands about cases, brakes and exports now."""
        found: list[Fact] = []
        async with self._engine.connect() as connection:
            for kind, query in _queries(now):
                rows = (await connection.execute(query.limit(MOST_FACTS))).all()
                found += [_fact(kind, row) for row in rows]
            held_up = {tuple(row) for row in await connection.execute(_HELD_UP)}
        outage = {fact.system: fact.key for fact in found if fact.kind is NoticeKind.OUTAGE}
        return [
            replace(fact, covered_by=outage.get(fact.system, ""))
            if fact.kind is NoticeKind.STUCK and (fact.case_id, fact.system) in held_up
            else fact
            for fact in found
        ]

    async def put(self, facts: Sequence[tuple[str, Fact]], now: datetime, **more: str) -> int:
        """Tell each route each fact, once; return how many are new."""
        if not facts:
            return 0
        statement = (
            insert(notices)
            # What was over before it was told, and stands again, is told after all.
            .on_conflict_do_update(
                index_elements=["fact", "route"],
                set_={"state": "pending", "next_at": now},
                where=notices.c.state == "over",
            )
            .returning(notices.c.notice_id)
        )
        async with self._engine.begin() as connection:
            # Most of what stands was told before: it is asked for at once, and not written again.
            keys = {"keys": sorted({fact.key for _, fact in facts})}
            told = {(row.fact, row.route) for row in await connection.execute(_TOLD, keys)}
            rows = [
                _row(route, fact, now) | more
                for route, fact in facts
                if (fact.key, route) not in told
            ]
            return len((await connection.scalars(statement, rows)).all()) if rows else 0

    async def end(self, standing: Collection[str], kinds: Collection[NoticeKind]) -> int:
        """What is pending and no longer so is told nobody; return how many."""
        statement = (
            update(notices)
            .where(notices.c.state == "pending", notices.c.kind.in_([kind.value for kind in kinds]))
            .where(notices.c.fact != all_(_KEYS))
            .values(state="over")
        )
        async with self._engine.begin() as connection:
            return (await connection.execute(statement, {"keys": sorted(standing)})).rowcount

    async def claim(
        self, route: str, now: datetime, *, lease: timedelta, most: int, per_minute: int
    ) -> tuple[list[Notice], int]:
        """Take what is due for a route; return it with how many messages may still go.

        One process sends for a route at a time; the others get nothing.
        """
        async with self._engine.begin() as connection:
            if not await connection.scalar(_ALONE, {"route": f"notices:{route}"}):
                return [], 0
            recent = select(func.count(notices.c.sent_at.distinct())).where(
                notices.c.route == route, notices.c.sent_at > now - timedelta(minutes=1)
            )
            left = per_minute - int(await connection.scalar(recent) or 0)
            if left <= 0:
                return [], 0
            chosen = (
                select(notices.c.notice_id)
                .where(notices.c.route == route, notices.c.state == "pending")
                .where(notices.c.next_at <= now)
                .order_by(notices.c.created_at, notices.c.notice_id)
                .limit(most)
                .with_for_update(skip_locked=True)
            )
            statement = (
                update(notices)
                .where(notices.c.notice_id.in_(chosen))
                .values(next_at=now + lease, attempts=notices.c.attempts + 1)
                .returning(*_COLUMNS)
            )
            rows = (await connection.execute(statement)).all()
        found = sorted((_notice(row) for row in rows), key=lambda item: item.created_at)
        return found, left

    async def sent(self, ids: Collection[str], at: datetime) -> None:
        await self._set(ids, state="sent", sent_at=at, error=None)

    async def later(self, ids: Collection[str], at: datetime, error: str | None = None) -> None:
        """Keep these back until ``at``; ``error`` says why the last attempt failed."""
        await self._set(ids, next_at=at, error=error)

    async def unanswered(self, route: str, before: datetime) -> list[Fact]:
        """Facts that a route was told before ``before`` and whose case nobody has taken."""
        taken = select(assignments.c.case_id).where(assignments.c.case_id == notices.c.case_id)
        query = (
            select(*_COLUMNS)
            .where(notices.c.route == route, notices.c.state == "sent")
            .where(notices.c.sent_at < before, notices.c.sent_at > before - _RECENT)
            .where(~taken.exists())
            .limit(MOST_FACTS)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [
            Fact(
                key=row.fact,
                kind=NoticeKind(row.kind),
                at=row.created_at,
                case_id=row.case_id or "",
                system=row.system,
                partner=row.partner,
            )
            for row in rows
        ]

    async def backlog(self) -> dict[str, tuple[int, datetime | None, str | None]]:
        """By route: how many wait, since when, and why the last attempt failed."""
        query = (
            select(
                notices.c.route,
                func.count(),
                func.min(notices.c.created_at),
                func.max(notices.c.error),
            )
            .where(notices.c.state == "pending")
            .group_by(notices.c.route)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return {row[0]: (row[1], row[2], row[3]) for row in rows}

    async def latest(self, limit: int = 100) -> list[Any]:
        """The newest notices, for people."""
        query = select(notices).order_by(notices.c.created_at.desc()).limit(limit)
        async with self._engine.connect() as connection:
            return list((await connection.execute(query)).mappings())

    async def thin(self, now: datetime) -> int:
        """Forget what was told long ago and whose fact cannot come again."""
        statement = delete(notices).where(
            notices.c.created_at < now - KEEP, notices.c.state != "pending"
        )
        async with self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount

    async def _set(self, ids: Collection[str], **values: object) -> None:
        statement = update(notices).where(notices.c.notice_id.in_(sorted(ids))).values(**values)
        async with self._engine.begin() as connection:
            await connection.execute(statement)


_HELD_UP = (
    select(revocations.c.case_id, revocations.c.system)
    .join(outages, outages.c.system == revocations.c.system)
    .where(is_held_up())
)
_KEYS = bindparam("keys", type_=ARRAY(Text))
"""One array, however many: a statement has 65,535 parameters at most."""
_TOLD = select(notices.c.fact, notices.c.route).where(
    notices.c.fact == any_(_KEYS), notices.c.state != "over"
)
_ALONE = text("select pg_try_advisory_xact_lock(hashtextextended(:route, 0))")
_COLUMNS = [
    notices.c[name]
    for name in (
        "notice_id", "fact", "kind", "case_id", "system", "partner", "created_at", "attempts",
        "escalated_from",
    )
]  # fmt: skip


def _row(route: str, fact: Fact, now: datetime) -> dict[str, object]:
    return {
        "notice_id": f"n{secrets.token_hex(8)}",
        "fact": fact.key,
        "route": route,
        "kind": fact.kind.value,
        "case_id": fact.case_id or None,
        "system": fact.system,
        "partner": fact.partner,
        "created_at": now,
        "next_at": now,
    }


def _fact(kind: NoticeKind, row: Any) -> Fact:
    return Fact(
        key=f"{kind.value}:{row.key}",
        kind=kind,
        at=row.at,
        case_id=row.case_id or "",
        system=row.system,
        partner=row.partner,
        tier=row.tier,
    )


def _notice(row: Any) -> Notice:
    return Notice(
        notice_id=row.notice_id,
        fact=row.fact,
        kind=NoticeKind(row.kind),
        case_id=row.case_id or "",
        system=row.system,
        partner=row.partner,
        created_at=row.created_at,
        attempts=row.attempts,
        escalated_from=row.escalated_from,
    )


def _queries(now: datetime) -> list[tuple[NoticeKind, Any]]:
    """One query per kind of fact; each gives key, at, case, system, partner and tier."""
    row = revocations.c
    opening = row.case_id + ":" + row.system + ":" + _text(row.opening)
    begun = cases.c.begun_at.is_not(None) & row.state.in_(_OPEN) & row.required
    return [
        (
            NoticeKind.STUCK,
            _about(opening + ":" + _text(row.round), row.needs_person_since).where(
                row.state == RevocationState.NEEDS_PERSON.value
            ),
        ),
        (
            NoticeKind.NEAR,
            _about(opening, row.due_at).where(begun, row.warn_at <= now, row.due_at > now),
        ),
        (NoticeKind.BREACHED, _about(opening, row.due_at).where(begun, row.due_at <= now)),
        (
            NoticeKind.RETURNED,
            _about(findings.c.finding_id, findings.c.raised_at)
            .join(
                findings,
                (findings.c.case_id == row.case_id) & (findings.c.system == row.system),
            )
            .where(findings.c.resolved_at.is_(None), findings.c.kind != ACCOUNT_IN_DOUBT),
        ),
        (
            NoticeKind.STUCK,
            _about(findings.c.finding_id, findings.c.raised_at)
            .join(
                findings,
                (findings.c.case_id == row.case_id) & (findings.c.system == row.system),
            )
            .where(findings.c.resolved_at.is_(None), findings.c.kind == ACCOUNT_IN_DOUBT)
            .where(cases.c.unwatched_at.is_(None)),
        ),
        (
            NoticeKind.BRAKE,
            _plain(
                brakes.c.brake_id, brakes.c.set_at, func.split_part(brakes.c.source, "/", 1)
            ).where(
                brakes.c.state == "on",
                exists().where(
                    held_events.c.brake_id == brakes.c.brake_id, visible_held(_EVERYBODY)
                ),
            ),
        ),
        (
            NoticeKind.OUTAGE,
            _plain(
                outages.c.system + ":" + _text(outages.c.since), outages.c.since, outages.c.system
            ),
        ),
        (NoticeKind.STALLED, _stalled()),
        (NoticeKind.STALLED, _stalled_in_secret()),
        (NoticeKind.LOST, _lost()),
        (NoticeKind.LOST, _lost_without_a_case()),
        (NoticeKind.EVENT, _not_done()),
        (NoticeKind.EVENT, _waiting()),
        (
            NoticeKind.EXPORT,
            _plain(exports.c.export_id, exports.c.finished_at, exports.c.export_id).where(
                exports.c.state == ExportState.FAILED.value, exports.c.finished_at > now - _RECENT
            ),
        ),
    ]


def _about(key: ColumnElement[Any], at: ColumnElement[Any]) -> Any:
    row = revocations.c
    return (
        select(key.label("key"), at.label("at"), row.case_id, row.system, row.tier, cases.c.partner)
        .select_from(revocations.join(cases, cases.c.case_id == row.case_id))
        .where(visible(_EVERYBODY))
        .order_by(at)
    )


def _stalled() -> Any:
    empty = literal("")
    row = stalled_cases.c
    return (
        select(
            (row.case_id + ":" + _text(row.since)).label("key"),
            row.since.label("at"),
            row.case_id,
            empty.label("system"),
            empty.label("tier"),
            cases.c.partner,
        )
        .join(cases, cases.c.case_id == row.case_id)
        .where(visible(_EVERYBODY))
        .order_by(row.since)
    )


def _stalled_in_secret() -> Any:
    """That there are such, and no more: else a coming dismissal that fails would fail unseen."""
    key = func.min(stalled_cases.c.since)
    about = literal("It is secret until its cutoff: see `lockstep stuck --sealed`.")
    return (
        _plain(_text(key), key, about)
        .select_from(stalled_cases.join(cases, cases.c.case_id == stalled_cases.c.case_id))
        .where(not_(visible(_EVERYBODY)))
        .having(func.count() > 0)
    )


def _lost() -> Any:
    """Also of cases that were taken up again: somebody or something has ended their workflows."""
    empty = literal("")
    row = lost_workflows.c
    return (
        select(
            (row.workflow_id + ":" + _text(row.since)).label("key"),
            row.since.label("at"),
            row.workflow_id.label("case_id"),
            empty.label("system"),
            empty.label("tier"),
            cases.c.partner,
        )
        .join(cases, cases.c.case_id == row.workflow_id)
        .where(visible(_EVERYBODY), row.since > func.now() - _RECENT)
        .order_by(row.since)
    )


def _lost_without_a_case() -> Any:
    """Workflows of no case; and that there are such of cases that are secret, and no more."""
    row = lost_workflows.c
    about = literal("Some are of no case that may be named: see `lockstep stuck --sealed`.")
    return (
        _plain(_text(func.min(row.since)), func.min(row.since), about)
        .select_from(
            lost_workflows.outerjoin(cases, cases.c.case_id == lost_workflows.c.workflow_id)
        )
        .where(or_(cases.c.case_id.is_(None), not_(visible(_EVERYBODY))))
        .where(row.since > func.now() - _RECENT)
        .having(func.count() > 0)
    )


def _not_done() -> Any:
    """Of each event who sent it and why; nothing of what it says of anybody."""
    row = inbox.c
    about = row.source + ", " + row.dedupe_key + ": " + row.error
    key = _text(row.id) + ":" + _text(row.received_at)
    return _plain(key, row.received_at, about).where(troubled(_RECENT)).order_by(row.received_at)


def _waiting() -> Any:
    """That some wait for too long; once a day, for while they are worked off the first changes."""
    first = func.min(inbox.c.received_at)
    day = _text(func.date_trunc("day", first, "UTC"))
    about = cast(func.count(), Text) + " of them wait since " + _text(first)
    return (
        _plain(literal("waiting:") + day, first, about)
        .where(waits_too_long())
        .having(func.count() > 0)
    )


def _plain(key: ColumnElement[Any], at: ColumnElement[Any], about: ColumnElement[Any]) -> Any:
    empty = literal("")
    return select(
        key.label("key"),
        at.label("at"),
        empty.label("case_id"),
        about.label("system"),
        empty.label("tier"),
        empty.label("partner"),
    )


def _text(column: ColumnElement[Any]) -> ColumnElement[str]:
    return cast(column, Text)
