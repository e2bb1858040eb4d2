"""A vendor as data: everything that `connectors.kit.rest` needs to run it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from connectors.base import ONE_SERVICE, OptionSpec, Transcript
from connectors.kit.abilities.rows import Active, Log, Owned
from connectors.kit.auth.ways import Auth, SignedIn
from connectors.kit.calls import Api, Call, Listed, Wire
from connectors.kit.holdings import Close, Holding
from connectors.kit.options import Option, Values
from connectors.kit.pages import Item
from connectors.kit.paths import Path
from connectors.kit.residuals import Outlives
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.abilities import EnforcedAt
from lockstep.domain.systems.access import AccessKind, Category, Problem, Proof
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.pace import Limit

SEARCHED_FOR: Final = frozenset({KeyKind.USERNAME, KeyKind.EMAIL})
"""Keys of a leaver by which a declared vendor is searched, beside ids that HR names."""


Completes = Callable[[Api, Values, Item, Transcript], Awaitable[Item]]


@dataclass(frozen=True, slots=True)
class KeyAt:
    """An identity key that the vendor holds of an account, for the law of whose it is.

    ``{name}`` in a path stands for that option; an empty one is not looked at. Where the vendor
    holds several, ``at`` reads them out of the record.
    """

    kind: KeyKind
    at: Path | Callable[[Item], Iterable[str]]
    when: Callable[[str], bool] = lambda _: True


@dataclass(frozen=True, slots=True)
class Record:
    """An account's own record.

    Args:
        get: reads it by ``{id}``.
        keys: the identity keys in it; the first one is the account's locator.
        name: the person's name, for people to compare; a path, or what makes it of the record.
        created: when it was made.
        used: when it was last used.
        listed_too: whether a 404 counts only once the list of everybody agrees.
        says: fields that are text in every record: without them it says nothing.
        within: where the record stands in the answer.
        words: further words for the calls that shut its doors, by where they stand in the record.
        completes: asks what the vendor keeps of the account elsewhere, of a record that says
            nothing of its doors by itself.
    """

    get: Call
    keys: tuple[KeyAt, ...]
    name: Path | Callable[[Item], str] = ()
    created: Path = ()
    used: Path = ()
    listed_too: bool = False
    says: tuple[str, ...] = ()
    within: Path = ()
    words: Mapping[str, Path] = field(default_factory=dict, hash=False)
    completes: Completes | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """How accounts are found.

    Args:
        everybody: the list of all accounts.
        also: further lists, where the first shows some of them only.
        compared: which field of a record user names and addresses are compared with, or what reads
            it. Numbers are not searched for: they stand in `Record.keys`, which tells one person
            from another.
        search: one call that finds by ``{value}``; without it everybody is listed and compared.
        search_name: of the search, for the memory of its proof.
        proves: the kind of key that the search looks at.
        addresses_only: whether a user name is searched for only where it is an address.
        proves_nobody: whether an account that the search does not find is none, once the search is
            proved; not where it looks at some of them only.
        empty: what a list of nobody proves. Nothing, where whoever made our credential must be in.
    """

    everybody: Listed
    compared: Mapping[KeyKind, Path | Callable[[Item], object]] = field(hash=False)
    search: Listed | None = None
    search_name: str = "query"
    proves: KeyKind = KeyKind.EMAIL
    addresses_only: bool = False
    empty: Proof = Proof.UNPROVED
    also: tuple[Listed, ...] = ()
    proves_nobody: bool = True

    def __post_init__(self) -> None:
        """Refuse what would be searched for by nobody.

        Raises:
            ValueError: naming the kind.
        """
        if beyond := sorted(set(self.compared) - SEARCHED_FOR):
            raise ValueError(
                f"compared: nobody is searched for by {', '.join(beyond)}: put it into Record.keys"
            )


@dataclass(frozen=True, slots=True)
class Door:
    """A way in as the record shows it: shut only while ``at`` says ``shut``; unsaid is open.

    Args:
        at: where the record says so, or what reads it out of the record.
        shut: what stands there while it is shut.
        ref: what names it.
        kind: of access; what is no sign-in shuts with it or is closed after it.
        where: whether the settings want it shut at all.
    """

    at: Path | Callable[[Item], object]
    shut: object
    ref: str = "{id}"
    kind: AccessKind = AccessKind.SIGN_IN
    where: Callable[[Values], bool] = lambda _: True


@dataclass(frozen=True, slots=True)
class Guard:
    """An account whose sign-in the vendor lets nobody shut: its last owner, for instance.

    ``category`` says why: MANAGED_ELSEWHERE where a directory owns the account.
    """

    at: Path
    value: object
    category: FaultCategory = FaultCategory.PROTECTED_ACCOUNT


@dataclass(frozen=True, slots=True)
class SignIn:
    """The front doors of one account, and the one write that shuts them.

    Args:
        doors: as the record shows them.
        block: the write; ``thing`` is the record.
        guards: accounts that need a person.
        takes_all: words of the option that chooses ``block`` by which all the account held ends.
        off_since: the vendor's own record of when the doors were shut.
    """

    doors: tuple[Door, ...]
    block: Close
    guards: tuple[Guard, ...] = ()
    takes_all: frozenset[str] = frozenset()
    off_since: Path = ()


@dataclass(frozen=True, slots=True)
class Examined:
    """What health has read, for what only this vendor's can judge."""

    values: Values
    signed_in: SignedIn
    lists: Mapping[str, list[Item]]
    """First pages by operation."""


@dataclass(frozen=True, slots=True)
class RestSpec:
    """One vendor.

    Args:
        kind: registry name.
        title: the product, for people.
        category: what kind of door it is.
        options: all that a system may say.
        base_url: the one with the address.
        auth: ways to sign in.
        wire: how the API answers.
        record: an account's own record.
        finding: how accounts are found.
        sign_in: the front doors.
        permissions: of the vendor, each with its reason.
        proves: what the read-back relies on.
        lacking: summary and fix of a missing permission, by ``{missing}``.
        holdings: what accounts hold.
        outlives: what a revocation leaves.
        things_outlive_it: whether what an account held may stand after the account is gone.
        at_once: whether the record and the lists, which are all asked for by id, are read together.
        probe: the query by which health tries the list of accounts, where it is another.
        examine: further problems, of this vendor only.
        limit: what the vendor documents that one credential may do.
        calls: about how many calls one leaver takes, read-back included.
        active: the list of all accounts, where everybody who can sign in is told.
        activity: the vendor's own log, where uses are told.
        owned: what people make there that runs or stays without them.
        revives_on_unblock: see `ConnectorManifest`.
        enforced_at: see `ConnectorManifest`.
        secret_marks: how its credentials begin; a header's own template is known already.
    """

    kind: str
    title: str
    category: Category
    options: tuple[OptionSpec, ...]
    base_url: Option[str]
    auth: tuple[Auth, ...]
    wire: Wire
    record: Record
    finding: Finding
    sign_in: SignIn
    permissions: tuple[str, ...]
    proves: str
    lacking: tuple[str, str]
    holdings: tuple[Holding, ...] = ()
    outlives: tuple[Outlives, ...] = ()
    things_outlive_it: bool = False
    at_once: bool = False
    probe: Mapping[str, str | int] | None = field(default=None, hash=False)
    examine: Callable[[Examined], Iterable[Problem]] = lambda _: ()
    limit: Limit | None = None
    calls: int = 6
    active: Active | None = None
    activity: Log | None = None
    owned: Owned | None = None
    revives_on_unblock: frozenset[AccessKind] | None = None
    enforced_at: EnforcedAt = ONE_SERVICE
    secret_marks: tuple[str, ...] = ()
