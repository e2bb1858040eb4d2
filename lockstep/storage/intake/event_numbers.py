"""The numbers of events as their senders see them: no order, and no gap that tells of others.

The inbox numbers everything in a row. Whoever sent two events, and saw by their numbers that a
third one came between, would know that somebody was reported whom they may not know of.
"""

from __future__ import annotations

from lockstep.storage.keys.keyring import Keyring

_HALF = 26
_MASK = (1 << _HALF) - 1
_ROUNDS = range(4)
MOST = 1 << 2 * _HALF
"""Below what readers of JSON keep exactly."""


class EventNumbers:
    """A permutation under the index key: four rounds of Feistel (Luby and Rackoff, 1988)."""

    def __init__(self, ring: Keyring) -> None:
        self._ring = ring

    def shown(self, row_id: int) -> int:
        """The number of a row of the inbox, from 1 to `MOST`."""
        left, right = row_id >> _HALF, row_id & _MASK
        for turn in _ROUNDS:
            left, right = right, left ^ self._mixed(turn, right)
        return (left << _HALF | right) + 1

    def row_id(self, shown: int) -> int:
        """The row that has this number; 0, which none has, for what is no number of ours."""
        if not 1 <= shown <= MOST:
            return 0
        left, right = (shown - 1) >> _HALF, (shown - 1) & _MASK
        for turn in reversed(_ROUNDS):
            left, right = right ^ self._mixed(turn, left), left
        return left << _HALF | right

    def _mixed(self, turn: int, half: int) -> int:
        digest = self._ring.blind_index("event-number", str(turn), str(half))
        return int.from_bytes(digest[:4]) & _MASK
