"""When to look at settled systems again, and to close again; pure, over the doors of a case."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from temporalio.common import Priority

from lockstep.contracts import policies
from lockstep.contracts.payloads import CaseInput
from workflows.door import Door


def next_looks(doors: Iterable[Door], watch_s: Sequence[int]) -> dict[datetime, list[Door]]:
    """When which settled systems are due to be looked at again, while others are open."""
    looks: dict[datetime, list[Door]] = {}
    for door in doors:
        if not door.was_closed_by_us or door.settled_at is None:
            continue
        if door.is_picked:
            looks.setdefault(door.settled_at, []).append(door)
        elif door.guarded < len(watch_s):
            delay = timedelta(seconds=watch_s[door.guarded])
            looks.setdefault(door.settled_at + delay, []).append(door)
    return looks


def not_fresh(doors: Iterable[Door], now: datetime) -> list[Door]:
    """Required systems whose own read-back is not from just now, or of which more was picked."""
    return [
        door
        for door in doors
        if door.plan.required
        and door.was_closed_by_us
        and door.settled_at is not None
        and (now - door.settled_at > policies.FRESH or door.is_picked)
    ]


def had_before(given: CaseInput, *, started: datetime) -> int:
    """How many looks of the watch need not be made: an earlier workflow made them.

    Of those that were missed while there was none, the last is made, at once.
    """
    so_far = given.so_far
    if so_far is None or so_far.closed_at is None:
        return 0
    closed_at, looked_at = so_far.closed_at, so_far.looked_at
    dues = [closed_at + timedelta(seconds=delay) for delay in given.watch_s]
    had = sum(looked_at is not None and due <= looked_at for due in dues)
    missed = sum(due <= started for due in dues)
    return max(had, missed - 1)


def in_doubt(doors: Iterable[Door]) -> bool:
    """Whether a person has not spoken yet of accounts, or was not heeded yet."""
    return any(door.in_doubt or door.is_picked for door in doors)


def picked(doors: Iterable[Door], now: datetime) -> list[Door]:
    """What was picked in the watch and is due to be looked at."""
    return [
        door
        for door in doors
        if door.is_picked
        and door.was_closed_by_us
        and (door.blind_until is None or door.blind_until <= now)
    ]


def later_openings(doors: Iterable[Door]) -> dict[str, int]:
    """The opening of each system that was opened again, by its name."""
    return {door.plan.system: door.opening for door in doors if door.opening > 1}


def pause_before_closing(asked: int) -> timedelta:
    """How long to wait before closing is asked for again; it was asked for twice or more."""
    doublings = min(asked - 2, 10)
    return min(policies.CLOSE_PAUSE * (1 << doublings), policies.MOST_CLOSE_PAUSE)


def until_warning(door: Door, cutoff: datetime, now: datetime) -> timedelta | None:
    """How long Temporal may retry before operations are told; None once they have been."""
    if door.overdue:
        return None
    # A backdated case is late from the start: give its first attempts a fair minute.
    return max(cutoff + timedelta(seconds=door.plan.warn_s) - now, timedelta(seconds=60))


def revocation_rank(priority: int) -> Priority:
    """By kind, and before every rehearsal."""
    return Priority(priority_key=min(priority, policies.NEAR_REHEARSAL - 1))


def rehearsal_rank(ahead: timedelta) -> Priority:
    """Behind all that revokes, and the nearest cutoffs first; never by kind, which is a secret."""
    near = ahead <= policies.REHEARSE_SOON
    return Priority(priority_key=policies.NEAR_REHEARSAL if near else policies.FAR_REHEARSAL)
