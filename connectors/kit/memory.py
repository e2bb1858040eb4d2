"""Remembering what was seen of a system, for a while and for so many: a process runs for months."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Values by key; the oldest is forgotten where there are too many.

    Args:
        life_s: how long one counts, in seconds.
        most: so many are kept.
        now: a monotonic clock in seconds.
    """

    def __init__(
        self,
        *,
        life_s: float = math.inf,
        most: int = 1000,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._life_s = life_s
        self._most = most
        self._now = now
        self._kept: dict[K, tuple[float, V]] = {}

    def keep(self, key: K, value: V) -> None:
        while len(self._kept) >= self._most and key not in self._kept:
            self._kept.pop(next(iter(self._kept)))
        self._kept[key] = (self._now(), value)

    def get(self, key: K) -> V | None:
        """What was kept under ``key``; None where it was not, or too long ago."""
        at, value = self._kept.get(key, (-math.inf, None))
        return value if self._now() - at < self._life_s else None

    def take(self, key: K) -> V | None:
        """The same, once."""
        value = self.get(key)
        self._kept.pop(key, None)
        return value

    def forget(self) -> None:
        self._kept.clear()
