"""Who is behind an id of the record: every key that they were known by, and who made a token."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.storage.people.api_tokens import MADE_ON_SERVER
from lockstep.storage.tables.sign_in import api_tokens, sessions


@dataclass(frozen=True, slots=True)
class Identity:
    """``keys``: blind indexes. ``maker``: the user who made it, if it is a token; else ""."""

    keys: frozenset[bytes] = field(default=frozenset(), repr=False)
    maker: str = ""


class Identities:
    """Reads sessions and tokens; those of the settings are not here."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def of(self, ids: Collection[str]) -> dict[str, Identity]:
        """By id, what is known; nothing of an id that is nobody's."""
        wanted = sorted(set(ids))
        signed = select(sessions.c.user_id, sessions.c.key_indexes).where(
            sessions.c.user_id.in_(wanted)
        )
        made = select(api_tokens.c.token_id, api_tokens.c.key_indexes, api_tokens.c.created_by)
        async with self._engine.connect() as connection:
            people = (await connection.execute(signed)).all()
            tokens = (await connection.execute(made.where(api_tokens.c.token_id.in_(wanted)))).all()
        found = {name: Identity() for name in wanted}
        for row in people:
            keys = found[row.user_id].keys | {bytes(index) for index in row.key_indexes}
            found[row.user_id] = Identity(keys)
        for token_id, indexes, made_by in tokens:
            maker = "" if made_by == MADE_ON_SERVER else made_by
            found[token_id] = Identity(frozenset(bytes(index) for index in indexes), maker)
        return found
