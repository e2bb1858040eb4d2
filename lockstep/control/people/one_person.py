"""Whether two acts came from one person, as far as is known: nobody is their own second person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lockstep.control.people.sessions import LOCAL_ADMINISTRATOR
from lockstep.domain.rights import CLI_USER, Principal
from lockstep.storage.people.identities import Identities
from lockstep.storage.people.users import Users


@dataclass(frozen=True, slots=True)
class Author:
    """Who did something, as far as it was kept.

    Args:
        user_id: of a person, a token, or the command line.
        own_keys: blind indexes of their keys.
        typed: the names that somebody went by on the command line; nobody proved them.
    """

    user_id: str
    own_keys: frozenset[bytes] = field(default=frozenset(), repr=False)
    typed: tuple[str, ...] = field(default=(), repr=False)


class OnePerson:
    """Compares by user id, by every key that either was ever known by, and by makers of tokens.

    ``owners``: keys of whoever holds a token of the settings, by its name.
    """

    def __init__(
        self,
        identities: Identities,
        users: Users,
        owners: Mapping[str, frozenset[bytes]] | None = None,
    ) -> None:
        self._identities = identities
        self._users = users
        self._owners = owners or {}

    async def is_same(self, me: Principal, author: Author) -> bool:
        """Whether ``me`` is ``author``: as themselves, by a token of theirs, or as another user.

        Of the command line only a name is known that nobody proved: it is compared with all names
        of ``me``, and tells nothing where somebody is called otherwise there.
        """
        if me.user_id == author.user_id:
            return True
        if author.user_id == CLI_USER:
            if goes_by(me, author.typed) or await self._may_have_typed(me.user_id):
                return True
        elif me.user_id == CLI_USER and await self._may_have_typed(author.user_id):
            return True
        known = await self._identities.of((me.user_id, author.user_id))
        mine, theirs = known[me.user_id], known[author.user_id]
        if author.user_id == mine.maker or me.user_id == theirs.maker:
            return True
        keys = me.own_keys | mine.keys | self._owners.get(me.user_id, frozenset())
        others = author.own_keys | theirs.keys | self._owners.get(author.user_id, frozenset())
        return not keys.isdisjoint(others)

    async def _may_have_typed(self, user_id: str) -> bool:
        """Whether somebody signed in by a link made on a command line."""
        local = LOCAL_ADMINISTRATOR
        return user_id == await self._users.known(local.issuer, local.subject)


def goes_by(me: Principal, typed: Iterable[str]) -> bool:
    """Whether one of the names given on the command line is that of ``me``, or of their address."""
    mine = me.name.strip().casefold()
    names = {name.casefold() for name in typed}
    return not names.isdisjoint({mine, mine.partition("@")[0]})
