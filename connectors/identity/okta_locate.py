"""Finding a leaver's Okta users by every usable key."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from connectors.base import Transcript
from connectors.identity.okta_api import OktaApi
from connectors.identity.okta_faults import fault_of, gather
from connectors.identity.okta_options import OktaOptions
from connectors.identity.okta_user import OktaUser
from lockstep.domain.access import Account, Location, Match
from lockstep.domain.faults import FaultCategory
from lockstep.domain.leavers import Key, KeyKind, LeaverKeys

_SEARCH = "users.search"
_MOST_HITS = 20


@dataclass(frozen=True, slots=True)
class _Hit:
    """Users that one key found, from the authoritative endpoint or from the lagging index."""

    kind: KeyKind
    value: str
    users: tuple[OktaUser, ...]
    is_authoritative: bool = True


class Search:
    """One search for one leaver; reads only."""

    def __init__(
        self,
        api: OktaApi,
        options: OktaOptions,
        *,
        system: str,
        keys: LeaverKeys,
        transcript: Transcript,
    ) -> None:
        self._api = api
        self._options = options
        self._keys = keys
        self._transcript = transcript
        self._pinned = frozenset(keys.account_ids(system))

    async def run(self) -> Location:
        """Ask for every key at once, believe only what the read by id confirms.

        Raises:
            ConnectorFault: ambiguous match, when one key finds several users or a user's own
                strong key contradicts ours. An account id that HR or an operator gave for this
                system settles both: other people's accounts are then left out.
        """
        hits = await gather(self._questions())
        tried = {hit.kind for hit in hits}
        hits = await self._confirmed(hits)
        matches: dict[str, Match] = {}
        for hit in sorted(hits, key=lambda hit: list(KeyKind).index(hit.kind)):
            for user in self._leavers(hit):
                matches.setdefault(user.id, Match(self._account(user), hit.kind))
        return Location(tuple(matches.values()), tuple(kind for kind in KeyKind if kind in tried))

    def _questions(self) -> list[Coroutine[Any, Any, _Hit]]:
        questions = [self._by_id(value) for value in sorted(self._pinned)]
        for kind, attribute in self._strong_attributes():
            questions += [
                self._by_attribute(kind, attribute, value) for value in self._keys.of_kind(kind)
            ]
        usernames, emails = self._keys.usernames, self._keys.emails
        questions += [self._by_login(KeyKind.USERNAME, value) for value in usernames]
        questions += [self._by_attribute(KeyKind.EMAIL, "email", value) for value in emails]
        # Most organisations use the address as login, and the read by login does not lag.
        asked = {value.casefold() for value in usernames}
        questions += [
            self._by_login(KeyKind.EMAIL, value)
            for value in emails
            if value.casefold() not in asked
        ]
        return questions

    def _strong_attributes(self) -> list[tuple[KeyKind, str]]:
        pairs = (
            (KeyKind.WORKER_ID, self._options.worker_id_attribute),
            (KeyKind.EMPLOYEE_NUMBER, self._options.employee_number_attribute),
        )
        return [(kind, attribute) for kind, attribute in pairs if attribute]

    async def _by_id(self, user_id: str) -> _Hit:
        user = await self._api.find(user_id, self._transcript)
        return _Hit(KeyKind.ACCOUNT_ID, user_id, _some(user))

    async def _by_attribute(self, kind: KeyKind, attribute: str, value: str) -> _Hit:
        users = await self._api.search(f"profile.{attribute}", value, self._transcript)
        return _Hit(kind, value, users, is_authoritative=False)

    async def _by_login(self, kind: KeyKind, value: str) -> _Hit:
        """A login with a slash can only be searched for; so says Okta's documentation."""
        if "/" not in value:
            user = await self._api.find(value, self._transcript)
            if user is not None:
                return _Hit(kind, value, (user,))
        if kind is KeyKind.EMAIL:
            return _Hit(kind, value, ())
        return await self._by_attribute(kind, "login", value)

    async def _confirmed(self, hits: Iterable[_Hit]) -> list[_Hit]:
        """Read users from the index again by id: it may be stale, or match too much."""
        hits = list(hits)
        known = {user.id: user for hit in hits if hit.is_authoritative for user in hit.users}
        unread = {user.id for hit in hits for user in hit.users} - known.keys()
        if len(unread) > _MOST_HITS:
            raise fault_of(FaultCategory.AMBIGUOUS_MATCH, _SEARCH, "too_many_users")
        for user in await gather([self._api.user(i, self._transcript) for i in sorted(unread)]):
            if user is not None:
                known[user.id] = user
        return [
            _Hit(
                hit.kind,
                hit.value,
                tuple(
                    known[user.id]
                    for user in hit.users
                    if user.id in known and self._holds(known[user.id], hit)
                ),
            )
            for hit in hits
        ]

    def _holds(self, user: OktaUser, hit: _Hit) -> bool:
        """Whether the user really has the key that found it."""
        wanted = hit.value.strip().casefold()
        match hit.kind:
            case KeyKind.ACCOUNT_ID:
                return user.id == hit.value
            case KeyKind.EMPLOYEE_NUMBER | KeyKind.WORKER_ID:
                attribute = dict(self._strong_attributes())[hit.kind]
                return user.attribute(attribute).casefold() == wanted
            case KeyKind.EMAIL:
                return wanted in {user.email.casefold(), user.login.casefold()}
            case _:
                # Okta also finds a login by its part before the @, while that is unambiguous.
                login = user.login.casefold()
                return wanted in {login, login.partition("@")[0]}

    def _leavers(self, hit: _Hit) -> tuple[OktaUser, ...]:
        """The users of one key that are the leaver's.

        Raises:
            ConnectorFault: ambiguous match.
        """
        users = {user.id: user for user in hit.users}
        chosen = [user for user in users.values() if user.id in self._pinned]
        if len(users) > 1:
            if not chosen:
                raise fault_of(FaultCategory.AMBIGUOUS_MATCH, _SEARCH, f"several.{hit.kind}")
            return tuple(chosen)
        for user in users.values():
            if kind := self._contradicts(user):
                if self._pinned and user.id not in self._pinned:
                    return ()
                raise fault_of(FaultCategory.AMBIGUOUS_MATCH, _SEARCH, f"other.{kind}")
        return tuple(users.values())

    def _contradicts(self, user: OktaUser) -> KeyKind | None:
        """A strong key of the user's own that is not among ours: a recycled login or address."""
        for kind, attribute in self._strong_attributes():
            theirs = user.attribute(attribute).casefold()
            ours = {value.strip().casefold() for value in self._keys.of_kind(kind)}
            if theirs and ours and theirs not in ours:
                return kind
        return None

    def _account(self, user: OktaUser) -> Account:
        keys = [
            Key(kind, user.attribute(attribute)) for kind, attribute in self._strong_attributes()
        ]
        keys += [Key(KeyKind.USERNAME, user.login), Key(KeyKind.EMAIL, user.email)]
        return Account(user.id, user.login, tuple(key for key in keys if key.value))


def _some(user: OktaUser | None) -> tuple[OktaUser, ...]:
    return () if user is None else (user,)
