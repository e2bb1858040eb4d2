"""How fast revocations are woken when a system's trouble is over, how often, and which alarm.

Which faults are the system's, and what ends each of them, is in `lockstep.domain.systems.faults`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from lockstep.domain.systems.faults import OF_SYSTEM, Audience, rule_for

PER_MINUTE = 60
"""Wakings of one system, over all processes, unless the settings say otherwise."""
LONG_WAIT = timedelta(minutes=1)
"""Whatever is tried again within so long by itself is not woken."""
MANY = 10
"""A fault of a system is an alarm of its own once more leavers than this wait because of it."""
_FIRST_REST = timedelta(minutes=10)
_LONGEST_REST = timedelta(hours=1)
_DOUBLINGS = 4


def turns(last: datetime | None, now: datetime, *, per_minute: int, tick: timedelta) -> int:
    """How many may be woken now, when the last was woken at ``last``; looked at every ``tick``.

    What nobody used is not saved up: after a quiet hour they still go one after the other.
    """
    pace = timedelta(minutes=1) / per_minute
    at_most = max(tick // pace, 1)
    return at_most if last is None else min(max((now - last) // pace, 0), at_most)


def rest_after(times: int) -> timedelta:
    """How long one revocation is left alone once it was woken ``times`` times in vain."""
    doublings = min(times - 1, _DOUBLINGS)
    return min(_FIRST_REST * (1 << doublings), _LONGEST_REST)


ALARMING_BY_ITSELF = frozenset(
    category for category in OF_SYSTEM if rule_for(category).audience is not Audience.NOBODY
)
"""Faults that are an alarm also where nobody was asked yet; a rate limit ends by itself."""
