"""The brake: terminations far above the usual wait until an approver has looked at them."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from lockstep.control.intake.events import EventError, parse_statement
from lockstep.control.people.one_person import Author, OnePerson
from lockstep.control.people.pairs import Pairs
from lockstep.control.refusals import RefusedError
from lockstep.domain.cases.terminations import Termination
from lockstep.domain.intake.brakes import BrakeCause, BrakeRule, BrakeState, Channel, Flow, allowed
from lockstep.domain.intake.numbering import LOCAL_SOURCE
from lockstep.domain.rights import CLI_USER, EVERYTHING, Principal, Scope
from lockstep.storage.cases.keys import key_indexes
from lockstep.storage.intake.brake_rows import (
    BrakeDecidedError,
    BrakeUnknownError,
    BrakeView,
    Decided,
    Decider,
    DecisionRow,
    Held,
    HeldRow,
    HeldWait,
    OwnEventsError,
)
from lockstep.storage.intake.brakes import Brakes
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.people.acts import ActsLog

log = structlog.get_logger("lockstep.dispatcher")

LONGEST_REASON = 500
MOST_CHOSEN = 500
PAGE = 50
FRESH_S = 1.0
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event that would open a case. ``actor``: who reported it, as it is told.

    ``reporter``: which of our own people, by id; `CLI_USER` where nobody has proved who it is.
    """

    inbox_id: int
    termination: Termination
    cutoff: datetime
    actor: str = field(repr=False, default="")
    reporter: str = ""

    def channel(self, apart: Mapping[str, Collection[str]]) -> Channel:
        """With what it is counted; ``apart`` as of `Brake`."""
        said = self.termination
        if said.source == LOCAL_SOURCE:
            return Channel(said.source, self.reporter)
        is_apart = said.partner in apart.get(said.source, ())
        return Channel(said.source, partner=said.partner if is_apart else "")

    @property
    def person(self) -> str:
        """Who must not decide about it: by id where one is known, for a name may change."""
        return self.actor if self.reporter in {"", CLI_USER} else self.reporter


class Brake:
    """Looks at what would open cases, before it does.

    Args:
        apart: by source, the partners whose leavers are counted by themselves: it speaks for
            several. They are named in the settings, so that nobody makes room by a new name.
    """

    def __init__(
        self,
        brakes: Brakes,
        ring: Keyring,
        rule: BrakeRule,
        apart: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self._brakes = brakes
        self._apart = apart or {}
        self._ring = ring
        self._rule = rule
        self._known: dict[Channel, Flow] = {}
        self._known_at = float("-inf")

    async def hold(self, arrivals: Sequence[Arrival]) -> frozenset[int]:
        """Hold what is too much; return the inbox ids of what is held now.

        Two workers may each let a batch pass at the same instant: the limit holds to within one
        batch per worker.
        """
        if self._rule.is_off or not arrivals:
            return frozenset()
        waiting = list(arrivals)
        held: set[int] = set()
        for _ in range(_TRIES):  # again where a brake was decided while we came to it
            too_many = await self._judge(waiting)
            decided: list[Arrival] = []
            for channel, (cause, flow, some) in too_many.items():
                if await self._hold_of(channel, cause, flow, some):
                    held.update(arrival.inbox_id for arrival in some)
                else:
                    decided.extend(some)
            waiting = decided
            if not waiting:
                break
        return frozenset(held)

    async def _judge(
        self, arrivals: Sequence[Arrival]
    ) -> dict[Channel, tuple[BrakeCause, Flow, list[Arrival]]]:
        """What does not pass, by channel, with the first cause."""
        channels = [arrival.channel(self._apart) for arrival in arrivals]
        flows = await self._flows(set(channels), len(arrivals))
        too_many: dict[Channel, tuple[BrakeCause, Flow, list[Arrival]]] = {}
        for arrival, channel in zip(arrivals, channels, strict=True):
            flow = flows[channel]
            flow.is_local = channel.source == LOCAL_SOURCE
            cause = flow.admit(arrival.termination.kind, self._rule)
            if cause is not None:
                too_many.setdefault(channel, (cause, flow, []))[2].append(arrival)
        return too_many

    async def _flows(self, channels: set[Channel], arrivals: int) -> dict[Channel, Flow]:
        """What came within the hour; far from every limit, what was read a moment ago will do."""
        now = time.monotonic()
        roomy = all(
            channel in self._known and self._known[channel].has_room(self._rule, arrivals)
            for channel in channels
        )
        if not roomy or now - self._known_at > FRESH_S:
            self._known = await self._brakes.flows(
                channels, now=datetime.now(UTC), apart=self._apart
            )
            self._known_at = now
        return self._known

    async def _hold_of(
        self, channel: Channel, cause: BrakeCause, flow: Flow, arrivals: Sequence[Arrival]
    ) -> bool:
        brake_id = flow.brake_id
        if not brake_id:
            brake_id = await self._brakes.put_on(
                channel, cause, observed=flow.observed(cause), allowed=allowed(self._rule, cause)
            )
            # That dismissals come is a secret until their cutoff, in logs too.
            if cause is BrakeCause.TERMINATIONS:
                log.error("brake_set", source=channel.source)
        return await self._brakes.hold(brake_id, [self._held(arrival) for arrival in arrivals])

    def _held(self, arrival: Arrival) -> Held:
        said = arrival.termination
        return Held(
            inbox_id=arrival.inbox_id,
            partner=said.partner,
            kind=said.kind,
            cutoff_at=arrival.cutoff,
            key_indexes=key_indexes(self._ring, said.tenant, said.keys.keys),
            actor=arrival.person,
        )


@dataclass(frozen=True, slots=True)
class Approver:
    """Who looks at brakes and decides. ``name`` is personal; ``typed`` as in `Principal`."""

    user_id: str
    name: str = field(repr=False)
    scope: Scope = EVERYTHING
    sees_names: bool = True
    token: bool = False
    typed: tuple[str, ...] = field(repr=False, default=())

    @property
    def principal(self) -> Principal:
        """As somebody who is compared with others."""
        scope = self.scope
        return Principal(
            self.user_id,
            self.name,
            partners=scope.partners,
            own_keys=scope.own_keys,
            token=self.token,
            typed=self.typed,
        )


@dataclass(frozen=True, slots=True)
class HeldEvent:
    """One event that waits, for people. ``leaver`` is empty for who may not see names.

    ``asked_by``: the name of who would refuse it; somebody else has to agree. "" is nobody.
    """

    inbox_id: int
    partner: str
    kind: str
    cutoff_at: datetime
    received_at: datetime
    leaver: str = field(repr=False, default="")
    asked_by: str = field(repr=False, default="")


class BrakeDesk:
    """What people see of brakes, and decide."""

    def __init__(
        self,
        brakes: Brakes,
        log_of_acts: ActsLog,
        *,
        tenant: str,
        pairs: Pairs,
        one_person: OnePerson,
    ) -> None:
        self._pairs = pairs
        self._one_person = one_person
        self._brakes = brakes
        self._acts = log_of_acts
        self._tenant = tenant

    async def standing(self, who: Approver) -> list[BrakeView]:
        """Brakes that are on, as far as ``who`` may know; the most urgent first."""
        return await self._brakes.standing(who.scope)

    async def waiting(self, who: Approver) -> HeldWait:
        """How many wait at brakes without a case, as far as ``who`` may know."""
        return await self._brakes.waiting(who.scope)

    async def show(self, brake_id: str, who: Approver) -> BrakeView | None:
        """One of them; None where it is not on, or not theirs to see."""
        views = await self._brakes.standing(who.scope)
        return next((view for view in views if view.brake_id == brake_id), None)

    async def held(self, brake_id: str, who: Approver, *, page: int = 1) -> list[HeldEvent]:
        """A page of what a brake holds, the earliest cutoff first."""
        rows = await self._brakes.held(brake_id, who.scope, limit=PAGE, skip=(page - 1) * PAGE)
        return [self._shown(row, who) for row in rows]

    async def decided(self, who: Approver) -> list[DecisionRow]:
        """What was decided lately."""
        return await self._brakes.decided(who.scope)

    async def decide(
        self,
        brake_id: str,
        decision: BrakeState,
        who: Approver,
        *,
        reason: str,
        chosen: Collection[int] | None = None,
        up_to: int | None = None,
    ) -> Decided:
        """Release or refuse what a brake holds.

        Whom nobody prolongs alone (the dismissed, by default) two people refuse: of the first it is
        noted, and the events wait on.

        Args:
            brake_id: a brake that is on.
            decision: released or refused.
            who: does not release what they have reported, under whatever id or key.
            reason: kept with the decision; a refused event shows it to HR.
            chosen: inbox ids; None is everything that ``who`` may know of.
            up_to: the newest event that ``who`` has seen.

        Raises:
            RefusedError: without a reason, for one's own events, where somebody was faster, or
                where there is no such brake or event.
        """
        reason = " ".join(reason.split())
        if not reason:
            raise RefusedError("give a reason: it is kept with the decision")
        if len(reason) > LONGEST_REASON:
            raise RefusedError(f"the reason is too long: {LONGEST_REASON} characters at most")
        if chosen is not None and not 0 < len(chosen) <= MOST_CHOSEN:
            raise RefusedError(f"choose at least one event, and {MOST_CHOSEN} at most")
        act = "brake.release" if decision is BrakeState.RELEASED else "brake.refuse"
        if decision is BrakeState.RELEASED and await self._is_reporter(brake_id, who):
            await self._acts.denied(who.user_id, act, why="own_events", token=who.token)
            raise RefusedError("somebody else must release what you have reported")
        try:
            decided = await self._brakes.decide(
                brake_id,
                decision,
                await self._decider(brake_id, who, reason),
                scope=who.scope,
                chosen=chosen,
                up_to=up_to,
            )
        except BrakeDecidedError as error:
            raise RefusedError(f"somebody else was faster: {error}") from None
        except BrakeUnknownError as error:
            raise RefusedError(str(error)) from None
        except OwnEventsError as error:
            await self._acts.denied(who.user_id, act, why="own_events", token=who.token)
            raise RefusedError(str(error)) from None
        if decided.asked and not decided.events:
            act = "brake.ask_refuse"
        await self._acts.acted(who.user_id, act, token=who.token)
        return decided

    async def _is_reporter(self, brake_id: str, who: Approver) -> bool:
        """Whether what the brake holds was reported by them, as far as is known."""
        channel = await self._brakes.channel_of(brake_id)
        if channel is None or not channel.reporter:
            return False
        return await self._one_person.is_same(who.principal, Author(channel.reporter))

    async def _decider(self, brake_id: str, who: Approver, reason: str) -> Decider:
        me, agrees = who.principal, set()
        if who.user_id != CLI_USER and not me.is_nobodys:  # of these nobody has proved who it is
            for event, asked in (await self._brakes.refusals(brake_id, who.scope)).items():
                author = Author(asked.user_id, asked.own_keys, asked.typed)
                if not await self._one_person.is_same(me, author):
                    agrees.add(event)
        return Decider(
            who.user_id,
            who.name,
            reason,
            in_pairs=frozenset(kind.value for kind in self._pairs.prolong),
            agrees=frozenset(agrees),
            own_keys=me.own_keys,
            typed=who.typed,
            is_bound=who.scope.partners is not None,
        )

    def _shown(self, row: HeldRow, who: Approver) -> HeldEvent:
        return HeldEvent(
            row.inbox_id,
            row.partner,
            row.kind,
            row.cutoff_at,
            row.received_at,
            self._leaver(row) if who.sees_names else "",
            row.refusal.name if row.refusal else "",
        )

    def _leaver(self, row: HeldRow) -> str:
        try:
            said = parse_statement(
                row.body, tenant=self._tenant, source=row.source, event_id=row.dedupe_key
            ).termination
        except EventError:  # it was read when it came
            return ""
        return said.display_name or said.worker_id
