"""Who a case can be given to: people who have signed in, with what they could do then."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.domain.rights import Permission, Role, Scope, permissions_of
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.tables.sign_in import sessions

MOST_ROWS = 500


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody, as of their newest session. ``name`` is personal."""

    user_id: str
    name: str = field(repr=False)
    permissions: frozenset[Permission]
    partners: frozenset[str] | None
    own_keys: frozenset[bytes] = field(repr=False)
    signed_in_at: datetime

    @property
    def scope(self) -> Scope:
        return Scope(self.partners, Permission.SEALED in self.permissions, self.own_keys)

    def may_know_of(self, partner: str) -> bool:
        return self.partners is None or partner in self.partners


class Colleagues:
    """Reads the newest session of everybody."""

    def __init__(self, engine: AsyncEngine, ring: Keyring) -> None:
        self._engine = engine
        self._ring = ring

    async def acting(self) -> list[Colleague]:
        """Everybody who could act when they last signed in, by name."""
        newest = (
            select(sessions)
            .ext(distinct_on(sessions.c.user_id))
            .order_by(sessions.c.user_id, sessions.c.created_at.desc())
            .subquery()
        )
        query = select(newest).order_by(newest.c.created_at.desc()).limit(MOST_ROWS)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        found = []
        for row in rows:
            raw = self._ring.decrypt(row.private, context=bytes(row.session_hash))
            document = json.loads(raw)
            partners = document["partners"]
            found.append(
                Colleague(
                    user_id=row.user_id,
                    name=document["name"],
                    permissions=permissions_of(
                        [Role(name) for name in document["roles"]],
                        *(Permission(name) for name in document["more"]),
                    ),
                    partners=None if partners is None else frozenset(partners),
                    own_keys=frozenset(bytes(index) for index in row.key_indexes),
                    signed_in_at=row.created_at,
                )
            )
        acting = [one for one in found if Permission.ACT in one.permissions]
        return sorted(acting, key=lambda one: (one.name.casefold(), one.user_id))
