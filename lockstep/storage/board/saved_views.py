"""Filters that somebody has kept under a name, encrypted: a search may name a leaver."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.tables.casework import saved_views

MOST_VIEWS = 30
"""Of one user."""


class TooManyViewsError(Exception):
    """Somebody has `MOST_VIEWS` already."""


@dataclass(frozen=True, slots=True)
class SavedView:
    """A name for filters. ``document`` is theirs to read and may be personal."""

    view_id: str
    name: str = field(repr=False)
    document: Mapping[str, str] = field(repr=False)


class SavedViews:
    """Each user's own; nobody reads or removes another's."""

    def __init__(self, engine: AsyncEngine, ring: Keyring) -> None:
        self._engine = engine
        self._ring = ring

    async def of(self, user_id: str) -> list[SavedView]:
        """In the order in which they were kept."""
        query = (
            select(saved_views)
            .where(saved_views.c.user_id == user_id)
            .order_by(saved_views.c.created_at, saved_views.c.view_id)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        found = []
        for row in rows:
            raw = self._ring.decrypt(row.private, context=_context(user_id, row.view_id))
            document = json.loads(raw)
            found.append(SavedView(row.view_id, document["name"], document["filters"]))
        return found

    async def keep(self, user_id: str, name: str, document: Mapping[str, str]) -> str:
        """Keep filters under a name; return the view's id.

        Raises:
            TooManyViewsError: if there are `MOST_VIEWS` already.
        """
        view_id = "v" + secrets.token_hex(8)
        raw = json.dumps({"name": name, "filters": dict(document)}).encode()
        row = {
            "view_id": view_id,
            "user_id": user_id,
            "private": self._ring.encrypt(raw, context=_context(user_id, view_id)),
            "created_at": datetime.now(UTC),
        }
        mine = select(func.count()).select_from(saved_views).where(saved_views.c.user_id == user_id)
        async with self._engine.begin() as connection:
            if int(await connection.scalar(mine) or 0) >= MOST_VIEWS:
                raise TooManyViewsError
            await connection.execute(insert(saved_views), row)
        return view_id

    async def remove(self, user_id: str, view_id: str) -> bool:
        """Forget a view; False if this user has none of that id."""
        statement = delete(saved_views).where(
            saved_views.c.view_id == view_id, saved_views.c.user_id == user_id
        )
        async with self._engine.begin() as connection:
            return bool((await connection.execute(statement)).rowcount)


def _context(user_id: str, view_id: str) -> bytes:
    return f"view:{user_id}:{view_id}".encode()
