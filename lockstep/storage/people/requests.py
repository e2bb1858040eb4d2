"""Acts that wait for a second person: rows, and who they came from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.rights import Scope
from lockstep.storage.people.visibility import visible
from lockstep.storage.tables.case import cases
from lockstep.storage.tables.casework import requests

MOST_ROWS = 200


class RequestState(StrEnum):
    """Where something that was asked for stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    LAPSED = "lapsed"
    """It was approved, and could not be carried out any more."""


@dataclass(frozen=True, slots=True)
class RequestRow:
    """One request as stored. ``private`` is under the leaver's key: who asked, why, and more."""

    request_id: str
    case_id: str
    system: str
    kind: str
    state: str
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    until: datetime | None
    artefact_id: str | None
    decided_by: str | None
    decided_at: datetime | None
    private: bytes = field(repr=False)

    def state_at(self, now: datetime) -> RequestState:
        """The state; what nobody decided in time has expired."""
        if self.state == RequestState.PENDING and self.expires_at <= now:
            return RequestState.EXPIRED
        return RequestState(self.state)


_COLUMNS = [requests.c[item.name] for item in fields(RequestRow)]


class Requests:
    """Reads requests within what somebody may know of."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def one(self, request_id: str, scope: Scope) -> RequestRow | None:
        """One request, if its case is in ``scope``."""
        found = await self._rows(scope, requests.c.request_id == request_id)
        return next(iter(found), None)

    async def pending(self, scope: Scope, *, limit: int = 50) -> list[RequestRow]:
        """What waits for somebody, the first to expire first."""
        return await self._rows(scope, undecided(), limit=limit)

    async def waiting(self, scope: Scope) -> int:
        """How many there are of what `pending` lists."""
        query = (
            select(func.count())
            .select_from(requests.join(cases, cases.c.case_id == requests.c.case_id))
            .where(visible(scope), undecided())
        )
        async with self._engine.connect() as connection:
            return int(await connection.scalar(query) or 0)

    async def about_closed(self, scope: Scope, *, limit: int = 50) -> list[RequestRow]:
        """What waits for somebody about cases that have closed, and so are in no other list."""
        closed = and_(undecided(), cases.c.status == CaseStatus.CLOSED.value)
        return await self._rows(scope, closed, limit=limit)

    async def _rows(
        self, scope: Scope, condition: ColumnElement[bool], *, limit: int = 1
    ) -> list[RequestRow]:
        query = (
            select(*_COLUMNS)
            .join(cases, cases.c.case_id == requests.c.case_id)
            .where(visible(scope), condition)
            .order_by(requests.c.expires_at)
            .limit(min(limit, MOST_ROWS))
        )
        async with self._engine.connect() as connection:
            return request_rows((await connection.execute(query)).mappings())


def undecided() -> ColumnElement[bool]:
    """Still waiting. Literal, as in the partial index: a parameter would not match it."""
    return and_(requests.c.state == text("'pending'"), requests.c.expires_at > func.now())


def request_rows(found: Iterable[Any]) -> list[RequestRow]:
    """Rows read with every column of `RequestRow`."""
    return [
        RequestRow(**{item.name: row[item.name] for item in fields(RequestRow)}) for row in found
    ]


async def requests_of(connection: AsyncConnection, case_id: str) -> list[RequestRow]:
    """The newest requests of a case, the last one first."""
    query = (
        select(*_COLUMNS)
        .where(requests.c.case_id == case_id)
        .order_by(requests.c.asked_at.desc())
        .limit(MOST_ROWS)
    )
    return request_rows((await connection.execute(query)).mappings())


async def expire_old(connection: AsyncConnection, case_id: str, system: str) -> None:
    """Make room for a new request where an old one has run out."""
    statement = (
        update(requests)
        .where(
            requests.c.case_id == case_id,
            requests.c.system == system,
            requests.c.state == RequestState.PENDING.value,
            requests.c.expires_at <= func.now(),
        )
        .values(state=RequestState.EXPIRED.value)
    )
    await connection.execute(statement)


async def settle_request(
    connection: AsyncConnection, request_id: str, state: RequestState, user_id: str
) -> bool:
    """Decide what still waits; False if somebody was faster, or it has run out."""
    statement = (
        update(requests)
        .where(requests.c.request_id == request_id, undecided())
        .values(state=state.value, decided_by=user_id, decided_at=func.now())
    )
    return (await connection.execute(statement)).rowcount == 1


async def lapse_request(connection: AsyncConnection, request_id: str) -> None:
    """What was approved could not be carried out."""
    statement = (
        update(requests)
        .where(
            requests.c.request_id == request_id,
            requests.c.state == RequestState.APPROVED.value,
        )
        .values(state=RequestState.LAPSED.value)
    )
    await connection.execute(statement)
