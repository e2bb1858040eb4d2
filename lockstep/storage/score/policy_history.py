"""Policies as they were adopted: what cases are pinned to, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.storage.tables.case import policies

MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class AdoptedPolicy:
    """One policy. ``digest``: SHA-256 (hex) of the document, by which cases name it."""

    digest: str
    version: str
    adopted_at: datetime
    document: Mapping[str, Any] = field(repr=False)


class PolicyHistory:
    """Reads the table of policies."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def newest(self, limit: int = MOST_ROWS) -> list[AdoptedPolicy]:
        """The last adopted first; `MOST_ROWS` at most."""
        query = (
            select(
                policies.c.digest, policies.c.version, policies.c.adopted_at, policies.c.document
            )
            .order_by(policies.c.adopted_at.desc(), policies.c.digest)
            .limit(min(limit, MOST_ROWS))
        )
        async with self._engine.connect() as connection:
            return [AdoptedPolicy(*row) for row in (await connection.execute(query)).all()]
