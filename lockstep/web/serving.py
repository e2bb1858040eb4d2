"""Bounds on connections: how many there are, and how long each may take to say what it wants.

uvicorn (0.54) bounds only the time between two requests. Whoever opens sockets and says nothing, or
sends a body drop by drop, would fill its places, and HR's webhook would be answered 503. Here a
connection that keeps us waiting ends, and gives its place to one that comes anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

log = structlog.get_logger("lockstep.web")


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """Times in seconds, rates in bytes per second.

    ``most`` and ``most_of_address`` are numbers of connections of one process; ``exempt`` holds
    the networks of our own proxies, through which everybody comes.
    """

    head_s: float = 10.0
    body_look_s: float = 10.0
    body_rate: int = 4096
    drain_s: float = 60.0
    most: int = 800
    most_of_address: int = 300
    exempt: Collection[IPv4Network | IPv6Network] = ()


class _Waits(StrEnum):
    """What a connection keeps us waiting for."""

    NOTHING = "nothing"
    HEAD = "head"
    BODY = "body"


_TELL_EVERY_S = 10.0


class _Kept(dict["_Bounded", None]):
    """Every connection of a server, those that were heard longest ago first."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._told_at = -_TELL_EVERY_S

    def ended(self, now: float) -> None:
        """Count one that we ended; the log has a line in ten seconds, not one for each."""
        self._count += 1
        if now - self._told_at >= _TELL_EVERY_S:
            log.warning("connections_ended", count=self._count)
            self._count, self._told_at = 0, now


def bounded(bounds: ConnectionBounds) -> type[H11Protocol]:
    """Uvicorn's own protocol within ``bounds``; what it returns belongs to one server."""
    kept = _Kept()

    class Bounded(_Bounded):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            self.bounds = bounds
            self.kept = kept

    return Bounded


class _Bounded(H11Protocol):
    bounds: ConnectionBounds
    kept: _Kept

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._waits = _Waits.NOTHING
        self._alarm: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._received = 0

    @property
    def is_idle(self) -> bool:
        """Nothing was asked that is not answered."""
        return self.cycle is None or bool(self.cycle.response_complete)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._make_room()
        self.kept[self] = None
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self.kept.pop(self, None)
        self._stop_alarm()
        self._stop_stuck()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        self.kept.pop(self, None)
        self.kept[self] = None
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop_stuck()
        self._stuck = self.loop.call_later(self.bounds.drain_s, self.end)

    def resume_writing(self) -> None:
        self._stop_stuck()
        super().resume_writing()

    def _make_room(self) -> None:
        """End the idle connection that was heard longest ago, where there are too many."""
        address = self.client[0] if self.client else ""
        if address and not any(ip_address(address) in proxy for proxy in self.bounds.exempt):
            same = [one for one in self.kept if one.client and one.client[0] == address]
            if len(same) >= self.bounds.most_of_address:
                _end_first_idle(same)
        if len(self.kept) >= self.bounds.most:
            _end_first_idle(self.kept)

    def _look(self) -> None:
        """Set the alarm for what is waited for now; it runs on while that stays the same."""
        if self.transport.is_closing():
            return
        theirs = self.conn.their_state
        if theirs is h11.SEND_BODY:  # also where it was answered before it was sent
            waits = _Waits.BODY
        elif theirs is h11.IDLE and (self.cycle is None or self.conn.trailing_data[0]):
            waits = _Waits.HEAD
        else:
            waits = _Waits.NOTHING
        if waits is self._waits:
            return
        self._waits = waits
        self._stop_alarm()
        if waits is _Waits.HEAD:
            self._alarm = self.loop.call_later(self.bounds.head_s, self.end)
        elif waits is _Waits.BODY:
            self._received = 0
            self._alarm = self.loop.call_later(self.bounds.body_look_s, self._look_at_body)

    def _look_at_body(self) -> None:
        """End a body that comes too slowly, unless it is we who are slow to read it."""
        received, self._received = self._received, 0
        least = self.bounds.body_rate * self.bounds.body_look_s
        if received < least and not self.flow.read_paused:
            self.end()
        else:
            self._alarm = self.loop.call_later(self.bounds.body_look_s, self._look_at_body)

    def end(self) -> None:
        """Close it at once, whatever it was at."""
        self.kept.pop(self, None)
        if not self.transport.is_closing():
            self.kept.ended(self.loop.time())
            self.transport.abort()

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _stop_stuck(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None


def _end_first_idle(among: Collection[_Bounded]) -> None:
    """End the one that was heard longest ago of those that ask for nothing, if there is any."""
    first = next((one for one in among if one.is_idle), None)
    if first is not None:
        first.end()
