"""Who has signed in, and their sessions; a session's cookie is held as its SHA-256 only."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import delete, exists, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.domain.rights import Permission, Rights, Role, permissions_of
from lockstep.storage.keys.keyring import Keyring, KeyringError
from lockstep.storage.people.lost_rights import Holder, end_what_was_lost
from lockstep.storage.tables.sign_in import barred_keys, sessions, sign_ins, users

MOST_ROWS = 1000
_TOUCH = timedelta(minutes=1)
"""How exactly the last use of a session is known: not every request is a write."""

KEPT = timedelta(days=90)
"""How long sessions that are over are known; they hold a name. A user's newest is never dropped."""


class BarredError(Exception):
    """A leaver past their cutoff asked to come in."""


@dataclass(frozen=True, slots=True)
class UserRow:
    """Somebody who has signed in at least once."""

    user_id: str
    name: str = field(repr=False)
    created_at: datetime
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session that stands. ``document`` is what was known at sign-in; personal."""

    session_hash: bytes = field(repr=False)
    user_id: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    key_indexes: frozenset[bytes] = field(repr=False)
    document: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewSession:
    """What a sign-in leaves.

    Args:
        identity: issuer and subject.
        rights: what the person has from now on; tokens of theirs that give more end.
        provider: the issuer's sid.
    """

    identity: tuple[str, str] = field(repr=False)
    name: str = field(repr=False)
    key_indexes: Collection[bytes] = field(repr=False)
    document: Mapping[str, Any] = field(repr=False)
    idle: timedelta
    lifetime: timedelta
    tenant: str
    rights: Rights
    provider: str = ""


class Users:
    """Users, sessions, and sign-ins under way."""

    def __init__(self, engine: AsyncEngine, ring: Keyring) -> None:
        self._engine = engine
        self._ring = ring

    async def start(self, new: NewSession) -> tuple[str, str]:
        """Open a session; return its cookie, which is stored nowhere, and the user's id.

        Of two sign-ins of a person at once the second waits for the first.

        Raises:
            BarredError: for a leaver past their cutoff.
        """
        cookie = secrets.token_urlsafe(32)
        now = datetime.now(UTC)
        async with self._engine.begin() as connection:
            if await self.is_barred(connection, new.key_indexes):
                raise BarredError
            user_id = await self._known(connection, new, now)
            before = await self._rights_before(connection, user_id)
            holder = Holder(user_id, frozenset(new.key_indexes), new.rights, before)
            await end_what_was_lost(connection, new.tenant, holder, now)
            row = {
                "session_hash": digest(cookie),
                "user_id": user_id,
                "created_at": now,
                "seen_at": now,
                "idle_until": now + new.idle,
                "expires_at": now + new.lifetime,
                "provider_index": self._provider(new.identity[0], new.provider),
                "key_indexes": sorted(new.key_indexes),
                "private": self._seal(
                    {**new.document, "idle_s": int(new.idle.total_seconds())}, digest(cookie)
                ),
            }
            await connection.execute(insert(sessions), row)
            await connection.execute(
                delete(sessions).where(
                    sessions.c.user_id == user_id, sessions.c.expires_at < now - KEPT
                )
            )
        return cookie, user_id

    async def stands(self, session_hash: bytes) -> bool:
        """Whether a session stands; its idle time goes on."""
        query = select(sessions.c.user_id).where(
            sessions.c.session_hash == session_hash, _standing(datetime.now(UTC))
        )
        async with self._engine.connect() as connection:
            return await connection.scalar(query) is not None

    async def session(self, cookie: str, *, in_use: bool = True) -> SessionRow | None:
        """The session of a cookie, if it stands; its idle time begins anew if it is ``in_use``."""
        key = digest(cookie)
        now = datetime.now(UTC)
        query = select(sessions).where(sessions.c.session_hash == key, _standing(now))
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        document = self._open(row.private, key)
        if in_use and now - row.seen_at > _TOUCH:
            idle = timedelta(seconds=int(document["idle_s"]))
            touched = (
                update(sessions)
                .where(sessions.c.session_hash == key, sessions.c.ended_at.is_(None))
                .values(seen_at=now, idle_until=now + idle)
            )
            async with self._engine.begin() as connection:
                await connection.execute(touched)
        return _session(row, document)

    async def standing(self, *, user_id: str | None = None) -> list[SessionRow]:
        """Sessions that stand, of ``user_id`` or of all, the last used first; `MOST_ROWS`."""
        now = datetime.now(UTC)
        query = select(sessions).where(_standing(now)).order_by(sessions.c.seen_at.desc())
        if user_id is not None:
            query = query.where(sessions.c.user_id == user_id)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query.limit(MOST_ROWS))).all()
        return [_session(row, self._open(row.private, bytes(row.session_hash))) for row in rows]

    async def end(self, reason: str, **which: object) -> int:
        """End the sessions whose columns equal ``which``; return how many."""
        statement = (
            update(sessions)
            .where(sessions.c.ended_at.is_(None))
            .where(*(sessions.c[name] == value for name, value in which.items()))
            .values(ended_at=datetime.now(UTC), end_reason=reason)
        )
        async with self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount

    async def names(self, user_ids: Collection[str]) -> dict[str, str]:
        """How these users are called, for showing to people."""
        query = select(users).where(users.c.user_id.in_(sorted(user_ids)))
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return {row.user_id: self._user(row).name for row in rows}

    async def all(self) -> list[UserRow]:
        """Everybody who has ever signed in, the last seen first; 1,000 at most."""
        query = select(users).order_by(users.c.seen_at.desc()).limit(1000)
        async with self._engine.connect() as connection:
            return [self._user(row) for row in (await connection.execute(query)).all()]

    async def is_barred(self, connection: AsyncConnection, indexes: Collection[bytes]) -> bool:
        """Whether one of these keys belongs to a leaver past their cutoff."""
        query = (
            select(func.count())
            .select_from(barred_keys)
            .where(barred_keys.c.key_index.in_(sorted(indexes)), barred_keys.c.lifted_at.is_(None))
        )
        return bool(await connection.scalar(query))

    async def begin_sign_in(
        self, state: str, kind: str, document: Mapping[str, Any], *, lifetime: timedelta
    ) -> None:
        """Remember a sign-in under way by the hash of ``state``."""
        now = datetime.now(UTC)
        row = {
            "state_hash": digest(state),
            "kind": kind,
            "created_at": now,
            "expires_at": now + lifetime,
            "private": self._seal(document, digest(state)),
        }
        async with self._engine.begin() as connection:
            await connection.execute(delete(sign_ins).where(sign_ins.c.expires_at < now))
            await connection.execute(insert(sign_ins), row)

    async def log_out(
        self, token_id: str, issuer: str, *, session: str, subject: str, lifetime: timedelta
    ) -> int | None:
        """End the issuer's ``session``, or else every session of ``subject``, once per token.

        Returns:
            how many ended; None where the issuer's token of this id was used before.
        """
        now = datetime.now(UTC)
        key = digest(f"logout\x00{issuer}\x00{token_id}")
        row = {
            "state_hash": key,
            "kind": "logout",
            "created_at": now,
            "expires_at": now + lifetime,
            "used_at": now,
            "private": b"",
        }
        first = pg_insert(sign_ins).on_conflict_do_nothing().returning(sign_ins.c.kind)
        whose = (
            sessions.c.provider_index == self._provider(issuer, session)
            if session
            else sessions.c.user_id.in_(
                select(users.c.user_id).where(
                    users.c.identity_index == self._identity((issuer, subject))
                )
            )
        )
        ending = (
            update(sessions)
            .where(sessions.c.ended_at.is_(None), whose)
            .values(ended_at=now, end_reason="provider")
        )
        async with self._engine.begin() as connection:
            if await connection.scalar(first, row) is None:
                return None
            return (await connection.execute(ending)).rowcount

    async def known(self, issuer: str, subject: str) -> str | None:
        """The id of somebody who has signed in before."""
        index = self._identity((issuer, subject))
        query = select(users.c.user_id).where(users.c.identity_index == index)
        async with self._engine.connect() as connection:
            found: str | None = await connection.scalar(query)
        return found

    async def take_sign_in(self, state: str, kind: str) -> dict[str, Any] | None:
        """What was remembered, once: a second taking finds nothing."""
        key = digest(state)
        now = datetime.now(UTC)
        statement = (
            update(sign_ins)
            .where(
                sign_ins.c.state_hash == key,
                sign_ins.c.kind == kind,
                sign_ins.c.used_at.is_(None),
                sign_ins.c.expires_at > now,
            )
            .values(used_at=now)
            .returning(sign_ins.c.private)
        )
        async with self._engine.begin() as connection:
            private = await connection.scalar(statement)
        return self._open(private, key) if private else None

    async def _known(self, connection: AsyncConnection, new: NewSession, now: datetime) -> str:
        index = self._identity(new.identity)
        fresh = "u" + base64.b32encode(secrets.token_bytes(8)).decode().lower()[:12]
        statement = (
            pg_insert(users)
            .values(
                user_id=fresh,
                identity_index=index,
                private=self._seal({"name": new.name}, index),
                created_at=now,
                seen_at=now,
            )
            .on_conflict_do_update(
                index_elements=["identity_index"],
                set_={"seen_at": now, "private": self._seal({"name": new.name}, index)},
            )
            .returning(users.c.user_id)
        )
        return str(await connection.scalar(statement))

    async def _rights_before(self, connection: AsyncConnection, user_id: str) -> Rights | None:
        """What somebody had at the sign-in before this one; None if that cannot be told."""
        query = (
            select(sessions.c.session_hash, sessions.c.private)
            .where(sessions.c.user_id == user_id)
            .order_by(sessions.c.created_at.desc())
            .limit(1)
        )
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        try:
            document = self._open(row.private, bytes(row.session_hash))
        except KeyringError:  # so old that its key is gone
            return None
        partners: Sequence[str] | None = document["partners"]
        # An older release may have had roles and permissions that are none any more.
        roles = [role for role in Role if role in document["roles"]]
        more = [each for each in Permission if each in document["more"]]
        return Rights(
            permissions_of(roles, *more), None if partners is None else frozenset(partners)
        )

    def _identity(self, identity: Sequence[str]) -> bytes:
        return self._ring.blind_index("user", *identity)

    def _provider(self, issuer: str, sid: str) -> bytes | None:
        return self._ring.blind_index("provider-session", issuer, sid) if sid else None

    def _seal(self, document: Mapping[str, Any], context: bytes) -> bytes:
        return self._ring.encrypt(json.dumps(document).encode(), context=context)

    def _open(self, private: bytes, context: bytes) -> dict[str, Any]:
        return dict(json.loads(self._ring.decrypt(private, context=context)))

    def _user(self, row: Any) -> UserRow:
        name = self._open(row.private, bytes(row.identity_index))["name"]
        return UserRow(row.user_id, name, row.created_at, row.seen_at)


def digest(secret: str) -> bytes:
    """SHA-256 of a random secret: enough where there is nothing to guess."""
    return sha256(secret.encode(errors="replace")).digest()


def _standing(now: datetime) -> Any:
    """Neither ended nor expired, and not of a leaver who signed in just as their case began."""
    left = exists().where(
        barred_keys.c.key_index == func.any(sessions.c.key_indexes),
        barred_keys.c.lifted_at.is_(None),
    )
    return (
        ~left
        & sessions.c.ended_at.is_(None)
        & (sessions.c.expires_at > now)
        & (sessions.c.idle_until > now)
    )


def _session(row: Any, document: Mapping[str, Any]) -> SessionRow:
    return SessionRow(
        session_hash=bytes(row.session_hash),
        user_id=row.user_id,
        created_at=row.created_at,
        seen_at=row.seen_at,
        expires_at=row.expires_at,
        key_indexes=frozenset(bytes(index) for index in row.key_indexes),
        document=document,
    )
