"""Tokens of the API: making one, ending it, and who asks by it."""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from lockstep.control.people.tokens import digest_of
from lockstep.domain.cases.leavers import Key
from lockstep.domain.errors import Kind, LockstepError
from lockstep.domain.intake.remit import Remit
from lockstep.domain.rights import Permission, Principal, Role, is_within, permissions_of
from lockstep.storage.cases.keys import key_indexes
from lockstep.storage.people.api_tokens import MOST_ROWS, ApiTokenRow, TokenEnd
from lockstep.storage.stores import Stores

LONGEST = timedelta(days=366)
DEFAULT = timedelta(days=90)
NEVER = frozenset({Permission.APPROVE, Permission.MANAGE_ACCESS})
"""What no token may do: a second person is a person, and a program makes no further tokens."""

_ID = re.compile(r"t[a-z2-7]{12}")
_FORMAT = re.compile(r"lk_(t[a-z2-7]{12})_[A-Za-z0-9_-]{43}")
_NOBODY = digest_of("")


class TokenRefusedError(LockstepError, ValueError):
    """A token that cannot be made or ended; the text says why."""

    kind = Kind.CANNOT_BE_DONE


@dataclass(frozen=True, slots=True)
class Wish:
    """What a token is asked for.

    Args:
        label: what it is for; shown to people, so better no name of one.
        roles: with all of their permissions.
        more: further permissions.
        partners: whose cases it may know of; None is every partner.
        sites: of which it may report leavers; None is every one of its maker's.
        lifetime: at most `LONGEST`.
        keys: of the person whom it belongs to: it ends with their access, and never sees their
            case. The same holds for whoever makes it.
    """

    label: str
    roles: frozenset[Role]
    partners: frozenset[str] | None
    more: frozenset[Permission] = frozenset()
    lifetime: timedelta = DEFAULT
    keys: tuple[Key, ...] = field(default=(), repr=False)
    sites: frozenset[str] | None = None

    @property
    def permissions(self) -> frozenset[Permission]:
        return permissions_of(self.roles, *self.more)


class ApiTokenDesk:
    """Use cases of tokens."""

    def __init__(self, stores: Stores) -> None:
        self._tokens = stores.api_tokens
        self._log = stores.log
        self._ring = stores.ring
        self._tenant = stores.tenant

    async def make(self, wish: Wish, *, by: Principal) -> tuple[str, ApiTokenRow]:
        """Make a token; its text is returned once and kept nowhere.

        Raises:
            TokenRefusedError: for more than ``by`` may give, or a wish that makes no sense.
        """
        check_wish(wish, by)
        if await self._tokens.standing() >= MOST_ROWS:
            raise TokenRefusedError(f"{MOST_ROWS} tokens stand already: end some of them")
        token_id = "t" + base64.b32encode(secrets.token_bytes(8)).decode().lower()[:12]
        text = f"lk_{token_id}_{secrets.token_urlsafe(32)}"
        now = datetime.now(UTC)
        row = ApiTokenRow(
            token_id=token_id,
            label=wish.label.strip(),
            roles=sorted(wish.roles),
            permissions=sorted(wish.permissions),
            partners=None if wish.partners is None else sorted(wish.partners),
            # The maker has seen it: it ends with their access too, and is blind to their case.
            key_indexes=key_indexes(self._ring, self._tenant, wish.keys) | by.own_keys,
            created_at=now,
            created_by=by.user_id,
            expires_at=now + wish.lifetime,
            sites=None if (sites := _sites(wish, by)) is None else sorted(sites),
        )
        if not await self._tokens.add(row, digest_of(text)):
            raise TokenRefusedError("the owner's or the maker's access has ended")
        await self._log.acted(by.user_id, f"token.make:{token_id}", token=by.token)
        return text, row

    async def end(self, token_id: str, *, by: Principal) -> None:
        """End a token.

        Raises:
            TokenRefusedError: if none of this id stands within what ``by`` may know of.
        """
        is_id = _ID.fullmatch(token_id)
        if not is_id or not await self._tokens.end(
            token_id, TokenEnd.BY_ADMIN, partners=by.partners
        ):
            raise TokenRefusedError("there is no such token, or it has ended")
        await self._log.acted(by.user_id, f"token.end:{token_id}", token=by.token)

    async def all(self, *, by: Principal) -> list[ApiTokenRow]:
        """Tokens that ``by`` may know of: those for no partner beyond their own."""
        return [row for row in await self._tokens.all() if is_within(row.partners, by.partners)]

    async def find(self, given: str) -> Principal | None:
        """Whose token ``given`` is, if it stands; its last use becomes now."""
        parts = _FORMAT.fullmatch(given)
        found = await self._tokens.find(parts[1]) if parts else None
        digest = found[1] if found else _NOBODY
        if not hmac.compare_digest(digest, digest_of(given)) or found is None:
            return None
        await self._tokens.touch(found[0])
        return _principal(found[0])

    async def has_left(self, holder: Principal) -> bool:
        """Whether whoever holds a token of the settings is a leaver past their cutoff.

        Of a token that was made here `find` asks the same.
        """
        return bool(holder.own_keys) and await self._tokens.is_barred(holder.own_keys)


def givable(by: Principal) -> frozenset[Permission]:
    """What ``by`` may give a token: what they may do themselves, as far as any token may."""
    return by.permissions - NEVER


def check_wish(wish: Wish, by: Principal) -> None:
    """Refuse what makes no sense, and what would give more than the giver has.

    Raises:
        TokenRefusedError: saying what to change.
    """
    label = wish.label.strip()
    if not 1 <= len(label) <= 80 or not label.isprintable():  # noqa: PLR2004
        raise TokenRefusedError("label: say what the token is for, in 80 characters at most")
    if not wish.permissions:
        raise TokenRefusedError("a token needs a role or a permission")
    if forbidden := sorted(wish.permissions & NEVER):
        raise TokenRefusedError(f"a program may not {_said(forbidden)}: this needs a person")
    if beyond := sorted(wish.permissions - by.permissions):
        raise TokenRefusedError(f"you can give only what you have, which is not: {_said(beyond)}")
    if wish.partners is not None and not wish.partners:
        raise TokenRefusedError("partners: name at least one, or choose every partner")
    if not all(1 <= len(name) <= 200 and name.isprintable() for name in wish.partners or ()):  # noqa: PLR2004
        raise TokenRefusedError("partners: a name has 200 printable characters at most")
    if not is_within(wish.partners, by.partners):
        raise TokenRefusedError("partners: you can give only what you have")
    remit = Remit(wish.partners, _sites(wish, by))
    if Permission.SEND_EVENTS in wish.permissions and not remit.is_within(by.remit):
        raise TokenRefusedError("you report leavers of other partners or sites: give only those")
    if not timedelta(0) < wish.lifetime <= LONGEST:
        raise TokenRefusedError(f"a token lasts {LONGEST.days} days at most")


def _sites(wish: Wish, by: Principal) -> frozenset[str] | None:
    """Sites of which it reports leavers: those that were asked for, else those of its maker."""
    return by.remit.sites if wish.sites is None else wish.sites


def _said(permissions: Iterable[Permission]) -> str:
    return " or ".join(each.value.replace("_", " ") for each in permissions)


def _principal(row: ApiTokenRow) -> Principal:
    remit = Remit.from_document({"partners": row.partners, "sites": row.sites})
    return Principal(
        user_id=row.token_id,
        name=row.label,
        roles=frozenset(Role(name) for name in row.roles),
        permissions=frozenset(Permission(name) for name in row.permissions),
        partners=None if row.partners is None else frozenset(row.partners),
        own_keys=row.key_indexes,
        token=True,
        speaks=remit,
    )
