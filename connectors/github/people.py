"""Whose GitHub user is whose: by linked SAML and SCIM identities, and verified-domain addresses.

A GitHub user is a person's own, with addresses that no organisation sees. What the organisation
knows of it is the identity that signed in by its own provider, the addresses of domains that it
has verified, what the settings say of single logins, and what HR says. So a name is asked for among
identities first; before nobody is concluded, everybody is listed, outside collaborators too. While
one of them is told by nothing at all, it may be the leaver's: then nobody is not proved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from connectors.base import Transcript
from connectors.github import questions as ask
from connectors.github.inside import user_of
from connectors.kit.calls import Api, Listed
from connectors.kit.instants import told_instant
from connectors.kit.pages import Item
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.access import Account, Match, Proof

_NOBODY: Final[dict[str, str]] = {}


@dataclass(slots=True)
class Person:
    """One GitHub user, and all by which the organisation can tell whose it is."""

    user: Item = field(repr=False)
    names: set[str] = field(default_factory=set, repr=False)
    emails: set[str] = field(default_factory=set, repr=False)
    is_in: bool = False
    is_nobodys: bool = False
    """A machine's, as the settings say."""

    @property
    def is_told(self) -> bool:
        """Whether anything says whose it is."""
        return bool(self.names or self.emails or self.is_nobodys)

    def match(self, kind: KeyKind) -> Match:
        login = str(self.user.get("login") or "")
        # A NameID that is an address is one.
        emails = self.emails | {name for name in self.names if "@" in name}
        keys = [Key(KeyKind.USERNAME, name) for name in sorted(self.names)]
        keys += [Key(KeyKind.EMAIL, email) for email in sorted(emails)]
        return Match(
            Account(str(self.user["id"]), login, tuple(keys)),
            kind,
            name=str(self.user.get("name") or ""),
            created_at=told_instant(self.user.get("createdAt") or self.user.get("created_at")),
        )


@dataclass(frozen=True, slots=True)
class Source:
    """One list of users."""

    listed: Listed
    people: Callable[[Item], Person | None]


class People:
    """Everybody of one organisation, and of its enterprise where the settings name one."""

    def __init__(
        self, api: Api, *, saml: str, enterprise: str, login_is: str, logins: Iterable[str]
    ) -> None:
        self._api = api
        self._saml = saml
        self._login_is = login_is
        self._logins = dict(map(login_and_address, logins))
        self.inside: tuple[Source, ...] = (
            Source(ask.MEMBERS, _member),
            Source(ask.OUTSIDE, _outside),
            *([Source(ask.enterprise_members(), _of_enterprise)] if enterprise else []),
        )
        self.identities = (Source(ask.identities(saml), _linked),) if saml != "none" else ()

    @property
    def searches(self) -> bool:
        """Whether a name can be asked for."""
        return self._saml != "none"

    async def find(self, key: Key, transcript: Transcript) -> list[Match]:
        """Users whose identity has this name: GitHub is asked, and the answer compared."""
        source = Source(ask.identities(self._saml, key.value), _linked)
        return self.matches(await self.listed(source, transcript))

    async def listed(self, source: Source, transcript: Transcript) -> list[Person]:
        """One list to its end; entries that are linked to no user are nobody's."""
        items = await self._api.whole(source.listed, _NOBODY, transcript)
        return [person for item in items if (person := source.people(item)) is not None]

    async def everybody(self, transcript: Transcript) -> list[Person]:
        """All of them, as each list shows them.

        Raises:
            ConnectorFault: a list cannot be read whole.
        """
        found: list[Person] = []
        for source in (*self.inside, *self.identities):
            found += await self.listed(source, transcript)
        return self.joined(found)

    def matches(self, people: Iterable[Person]) -> list[Match]:
        return [one.match(KeyKind.ACCOUNT_ID) for one in self.joined(people)]

    def joined(self, people: Iterable[Person]) -> list[Person]:
        """Each user once, with what every list and the settings say."""
        told = joined(people)
        for one in told:
            login = str(one.user.get("login") or "").casefold()
            if self._login_is == "username":
                one.names.add(login)
            if address := self._logins.get(login, ""):
                one.emails.add(address)
            one.is_nobodys = login in self._logins and not address
        return told


def login_and_address(row: str) -> tuple[str, str]:
    """``login=address``, or ``login=`` of a machine.

    Raises:
        ValueError: it is neither.
    """
    login, sign, address = row.partition("=")
    if not sign or not login.strip() or (address.strip() and "@" not in address):
        raise ValueError("logins: each as login=address, or login= for one that is nobody's")
    return login.strip().casefold(), address.strip()


def joined(people: Iterable[Person]) -> list[Person]:
    """Each user once, with what every list says."""
    by_id: dict[str, Person] = {}
    for one in people:
        known = by_id.setdefault(str(one.user["id"]), Person({}))
        known.user = {**one.user, **{name: said for name, said in known.user.items() if said}}
        known.names |= one.names
        known.emails |= one.emails
        known.is_in |= one.is_in
    return list(by_id.values())


def proved_by(people: Sequence[Person], key: Key) -> Proof:
    """What a list in which nobody has this key says of it."""
    if not people or any(one.is_in and not one.is_told for one in people):
        return Proof.UNPROVED
    held = (one.names if key.kind is KeyKind.USERNAME else one.emails | one.names for one in people)
    return Proof.LISTED if any(held) else Proof.NOT_HELD


def _member(node: Item) -> Person:
    emails = node.get("emails")
    held = {one for one in emails if isinstance(one, str)} if isinstance(emails, list) else set()
    return Person(node, emails=held, is_in=True)


def _outside(item: Item) -> Person:
    return Person(item, is_in=True)


def _of_enterprise(node: Item) -> Person | None:
    user = user_of(node)
    return Person(user, is_in=True) if user["id"] else None


def _linked(node: Item) -> Person | None:
    told = node.get("user")
    if not isinstance(told, dict) or not told.get("databaseId"):
        return None
    person = Person({**told, "id": str(told["databaseId"])})
    for identity in (node.get("samlIdentity"), node.get("scimIdentity")):
        said = identity if isinstance(identity, dict) else {}
        names = (said.get(name) for name in ("nameId", "username"))
        person.names.update(name for name in names if isinstance(name, str) and name)
        person.emails.update(_values(said.get("emails")))
    return person


def _values(emails: object) -> Iterator[str]:
    for one in emails if isinstance(emails, list) else ():
        value = one.get("value") if isinstance(one, dict) else None
        if isinstance(value, str) and value:
            yield value
