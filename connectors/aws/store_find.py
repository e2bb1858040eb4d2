"""Finding a leaver's Identity Center users, and proving that nobody is there.

`GetUserId` looks one key up exactly; whether it minds case AWS does not say. So before it is
believed that it found nobody, it must find a listed user by the same kind of key, written in
another case; else all users are listed and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from connectors.aws import spec
from connectors.aws.wire import complete, need
from connectors.base import ConnectorFault, Transcript
from connectors.kit.calls import Api, Words
from connectors.kit.finding.gathered import Gathered, distinct
from connectors.kit.finding.proving import Prover, is_among, shape_of
from connectors.kit.finding.searching import Searching
from connectors.kit.instants import told_instant
from connectors.kit.options import Values
from connectors.kit.pages import Item
from connectors.kit.paths import at
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Account, Location, Match, Observation, Proof
from lockstep.domain.systems.keys import comparable

_NAMES = (KeyKind.USERNAME, KeyKind.EMAIL)


@dataclass(frozen=True, slots=True)
class Way:
    """One exact look-up; ``proved_by`` is the kind of key of a known user that proves it."""

    name: str
    proved_by: KeyKind


USER_NAME = Way("userName", KeyKind.USERNAME)
EMAIL = Way("emails.value", KeyKind.EMAIL)


async def describe(api: Api, words: Words, user_id: str, transcript: Transcript) -> Item | None:
    """The user's own record by immutable id; None when there is none."""
    answer = await api.read(spec.DESCRIBE, {**words, "id": user_id}, transcript)
    if answer is None:
        return None
    need(answer, "UserId")
    need(answer, "UserName")
    user: Item = answer.data
    return user


@dataclass(slots=True)
class _Search:
    """One search for one leaver: who was found, which look-ups failed, what each proves."""

    words: Words
    transcript: Transcript
    look: Callable[[Item], Observation]
    """What a user's own record says of what stands."""
    searching: Searching
    finds: Gathered = field(default_factory=Gathered)
    asked: list[tuple[Key, Way]] = field(default_factory=list)
    proofs: dict[Way, Proof] = field(default_factory=dict)
    failed: set[Key] = field(default_factory=set)
    unread_ids: set[str] = field(default_factory=set)


class StoreFinder:
    """The searches of one identity store; remembers for a day which were seen to find."""

    def __init__(self, values: Values, api: Api) -> None:
        self._api = api
        self._issuer = values[spec.ISSUER]
        self._held_as = KeyKind(values[spec.EXTERNAL_ID_HOLDS])
        self._prover = Prover()

    def usable(self, ids: Sequence[str], keys: LeaverKeys) -> list[Key]:
        """The keys of the leaver that can be looked up."""
        return [
            key
            for key in distinct(ids, keys)
            if key.kind is KeyKind.ACCOUNT_ID or self._ways(key.kind)
        ]

    async def locate(
        self,
        words: Words,
        ids: Sequence[str],
        keys: LeaverKeys,
        transcript: Transcript,
        *,
        look: Callable[[Item], Observation],
        not_theirs: Collection[str] = (),
    ) -> Location:
        """Look up every key, and list all where that found nobody and does not prove it.

        Raises:
            ConnectorFault: of a look-up, where no other found anybody.
        """
        search = _Search(words, transcript, look, Searching(not_theirs))
        wanted = tuple(distinct(ids, keys))
        await self._by_keys(search, wanted)
        is_found = search.searching.found(search.finds.matches)
        proofs = []
        for key, way in search.asked:
            # Where it has a proof already, it answered with somebody: who has the key, or has not.
            proof = search.proofs.get(way)
            if proof is None and not is_found:
                proof = await self.proof(way, words, transcript, key.value)
            proofs.append(Proof.FAILED if key in search.failed else proof or Proof.UNPROVED)
        if not is_found and Proof.UNPROVED in proofs:
            return await self._by_list(search, wanted)
        for (key, _), proof in zip(search.asked, proofs, strict=True):
            search.finds.searched(key, proof)
        listed = 0 if Proof.LISTED in proofs else None
        return search.searching.told(search.finds.location(listed))

    async def proof(
        self, way: Way, words: Words, transcript: Transcript, wanted: str = ""
    ) -> Proof:
        """Whether this look-up finds a user who is known to be there, and could find ``wanted``."""

        async def sample() -> Sequence[Match]:
            users = await self._api.some(spec.STORE_USERS, words, transcript)
            complete(users, "identitystore.ListUsers", "UserName")
            return [self._match(user, KeyKind.ACCOUNT_ID) for user in users]

        async def known(value: str) -> Sequence[Match]:
            user_id = await self._ask(way, value, words, transcript)
            return [Match(Account(user_id), way.proved_by)] if user_id else []

        return await self._prover.proof_of(
            way.name, way.proved_by, sample=sample, ask=known, wanted=wanted
        )

    async def check(self, words: Words, transcript: Transcript) -> list[Way]:
        """Prove every look-up anew; return those that did not find a known user."""
        self._prover.forget()
        ways = dict.fromkeys(way for kind in KeyKind for way in self._ways(kind))
        return [way for way in ways if await self.proof(way, words, transcript) is Proof.UNPROVED]

    async def _by_keys(self, search: _Search, wanted: Sequence[Key]) -> None:
        """Look every key up, and read whom it finds by id."""
        search.asked = list(self._questions(wanted))
        named = [key for key in wanted if key.kind is KeyKind.ACCOUNT_ID]
        found = await search.searching.each(
            partial(self._ask, way, key.value, search.words, search.transcript)
            for key, way in search.asked
        )
        answers = list(zip(search.asked, found, strict=True))
        hits = [(key, key.value) for key in named]
        hits += [(key, said) for (key, _), said in answers if isinstance(said, str)]
        held = await self._take(search, hits)
        for key in named:
            is_read = key.value not in search.unread_ids
            search.finds.searched(key, Proof.BY_ID if is_read else Proof.FAILED)
        for (key, way), said in answers:
            if isinstance(said, ConnectorFault) or said in search.unread_ids:
                search.failed.add(key)
            elif said:
                search.proofs[way] = Proof.PROVED if (key, said) in held else Proof.UNPROVED
        search.searching.require_somebody(search.finds.matches)

    async def _ask(self, way: Way, value: str, words: Words, transcript: Transcript) -> str | None:
        """The id of the user who has ``value``."""
        wanted = (
            {"UniqueAttribute": {"AttributePath": way.name, "AttributeValue": "{value}"}}
            if way.proved_by in _NAMES
            else {"ExternalId": {"Issuer": "{issuer}", "Id": "{value}"}}
        )
        call = replace(
            spec.GET_USER_ID, body={**spec.GET_USER_ID.body, "AlternateIdentifier": wanted}
        )
        filled = {**words, "value": value, "issuer": self._issuer}
        answer = await self._api.read(call, filled, transcript)
        return str(need(answer, "UserId")) if answer else None

    async def _by_list(self, search: _Search, wanted: Sequence[Key]) -> Location:
        users = await self._api.whole(spec.STORE_USERS, search.words, search.transcript)
        complete(users, "identitystore.ListUsers", "UserName")
        keys = [key for user in users for key in self._keys_of(user)]
        held = {key.kind for key in keys}
        shapes = {shape_of(key.value) for key in keys if key.kind in _NAMES}
        hits = [(key, user["UserId"]) for user in users for key in wanted if self._is(user, key)]
        await self._take(search, hits)
        for key in wanted:
            is_name = key.kind in _NAMES
            if is_among(key.value, shapes) if is_name else key.kind in held:
                search.finds.searched(key, Proof.LISTED)
            elif any(key == one for one, _ in search.asked):
                search.finds.searched(key, Proof.NOT_HELD)
        return search.searching.told(search.finds.location(len(users)))

    async def _take(
        self, search: _Search, hits: Sequence[tuple[Key, str]]
    ) -> list[tuple[Key, str]]:
        """Read each user once, by id: that is what is believed. Returns the hits that it bears."""
        ids = list(dict.fromkeys(user_id for _, user_id in hits))
        users = await search.searching.each(
            partial(describe, self._api, search.words, one, search.transcript) for one in ids
        )
        by_id = dict(zip(ids, users, strict=True))
        held = []
        for key, user_id in hits:
            user = by_id[user_id]
            if isinstance(user, ConnectorFault):
                search.unread_ids.add(user_id)
            elif user is not None and self._is(user, key):
                held.append((key, user_id))
                search.finds.add(self._match(user, key.kind, search.look(user)))
        return held

    def _questions(self, keys: Sequence[Key]) -> Iterator[tuple[Key, Way]]:
        """Every exact look-up that the keys allow, strongest first; no word is asked twice."""
        questions = [(way, key) for key in keys for way in self._ways(key.kind)]
        first: dict[tuple[Way, str], Key] = {}
        for way, key in questions:
            first.setdefault((way, key.value), key)
        return ((key, way) for (way, _), key in first.items())

    def _ways(self, kind: KeyKind) -> list[Way]:
        ways = []
        if self._issuer and kind is self._held_as:
            ways.append(Way("externalId", kind))
        if kind is KeyKind.EMAIL:
            ways.append(EMAIL)
        return [*ways, USER_NAME] if kind in _NAMES else ways

    def told(self, user: Item) -> Match:
        """A listed user, with every key that AWS holds."""
        return self._match(user, KeyKind.ACCOUNT_ID)

    def _match(self, user: Item, found_by: KeyKind, seen: Observation | None = None) -> Match:
        parts = (at(user, ("Name", part)) for part in ("GivenName", "FamilyName"))
        return Match(
            Account(user["UserId"], user["UserName"], tuple(self._keys_of(user))),
            found_by,
            seen,
            name=user.get("DisplayName") or " ".join(part for part in parts if part),
            created_at=told_instant(user.get("CreatedAt")),
        )

    def _is(self, user: Item, key: Key) -> bool:
        """Whether AWS itself holds ``key`` of the user."""
        if key.kind is KeyKind.ACCOUNT_ID:
            return bool(user["UserId"] == key.value)
        kinds = _NAMES if key.kind in _NAMES else (key.kind,)
        wanted = comparable(key.kind, key.value)
        held = [one for one in self._keys_of(user) if one.kind in kinds]
        return bool(wanted) and any(comparable(one.kind, one.value) == wanted for one in held)

    def _keys_of(self, user: Item) -> Iterator[Key]:
        """Every key that AWS holds of the user."""
        held = [
            (self._held_as, external.get("Id"))
            for external in user.get("ExternalIds") or ()
            if external.get("Issuer") == self._issuer
        ]
        number = at(user, ("Extensions", spec.ENTERPRISE, "employeeNumber"))
        held.append((KeyKind.EMPLOYEE_NUMBER, number))
        held.append((KeyKind.USERNAME, user["UserName"]))
        held += [(KeyKind.EMAIL, email.get("Value")) for email in user.get("Emails") or ()]
        return (Key(of, str(value)) for of, value in held if value)
