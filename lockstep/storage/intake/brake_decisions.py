"""What people decide about held events: they are released or refused, and it goes on record."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    any_,
    bindparam,
    delete,
    func,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.domain.cases.clocks import whole_ms
from lockstep.domain.intake.brakes import BrakeState, Channel
from lockstep.domain.rights import EVERYTHING, Scope
from lockstep.evidence.ledger.entries import Actor, Entry, EntryKind
from lockstep.storage.intake.bell import CHANNEL
from lockstep.storage.intake.brake_rows import (
    BrakeDecidedError,
    BrakeUnknownError,
    Decided,
    Decider,
    DecisionRow,
    OwnEventsError,
    Refusal,
    is_sealed_event,
    visible_held,
)
from lockstep.storage.intake.refused_events import AT_THE_BRAKE
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.ledger.append import Append, append_all
from lockstep.storage.tables.intake import brakes, held_events, inbox

MOST_DECIDED = 20
_MOST_NAMED = 5


class BrakeDecisions:
    """Of two who decide at once, one wins: both lock the brake."""

    def __init__(self, engine: AsyncEngine, ring: Keyring, tenant: str) -> None:
        self._engine = engine
        self._ring = ring
        self._tenant = tenant

    async def decide(
        self,
        brake_id: str,
        decision: BrakeState,
        who: Decider,
        *,
        scope: Scope = EVERYTHING,
        chosen: Collection[int] | None = None,
        up_to: int | None = None,
    ) -> Decided:
        """Release or refuse events that a brake holds.

        Of the kinds that nobody refuses alone, it is noted who would, until somebody else agrees.

        Args:
            brake_id: a brake that is on.
            decision: released or refused.
            who: must not have reported any of them.
            scope: only what it may know of is decided; the brake stays on for the rest.
            chosen: inbox ids; None decides all that there are.
            up_to: the newest event that whoever decides has seen.

        Raises:
            BrakeUnknownError: if there is no such brake, or it never held such an event.
            BrakeDecidedError: if brake or a chosen event are not there any more.
            OwnEventsError: if they reported one of the events.
        """
        async with self._engine.begin() as connection:
            brake = await _locked(connection, brake_id)
            rows = await self._wanted(connection, brake_id, scope, chosen=chosen, up_to=up_to)
            own = {self._actor(name) for name in who.known_as}
            is_own = any(row.actor_index in own for row in rows if row.actor_index)
            if is_own and decision is BrakeState.RELEASED:
                raise OwnEventsError("somebody else must release what you have reported")
            asked = await self._ask(connection, decision, who, rows)
            rows = [row for row in rows if row.inbox_id not in asked]
            if rows:
                ids = [row.inbox_id for row in rows]
                await self._carry_out(connection, brake_id, decision, who, ids)
                await self._put_on_record(connection, brake, decision, who, rows)
        return Decided(len(rows), len(asked))

    async def channel_of(self, brake_id: str) -> Channel | None:
        """What a brake is for; None where there is none."""
        query = select(brakes.c.source).where(brakes.c.brake_id == brake_id)
        async with self._engine.connect() as connection:
            found = await connection.scalar(query)
        return None if found is None else Channel.read(found)

    async def refusals(self, brake_id: str, scope: Scope) -> dict[int, Refusal]:
        """By event, who would refuse it and waits for somebody else."""
        query = select(held_events.c.inbox_id, held_events.c.refusal).where(
            held_events.c.brake_id == brake_id,
            held_events.c.refusal.is_not(None),
            visible_held(scope),
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return {row.inbox_id: found for row in rows if (found := self._refusal(row)) is not None}

    async def _ask(
        self,
        connection: AsyncConnection,
        decision: BrakeState,
        who: Decider,
        rows: Sequence[Any],
    ) -> set[int]:
        """Note who would refuse what nobody refuses alone; return what waits for somebody else."""
        if decision is BrakeState.RELEASED:
            return set()
        asked = {
            row.inbox_id
            for row in rows
            if row.kind in who.in_pairs and not (row.refusal and row.inbox_id in who.agrees)
        }
        for row in rows:
            if row.inbox_id in asked and row.refusal is None:
                await connection.execute(
                    update(held_events)
                    .where(held_events.c.inbox_id == row.inbox_id)
                    .values(refusal=self._seal_refusal(row.inbox_id, who))
                )
        return asked

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
                source=Channel.read(row.source).source,
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
            held_events.c.kind,
            held_events.c.refusal,
            is_sealed_event().label("is_sealed"),
        ).where(held_events.c.brake_id == brake_id, visible_held(scope))
        if chosen is not None:
            query = query.where(held_events.c.inbox_id.in_(sorted(chosen)))
        elif up_to is not None:
            query = query.where(held_events.c.inbox_id <= up_to)
        rows = (await connection.execute(query)).all()
        missing = set(chosen or ()) - {row.inbox_id for row in rows}
        if missing:
            raise await _why_missing(connection, brake_id, scope, missing)
        if not rows:
            raise await _why_none(connection, brake_id, scope)
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
            error = f"{AT_THE_BRAKE}{who.reason}"[:1000]
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
            values |= {"counts_on": who.is_bound}
        await connection.execute(
            update(brakes).where(brakes.c.brake_id == brake.brake_id).values(**values)
        )
        data: dict[str, object] = {
            "brake": brake.brake_id,
            **said_of(Channel.read(brake.source)),
            "decision": decision.value,
            "events": len(rows),
        }
        if decision is BrakeState.REFUSED:
            pairs = [row for row in rows if row.kind in who.in_pairs]
            askers = {found.user_id for row in pairs if (found := self._refusal(row)) is not None}
            data |= {"in_pairs": len(pairs), "asked_by": sorted(askers)} if pairs else {}
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

    def _seal_refusal(self, inbox_id: int, who: Decider) -> bytes:
        said = {
            "user": who.user_id,
            "name": who.name,
            "own_keys": sorted(index.hex() for index in who.own_keys),
            "typed": list(who.typed),
        }
        return self._ring.encrypt(json.dumps(said).encode(), context=_refusal_context(inbox_id))

    def _refusal(self, row: Any) -> Refusal | None:
        if row.refusal is None:
            return None
        raw = self._ring.decrypt(bytes(row.refusal), context=_refusal_context(row.inbox_id))
        said = json.loads(raw)
        keys = frozenset(bytes.fromhex(key) for key in said["own_keys"])
        return Refusal(said["user"], said["name"], keys, tuple(said["typed"]))

    def _actor(self, name: str) -> bytes:
        return self._ring.blind_index("brake-actor", self._tenant, name.strip().casefold())

    def _said(self, brake: Any) -> list[dict[str, Any]]:
        if brake.private is None:
            return []
        raw = self._ring.decrypt(bytes(brake.private), context=_brake_context(brake.brake_id))
        return list(json.loads(raw))

    def _seal(self, brake_id: str, said: Sequence[Mapping[str, Any]]) -> bytes:
        return self._ring.encrypt(json.dumps(said).encode(), context=_brake_context(brake_id))


async def _locked(connection: AsyncConnection, brake_id: str) -> Any:
    """A brake that is on, locked; raises as `BrakeDecisions.decide` does."""
    query = select(brakes).where(brakes.c.brake_id == brake_id).with_for_update()
    brake = (await connection.execute(query)).one_or_none()
    if brake is None:
        raise BrakeUnknownError(f"there is no brake {brake_id!r}")
    if brake.state != BrakeState.ON.value:
        at = f"{brake.decided_at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
        raise BrakeDecidedError(f"brake {brake_id} was {brake.state} already, at {at}")
    return brake


async def _why_missing(
    connection: AsyncConnection, brake_id: str, scope: Scope, missing: Collection[int]
) -> LookupError:
    """Whether chosen events were decided, or never waited here for whoever asks."""
    told = ", ".join(str(number) for number in sorted(missing)[:_MOST_NAMED])
    told += f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
    if scope.partners is None:  # else it would tell of other partners' events
        query = select(func.count()).where(
            inbox.c.brake_id == brake_id, inbox.c.state != "held", _among(inbox.c.id)
        )
        decided = await connection.scalar(query, {"ids": sorted(missing)})
        if decided:
            return BrakeDecidedError(f"of event {told}, {decided} decided already")
    return BrakeUnknownError(
        f"event {told} does not wait at brake {brake_id}, or is not yours to see"
    )


async def _why_none(connection: AsyncConnection, brake_id: str, scope: Scope) -> LookupError:
    """Why a brake that is on holds nothing to decide about."""
    query = select(func.count()).where(held_events.c.brake_id == brake_id, visible_held(scope))
    if await connection.scalar(query):
        return BrakeDecidedError("what you saw was decided already; others wait since")
    return BrakeUnknownError(
        f"brake {brake_id} holds nothing, or nothing that is yours to decide about"
    )


def _among(column: ColumnElement[int]) -> ColumnElement[bool]:
    """One array and no list in the text: thousands of events are one parameter."""
    return column == any_(bindparam("ids", type_=ARRAY(BigInteger)))


def said_of(channel: Channel) -> dict[str, object]:
    """How an entry names it."""
    more = {"reporter": channel.reporter} if channel.reporter else {}
    more |= {"partner": channel.partner} if channel.partner else {}
    return {"source": channel.source, **more}


def _refusal_context(inbox_id: int) -> bytes:
    return f"refusal\x00{inbox_id}".encode()


def _brake_context(brake_id: str) -> bytes:
    return f"brake\x00{brake_id}".encode()
