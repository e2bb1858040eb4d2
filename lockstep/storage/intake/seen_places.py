"""Names of partners and sites that cases have."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.storage.tables.case import cases


class SeenPlaces:
    """Reads them; of every partner, so what is read is for comparing and not for showing."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def read(self) -> dict[str, set[str]]:
        """Each partner's sites, by partner."""
        query = select(cases.c.partner, cases.c.site).distinct()
        found: dict[str, set[str]] = {}
        async with self._engine.connect() as connection:
            for partner, site in await connection.execute(query):
                found.setdefault(partner, set()).add(site)
        return found
