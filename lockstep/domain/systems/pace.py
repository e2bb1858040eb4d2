"""How fast one vendor credential may be used, and whose call is next: pure rules.

All instants are seconds of one clock, whichever the caller keeps: the database's where processes
share a budget, a process's own where it is alone. Calls are spaced evenly (the generic cell rate
algorithm), because a vendor refuses what comes in a burst; where a limit is large, a small burst is
let through, so that an idle system is never waited for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import IntEnum

_MARGIN_S = 0.08
_MARGIN_SHARE = 0.02
"""How unevenly our calls may arrive at the vendor without more of them falling into one window."""
_BURST_SHARE = 0.08
HORIZON_S = 0.4
"""How far ahead turns are given out: an urgent call of another process waits no longer for them."""
NUDGE, CUT = 0.95, 0.7
"""What is left of the pace after a refusal that comes alone, and after one that follows another."""
_TOGETHER_S = 10.0
_NUDGED_QUIET_S = 10.0
_LEAST_SHARE = 0.1
_QUIET_S, _MOST_QUIET_S = 30.0, 480.0
_RAISE_PER_S = 0.01
_LONGEST_BLOCK_S = 3600.0
_LEAST_TOLD = 0.25
_PATTERN = re.compile(r"\s*([0-9]{1,9})\s*/\s*([0-9]{0,6})\s*(s|min|h|d)\s*", re.ASCII)
_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


class Band(IntEnum):
    """What a call is for; the lower, the sooner."""

    REVOKE = 0
    REHEARSE = 1
    WATCH = 2
    LOOK = 3
    """Health, lists, and whatever belongs to no case."""


@dataclass(frozen=True, slots=True, order=True)
class Urgency:
    """Whose call is next: the smaller one.

    Args:
        band: what it is for.
        priority: of the kind of leaving, 1 for a dismissal.
        due: the cutoff, in epoch seconds: the nearest, and the most overdue, first.
        since: when this attempt began, so that one is finished before the next is begun.
    """

    band: int = Band.LOOK
    priority: int = 9
    due: float = 0.0
    since: float = 0.0


LAST = Urgency()
"""Of a call that belongs to no case."""


class LeaseError(Exception):
    """The budget cannot be asked now; calls wait, each within its bound."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What a vendor takes from one credential.

    Args:
        calls: in any window of ``per`` seconds; 0 where only ``at_once`` is limited.
        at_once: calls under way together; 0 for no such limit.
    """

    calls: int
    per: float = 1.0
    at_once: int = 0

    @classmethod
    def parse(cls, text: str, *, at_once: int = 0) -> Limit:
        """Read ``5/s``, ``600/min`` or ``3000/150s``.

        Raises:
            ValueError: saying what a limit looks like.
        """
        found = _PATTERN.fullmatch(text)
        if not found or not int(found[1]) or (found[2] and not int(found[2])):
            raise ValueError("write a limit as calls/time: 5/s, 600/min, 3000/150s")
        return cls(int(found[1]), float(int(found[2] or 1) * _UNITS[found[3]]), at_once)

    @property
    def margin(self) -> float:
        """How late or early a call may be without harm, in seconds."""
        return max(_MARGIN_S, self.per * _MARGIN_SHARE)

    def burst(self, share: float = 1.0) -> int:
        """How many calls may go together after a rest."""
        return max(1, int(self.calls * share * _BURST_SHARE))

    def spacing(self, share: float = 1.0) -> float:
        """Seconds between two calls, so that no window holds more than ``share`` of the limit."""
        if not self.calls:
            return 0.0
        allowed = self.calls * share
        return (self.per + self.margin) / (allowed - self.burst(share) + 1)

    def takes(self, calls: int) -> timedelta:
        """The least time for so many calls, none of them refused."""
        return timedelta(seconds=calls * self.spacing())

    def __str__(self) -> str:
        """As in the settings, and how many at once."""
        parts = []
        if self.calls:
            parts.append(f"{self.calls}/{_span(self.per)}")
        if self.at_once:
            parts.append(f"{self.at_once} at once")
        return ", ".join(parts)


def _span(seconds: float) -> str:
    for unit in ("d", "h", "min"):
        if seconds % _UNITS[unit] == 0:
            count = int(seconds) // _UNITS[unit]
            return unit if count == 1 else f"{count * _UNITS[unit]}s"
    return "s" if seconds == 1 else f"{seconds:g}s"


@dataclass(frozen=True, slots=True)
class Told:
    """What a vendor's answer said of its limit.

    Args:
        limit: calls in a window.
        left: of them, in the present window.
        reset_s: seconds until the window ends.
        per: the window's length, where the answer states it.
        refused: the call was refused for the limit.
        wait_s: how long to stay away, as the refusal said.
    """

    limit: int | None = None
    left: int | None = None
    reset_s: float | None = None
    per: float | None = None
    refused: bool = False
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """The state of one credential.

    Args:
        next_at: the next evenly spaced turn; turns before it are given out.
        share: of the limit that is used now: less after a refusal.
        cap: of the limit that the vendor's answers leave us.
        good: the share that held before it was raised; 0 while it is not being raised.
        blocked_until: nothing is asked before.
        cut_at: when ``share`` last fell.
        quiet_s: for so long after a refusal nothing is raised.
        raised_at: up to when the raising is reckoned.
    """

    next_at: float = 0.0
    share: float = 1.0
    cap: float = 1.0
    good: float = 0.0
    blocked_until: float = 0.0
    cut_at: float = 0.0
    quiet_s: float = _QUIET_S
    raised_at: float = 0.0

    def given(self, limit: Limit, now: float, most: int) -> tuple[Budget, tuple[float, ...]]:
        """Give out up to ``most`` turns that lie within the horizon; each is an instant."""
        spacing, burst = limit.spacing(self.share), limit.burst(self.share)
        next_at, turns = max(self.next_at, now), list[float]()
        while len(turns) < most:
            turn = max(now, self.blocked_until, next_at - (burst - 1) * spacing)
            if turn > now + HORIZON_S:
                break
            turns.append(turn)
            next_at = max(next_at, turn) + spacing
        return replace(self, next_at=next_at if turns else self.next_at), tuple(turns)

    def next_turn(self, limit: Limit, now: float) -> float:
        """When the next turn would be."""
        early = (limit.burst(self.share) - 1) * limit.spacing(self.share)
        return max(now, self.blocked_until, max(self.next_at, now) - early)

    def refused(self, now: float, *, sent_at: float, wait_s: float | None) -> Budget:
        """After the vendor refused a call that was sent at ``sent_at``.

        What was sent before the last cut says nothing about the pace since. One that comes alone
        may be an accident of the way there. A raise that is refused is taken back whole; else the
        share falls until nothing is refused.
        """
        stay = min(max(wait_s or 0.0, 0.0), _LONGEST_BLOCK_S)
        blocked = replace(self, blocked_until=max(self.blocked_until, now + stay))
        if sent_at < self.cut_at:
            return blocked
        alone = now - self.cut_at > _TOGETHER_S
        if 0 < self.good < self.share:
            share, quiet_s = self.good, min(self.quiet_s * 2, _MOST_QUIET_S)
        elif alone:
            share, quiet_s = self.share * NUDGE, _NUDGED_QUIET_S
        else:
            share, quiet_s = self.share * CUT, _QUIET_S
        return replace(
            blocked,
            share=max(_LEAST_SHARE, share),
            good=0.0,
            quiet_s=quiet_s,
            cut_at=now,
            raised_at=now,
        )

    def raised(self, now: float) -> Budget:
        """Once nothing was refused for a while, use a little more of the limit each second."""
        if self.share >= self.cap:
            return self
        since = max(self.raised_at, self.cut_at + self.quiet_s)
        if now <= since:
            return self
        share = min(self.cap, self.share + (now - since) * _RAISE_PER_S)
        return replace(self, share=share, good=self.good or self.share, raised_at=now)

    def told(self, limit: Limit, now: float, told: Told) -> Budget:
        """Follow what the vendor's answer says of its limit: down at once, up slowly."""
        budget = self
        if told.left == 0 and told.reset_s is not None and not told.refused:
            until = now + min(told.reset_s, _LONGEST_BLOCK_S)
            budget = replace(budget, blocked_until=max(self.blocked_until, until))
        share = _told_share(limit, told)
        if share is None:
            return budget
        if share < budget.share:
            return replace(budget, share=share, cap=share, good=0.0, cut_at=now, raised_at=now)
        return replace(budget, cap=share)


def _told_share(limit: Limit, told: Told) -> float | None:
    """How much of our limit a stated one is; None where the two cannot be compared.

    A limit whose window is not stated is taken for ours only where its reset fits, and never for
    less than a quarter: a shorter window looks like a smaller limit.
    """
    if not limit.calls or not told.limit:
        return None
    if told.per:
        share = (told.limit / told.per) / (limit.calls / limit.per)
        return min(1.0, max(_LEAST_SHARE, share))
    if told.reset_s is None or told.reset_s > limit.per + 1:
        return None
    return min(1.0, max(_LEAST_TOLD, told.limit / limit.calls))


@dataclass(frozen=True, slots=True)
class Ask:
    """What one process needs of a shared budget.

    Args:
        waiting: the urgency of each call that waits, the most urgent first.
        busy: calls under way.
        soon: the urgency of those of them that will be followed by another before long.
        late_s: by how much turns were used late since the last time: the next ones come later.
        told: what answers said of the limit since, each with its age in seconds: of a refusal,
            how long ago the call was sent.
    """

    waiting: tuple[Urgency, ...] = ()
    busy: int = 0
    soon: tuple[Urgency, ...] = ()
    late_s: float = 0.0
    told: tuple[tuple[float, Told], ...] = ()


@dataclass(frozen=True, slots=True)
class Lease:
    """Turns that one process may use.

    Args:
        turns: seconds from now, ascending. One that is not used soon after lapses.
        seats: calls that may be under way together; None where that is not limited.
        again_s: when to ask next, if anything still waits.
        spacing: seconds between turns over all processes, as things are.
        blocked_s: for how long the vendor takes nothing.
    """

    turns: tuple[float, ...] = ()
    seats: int | None = None
    again_s: float = HORIZON_S
    spacing: float = 0.0
    blocked_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Others:
    """What another process last asked for and did not get, or will soon ask for again.

    ``seats``: the calls that it may have under way.
    """

    waiting: tuple[Urgency, ...] = ()
    seats: int = 0


def mine(count: int, waiting: Sequence[Urgency], others: Iterable[Others]) -> int:
    """How many of ``count`` turns are ours: what more urgent calls elsewhere do not need."""
    ranked = sorted(waiting)
    theirs = sorted(urgency for other in others for urgency in other.waiting)
    taken = 0
    for position, urgency in enumerate(ranked[:count]):
        sooner = sum(1 for their in theirs if their < urgency)
        if position + sooner >= count:
            break
        taken += 1
    return taken


def lease(
    budget: Budget, limit: Limit, ask: Ask, others: Mapping[str, Others], now: float
) -> tuple[Budget, Lease]:
    """Serve one process: follow what it learnt, then give it turns and seats."""
    budget = budget.raised(now)
    for age, told in ask.told:
        budget = budget.told(limit, now, told)
        if told.refused:
            budget = budget.refused(now, sent_at=now - age, wait_s=told.wait_s)
    if ask.late_s and limit.calls:
        budget = replace(budget, next_at=max(budget.next_at, now) + ask.late_s)
    seats = _seats(limit, ask, others)
    room = len(ask.waiting) if seats is None else max(0, seats - ask.busy)
    wanted = min(len(ask.waiting), room)
    available = len(budget.given(limit, now, wanted + _count(others))[1])
    count = min(wanted, mine(available, ask.waiting, others.values()))
    budget, turns = budget.given(limit, now, count)
    wait = max(0.0, budget.next_turn(limit, now) - now - HORIZON_S / 2)
    return budget, Lease(
        turns=tuple(turn - now for turn in turns),
        seats=seats,
        again_s=min(max(wait, HORIZON_S / 8 if limit.calls else HORIZON_S), 1.0),
        spacing=limit.spacing(budget.share),
        blocked_s=max(0.0, budget.blocked_until - now),
    )


def _seats(limit: Limit, ask: Ask, others: Mapping[str, Others]) -> int | None:
    """How many calls we may have under way: what others hold, or need more urgently, is theirs."""
    if not limit.at_once:
        return None
    free = limit.at_once - sum(other.seats for other in others.values())
    more = mine(max(0, free - ask.busy), ask.waiting, others.values())
    return max(ask.busy, ask.busy + more)


def _count(others: Mapping[str, Others]) -> int:
    return sum(len(other.waiting) for other in others.values())
