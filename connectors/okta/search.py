"""The ways in which Okta can be asked for users, and the proof that each can find.

Reading by login is authoritative. ``search`` is an index: it lags, is blind for an attribute that
it does not hold, and refuses one that it does not know. So before "nobody" is believed, the same
question must find a user who is known to be there.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from connectors.base import ConnectorFault, Transcript
from connectors.kit.finding.proving import Prover
from connectors.okta.api import OktaApi, is_no_search
from connectors.okta.options import OktaOptions
from connectors.okta.user import OktaUser, is_under, listed_match, strong_attributes
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.access import Match, Proof
from lockstep.domain.systems.keys import comparable, local_part

_ME = "me"


@dataclass(frozen=True, slots=True)
class Way:
    """One way of asking: by path, or by a comparison of one profile attribute.

    ``proved_by`` is the kind of key of a known user that proves it.
    """

    name: str
    proved_by: KeyKind
    attribute: str = ""
    operator: str = "eq"


BY_LOGIN = Way("users.find", KeyKind.USERNAME)
LOGIN = Way("profile.login", KeyKind.USERNAME, "login")
LOGIN_PREFIX = Way("profile.login.prefix", KeyKind.USERNAME, "login", "sw")
EMAIL = Way("profile.email", KeyKind.EMAIL, "email")


@dataclass(frozen=True, slots=True)
class Answered:
    """What one question returned.

    ``is_sound`` is false where Okta refused the question, or answered with users who do not hold
    what was asked for: then nothing follows from whom it did not return. ``is_failed``: there was
    no answer.
    """

    users: tuple[OktaUser, ...] = field(default=(), repr=False)
    is_sound: bool = True
    is_authoritative: bool = False
    is_failed: bool = False


class Searches:
    """Asks, and remembers for a day which ways were seen to find."""

    def __init__(self, api: OktaApi, options: OktaOptions) -> None:
        self._api = api
        self._options = options
        self._prover = Prover(empty=Proof.UNPROVED)

    def numbers(self) -> tuple[Way, ...]:
        """The searches by attributes that hold numbers of HR's."""
        return tuple(
            Way(f"profile.{attribute}", kind, attribute)
            for kind, attribute in strong_attributes(self._options)
        )

    async def ask(self, way: Way, value: str, transcript: Transcript) -> Answered:
        """Ask for ``value`` in one way."""
        if not way.attribute:
            user = await self._api.find(value, transcript)
            return Answered(() if user is None else (user,), is_authoritative=True)
        try:
            return await self._search(way, value, transcript)
        except ConnectorFault as fault:
            if not is_no_search(fault):
                raise
            return Answered(is_sound=False)

    async def proof(self, way: Way, transcript: Transcript, wanted: str = "") -> Proof:
        """Whether this way of asking finds a user who is known to be there, for such a value."""

        async def known(value: str) -> Sequence[Match]:
            wanted = f"{local_part(value)}@" if way.operator == "sw" else value
            answered = await self.ask(way, wanted, transcript)
            users = answered.users if answered.is_sound else ()
            return [listed_match(user, self._options, way.proved_by) for user in users]

        async def sample() -> Sequence[Match]:
            users = await self._api.some_users(transcript)
            # A login with a slash cannot be read by path, so it proves nothing about that.
            users.sort(key=lambda user: not can_be_read(user.login))
            return [listed_match(user, self._options, KeyKind.ACCOUNT_ID) for user in users]

        return await self._prover.proof_of(
            way.name, way.proved_by, wanted=wanted, sample=sample, ask=known
        )

    def forget(self) -> None:
        """Prove anew."""
        self._prover.forget()

    async def _search(self, way: Way, value: str, transcript: Transcript) -> Answered:
        wanted = comparable(way.proved_by, value)
        users: list[OktaUser] = []
        attribute = f"profile.{way.attribute}"
        pages = self._api.search(attribute, way.operator, value, transcript)
        async with aclosing(pages):
            async for page in pages:
                fitting = [user for user in page if _fits(user, way, wanted)]
                users += fitting
                if len(fitting) < len(page):
                    return Answered(tuple(users), is_sound=False)
        return Answered(tuple(users))


def can_be_read(name: str) -> bool:
    """Whether ``GET /users/{name}`` means this name.

    "When fetching a user by login, URL encode the request parameter … logins with a / character
    can only be fetched by id", and "me" is whoever made our token.
    """
    return bool(name) and "/" not in name and name.casefold() != _ME


def holds(user: OktaUser, keys: Sequence[Key], options: OktaOptions) -> list[Key]:
    """Those of ``keys`` that Okta holds of the user."""
    return [key for key in keys if is_under(user, key, options)]


def _fits(user: OktaUser, way: Way, wanted: str) -> bool:
    have = comparable(way.proved_by, user.attribute(way.attribute))
    return have.startswith(wanted) if way.operator == "sw" else have == wanted
