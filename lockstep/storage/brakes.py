"""Brakes, and the events that they hold: counting, setting, holding, deciding."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Text,
    and_,
    any_,
    bindparam,
    delete,
    func,
    not_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.domain.brakes import BrakeCause, BrakeState, Flow
from lockstep.domain.clocks import whole_ms
from lockstep.domain.rights import EVERYTHING, Scope
from lockstep.domain.terminations import TerminationKind
from lockstep.evidence.entries import Actor, Entry, EntryKind
from lockstep.storage.inbox import CHANNEL
from lockstep.storage.keyring import Keyring
from lockstep.storage.ledger import Append, append_all
from lockstep.storage.tables import brakes, held_events, inbox

HOUR = timedelta(hours=1)
MOST_BRAKES = 50
MOST_DECIDED = 20


class BrakeDecidedError(LookupError):
    """The brake, or an event that it held, is not there any more: somebody has decided."""


class OwnEventsError(PermissionError):
    """Somebody would decide about what they have reported themselves."""


@dataclass(frozen=True, slots=True)
class Held:
    """One event to be held, with what must be known of it without opening it again."""

    inbox_id: int
    partner: str
    kind: TerminationKind
    cutoff_at: datetime
    key_indexes: frozenset[bytes] = field(repr=False)
    actor: str = field(repr=False, default="")


@dataclass(frozen=True, slots=True)
class HeldGroup:
    """What a brake holds of one partner and kind."""

    partner: str
    kind: str
    count: int
    first_cutoff_at: datetime


@dataclass(frozen=True, slots=True)
class BrakeView:
    """A brake that is on, as far as somebody may know of what it holds.

    Args:
        limit: (observed, allowed) within the hour; None where that would tell of others.
        newest: the highest inbox id that it holds; nothing later was seen by whoever decides.
    """

    brake_id: str
    source: str
    set_at: datetime
    limit: tuple[int, int] | None
    groups: tuple[HeldGroup, ...]
    newest: int

    @property
    def count(self) -> int:
        return sum(group.count for group in self.groups)

    @property
    def first_cutoff_at(self) -> datetime:
        """The earliest cutoff among what waits: its clock runs."""
        return min(group.first_cutoff_at for group in self.groups)


@dataclass(frozen=True, slots=True)
class HeldRow:
    """One held event; ``body`` as received."""

    inbox_id: int
    source: str
    dedupe_key: str
    partner: str
    kind: str
    cutoff_at: datetime
    received_at: datetime
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Decider:
    """Who decides. ``user_id`` is random; ``name`` is personal and kept encrypted."""

    user_id: str
    name: str = field(repr=False)
    reason: str = field(repr=False)

    @property
    def known_as(self) -> set[str]:
        """Everything by which an event may say who reported it."""
        return {self.user_id, self.name} - {""}


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """What somebody decided about some events of a brake."""

    brake_id: str
    source: str
    decided_at: datetime
    decision: str
    events: int
    user_id: str
    name: str = field(repr=False)
    reason: str = field(repr=False)


def visible_held(scope: Scope) -> ColumnElement[bool]:
    """Held events that ``scope`` may know of; the rule is `visibility.visible`'s."""
    conditions: list[ColumnElement[bool]] = [true()]
    if scope.partners is not None:
        conditions.append(held_events.c.partner.in_(sorted(scope.partners)))
    if not scope.sealed:
        conditions.append(not_(_is_sealed()))
    if scope.own_keys:
        conditions.append(not_(held_events.c.key_indexes.overlap(sorted(scope.own_keys))))
    return and_(*conditions)


class Brakes:
    """Every change explains itself in the ledger, in the same transaction."""

    def __init__(self, engine: AsyncEngine, ring: Keyring, tenant: str) -> None:
        self._engine = engine
        self._ring = ring
        self._tenant = tenant

    async def flows(self, sources: Collection[str], *, now: datetime) -> dict[str, Flow]:
        """What each source opened within the hour, and whether its brake is on.

        What somebody has released does not count, and what came before a whole brake was released
        does not either: the count begins anew.
        """
        given = {"sources": sorted(sources), "since": now - HOUR}
        async with self._engine.connect() as connection:
            rows = (await connection.execute(_FLOWS, given)).all()
        return {row.source: Flow(row.dismissals, row.others, row.brake_id or "") for row in rows}

    async def put_on(self, source: str, cause: BrakeCause, *, observed: int, allowed: int) -> str:
        """Set a source's brake, or find it set already; return its id."""
        now = whole_ms(datetime.now(UTC))
        brake_id = "b" + base64.b32encode(secrets.token_bytes(8)).decode().lower()[:12]
        row = {
            "brake_id": brake_id,
            "source": source,
            "cause": cause.value,
            "set_at": now,
            "observed": observed,
            "allowed": allowed,
        }
        standing = select(brakes.c.brake_id).where(
            brakes.c.source == source, brakes.c.state == BrakeState.ON.value
        )
        data = {"brake": brake_id, "source": source, "observed": observed, "allowed": allowed}
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
                await connection.execute(pg_insert(held_events).on_conflict_do_nothing(), kept)
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
                self._ring.decrypt(row.body, context=_context(row.source, row.dedupe_key)),
            )
            for row in rows
        ]

    async def decide(
        self,
        brake_id: str,
        decision: BrakeState,
        who: Decider,
        *,
        scope: Scope = EVERYTHING,
        chosen: Collection[int] | None = None,
        up_to: int | None = None,
    ) -> int:
        """Release or refuse events that a brake holds; return how many.

        Args:
            brake_id: a brake that is on.
            decision: released or refused.
            who: must not have reported any of them.
            scope: only what it may know of is decided; the brake stays on for the rest.
            chosen: inbox ids; None decides all that there are.
            up_to: the newest event that whoever decides has seen.

        Raises:
            BrakeDecidedError: if brake or a chosen event are not there, or not any more.
            OwnEventsError: if they reported one of the events.
        """
        async with self._engine.begin() as connection:
            brake = (
                await connection.execute(
                    select(brakes)
                    .where(brakes.c.brake_id == brake_id, brakes.c.state == BrakeState.ON.value)
                    .with_for_update()
                )
            ).one_or_none()
            if brake is None:
                raise BrakeDecidedError(f"brake {brake_id} is not on")
            rows = await self._wanted(connection, brake_id, scope, chosen=chosen, up_to=up_to)
            own = {self._actor(name) for name in who.known_as}
            if any(row.actor_index in own for row in rows if row.actor_index):
                raise OwnEventsError("somebody else must decide about what you have reported")
            await self._carry_out(connection, brake_id, decision, who, [r.inbox_id for r in rows])
            await self._put_on_record(connection, brake, decision, who, rows)
        return len(rows)

    async def decided(self, scope: Scope) -> list[DecisionRow]:
        """The newest decisions; only for whoever may know of every partner. Personal."""
        if scope.partners is not None:
            return []
        query = (
            select(brakes)
            .where(brakes.c.private.is_not(None))
            .order_by(brakes.c.set_at.desc())
            .limit(MOST_DECIDED)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        found = [
            DecisionRow(
                brake_id=row.brake_id,
                source=row.source,
                decided_at=datetime.fromisoformat(said["at"]),
                decision=said["decision"],
                events=said["events"] - (0 if scope.sealed else said["sealed"]),
                user_id=said["user"],
                name=said["name"],
                reason=said["reason"],
            )
            for row in rows
            for said in self._said(row)
        ]
        shown = [row for row in found if row.events > 0]
        return sorted(shown, key=lambda row: row.decided_at, reverse=True)[:MOST_DECIDED]

    async def _wanted(
        self,
        connection: AsyncConnection,
        brake_id: str,
        scope: Scope,
        *,
        chosen: Collection[int] | None,
        up_to: int | None,
    ) -> Sequence[Any]:
        query = select(
            held_events.c.inbox_id,
            held_events.c.actor_index,
            _is_sealed().label("is_sealed"),
        ).where(held_events.c.brake_id == brake_id, visible_held(scope))
        if chosen is not None:
            query = query.where(held_events.c.inbox_id.in_(sorted(chosen)))
        elif up_to is not None:
            query = query.where(held_events.c.inbox_id <= up_to)
        rows = (await connection.execute(query)).all()
        if not rows or (chosen is not None and len(rows) != len(set(chosen))):
            raise BrakeDecidedError("some of these events do not wait any more")
        return rows

    async def _carry_out(
        self,
        connection: AsyncConnection,
        brake_id: str,
        decision: BrakeState,
        who: Decider,
        ids: Sequence[int],
    ) -> None:
        values: dict[str, Any] = {"state": "pending", "error": None}
        if decision is BrakeState.REFUSED:
            error = f"refused at the brake: {who.reason}"[:1000]
            values = {"state": "refused", "error": error, "finished_at": func.clock_timestamp()}
        await connection.execute(
            update(inbox)
            .where(inbox.c.brake_id == brake_id, inbox.c.state == "held", _among(inbox.c.id))
            .values(claimed_until=None, **values),
            {"ids": list(ids)},
        )
        await connection.execute(
            delete(held_events).where(_among(held_events.c.inbox_id)), {"ids": list(ids)}
        )
        if decision is BrakeState.RELEASED:
            await connection.execute(text(f"notify {CHANNEL}"))

    async def _put_on_record(
        self,
        connection: AsyncConnection,
        brake: Any,
        decision: BrakeState,
        who: Decider,
        rows: Sequence[Any],
    ) -> None:
        now = whole_ms(datetime.now(UTC))
        said = self._said(brake)
        said.append(
            {
                "at": now.isoformat(),
                "decision": decision.value,
                "events": len(rows),
                "sealed": sum(row.is_sealed for row in rows),
                "user": who.user_id,
                "name": who.name,
                "reason": who.reason,
            }
        )
        left = select(func.count()).where(held_events.c.brake_id == brake.brake_id)
        values: dict[str, Any] = {"private": self._seal(brake.brake_id, said)}
        if not await connection.scalar(left):
            values |= {"state": decision.value, "decided_by": who.user_id, "decided_at": now}
        await connection.execute(
            update(brakes).where(brakes.c.brake_id == brake.brake_id).values(**values)
        )
        data = {
            "brake": brake.brake_id,
            "source": brake.source,
            "decision": decision.value,
            "events": len(rows),
        }
        number = f"{brake.brake_id}:{len(said)}"
        actor = Actor("person", who.user_id)
        entry = self._entry(EntryKind.BRAKE_DECIDED, number, now, data, actor)
        await append_all(connection, [Append(entry)])

    def _entry(
        self,
        kind: EntryKind,
        number: str,
        now: datetime,
        data: Mapping[str, object],
        actor: Actor | None = None,
    ) -> Entry:
        return Entry(
            kind=kind,
            key=f"{kind.value}:{number}",
            tenant=self._tenant,
            occurred_at=now,
            recorded_at=now,
            actor=actor or Actor(),
            data=data,
        )

    def _actor(self, name: str) -> bytes:
        return self._ring.blind_index("brake-actor", self._tenant, name.strip().casefold())

    def _said(self, brake: Any) -> list[dict[str, Any]]:
        if brake.private is None:
            return []
        raw = self._ring.decrypt(bytes(brake.private), context=_brake_context(brake.brake_id))
        return list(json.loads(raw))

    def _seal(self, brake_id: str, said: Sequence[Mapping[str, Any]]) -> bytes:
        return self._ring.encrypt(json.dumps(said).encode(), context=_brake_context(brake_id))


def _view(rows: Sequence[Any], scope: Scope) -> BrakeView:
    first = rows[0]
    tells = scope.partners is None and (scope.sealed or first.cause != BrakeCause.DISMISSALS)
    return BrakeView(
        brake_id=first.brake_id,
        source=first.source,
        set_at=first.set_at,
        limit=(first.observed, first.allowed) if tells else None,
        groups=tuple(HeldGroup(row.partner, row.kind, row.events, row.first) for row in rows),
        newest=max(row.newest for row in rows),
    )


def _is_sealed() -> ColumnElement[bool]:
    return and_(
        held_events.c.kind == TerminationKind.INVOLUNTARY.value,
        held_events.c.cutoff_at > func.now(),
    )


def _among(column: ColumnElement[int]) -> ColumnElement[bool]:
    """One array and no list in the text: thousands of events are one parameter."""
    return column == any_(bindparam("ids", type_=ARRAY(BigInteger)))


def _context(source: str, dedupe_key: str) -> bytes:
    return f"inbox\x00{source}\x00{dedupe_key}".encode()


def _brake_context(brake_id: str) -> bytes:
    return f"brake\x00{brake_id}".encode()


_IS_ON = select(brakes.c.brake_id).where(
    brakes.c.brake_id == bindparam("brake"), brakes.c.state == BrakeState.ON.value
)
_SET = (
    pg_insert(brakes)
    # Literal, like the index's own predicate: PostgreSQL cannot match a parameter with it.
    .on_conflict_do_nothing(index_elements=["source"], index_where=text("state = 'on'"))
    .returning(brakes.c.brake_id)
)
_FLOWS = text(
    """
    select s.source, b.brake_id,
        count(c.kind) filter (where c.kind = 'involuntary') as dismissals,
        count(c.kind) filter (where c.kind <> 'involuntary') as others
    from unnest(:sources) as s(source)
    left join brakes b on b.source = s.source and b.state = 'on'
    left join lateral (
        select c.kind from cases c
        where c.source = s.source and c.status <> 'rescinded'
            and c.opened_at > greatest(:since, (
                select max(r.decided_at) from brakes r
                where r.source = s.source and r.state = 'released'
            ))
            and c.case_id not in (
                select i.case_id from brakes r join inbox i on i.brake_id = r.brake_id
                where r.source = s.source and i.case_id is not null
                    and (r.decided_at is null or r.decided_at > :since - interval '1 day')
            )
    ) c on true
    group by s.source, b.brake_id
    """
).bindparams(bindparam("sources", type_=ARRAY(Text)))
"""``greatest`` passes over nulls."""
