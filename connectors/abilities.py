"""What a connector may offer beyond `connectors.base.Connector`, as its manifest declares.

A connector offers an ability by having its method, and has none that it does not declare: the
conformance suite compares the two. A vendor's refusal is no exception here but a `Gap`, because
what was seen before it counts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol, runtime_checkable

from connectors.base import Connector, ConnectorFault, Transcript
from lockstep.domain.systems.abilities import Ability
from lockstep.domain.systems.access import Account, Action, Observation
from lockstep.domain.systems.active import ActivePage
from lockstep.domain.systems.activity import Activity
from lockstep.domain.systems.owned import Belongings


@dataclass(frozen=True, slots=True)
class Contained:
    """What came of one account among many.

    Args:
        account_id: the account.
        actions: what was shut.
        fault: why it was not, or not wholly; None where it was.
    """

    account_id: str = field(repr=False)
    actions: tuple[Action, ...] = ()
    fault: ConnectorFault | None = None


@runtime_checkable
class ContainsMany(Protocol):
    """A vendor that shuts the sign-in of many accounts in one call."""

    @property
    def contains_at_once(self) -> int:
        """At most so many accounts may be given."""

    async def contain_many(
        self, due: Sequence[tuple[Account, Observation]], transcript: Transcript
    ) -> tuple[Contained, ...]:
        """As `Connector.contain` for each account, told for each, in the order given.

        Never raises for a vendor's refusal: one account that is refused hides no other.
        """


@runtime_checkable
class ListsActive(Protocol):
    """A vendor that lists its accounts."""

    def list_active(self, transcript: Transcript) -> AsyncIterator[ActivePage]:
        """All accounts that can sign in, page by page; the last page says whether that was all.

        Never raises for a vendor's refusal: the list then ends with a `Gap`.
        """


@runtime_checkable
class TellsActivity(Protocol):
    """A vendor whose log can be read."""

    async def activity_since(
        self, account: Account, since: datetime, transcript: Transcript
    ) -> Activity:
        """Uses and refused tries of the account, from the instant ``since`` (UTC) on.

        What our own revoking leaves in the log is no use of the account. Never raises for a
        vendor's refusal: that is a `Gap`, and "none" is never said without proof.
        """


@runtime_checkable
class ListsOwned(Protocol):
    """A vendor at which people make things that run or stay without them."""

    async def list_owned(self, account: Account, transcript: Transcript) -> Belongings:
        """What the account owns and revoking does not close. A list that fails is a `Gap`."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place that enforces a block: a domain controller, a gateway, a door controller."""

    ref: str
    name: str = field(default="", repr=False)


@runtime_checkable
class ReadsEachPlace(Protocol):
    """A vendor whose block takes hold at many places, each of which can be asked."""

    async def places(self, transcript: Transcript) -> tuple[Place, ...]:
        """Every place there is.

        Raises:
            ConnectorFault: they cannot all be named; the block is then proved nowhere.
        """

    async def read_back_at(
        self, place: Place, account: Account, transcript: Transcript
    ) -> Observation:
        """As `Connector.read_back`, at one place.

        Raises:
            ConnectorFault: the place does not answer; it is not known to enforce anything.
        """


PROTOCOLS: Final[Mapping[Ability, type]] = {
    Ability.CONTAIN_MANY: ContainsMany,
    Ability.LIST_ACTIVE: ListsActive,
    Ability.ACTIVITY_SINCE: TellsActivity,
    Ability.LIST_OWNED: ListsOwned,
    Ability.READ_EACH_PLACE: ReadsEachPlace,
}


def offered(connector: Connector) -> frozenset[Ability]:
    """What a built connector can do."""
    return frozenset(
        ability for ability, protocol in PROTOCOLS.items() if isinstance(connector, protocol)
    )
