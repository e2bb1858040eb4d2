"""Synthetic leavers, and the storage around their cases, on a real database."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import psycopg
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.cases.terminations import (
    EndDates,
    Termination,
    TerminationAction,
    TerminationKind,
)
from lockstep.domain.policy import Policy, SystemPolicy, Tier
from lockstep.domain.systems.access import Category
from lockstep.storage.cases.closing import Closing
from lockstep.storage.cases.rows import Opening, PinnedPolicy, pin
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.records import CaseRow
from lockstep.storage.stores import Stores

TENANT = "acme"
SOURCE = "hr"
NAME = "Maria Dalisay Evangelista"
EMAIL = "maria.evangelista@example.com"
WORKER = "W-774411"
SYSTEM = "memory-1"
OTHER = "memory-2"


def leaver_keys(worker_id: str = WORKER, email: str = EMAIL) -> LeaverKeys:
    return LeaverKeys((Key(KeyKind.WORKER_ID, worker_id), Key(KeyKind.EMAIL, email)))


def event_id(worker_id: str, revision: int) -> str:
    """A sender's id as the documentation asks for: it says nothing about the worker."""
    return "evt_" + hashlib.sha256(f"{worker_id}/{revision}".encode()).hexdigest()[:16]


def termination(worker_id: str = WORKER, **changes: object) -> Termination:
    """HR's first word on a worker who leaves tonight; ``changes`` replaces fields."""
    now = datetime.now(UTC)
    base = Termination(
        tenant=TENANT,
        source=SOURCE,
        event_id=event_id(worker_id, 1),
        action=TerminationAction.TERMINATED,
        revision=1,
        worker_id=worker_id,
        spell="1",
        kind=TerminationKind.VOLUNTARY,
        recorded_at=now - timedelta(hours=1),
        dates=EndDates(zone="Asia/Manila", last_working_day=now.date()),
        keys=leaver_keys(worker_id),
        display_name=NAME,
        partner="northwind",
        site="cebu",
    )
    return replace(base, **changes)


def revised(base: Termination, revision: int, **changes: object) -> Termination:
    """A later statement about the same spell."""
    fields = {"revision": revision, "event_id": event_id(base.worker_id, revision), **changes}
    return replace(base, **fields)


def two_systems(*, accept_single_key: bool = False) -> PinnedPolicy:
    """A policy with two systems of tier 1."""
    systems = tuple(
        SystemPolicy(
            system=name,
            connector="memory",
            category=Category.SAAS,
            tier=Tier.ONE,
            accept_single_key=accept_single_key,
        )
        for name in (SYSTEM, OTHER)
    )
    return pin(Policy(version="1", systems=systems))


class Casework:
    """Everything that storage offers, on one engine."""

    def __init__(self, engine: AsyncEngine, ring: Keyring) -> None:
        self.engine = engine
        self.ring = ring
        self.stores = Stores(engine, ring, tenant=TENANT)
        self.inbox = self.stores.inbox
        self.cases = self.stores.cases
        self.ledger = self.stores.ledger
        self.revocations = self.stores.revocations
        self.policy = two_systems()

    async def adopt(self, policy: PinnedPolicy | None = None) -> None:
        self.policy = policy or self.policy
        await self.cases.adopt(self.policy, TENANT)

    async def open(
        self, said: Termination | None = None, *, due: timedelta = timedelta(0)
    ) -> CaseRow:
        """Open one case whose cutoff lies ``due`` from now."""
        now = datetime.now(UTC)
        [case] = await self.cases.open(
            [Opening(said or termination(), now, now + due)], self.policy
        )
        assert case is not None
        return case

    async def close(self, case_id: str, closing: int = 1) -> datetime:
        """Close it as if it had begun, and every system had been settled by somebody."""
        edition = "key_edition = (select key_edition from cases where case_id = :c)"
        settle = f"update revocations set state = 'settled', {edition}"
        begin = "update cases set status = 'revoking' where status = 'scheduled'"
        async with self.engine.begin() as connection:
            await connection.execute(
                text(f"{settle} where case_id = :c and required"), {"c": case_id}
            )
            await connection.execute(text(f"{begin} and case_id = :c"), {"c": case_id})
        closed = await self.cases.close(Closing(case_id, closing))
        assert closed.at is not None
        assert not closed.open
        return closed.at

    async def kinds(self, case_id: str) -> list[str]:
        """The kinds of a case's entries, in the order of insertion."""
        return [entry["kind"] for entry in await self.entries(case_id)]

    async def entries(self, case_id: str) -> list[dict[str, object]]:
        return [json.loads(raw) for raw in await self.ledger.entries(case_id)]

    async def row(self, case_id: str, system: str = SYSTEM) -> Row:
        """One revocation as stored."""
        query = text("select * from revocations where case_id = :c and system = :s")
        async with self.engine.connect() as connection:
            found = (await connection.execute(query, {"c": case_id, "s": system})).mappings().one()
        return Row(**{name: found[name] for name in Row.__dataclass_fields__})

    async def case(self, case_id: str) -> dict[str, object]:
        query = text("select * from cases where case_id = :c")
        async with self.engine.connect() as connection:
            return dict((await connection.execute(query, {"c": case_id})).mappings().one())

    async def count(self, table: str) -> int:
        async with self.engine.connect() as connection:
            return int(await connection.scalar(text(f"select count(*) from {table}")))


@dataclass(frozen=True)
class Row:
    """The columns of a revocation that tests ask about."""

    state: str
    outcome: str | None
    grade: str | None
    opening: int
    round: int
    attempts: int
    accounts: int
    actions: int
    residual_s: int
    residual_unknown: bool
    fault: str | None
    fault_text: str | None
    retry_at: datetime | None
    needs_person_since: datetime | None
    first_attempt_at: datetime | None
    accepted_at: datetime | None
    revoked_at: datetime | None
    confirmed_at: datetime | None
    rehearsed_at: datetime | None
    contained_at: datetime | None
    warn_at: datetime
    due_at: datetime


def everything_stored(superuser_url: str) -> dict[str, bytes]:
    """Each column of each table, as the raw bytes that PostgreSQL holds for all rows."""
    url = make_url(superuser_url).set(drivername="postgresql")
    found: dict[str, bytes] = {}
    with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
        columns = connection.execute(
            "select table_name, column_name, data_type from information_schema.columns"
            " where table_schema = 'public'"
        ).fetchall()
        for table, column, kind in columns:
            shown = f'"{column}"' if kind == "bytea" else f"convert_to(\"{column}\"::text, 'UTF8')"
            query = f'select {shown} from "{table}" where "{column}" is not null'
            rows = connection.execute(query.encode()).fetchall()
            found[f"{table}.{column}"] = b"\n".join(bytes(row[0]) for row in rows)
    return found
