"""Tokens of the API that were made here: of each only the SHA-256 is kept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.storage.tables.sign_in import api_tokens, barred_keys

MOST_ROWS = 500
MADE_ON_SERVER = "cli"
"""Who made a token on the server: nobody whose role could be lost."""
_TOUCH = timedelta(minutes=1)
"""How exactly the last use is known: not every request is a write."""


class TokenEnd(StrEnum):
    """Why a token ended before its time."""

    BY_ADMIN = "ended_by_admin"
    LEFT = "left"
    """The cutoff of its owner or of its maker came."""
    MAKER_LOST_RIGHTS = "maker_lost_rights"
    OWNER_LOST_RIGHTS = "owner_lost_rights"
    """Of a token of the command line: nobody else can have lost them."""


@dataclass(frozen=True, slots=True)
class ApiTokenRow:
    """One token as stored. ``partners`` None is every partner; so are ``sites``, to report of."""

    token_id: str
    label: str
    roles: list[str]
    permissions: list[str]
    partners: list[str] | None
    key_indexes: frozenset[bytes] = field(repr=False)
    created_at: datetime
    created_by: str
    expires_at: datetime
    used_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str | None = None
    sites: list[str] | None = None

    def stands(self, now: datetime) -> bool:
        """Whether it is neither ended nor expired."""
        return self.ended_at is None and self.expires_at > now


_COLUMNS = [api_tokens.c[item.name] for item in fields(ApiTokenRow)]


class ApiTokens:
    """The table of tokens."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, row: ApiTokenRow, digest: bytes) -> bool:
        """Keep a new token; False where one of its keys belongs to a leaver past their cutoff."""
        values = {item.name: getattr(row, item.name) for item in fields(row)}
        values |= {"digest": digest, "key_indexes": sorted(row.key_indexes)}
        async with self._engine.begin() as connection:
            if await connection.scalar(select(_barred(row.key_indexes))):
                return False
            await connection.execute(insert(api_tokens), values)
        return True

    async def find(self, token_id: str) -> tuple[ApiTokenRow, bytes] | None:
        """A token that stands, and its digest. One whose owner has left does not stand."""
        now = datetime.now(UTC)
        left = exists().where(
            barred_keys.c.key_index == func.any(api_tokens.c.key_indexes),
            barred_keys.c.lifted_at.is_(None),
        )
        query = select(*_COLUMNS, api_tokens.c.digest).where(
            api_tokens.c.token_id == token_id,
            api_tokens.c.ended_at.is_(None),
            api_tokens.c.expires_at > now,
            ~left,
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else (_row(row), bytes(row.digest))

    async def is_barred(self, indexes: Collection[bytes]) -> bool:
        """Whether one of these keys belongs to a leaver past their cutoff."""
        async with self._engine.connect() as connection:
            return bool(await connection.scalar(select(_barred(indexes))))

    async def touch(self, row: ApiTokenRow) -> None:
        """Remember that a token was used just now, to the minute."""
        now = datetime.now(UTC)
        if row.used_at is not None and now - row.used_at < _TOUCH:
            return
        unused = or_(api_tokens.c.used_at.is_(None), api_tokens.c.used_at < now - _TOUCH)
        statement = (
            update(api_tokens)
            .where(api_tokens.c.token_id == row.token_id, unused)
            .values(used_at=now)
        )
        async with self._engine.begin() as connection:
            await connection.execute(statement)

    async def all(self) -> list[ApiTokenRow]:
        """The newest first; `MOST_ROWS` at most, and those that stand before those that do not."""
        ended = or_(api_tokens.c.ended_at.is_not(None), api_tokens.c.expires_at <= func.now())
        query = select(*_COLUMNS).order_by(ended, api_tokens.c.created_at.desc()).limit(MOST_ROWS)
        async with self._engine.connect() as connection:
            return [_row(row) for row in (await connection.execute(query)).all()]

    async def standing(self) -> int:
        """How many stand."""
        query = (
            select(func.count())
            .select_from(api_tokens)
            .where(api_tokens.c.ended_at.is_(None), api_tokens.c.expires_at > func.now())
        )
        async with self._engine.connect() as connection:
            return int(await connection.scalar(query) or 0)

    async def end(
        self, token_id: str, reason: TokenEnd, *, partners: frozenset[str] | None
    ) -> bool:
        """End a token of these partners; False if there is none that stands."""
        statement = (
            update(api_tokens)
            .where(api_tokens.c.token_id == token_id, api_tokens.c.ended_at.is_(None))
            .values(ended_at=datetime.now(UTC), end_reason=reason.value)
        )
        if partners is not None:
            statement = statement.where(api_tokens.c.partners.contained_by(sorted(partners)))
        async with self._engine.begin() as connection:
            return bool((await connection.execute(statement)).rowcount)


def _barred(indexes: Collection[bytes]) -> Any:
    return exists().where(
        barred_keys.c.key_index.in_(sorted(indexes)), barred_keys.c.lifted_at.is_(None)
    )


def _row(row: Any) -> ApiTokenRow:
    values = {item.name: getattr(row, item.name) for item in fields(ApiTokenRow)}
    values["key_indexes"] = frozenset(bytes(index) for index in row.key_indexes)
    return ApiTokenRow(**values)
