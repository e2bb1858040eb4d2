"""The people a simulated vendor knows: one account per person, with all that hangs on it.

Everything that belongs to one person sits in that person's account. So a fault can put an account
back as it was, show it as it was a moment ago, and a state file is a plain dump of the accounts.
"""

import copy
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from sandbox.kit.clock import now

__all__ = ["Account", "Accounts", "Item", "stable_id", "stable_number"]

Item = dict[str, Any]
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_versions = itertools.count(1)


def stable_id(*parts: object, length: int = 17) -> str:
    """Letters and digits that depend on the parts only: the same seed gives the same ids."""
    number = int.from_bytes(sha256(":".join(map(str, parts)).encode()).digest(), "big")
    letters = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[digit])
    return "".join(letters)


def stable_number(*parts: object) -> int:
    """A positive integer below 2**48, so that JSON readers with doubles keep it exact."""
    digest = sha256(":".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big") | 1 << 40


@dataclass(slots=True)
class Account:
    """One person at one vendor.

    Attributes:
        id: the vendor's immutable id.
        person: the seed record, kept so that access can be given back.
        keys: lower-case words that name this account (id, addresses, worker id, employee number).
        doc: the vendor's own document of the user.
        parts: everything else, by kind: sessions, tokens, groups, devices, cards...
        pending: a change that completes later, as `{"at": seconds, ...}`.
        version: changes whenever the content may have changed, for caches.
    """

    id: str
    person: Item
    keys: list[str]
    doc: Item
    parts: dict[str, list[Item]]
    deleted: bool = False
    pending: Item = field(default_factory=dict)
    version: int = field(default_factory=lambda: next(_versions))

    def copy(self) -> "Account":
        """A deep copy."""
        return Account(
            self.id,
            self.person,
            self.keys,
            copy.deepcopy(self.doc),
            copy.deepcopy(self.parts),
            self.deleted,
            dict(self.pending),
        )

    def touch(self) -> None:
        """Say that the content may have changed."""
        self.version = next(_versions)

    def take(self, part: str, item_id: str) -> Item | None:
        """Remove one item of a part and return it."""
        for place, item in enumerate(self.parts[part]):
            if str(item["id"]) == item_id:
                return self.parts[part].pop(place)
        return None

    def item(self, part: str, item_id: str) -> Item | None:
        """Find one item of a part by its id."""
        return next((item for item in self.parts[part] if str(item["id"]) == item_id), None)

    def dump(self) -> Item:
        """The account as JSON values."""
        return {
            "id": self.id,
            "person": self.person,
            "keys": self.keys,
            "doc": self.doc,
            "parts": self.parts,
            "deleted": self.deleted,
            "pending": self.pending,
        }


class Accounts:
    """All accounts of one vendor, found by id, by any key, or by the id of something they own."""

    def __init__(self, owned: Iterable[str] = ()) -> None:
        """Create an empty store.

        Args:
            owned: names of the parts whose items are looked up by id without naming the person.
        """
        self._owned = tuple(owned)
        self._by_id: dict[str, Account] = {}
        self._by_key: dict[str, list[str]] = {}
        self._owner: dict[str, str] = {}
        self._past: dict[str, list[tuple[float, Account]]] = {}

    def __iter__(self) -> Iterator[Account]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def clear(self) -> None:
        """Forget everybody."""
        self._by_id.clear()
        self._by_key.clear()
        self._owner.clear()
        self._past.clear()

    def put(self, account: Account) -> None:
        """Add an account, or put another version in its place."""
        self._by_id[account.id] = account
        for key in account.keys:
            ids = self._by_key.setdefault(key, [])
            if account.id not in ids:
                ids.append(account.id)
        for part in self._owned:
            for item in account.parts[part]:
                for name in ("id", "nodeId", "access"):
                    if name in item:
                        self._owner[str(item[name])] = account.id

    def get(self, account_id: str) -> Account | None:
        """The account with this immutable id, deleted or not."""
        return self._by_id.get(account_id)

    def named(self, word: str) -> list[Account]:
        """Every account that has this word among its keys, deleted or not."""
        return [self._by_id[i] for i in self._by_key.get(word.strip().lower(), ())]

    def owner_of(self, item_id: str) -> Account | None:
        """The account that owns, or once owned, the item with this id."""
        return self._by_id.get(self._owner.get(item_id, ""))

    def show_late(self, before: Account, after: Account, delay_ms: int) -> None:
        """Let delayed reads see `before` until the delay has passed."""
        past = self._past.setdefault(after.id, [(0.0, before)])
        past.append((now() + delay_ms / 1000, after.copy()))

    def as_seen(self, account: Account) -> Account:
        """The account as a delayed read sees it now."""
        past = self._past.get(account.id)
        if past is None:
            return account
        at = now()
        if past[-1][0] <= at:
            del self._past[account.id]
            return account
        return [version for visible_at, version in past if visible_at <= at][-1]

    def dump(self) -> list[Item]:
        """Every account as JSON values."""
        return [account.dump() for account in self._by_id.values()]

    def load(self, values: Iterable[Item]) -> None:
        """Replace the content with what `dump` wrote."""
        self.clear()
        for value in values:
            self.put(Account(**value))
