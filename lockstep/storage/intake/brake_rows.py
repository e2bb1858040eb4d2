"""Brakes and what they hold as values, and who may know of what is held."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, not_, true

from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.intake.brakes import Channel
from lockstep.domain.rights import Scope
from lockstep.storage.tables.intake import held_events


class BrakeUnknownError(LookupError):
    """There never was such a brake, or it never held such an event for whoever asks."""


class BrakeDecidedError(LookupError):
    """The brake, or an event that it held, is not there any more: somebody has decided."""


class OwnEventsError(PermissionError):
    """Somebody would decide about what they have reported themselves."""


@dataclass(frozen=True, slots=True)
class Held:
    """One event to be held, with what must be known of it without opening it again."""

    inbox_id: int
    partner: str
    kind: TerminationKind
    cutoff_at: datetime
    key_indexes: frozenset[bytes] = field(repr=False)
    actor: str = field(repr=False, default="")


@dataclass(frozen=True, slots=True)
class HeldGroup:
    """What a brake holds of one partner and kind."""

    partner: str
    kind: str
    count: int
    first_cutoff_at: datetime


@dataclass(frozen=True, slots=True)
class BrakeView:
    """A brake that is on, as far as somebody may know of what it holds.

    Args:
        limit: (observed, allowed) within the hour; None where that would tell of others.
        newest: the highest inbox id that it holds; nothing later was seen by whoever decides.
    """

    brake_id: str
    channel: Channel
    set_at: datetime
    limit: tuple[int, int] | None
    groups: tuple[HeldGroup, ...]
    newest: int

    @property
    def source(self) -> str:
        return self.channel.source

    @property
    def count(self) -> int:
        return sum(group.count for group in self.groups)

    @property
    def first_cutoff_at(self) -> datetime:
        """The earliest cutoff among what waits: its clock runs."""
        return min(group.first_cutoff_at for group in self.groups)


@dataclass(frozen=True, slots=True)
class HeldWait:
    """How many reports wait at brakes, without a case; one person may be in several.

    Args:
        count: all of them, ``past_cutoff`` those whose access should have ended by now.
        first_cutoff_at: the earliest cutoff among them; None where nobody waits.
    """

    count: int = 0
    past_cutoff: int = 0
    first_cutoff_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HeldRow:
    """One held event; ``body`` as received."""

    inbox_id: int
    source: str
    dedupe_key: str
    partner: str
    kind: str
    cutoff_at: datetime
    received_at: datetime
    body: bytes = field(repr=False)
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Decider:
    """Who decides. ``user_id`` is random; ``name`` is personal and kept encrypted.

    Args:
        in_pairs: kinds of leaver that nobody refuses alone.
        agrees: events that somebody else has asked to refuse, and that they may agree to.
        own_keys, typed: what the second person is compared with.
        is_bound: to partners: the count of the channel does not begin anew.
    """

    user_id: str
    name: str = field(repr=False)
    reason: str = field(repr=False)
    in_pairs: frozenset[str] = frozenset()
    agrees: frozenset[int] = frozenset()
    own_keys: frozenset[bytes] = field(default=frozenset(), repr=False)
    typed: tuple[str, ...] = field(default=(), repr=False)
    is_bound: bool = False

    @property
    def known_as(self) -> set[str]:
        """Everything by which an event may say who reported it."""
        return {self.user_id, self.name, self.name.partition("@")[0], *self.typed} - {""}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Somebody would refuse a dismissal; somebody else has to agree."""

    user_id: str
    name: str = field(repr=False)
    own_keys: frozenset[bytes] = field(default=frozenset(), repr=False)
    typed: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Decided:
    """How many events were decided about, and how many wait for somebody else to agree."""

    events: int
    asked: int = 0


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """What somebody decided about some events of a brake."""

    brake_id: str
    source: str
    decided_at: datetime
    decision: str
    events: int
    user_id: str
    name: str = field(repr=False)
    reason: str = field(repr=False)


def visible_held(scope: Scope) -> ColumnElement[bool]:
    """Held events that ``scope`` may know of; the rule is `visibility.visible`'s."""
    conditions: list[ColumnElement[bool]] = [true()]
    if scope.partners is not None:
        conditions.append(held_events.c.partner.in_(sorted(scope.partners)))
    if not scope.sealed:
        conditions.append(not_(is_sealed_event()))
    if scope.own_keys:
        conditions.append(not_(held_events.c.key_indexes.overlap(sorted(scope.own_keys))))
    return and_(*conditions)


def is_sealed_event() -> ColumnElement[bool]:
    """A held dismissal whose cutoff is to come."""
    return and_(
        held_events.c.kind == TerminationKind.INVOLUNTARY.value,
        held_events.c.cutoff_at > func.now(),
    )
