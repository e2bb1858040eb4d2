"""Finding a leaver's IAM users: one listing answers every key.

An account holds at most 5,000 users, so a listing is at most 5 calls. It is whole or refused, so
"nobody" is proved by it: listed so many, compared with each key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from connectors.aws import spec
from connectors.aws.wire import complete
from connectors.base import Transcript
from connectors.kit.calls import Api, Listed
from connectors.kit.finding.gathered import Gathered, distinct
from connectors.kit.finding.proving import is_among, shape_of
from connectors.kit.instants import told_instant
from connectors.kit.options import Values
from connectors.kit.pages import Item
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Account, Location, Match, Proof
from lockstep.domain.systems.keys import comparable, local_part

_NAMES = (KeyKind.USERNAME, KeyKind.EMAIL)


async def list_users(
    api: Api, transcript: Transcript, listed: Listed = spec.USER_LIST
) -> list[Item]:
    """All users of the account, each with what AWS always gives."""
    users = await api.whole(listed, {}, transcript)
    return complete(users, listed.call.operation, "UserName", "Arn")


class IamFinder:
    """The search of one account's users."""

    def __init__(self, values: Values, api: Api) -> None:
        self._api = api
        self._number_tag = values[spec.EMPLOYEE_NUMBER_TAG]
        self._email_tag = values[spec.EMAIL_TAG]
        self._takes_parts = values[spec.MATCH_LOCAL_PART]

    def usable(self, ids: Sequence[str], keys: LeaverKeys) -> list[Key]:
        """The keys by which IAM can know a person."""
        kinds = {KeyKind.ACCOUNT_ID, *_NAMES}
        if self._number_tag:
            kinds.add(KeyKind.EMPLOYEE_NUMBER)
        return [key for key in distinct(ids, keys) if key.kind in kinds]

    async def locate(
        self, ids: Sequence[str], keys: LeaverKeys, transcript: Transcript
    ) -> Location:
        """Compare every user of the account with every key by which IAM can know a person."""
        finds = Gathered()
        wanted = self.usable(ids, keys)
        if not wanted:
            return finds.location()
        # With their tags only if a tag is configured: it takes another permission.
        tagged = self._number_tag or self._email_tag
        listed = spec.TAGGED_LIST if tagged else spec.USER_LIST
        users = await list_users(self._api, transcript, listed)
        held = [key for user in users for key in self._keys_of(user)]
        for key in wanted:
            finds.searched(key, self._proof(key, held))
            for user in users:
                if (kind := self._found_by(user, key)) is not None:
                    finds.add(self._match(user, kind))
        return finds.location(len(users))

    def _proof(self, key: Key, held: Collection[Key]) -> Proof:
        """Listed; or held for nobody, and then the comparison could not have found anybody."""
        names = {shape_of(one.value) for one in held if one.kind in _NAMES}
        is_compared = (
            not held
            or key.kind is KeyKind.ACCOUNT_ID
            or (key.kind in _NAMES and is_among(key.value, names))
            or (key.kind is KeyKind.EMAIL and self._takes_parts)
            or (key.kind not in _NAMES and any(one.kind is key.kind for one in held))
        )
        return Proof.LISTED if is_compared else Proof.NOT_HELD

    def _found_by(self, user: Item, key: Key) -> KeyKind | None:
        """The kind of key under which IAM has this user, for ``key`` of the leaver."""
        if key.kind is KeyKind.ACCOUNT_ID:
            if key.value in (user["UserId"], user["Arn"]):
                return KeyKind.ACCOUNT_ID
            # HR gave a name where an id belongs: it says no more than a name does.
            return KeyKind.USERNAME if _same(user["UserName"], key.value) else None
        tags = _tags(user)
        if key.kind is KeyKind.EMPLOYEE_NUMBER:
            return key.kind if _same(tags.get(self._number_tag, ""), key.value) else None
        is_named = any(
            _same(name, key.value) for name in (user["UserName"], tags.get(self._email_tag, ""))
        )
        is_in_part = self._takes_parts and key.kind is KeyKind.EMAIL
        is_in_part = is_in_part and _same(user["UserName"], local_part(key.value))
        return key.kind if is_named or is_in_part else None

    def told(self, user: Item) -> Match:
        """A listed user, with every key that IAM holds."""
        return self._match(user, KeyKind.ACCOUNT_ID)

    def _match(self, user: Item, found_by: KeyKind) -> Match:
        return Match(
            Account(user["UserId"], user["UserName"], tuple(self._keys_of(user))),
            found_by,
            created_at=told_instant(user.get("CreateDate")),
            last_used_at=told_instant(user.get("PasswordLastUsed")),
        )

    def _keys_of(self, user: Item) -> Iterator[Key]:
        tags = _tags(user)
        held = (
            (KeyKind.EMPLOYEE_NUMBER, tags.get(self._number_tag)),
            (KeyKind.USERNAME, user["UserName"]),
            (KeyKind.EMAIL, tags.get(self._email_tag)),
        )
        return (Key(kind, value) for kind, value in held if value)


def _tags(user: Item) -> dict[str, str]:
    """Tags with a value; an option that names none finds nothing among them."""
    tags = {tag.get("Key"): tag.get("Value") for tag in user.get("Tags", ())}
    return {name: value for name, value in tags.items() if name and value}


def _same(theirs: str, ours: str) -> bool:
    """As IAM does, without regard to case, which `GetUser` by name does not promise."""
    held = comparable(KeyKind.USERNAME, theirs)
    return bool(held) and held == comparable(KeyKind.USERNAME, ours)
