"""How often somebody may ask: an allowance for each key, which refills evenly."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

MOST_KEYS = 20_000
"""Of one kind in a process; whoever has not asked for longest is forgotten first."""
_SUBSCRIBER_BITS = 64
"""Of an IPv6 address, what a subscriber is given at least (RFC 6177): the rest is free to them."""


class Allowances:
    """So many at once, and ``per_minute`` from then on. ``burst``: default ``per_minute``."""

    def __init__(
        self,
        per_minute: float,
        *,
        burst: float | None = None,
        most_keys: int = MOST_KEYS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = per_minute / 60
        self._burst = per_minute if burst is None else burst
        self._most = most_keys
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, key: str) -> int:
        """Take one of ``key``; 0, or in how many seconds there is one again."""
        now = self._clock()
        left, at = self._left.pop(key, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        self._left[key] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > self._most:
            self._left.popitem(last=False)
        return 0 if left >= 1 else int((1 - left) / self._rate) + 1


def place_of(host: str) -> str:
    """What counts as one place on the network: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host[:100]
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _SUBSCRIBER_BITS), strict=False))
