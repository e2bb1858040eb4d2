"""Brakes, and the events that they hold: counting, setting, holding, showing."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Text,
    bindparam,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from lockstep.domain.cases.clocks import whole_ms
from lockstep.domain.intake.brakes import BrakeCause, BrakeState, Channel, Flow
from lockstep.domain.rights import Scope
from lockstep.evidence.ledger.entries import EntryKind
from lockstep.storage.intake.brake_decisions import BrakeDecisions, said_of
from lockstep.storage.intake.brake_rows import (
    BrakeView,
    Held,
    HeldGroup,
    HeldRow,
    HeldWait,
    visible_held,
)
from lockstep.storage.intake.inbox import event_context
from lockstep.storage.ledger.append import Append, append_all
from lockstep.storage.tables.intake import brakes, held_events, inbox

HOUR = timedelta(hours=1)
MOST_BRAKES = 50


class Brakes(BrakeDecisions):
    """Every change explains itself in the ledger, in the same transaction."""

    async def flows(
        self,
        channels: Collection[Channel],
        *,
        now: datetime,
        apart: Mapping[str, Collection[str]] | None = None,
    ) -> dict[Channel, Flow]:
        """What came by each channel within the hour, and whether its brake is on.

        What a source says of a partner that is counted ``apart`` fills that channel alone.

        What somebody has released does not count, and what came before a whole brake was released
        does not either: the count begins anew, unless whoever released it is bound to partners.
        """
        wanted = sorted(channels)
        others = [(source, name) for source, names in (apart or {}).items() for name in names]
        given = {
            "apart_sources": [source for source, _ in others],
            "apart_partners": [name for _, name in others],
            "partners": [channel.partner for channel in wanted],
            "stored": [channel.stored for channel in wanted],
            "sources": [channel.source for channel in wanted],
            "reporters": [channel.reporter for channel in wanted],
            "since": now - HOUR,
        }
        async with self._engine.connect() as connection:
            rows = (await connection.execute(_FLOWS, given)).all()
        return {Channel.read(row.stored): _flow(row) for row in rows}

    async def put_on(
        self, channel: Channel, cause: BrakeCause, *, observed: int, allowed: int
    ) -> str:
        """Set a channel's brake, or find it set already; return its id."""
        now = whole_ms(datetime.now(UTC))
        brake_id = "b" + base64.b32encode(secrets.token_bytes(8)).decode().lower()[:12]
        row = {
            "brake_id": brake_id,
            "source": channel.stored,
            "cause": cause.value,
            "set_at": now,
            "observed": observed,
            "allowed": allowed,
        }
        standing = select(brakes.c.brake_id).where(
            brakes.c.source == channel.stored, brakes.c.state == BrakeState.ON.value
        )
        data = {"brake": brake_id, **said_of(channel), "observed": observed, "allowed": allowed}
        while True:
            async with self._engine.begin() as connection:
                if await connection.scalar(_SET, row) is not None:
                    entry = self._entry(EntryKind.BRAKE_SET, brake_id, now, data)
                    await append_all(connection, [Append(entry)])
                    return brake_id
                found = await connection.scalar(standing)
            if found is not None:  # else it was decided between the two statements
                return str(found)

    async def hold(self, brake_id: str, events: Sequence[Held]) -> bool:
        """Hold events; False, and nothing is held, where the brake is not on any more."""
        rows = [
            {
                "inbox_id": event.inbox_id,
                "brake_id": brake_id,
                "partner": event.partner,
                "kind": event.kind.value,
                "cutoff_at": whole_ms(event.cutoff_at),
                "key_indexes": sorted(event.key_indexes),
                "actor_index": self._actor(event.actor) if event.actor else None,
            }
            for event in events
        ]
        held = (
            update(inbox)
            .where(inbox.c.id.in_([event.inbox_id for event in events]))
            .where(inbox.c.state == "pending")
            .values(state="held", brake_id=brake_id, claimed_until=None)
            .returning(inbox.c.id)
        )
        async with self._engine.begin() as connection:
            # Shared: whoever decides waits for us, and sees what we held.
            if not await connection.scalar(_IS_ON.with_for_update(read=True), {"brake": brake_id}):
                return False
            ids = set(await connection.scalars(held))
            kept = [row for row in rows if row["inbox_id"] in ids]
            if kept:
                await connection.execute(insert(held_events).on_conflict_do_nothing(), kept)
        return True

    async def standing(self, scope: Scope) -> list[BrakeView]:
        """Brakes that are on and hold something that ``scope`` may know of, most urgent first."""
        query = (
            select(
                brakes,
                held_events.c.partner,
                held_events.c.kind,
                func.count().label("events"),
                func.min(held_events.c.cutoff_at).label("first"),
                func.max(held_events.c.inbox_id).label("newest"),
            )
            .join(held_events, held_events.c.brake_id == brakes.c.brake_id)
            .where(brakes.c.state == BrakeState.ON.value, visible_held(scope))
            .group_by(brakes.c.brake_id, held_events.c.partner, held_events.c.kind)
            .order_by(func.min(held_events.c.cutoff_at), held_events.c.partner)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        views: dict[str, list[Any]] = {}
        for row in rows:
            views.setdefault(row.brake_id, []).append(row)
        return [_view(of_one, scope) for of_one in views.values()][:MOST_BRAKES]

    async def waiting(self, scope: Scope) -> HeldWait:
        """How many wait at brakes that are on, of what ``scope`` may know of."""
        query = waiting_query(visible_held(scope))
        async with self._engine.connect() as connection:
            return HeldWait(*(await connection.execute(query)).one())

    async def held(
        self, brake_id: str, scope: Scope, *, limit: int = 50, skip: int = 0
    ) -> list[HeldRow]:
        """What a brake holds, the earliest cutoff first. Personal."""
        query = (
            select(held_events, inbox.c.source, inbox.c.dedupe_key, inbox.c.received_at)
            .add_columns(inbox.c.body)
            .join(inbox, inbox.c.id == held_events.c.inbox_id)
            .where(held_events.c.brake_id == brake_id, visible_held(scope))
            .order_by(held_events.c.cutoff_at, held_events.c.inbox_id)
            .limit(limit)
            .offset(skip)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [
            HeldRow(
                row.inbox_id,
                row.source,
                row.dedupe_key,
                row.partner,
                row.kind,
                row.cutoff_at,
                row.received_at,
                self._ring.decrypt(row.body, context=event_context(row.source, row.dedupe_key)),
                self._refusal(row),
            )
            for row in rows
        ]


def waiting_query(*conditions: ColumnElement[bool]) -> Select[int, int, Any]:
    """The columns of a `HeldWait`, of held events under ``conditions``."""
    passed = func.count().filter(held_events.c.cutoff_at <= func.now())
    return (
        select(func.count(), passed, func.min(held_events.c.cutoff_at))
        .select_from(held_events.join(brakes, brakes.c.brake_id == held_events.c.brake_id))
        .where(brakes.c.state == text("'on'"), *conditions)
    )


def _flow(row: Any) -> Flow:
    cause = BrakeCause(row.cause) if row.cause else None
    return Flow(row.dismissals, row.others, row.brake_id or "", brake_cause=cause)


def _view(rows: Sequence[Any], scope: Scope) -> BrakeView:
    first = rows[0]
    tells = scope.partners is None and (scope.sealed or first.cause != BrakeCause.DISMISSALS)
    return BrakeView(
        brake_id=first.brake_id,
        channel=Channel.read(first.source),
        set_at=first.set_at,
        limit=(first.observed, first.allowed) if tells else None,
        groups=tuple(HeldGroup(row.partner, row.kind, row.events, row.first) for row in rows),
        newest=max(row.newest for row in rows),
    )


_IS_ON = select(brakes.c.brake_id).where(
    brakes.c.brake_id == bindparam("brake"), brakes.c.state == BrakeState.ON.value
)
_SET = (
    insert(brakes)
    # Literal, like the index's own predicate: PostgreSQL cannot match a parameter with it.
    .on_conflict_do_nothing(index_elements=["source"], index_where=text("state = 'on'"))
    .returning(brakes.c.brake_id)
)
_FLOWS = text(
    """
    select s.stored, b.brake_id, b.cause,
        count(c.kind) filter (where c.kind = 'involuntary') as dismissals,
        count(c.kind) filter (where c.kind <> 'involuntary') as others
    from unnest(:stored, :sources, :reporters, :partners) as s(stored, source, reporter, partner)
    left join brakes b on b.source = s.stored and b.state = 'on'
    left join lateral (
        select greatest(:since, max(r.decided_at)) as at from brakes r
        where r.source = s.stored and r.state = 'released' and not r.counts_on
    ) begun on true
    left join lateral (
        select case when bool_or(c.kind = 'involuntary'
            and (i.verdict = 'amend' or c.dismissed_at is null))
            then 'involuntary' else 'other' end as kind
        from cases c join inbox i on i.case_id = c.case_id
        where (c.opened_at > begun.at or c.dismissed_at > begun.at) and c.status <> 'rescinded'
            and i.source = s.source and i.reporter = s.reporter and i.brake_id is null
            and case when s.partner <> '' then c.partner = s.partner else not exists (
                select 1 from unnest(:apart_sources, :apart_partners) as a(source, partner)
                where a.source = s.source and a.partner = c.partner) end
            and (i.verdict = 'open' and c.opened_at > begun.at
                or i.verdict = 'amend' and c.kind = 'involuntary' and c.dismissed_at > begun.at)
        group by c.case_id
    ) c on true
    group by s.stored, b.brake_id, b.cause
    """
).bindparams(
    *(
        bindparam(name, type_=ARRAY(Text))
        for name in (
            "stored",
            "sources",
            "reporters",
            "partners",
            "apart_sources",
            "apart_partners",
        )
    )
)
"""``greatest`` passes over nulls. What was made a dismissal counts as one that came then, for
whoever made it one: each event counts for the channel that it came by, whosever case it is about.
"""
