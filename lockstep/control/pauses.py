"""Pausing a system: its revocations wait, visibly, and their clocks run on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from lockstep.control.desk import RefusedError
from lockstep.storage.acts import ActsLog
from lockstep.storage.pauses import AlreadyPausedError, Pause, Pauses

LONGEST = timedelta(hours=72)
LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class Operator:
    """Who pauses or resumes. ``name`` is personal."""

    user_id: str
    name: str = field(repr=False)
    token: bool = False


class PauseDesk:
    """Use cases of pausing. ``systems`` are those that have a connector."""

    def __init__(self, pauses: Pauses, acts: ActsLog, systems: Collection[str]) -> None:
        self._pauses = pauses
        self._acts = acts
        self._systems = frozenset(systems)

    async def pause(self, system: str, who: Operator, *, reason: str, until: datetime) -> Pause:
        """Leave a system alone from now until ``until``.

        Raises:
            RefusedError: if it has no connector, is paused already, or for so long.
        """
        reason = " ".join(reason.split())
        now = datetime.now(UTC)
        if system not in self._systems:
            raise RefusedError(f"there is no system {system!r} that has a connector")
        if not reason:
            raise RefusedError("give a reason: whoever waits will ask")
        if len(reason) > LONGEST_REASON:
            raise RefusedError(f"the reason is too long: {LONGEST_REASON} characters at most")
        if not now < until <= now + LONGEST:
            hours = int(LONGEST.total_seconds() // 3600)
            raise RefusedError(f"a pause ends in the future, and within {hours} hours")
        try:
            pause = await self._pauses.place(
                system, until=until, user_id=who.user_id, name=who.name, reason=reason
            )
        except AlreadyPausedError:
            raise RefusedError(f"{system} is paused already: resume it first") from None
        await self._acts.acted(who.user_id, "system.pause", system=system, token=who.token)
        return pause

    async def resume(self, system: str, who: Operator) -> Pause:
        """End a pause early; work goes on within seconds.

        Raises:
            RefusedError: if the system is not paused.
        """
        pause = await self._pauses.resume(system, user_id=who.user_id)
        if pause is None:
            raise RefusedError(f"{system} is not paused")
        await self._acts.acted(who.user_id, "system.resume", system=system, token=who.token)
        return pause

    async def standing(self) -> Mapping[str, Pause]:
        """The pauses that stand, by system."""
        return await self._pauses.standing()

    async def of(self, system: str) -> list[Pause]:
        """The newest pauses of a system, the last one first."""
        return await self._pauses.of(system)
