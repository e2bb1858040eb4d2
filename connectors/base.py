"""The contract of a connector: small, stateless about cases, and never deciding policy.

A connector speaks one vendor's language. It locates accounts by every key, revokes by reading
state first (so that it may run twice), and reads back by immutable id on the vendor's
authoritative endpoint. It never sleeps, never decides policy, never says "revoked".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Final, Protocol, runtime_checkable

from connectors.kit.pacing.pace import OPEN, Pacer
from lockstep.domain.cases.clocks import worse_skew
from lockstep.domain.cases.leavers import LeaverKeys
from lockstep.domain.cases.outcomes import EvidenceGrade
from lockstep.domain.systems.abilities import Ability, EnforcedAt, Enforcement
from lockstep.domain.systems.access import (
    AccessKind,
    Account,
    Action,
    Category,
    Exchange,
    Health,
    Location,
    Observation,
)
from lockstep.domain.systems.faults import FaultCategory, rule_for
from lockstep.domain.systems.pace import LAST, Limit, Urgency

OUR_PACE: Final = "our_pace_not_a_refusal_of_the_vendor"
"""The code of a fault that says that it was not our turn in time."""


class ConnectorFault(Exception):  # noqa: N818 - "fault" is the word of docs/architecture.md
    """A classified refusal or failure of one call to a vendor.

    The text begins with the connector's name and the operation. It carries the vendor's request
    id and error code, never a body, a header or a credential.

    Args:
        category: decides whether the call is repeated or a person is asked.
        connector: the connector's kind, as the registry names it.
        operation: our stable name of the call, for instance ``users.suspend``.
        code: the vendor's own error code or the HTTP status, bounded and cleaned.
        retry_after: the vendor's own retry time; wins over ours.
        missing: the permission that is missing, where the vendor's answer tells.
        request_id: the vendor's id of the failed call.

    Attributes:
        actions: what was closed before it failed; `connectors.kit.steps` fills it in. An attempt
            that shut the sign-in and then met a fault has shut it at that instant.
    """

    actions: tuple[Action, ...] = ()

    def __init__(
        self,
        category: FaultCategory,
        *,
        connector: str,
        operation: str,
        code: str = "",
        retry_after: timedelta | None = None,
        missing: str | None = None,
        request_id: str | None = None,
    ) -> None:
        self.category = category
        self.connector = connector
        self.operation = operation
        self.code = code
        self.retry_after = retry_after
        self.missing = missing
        self.request_id = request_id
        parts = [f"{connector} {operation}: {category.value}"]
        if code:
            parts.append(f"({code})")
        if missing:
            parts.append(f"needs {missing}")
        if request_id:
            parts.append(f"[request {request_id}]")
        super().__init__(" ".join(parts))

    def lacking(self, missing: str) -> ConnectorFault:
        """The same refusal, naming the permission that it is about."""
        return ConnectorFault(
            self.category,
            connector=self.connector,
            operation=self.operation,
            code=self.code,
            missing=missing,
            request_id=self.request_id,
        )

    @property
    def is_transient(self) -> bool:
        return rule_for(self.category).transient

    @property
    def is_own_pace(self) -> bool:
        """It was not our turn in time: the vendor was not asked, and refused nothing."""
        return self.code == OUR_PACE


@dataclass(slots=True)
class Transcript:
    """The calls of one activity, in order; bounded, because evidence is stored for years.

    ``skew`` is the worst of the vendor's clock over all calls, dropped ones too. ``urgency`` says
    whose turn is first where the vendor takes only so many calls; ``until`` (of the event loop's
    clock) bounds the waiting for it. ``out_of_turn``: a call was not made because it had no turn
    within that; after which time it may. ``waited_s``: for turns, in all.
    """

    limit: int = 200
    exchanges: list[Exchange] = field(default_factory=list)
    dropped: int = 0
    skew: timedelta | None = None
    urgency: Urgency = LAST
    until: float | None = None
    out_of_turn: timedelta | None = None
    waited_s: float = 0.0

    def add(self, exchange: Exchange) -> None:
        self.skew = worse_skew(self.skew, exchange.skew)
        if len(self.exchanges) < self.limit:
            self.exchanges.append(exchange)
        else:
            self.dropped += 1


@runtime_checkable
class Connector(Protocol):
    """One configured system, spoken to in its vendor's language.

    Every method raises `ConnectorFault` and nothing else for anything a vendor or a network does.
    Every method records each call in ``transcript``. The order of a revocation is: `locate`,
    `look`, `contain`, `read_back`, `strip`, `read_back`.
    """

    @property
    def kind(self) -> str:
        """The name under which the registry knows this connector."""

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        """Search by every usable key; never change anything, never decide.

        Every account that a search returns is a `Match`, with all keys that the vendor holds of
        it; `lockstep.domain.systems.finding` decides whose it is. A search that found nobody says
        how it is known that it could have found somebody (`Proof`;
        `connectors.kit.finding.proving`). One that failed while another found somebody is in
        ``unread`` (`connectors.kit.finding.searching`): an account that is known must not stay
        open because of it.

        Args:
            keys: the leaver's.
            transcript: records each call.
            not_theirs: ids of accounts that a person said are not the leaver's. They are told as
                ever, but are nobody: an absence beside them needs the same proof.
        """

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        """Read the account's own record by immutable id, and nothing that could fail beside it.

        It says whether the sign-in stands, and what else that record says. Every other kind of
        access that the connector closes is in ``unread``.
        """

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Shut the sign-in: the first write, before any list is read.

        Reads of the account's own record may come first, so that it may run twice; closing what
        is closed already yields no action. What ends with the sign-in in the same call (sessions)
        belongs here too.
        """

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        """Look at one account by immutable id: what still stands.

        Used after containing (what is left to strip), after stripping (the proof), in rehearsals
        and in watches. A list that cannot be read is in ``unread``, with its reason; only the
        account's own record may fail the call.
        """

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Close every other way in that ``before`` shows standing; the sign-in is shut by now.

        Order: sessions and tokens, long-lived secrets, factors, grants. One that cannot be closed
        keeps no other open: the fault is raised at the end and carries what was done
        (`connectors.kit.steps`). Closing what is closed already is success and yields no action.
        May be called again with the same arguments after a crash at any point.
        """

    async def health(self, transcript: Transcript) -> Health:
        """Check reachability, credential, every permission that revoking needs, and the searches.

        Reads only. Never raises for a vendor's refusal: that is a `Problem`.
        """

    async def aclose(self) -> None:
        """Close connections."""


@dataclass(frozen=True, slots=True)
class ConnectorOptions:
    """Everything a connector is built from.

    Args:
        system: the configured system's id, as the settings name it.
        settings: the validated options of ``[systems.<id>]``; no secrets.
        secrets: resolved secret values by option name; never shown in ``repr``.
        timeout: bound on one vendor call.
        pace: says when a call may be made, over all that use the credential.
    """

    system: str
    settings: Mapping[str, object]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: timedelta = timedelta(seconds=20)
    pace: Pacer = field(default=OPEN, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class OptionSpec:
    """One option of ``[systems.<id>]``: what ``lockstep init`` writes and settings validate."""

    name: str
    summary: str
    required: bool = True
    secret: bool = False
    default: object | None = None
    choices: tuple[str, ...] = ()
    is_path: bool = False
    """Names a file, from the place of the settings file."""


ONE_SERVICE: Final = EnforcedAt(Enforcement.ONE_PLACE, "the vendor's service")


class ConnectorFactory(Protocol):
    """Builds a connector; raises ``ValueError`` naming the option that is wrong."""

    def __call__(self, options: ConnectorOptions, /) -> Connector: ...


@dataclass(frozen=True, slots=True)
class ConnectorManifest:
    """What the registry, settings, documentation and doctor know about a connector.

    Args:
        kind: registry name.
        title: the vendor's product, for people.
        category: what kind of door it is by default.
        options: accepted options, secrets included.
        permissions: vendor permissions that revoking needs, with the reason.
        proves: the vendor facts that the read-back relies on, for the docs.
        residual_s: default bound of what outlives a revocation, in seconds by code; None where
            nobody states one.
        limit: what the vendor documents that one credential may do; None where it states nothing.
        limit_by: the option by which that differs, and the limits by its words.
        calls: about how many calls one leaver takes, read-back included.
        abilities: what it offers beyond `Connector` (`connectors.abilities`), and of each what it
            sees and does not see, for people.
        grade: the best evidence that it reaches: A where the vendor's own record says since when
            the sign-in is shut.
        revives_on_unblock: what works again as soon as somebody undoes the block, before anything
            was stripped: a block is not a kill. None where nobody has looked.
        enforced_at: where a block takes hold.
        counts_seats: whether its accounts show seats that cost money (`AccessKind.SEAT`), so that
            a freed one is read back; else nothing is said of seats there.
        secret_marks: how the vendor's credentials begin, or what stands before one in a header:
            what follows is never shown.
        is_product: False for a stand-in that only measures; nobody is shown how to configure it.
        of: where a file of the operator's says all this, the manifest of one system, by its
            options; raises ``ValueError``, one problem a line.
    """

    kind: str
    title: str
    category: Category
    build: ConnectorFactory
    options: tuple[OptionSpec, ...]
    permissions: tuple[str, ...]
    proves: str
    residual_s: Mapping[str, int | None] = field(default_factory=dict)
    limit: Limit | None = None
    limit_by: tuple[str, Mapping[str, Limit | None]] = ("", MappingProxyType({}))
    calls: int = 6
    abilities: Mapping[Ability, str] = field(default_factory=dict)
    grade: EvidenceGrade = EvidenceGrade.B
    revives_on_unblock: frozenset[AccessKind] | None = None
    enforced_at: EnforcedAt = ONE_SERVICE
    counts_seats: bool = False
    secret_marks: tuple[str, ...] = ()
    is_product: bool = True
    of: Callable[[Mapping[str, object]], ConnectorManifest] | None = None

    def limit_in(self, settings: Mapping[str, object]) -> Limit | None:
        """What the vendor documents for a system of these settings."""
        option, by_word = self.limit_by
        return by_word.get(str(settings.get(option, "")), self.limit)
