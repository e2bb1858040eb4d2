"""What a vendor's API gives beyond revoking, as rows, each with a word on what it sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from connectors.kit.auth.ways import SignedIn
from connectors.kit.calls import Call, Listed, Words
from connectors.kit.holdings import Test, always
from connectors.kit.pages import Item
from connectors.kit.paths import Path
from lockstep.domain.systems.activity import UseKind
from lockstep.domain.systems.owned import OwnedKind


@dataclass(frozen=True, slots=True)
class Active:
    """The list of accounts: its entries are records, whose doors say who can sign in.

    Args:
        listed: of everybody; one that leaves out whom nobody may see would not be whole.
        sees: what a reader must know of it.
    """

    listed: Listed
    sees: str


@dataclass(frozen=True, slots=True)
class Ordered:
    """A list that the vendor makes first: it is ordered, and asked for until it is ready.

    Args:
        make: orders it.
        poll: asks for it by ``{ref}``.
        ready: whether it is ready; None where the vendor gave it up.
        ref: its id in the answer to ``make``.
        tries: how often it is asked for at most; there is no pause between.
    """

    make: Call
    poll: Call
    ready: Callable[[Item], bool | None]
    ref: Path = ("id",)
    tries: int = 5


@dataclass(frozen=True, slots=True)
class Log:
    """The vendor's own log of what was done with accounts.

    Beside ``{id}`` and ``{locator}``, calls have ``{since}`` and ``{until}``: ISO 8601, UTC.

    Args:
        listed: the entries from ``{since}`` to ``{until}``.
        at: where an entry says when it happened.
        what: what happened, as a code and nothing personal.
        kind: whether the account got in; None for an entry that is neither.
        sees: what a reader must know of it: what it logs and what it does not.
        mine: whether an entry was made by the account.
        ordered: how the list is made first, where it is.
        oldest: a list of anybody's entries from ``{since}`` to ``{until}``, by which is proved
            that the log reaches back: it is asked for the time before the one asked about.
        look_back: for how long before.
        kept: for how long the vendor documents that it keeps entries, for every customer.
        widest: the longest time that one question may span.
    """

    listed: Listed
    at: Path
    what: Callable[[Item], object]
    kind: Callable[[Item], UseKind | None]
    sees: str
    mine: Callable[[Item, Words], bool] = lambda _item, _words: True
    ordered: Ordered | None = None
    oldest: Listed | None = None
    oldest_ordered: Ordered | None = None
    look_back: timedelta = timedelta(days=7)
    kept: timedelta | None = None
    widest: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Owns:
    """One list of things that run or stay because of an account.

    Args:
        listed: the list; ``{id}`` and ``{locator}`` stand for the account.
        kinds: what an entry is: the first whose test holds; one that is none is left out.
        mine: whether an entry is the account's.
        stands: whether it still runs or opens anything.
        ref: what names an entry.
        name: what people call it.
        created: when it was made.
        used: when it was last used.
        others: whether somebody else owns it too; None where the vendor does not say.
        blind: the permission without which the list leaves entries out without a word; "" where
            it is known to be there.
    """

    listed: Listed
    kinds: Mapping[OwnedKind, Test] = field(hash=False)
    mine: Callable[[Item, Words], bool]
    stands: Test = always
    ref: Callable[[Item], str] = lambda item: str(item["id"])
    name: Path = ()
    created: Path = ()
    used: Path = ()
    others: Callable[[Item], bool | None] = lambda _: None
    blind: Callable[[SignedIn], str] = lambda _: ""


@dataclass(frozen=True, slots=True)
class Owned:
    """Every such list of one vendor, and what a reader must know of them."""

    lists: tuple[Owns, ...]
    sees: str
