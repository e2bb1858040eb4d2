"""Each system as operations see it: how it is, what it does, what waits for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from lockstep.domain.policy import Policy, SystemPolicy
from lockstep.domain.rights import Scope
from lockstep.storage.stores import Stores
from lockstep.storage.systems.figures import (
    FAULTS_FOR,
    FaultHour,
    Figures,
    Looks,
    WaitingRow,
)
from lockstep.storage.systems.health import Health
from lockstep.storage.systems.pauses import Pause

STALE = timedelta(minutes=15)
"""A health check is older than this only if no worker runs."""
_HOUR = timedelta(hours=1)


class SystemState(StrEnum):
    """How a system is, the worst first."""

    PAUSED = "paused"
    BLOCKED = "blocked"
    """Nothing can be revoked: unreachable, a bad credential, a missing permission."""
    LIMITED = "limited"
    """The vendor takes no more calls for now."""
    FAILING = "failing"
    """First tries fail or are slow; the system's own queue goes on trying."""
    WARNING = "warning"
    UNKNOWN = "unknown"
    """No worker has looked lately."""
    MANUAL = "manual"
    HEALTHY = "healthy"


@dataclass(frozen=True, slots=True)
class SystemView:
    """One system, for a list."""

    system: SystemPolicy
    state: SystemState
    health: Health | None
    pause: Pause | None
    figures: Figures


@dataclass(frozen=True, slots=True)
class Series:
    """Faults over time: ``hours`` are the same for all categories, with a count for each."""

    hours: tuple[datetime, ...]
    counts: Mapping[str, tuple[int, ...]]

    @property
    def total(self) -> int:
        return sum(sum(counts) for counts in self.counts.values())


@dataclass(frozen=True, slots=True)
class SystemPage:
    """One system in full."""

    view: SystemView
    faults: Series
    looks: Looks
    waiting: tuple[WaitingRow, ...]
    pauses: tuple[Pause, ...]
    held_up: int = 0
    """Who waits because of a fault of the system."""
    waking: int = 0
    """Of whom so many are to be tried again by themselves, now that its trouble is over."""


class SystemsDesk:
    """Reads what the page and the command line show."""

    def __init__(self, stores: Stores, policy: Policy) -> None:
        self._systems = {system.system: system for system in policy.systems}
        self._health = stores.health
        self._pauses = stores.pauses
        self._figures = stores.figures
        self._outages = stores.outages
        self._wakings = stores.wakings

    async def all(self, scope: Scope) -> list[SystemView]:
        """Every configured system, those in trouble first."""
        now = datetime.now(UTC)
        health = await self._health.all(self._systems)
        pauses = await self._pauses.standing(scope)
        figures = await self._figures.all(scope, now=now)
        views = [
            SystemView(
                system,
                state_of(system, health.get(name), pauses.get(name), now=now),
                health.get(name),
                pauses.get(name),
                figures.get(name, Figures()),
            )
            for name, system in self._systems.items()
        ]
        order = list(SystemState)
        return sorted(views, key=lambda view: (order.index(view.state), view.system.system))

    async def show(self, name: str, scope: Scope) -> SystemPage | None:
        """One system; None if none is called so."""
        if name not in self._systems:
            return None
        now = datetime.now(UTC)
        view = next(view for view in await self.all(scope) if view.system.system == name)
        return SystemPage(
            view=view,
            faults=series(await self._figures.faults(name, scope, now=now), now=now),
            looks=await self._figures.looks(name, scope, now=now),
            waiting=tuple(await self._figures.waiting(name, scope)),
            pauses=tuple(await self._pauses.of(name, scope)),
            held_up=await self._outages.count(name, scope),
            waking=await self._wakings.left(name, scope),
        )


def connected(policy: Policy) -> frozenset[str]:
    """Names of the systems that have a connector."""
    return frozenset(system.system for system in policy.systems if not system.is_manual)


def state_of(
    system: SystemPolicy, health: Health | None, pause: Pause | None, *, now: datetime
) -> SystemState:
    """How a system is: the worst that holds."""
    if system.is_manual:
        return SystemState.MANUAL
    if health is None:
        return SystemState.PAUSED if pause is not None else SystemState.UNKNOWN
    holds = {
        SystemState.PAUSED: pause is not None and pause.stands_at(now),
        SystemState.BLOCKED: health.is_blocked,
        SystemState.LIMITED: _is_ahead(health.limited_until, now),
        SystemState.FAILING: _is_ahead(health.circuit_open_until, now),
        SystemState.WARNING: bool(health.troubles),
        SystemState.UNKNOWN: now - health.checked_at > STALE,
    }
    return next((state for state in SystemState if holds.get(state)), SystemState.HEALTHY)


def _is_ahead(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and moment > now


def series(rows: Sequence[FaultHour], *, now: datetime) -> Series:
    """Every hour of the last 48, with 0 where nothing failed."""
    last = now.replace(minute=0, second=0, microsecond=0)
    hours = tuple(last - _HOUR * back for back in range(int(FAULTS_FOR / _HOUR) - 1, -1, -1))
    categories = sorted({row.category for row in rows})
    found = {(row.category, row.hour): row.count for row in rows}
    counts = {
        category: tuple(found.get((category, hour), 0) for hour in hours) for category in categories
    }
    return Series(hours, counts)
