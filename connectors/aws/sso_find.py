"""Finding a leaver's Identity Center users, and proving that nobody is there.

`GetUserId` looks one key up exactly; whether it minds case AWS does not say. So before it is
believed that it found nobody, it must find a listed user by the same kind of key, written in
another case; else all users are listed and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from connectors.aws.http import AwsCalls, need
from connectors.aws.match import Finds, distinct
from connectors.aws.settings import AwsSettings
from connectors.base import ConnectorFault, Transcript
from connectors.kit.finding.proving import Prover, is_among, shape_of
from connectors.kit.finding.searching import Searching
from connectors.kit.instants import told_instant
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Account, Location, Match, Observation, Proof
from lockstep.domain.systems.keys import comparable

_ENTERPRISE = "aws:identitystore:enterprise"
_SAMPLE = 100
"""AWS's largest page of users."""
_MOST_PAGES = 2000
_NAMES = (KeyKind.USERNAME, KeyKind.EMAIL)


@dataclass(frozen=True, slots=True)
class Instance:
    """One Identity Center instance and its identity store."""

    arn: str
    store: str


@dataclass(frozen=True, slots=True)
class Way:
    """One exact look-up; ``proved_by`` is the kind of key of a known user that proves it."""

    name: str
    proved_by: KeyKind


USER_NAME = Way("userName", KeyKind.USERNAME)
EMAIL = Way("emails.value", KeyKind.EMAIL)


async def describe(
    calls: AwsCalls, instance: Instance, user_id: str, transcript: Transcript
) -> dict[str, Any] | None:
    """The user's own record by immutable id; None when there is none."""
    answer = await calls.call_unless_gone(
        "identitystore",
        "DescribeUser",
        {"IdentityStoreId": instance.store, "UserId": user_id, "Extensions": [_ENTERPRISE]},
        transcript,
    )
    if answer is None:
        return None
    answer.need("UserId")
    answer.need("UserName")
    return answer.data


class Finder:
    """The searches of one identity store; remembers for a day which were seen to find."""

    def __init__(self, settings: AwsSettings, calls: AwsCalls) -> None:
        self._settings = settings
        self._calls = calls
        self._prover = Prover()

    def usable(self, account_ids: Sequence[str], keys: LeaverKeys) -> list[Key]:
        """The keys of the leaver that can be looked up."""
        return [
            key
            for key in distinct(account_ids, keys)
            if key.kind is KeyKind.ACCOUNT_ID or any(self._ways(key.kind))
        ]

    async def locate(
        self,
        instance: Instance,
        account_ids: Sequence[str],
        keys: LeaverKeys,
        transcript: Transcript,
        *,
        look: Callable[[dict[str, Any]], Observation],
        not_theirs: Collection[str] = (),
    ) -> Location:
        """Look up every key; ``look`` is what a user's own record says of what stands."""
        search = _Search(self, instance, transcript, look, Searching(not_theirs))
        wanted = tuple(distinct(account_ids, keys))
        if not await search.by_keys(wanted):
            await search.prove()
        return await search.told(wanted)

    async def proof(
        self, way: Way, instance: Instance, transcript: Transcript, wanted: str = ""
    ) -> Proof:
        """Whether this look-up finds a user who is known to be there, and could find ``wanted``."""

        async def sample() -> Sequence[Match]:
            answer = await self._calls.call(
                "identitystore",
                "ListUsers",
                {
                    "IdentityStoreId": instance.store,
                    "Extensions": [_ENTERPRISE],
                    "MaxResults": _SAMPLE,
                },
                transcript,
            )
            users = need(answer.need("Users"), "identitystore.ListUsers", "UserId", "UserName")
            return [self.match(user, KeyKind.ACCOUNT_ID) for user in users]

        async def known(value: str) -> Sequence[Match]:
            user_id = await self.ask(way, value, instance, transcript)
            return [Match(Account(user_id), way.proved_by)] if user_id else []

        return await self._prover.proof_of(
            way.name,
            way.proved_by,
            sample=sample,
            ask=known,
            wanted=wanted,
        )

    async def check(self, instance: Instance, transcript: Transcript) -> list[Way]:
        """Prove every look-up anew; return those that did not find a known user."""
        self._prover.forget()
        ways = {way: None for kind in KeyKind for way in self._ways(kind)}
        return [
            way for way in ways if await self.proof(way, instance, transcript) is Proof.UNPROVED
        ]

    async def ask(
        self, way: Way, value: str, instance: Instance, transcript: Transcript
    ) -> str | None:
        """The id of the user who has ``value``."""
        issuer = self._settings.external_id_issuer
        by_attribute = {"AttributePath": way.name, "AttributeValue": value}
        search: dict[str, Any] = (
            {"UniqueAttribute": by_attribute}
            if way.proved_by in _NAMES
            else {"ExternalId": {"Issuer": issuer, "Id": value}}
        )
        answer = await self._calls.call_unless_gone(
            "identitystore",
            "GetUserId",
            {"IdentityStoreId": instance.store, "AlternateIdentifier": search},
            transcript,
        )
        return str(answer.need("UserId")) if answer else None

    async def read(
        self, instance: Instance, user_id: str, transcript: Transcript
    ) -> dict[str, Any] | None:
        return await describe(self._calls, instance, user_id, transcript)

    async def everybody(self, instance: Instance, transcript: Transcript) -> list[dict[str, Any]]:
        """All users, each once."""
        found = await self._calls.pages(
            "identitystore",
            "ListUsers",
            {
                "IdentityStoreId": instance.store,
                "Extensions": [_ENTERPRISE],
                "MaxResults": _SAMPLE,
            },
            transcript,
            key="Users",
            most=_MOST_PAGES,
        )
        users = need(found, "identitystore.ListUsers", "UserId", "UserName")
        return list({user["UserId"]: user for user in users}.values())

    def questions(self, keys: Sequence[Key]) -> Iterator[tuple[Key, Way]]:
        """Every exact look-up that the keys allow, strongest first; no word is asked twice."""
        asked: set[tuple[Way, str]] = set()
        for key in keys:
            for way in self._ways(key.kind):
                if (way, key.value) not in asked:
                    asked.add((way, key.value))
                    yield key, way

    def match(
        self, user: dict[str, Any], found_by: KeyKind, seen: Observation | None = None
    ) -> Match:
        name = user.get("Name", {})
        parts = (name.get("GivenName"), name.get("FamilyName"))
        return Match(
            Account(user["UserId"], user["UserName"], tuple(self.keys_of(user))),
            found_by,
            seen,
            name=user.get("DisplayName") or " ".join(part for part in parts if part),
            created_at=told_instant(user.get("CreatedAt")),
        )

    def is_under(self, user: dict[str, Any], key: Key) -> bool:
        """Whether AWS itself holds ``key`` of the user."""
        if key.kind is KeyKind.ACCOUNT_ID:
            return bool(user["UserId"] == key.value)
        kinds = _NAMES if key.kind in _NAMES else (key.kind,)
        wanted = comparable(key.kind, key.value)
        held = [one for one in self.keys_of(user) if one.kind in kinds]
        return bool(wanted) and any(comparable(one.kind, one.value) == wanted for one in held)

    def _ways(self, kind: KeyKind) -> Iterator[Way]:
        if self._settings.external_id_issuer and kind is self._settings.external_id_holds:
            yield Way("externalId", kind)
        if kind is KeyKind.EMAIL:
            yield EMAIL
        if kind in _NAMES:
            yield USER_NAME

    def keys_of(self, user: dict[str, Any]) -> Iterator[Key]:
        """Every key that AWS holds of the user."""
        issuer, kind = self._settings.external_id_issuer, self._settings.external_id_holds
        held = [
            (kind, external.get("Id"))
            for external in user.get("ExternalIds", ())
            if external.get("Issuer") == issuer
        ]
        enterprise = user.get("Extensions", {}).get(_ENTERPRISE, {})
        held.append((KeyKind.EMPLOYEE_NUMBER, enterprise.get("employeeNumber")))
        held.append((KeyKind.USERNAME, user["UserName"]))
        held += [(KeyKind.EMAIL, email.get("Value")) for email in user.get("Emails", ())]
        return (Key(of, str(value)) for of, value in held if value)


class _Search:
    """One search for one leaver."""

    def __init__(
        self,
        finder: Finder,
        instance: Instance,
        transcript: Transcript,
        look: Callable[[dict[str, Any]], Observation],
        searching: Searching,
    ) -> None:
        self._finder = finder
        self._searching = searching
        self._instance = instance
        self._transcript = transcript
        self._look = look
        self._finds = Finds()
        self._asked: list[tuple[Key, Way]] = []
        self._proofs: dict[Way, Proof] = {}
        self._each: dict[tuple[Key, Way], Proof] = {}
        self._failed: set[Key] = set()
        self._unread_ids: set[str] = set()

    async def by_keys(self, wanted: Sequence[Key]) -> bool:
        """Look every key up, and read whom it finds by id; whether anybody was found.

        Raises:
            ConnectorFault: of a look-up, where no other found anybody.
        """
        self._asked = list(self._finder.questions(wanted))
        ids = [key for key in wanted if key.kind is KeyKind.ACCOUNT_ID]
        found = await self._searching.each(
            partial(self._finder.ask, way, key.value, self._instance, self._transcript)
            for key, way in self._asked
        )
        hits = [(key, key.value) for key in ids]
        hits += [
            (key, user_id)
            for (key, _), user_id in zip(self._asked, found, strict=True)
            if isinstance(user_id, str)
        ]
        held = await self._take(hits)
        for key in ids:
            is_read = key.value not in self._unread_ids
            self._finds.searched(key, Proof.BY_ID if is_read else Proof.FAILED)
        for (key, way), user_id in zip(self._asked, found, strict=True):
            if isinstance(user_id, ConnectorFault) or user_id in self._unread_ids:
                self._failed.add(key)
            elif user_id:
                self._proofs[way] = Proof.PROVED if (key, user_id) in held else Proof.UNPROVED
        self._searching.require_somebody(self._finds.matches)
        return self._searching.found(self._finds.matches)

    async def prove(self) -> None:
        for key, way in self._asked:
            # Where it has a proof already, it answered with somebody: who has the key, or has not.
            if way not in self._proofs:
                self._each[key, way] = await self._finder.proof(
                    way, self._instance, self._transcript, key.value
                )

    async def told(self, wanted: Sequence[Key]) -> Location:
        """What was found, and how each key was searched; lists all where that is not proved."""
        proofs = [self._proof(key, way) for key, way in self._asked]
        if not self._searching.found(self._finds.matches) and Proof.UNPROVED in proofs:
            return await self._by_list(wanted)
        for (key, _), proof in zip(self._asked, proofs, strict=True):
            self._finds.searched(key, proof)
        location = self._finds.location(0 if Proof.LISTED in proofs else None)
        return self._searching.told(location)

    def _proof(self, key: Key, way: Way) -> Proof:
        if key in self._failed:
            return Proof.FAILED
        return self._proofs.get(way) or self._each.get((key, way), Proof.UNPROVED)

    async def _by_list(self, wanted: Sequence[Key]) -> Location:
        users = await self._finder.everybody(self._instance, self._transcript)
        keys = [key for user in users for key in self._finder.keys_of(user)]
        held = {key.kind for key in keys}
        shapes = {shape_of(key.value) for key in keys if key.kind in _NAMES}
        hits = [
            (key, str(user["UserId"]))
            for user in users
            for key in wanted
            if self._finder.is_under(user, key)
        ]
        await self._take(hits)
        for key in wanted:
            is_name = key.kind in _NAMES
            if is_among(key.value, shapes) if is_name else key.kind in held:
                self._finds.searched(key, Proof.LISTED)
            elif any(key == one for one, _ in self._asked):
                self._finds.searched(key, Proof.NOT_HELD)
        return self._searching.told(self._finds.location(len(users)))

    async def _take(self, hits: Sequence[tuple[Key, str]]) -> list[tuple[Key, str]]:
        """Read each user once, by id: that is what is believed. Returns the hits that it bears."""
        distinct_ids = list(dict.fromkeys(user_id for _, user_id in hits))
        users = await self._searching.each(
            partial(self._finder.read, self._instance, one, self._transcript)
            for one in distinct_ids
        )
        by_id = dict(zip(distinct_ids, users, strict=True))
        held = []
        for key, user_id in hits:
            user = by_id[user_id]
            if isinstance(user, ConnectorFault):
                self._unread_ids.add(user_id)
            elif user is not None and self._finder.is_under(user, key):
                held.append((key, user_id))
                self._finds.add(self._finder.match(user, key.kind, self._look(user)))
        return held
