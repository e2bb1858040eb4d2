"""Signing in: from a proved identity to a session, and from a session to what somebody may do."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from lockstep.domain.cases.leavers import Key
from lockstep.domain.errors import Kind, LockstepError
from lockstep.domain.intake.remit import Remit
from lockstep.domain.rights import Permission, Principal, Rights, Role, is_within, permissions_of
from lockstep.storage.cases.keys import key_indexes
from lockstep.storage.people.api_tokens import MADE_ON_SERVER
from lockstep.storage.people.users import BarredError, NewSession, SessionRow
from lockstep.storage.stores import Stores

LINK_LIFETIME = timedelta(minutes=10)
_LINK = "link"


class SignInError(LockstepError):
    """Nobody was signed in; the text may be shown to whoever asked."""

    kind = Kind.NOT_ALLOWED


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is, as an issuer has proved it, and what their groups give them.

    Args:
        issuer: the provider's issuer, or ``local``.
        subject: the issuer's immutable id of the person.
        session: the issuer's own session id, for back-channel logout; may be empty.
        keys: by which HR may know the person; nobody sees a case about themselves.
        speaks: for whose people they speak when they report; None is those of ``partners``.
    """

    issuer: str
    subject: str = field(repr=False)
    name: str = field(repr=False)
    roles: frozenset[Role]
    partners: frozenset[str] | None
    more: frozenset[Permission] = frozenset()
    keys: tuple[Key, ...] = field(default=(), repr=False)
    session: str = field(default="", repr=False)
    speaks: Remit | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """A session that stands: who asks, and the token that its forms must carry."""

    principal: Principal
    csrf: str = field(repr=False)
    session_hash: bytes = field(repr=False)
    row: SessionRow = field(repr=False)

    def sent_by_us(self, token: str) -> bool:
        """Whether a form carries this session's token; compared in constant time."""
        return hmac.compare_digest(self.csrf.encode(), token.encode(errors="replace"))


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody who is signed in, in one browser or several."""

    principal: Principal
    since: datetime
    seen_at: datetime
    sessions: int


class Sessions:
    """Use cases of signing in and out. ``idle`` and ``lifetime`` bound a session."""

    def __init__(
        self,
        stores: Stores,
        *,
        idle: timedelta = timedelta(minutes=30),
        lifetime: timedelta = timedelta(hours=10),
    ) -> None:
        self.users = stores.users
        self.log = stores.log
        self._ring = stores.ring
        self._tenant = stores.tenant
        self._idle = idle
        self._lifetime = lifetime

    async def begin(self, who: Identity) -> str:
        """Open a session; return its cookie. Every sign-in makes a new one.

        With it end the API tokens that would keep what ``who`` has lost.

        Raises:
            SignInError: for somebody without any role, or a leaver past their cutoff.
        """
        if not who.roles and not who.more:
            raise SignInError("Your account has no role in Lockstep: ask your administrator.")
        document = {
            "name": who.name,
            "roles": sorted(who.roles),
            "more": sorted(who.more),
            "partners": None if who.partners is None else sorted(who.partners),
            "speaks": None if who.speaks is None else who.speaks.as_document(),
            "csrf": secrets.token_urlsafe(24),
        }
        new = NewSession(
            identity=(who.issuer, who.subject),
            name=who.name,
            key_indexes=self.indexes(who.keys),
            document=document,
            idle=self._idle,
            lifetime=self._lifetime,
            provider=who.session,
            tenant=self._tenant,
            rights=Rights(permissions_of(who.roles, *who.more), who.partners),
        )
        try:
            cookie, user_id = await self.users.start(new)
        except BarredError:
            known = await self.users.known(who.issuer, who.subject)
            if known is not None:
                await self.log.denied(known, "session.begin", why="left")
            raise SignInError("This account has ended.") from None
        await self.log.acted(user_id, "session.begin")
        return cookie

    async def read(self, cookie: str, *, in_use: bool = True) -> Signed | None:
        """Who a cookie belongs to; None unless its session stands.

        ``in_use``: whether somebody is there; what a page asks by itself keeps nobody signed in.
        """
        if not cookie or len(cookie) > 200:  # noqa: PLR2004 - ours have 43 characters
            return None
        row = await self.users.session(cookie, in_use=in_use)
        if row is None:
            return None
        return Signed(_principal(row), str(row.document["csrf"]), row.session_hash, row)

    async def end(self, signed: Signed) -> None:
        """Sign out."""
        await self.users.end("signed_out", session_hash=signed.session_hash)
        await self.log.acted(signed.principal.user_id, "session.end")

    async def standing(self, *, by: Principal) -> list[SignedIn]:
        """Who is signed in, as far as ``by`` may know of them, the last seen first."""
        found: dict[str, SignedIn] = {}
        for row in await self.users.standing():
            who = _principal(row)
            if not is_within(who.partners, by.partners):
                continue
            known = found.get(row.user_id)
            found[row.user_id] = SignedIn(
                principal=known.principal if known else who,
                since=min(row.created_at, known.since) if known else row.created_at,
                seen_at=known.seen_at if known else row.seen_at,
                sessions=known.sessions + 1 if known else 1,
            )
        return list(found.values())

    async def end_all_of(self, user_id: str, *, by: Principal) -> int:
        """An administrator ends every session of somebody whom they may know of.

        Returns:
            how many; 0 where nobody of this id is signed in.
        """
        rows = await self.users.standing(user_id=user_id) if user_id.isprintable() else []
        if not any(is_within(_principal(row).partners, by.partners) for row in rows):
            return 0
        ended = await self.users.end("ended_by_admin", user_id=user_id)
        await self.log.acted(by.user_id, "session.end_all", token=by.token)
        return ended

    async def make_link(self) -> str:
        """A secret that signs an administrator in, once, for a local evaluation."""
        secret = secrets.token_urlsafe(32)
        await self.users.begin_sign_in(secret, _LINK, {}, lifetime=LINK_LIFETIME)
        return secret

    async def use_link(self, secret: str) -> str:
        """Sign in by a one-time link; return the session's cookie.

        Raises:
            SignInError: for a link that is unknown, used, or older than ten minutes.
        """
        if await self.users.take_sign_in(secret, _LINK) is None:
            raise SignInError("This link was used, or is older than ten minutes.")
        return await self.begin(LOCAL_ADMINISTRATOR)

    def indexes(self, keys: Iterable[Key]) -> frozenset[bytes]:
        return key_indexes(self._ring, self._tenant, keys)


LOCAL_ADMINISTRATOR = Identity(
    issuer="local",
    subject="administrator",
    name="Local administrator",
    # All of them: there is nobody else on this machine. A second person is still somebody else.
    roles=frozenset(Role),
    partners=None,
    more=frozenset({Permission.SEALED}),
)


COMMAND_LINE = Principal(
    user_id=MADE_ON_SERVER,
    name="Command line",
    # Whoever can run it holds the keyring.
    permissions=frozenset(Permission),
    partners=None,
)


def _principal(row: SessionRow) -> Principal:
    document: Mapping[str, Any] = row.document
    roles = frozenset(Role(name) for name in document["roles"])
    partners: Sequence[str] | None = document["partners"]
    speaks = document.get("speaks")
    return Principal(
        user_id=row.user_id,
        name=str(document["name"]),
        roles=roles,
        permissions=permissions_of(roles, *(Permission(name) for name in document["more"])),
        partners=None if partners is None else frozenset(partners),
        own_keys=row.key_indexes,
        speaks=None if speaks is None else Remit.from_document(speaks),
    )
