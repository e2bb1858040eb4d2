"""Pausing a system: its revocations wait, visibly, and their clocks run on.

Whoever is bound to partners pauses for these alone. Whom nobody prolongs alone (the dismissed, by
default) a pause holds up only when somebody else has agreed: until then they are revoked as ever.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from lockstep.control.people.one_person import Author, OnePerson
from lockstep.control.people.pairs import Pairs
from lockstep.control.refusals import NotAllowedError, RefusedError
from lockstep.domain.rights import Principal
from lockstep.storage.people.acts import ActsLog
from lockstep.storage.systems.pauses import AlreadyPausedError, NewPause, Pause, Pauses

LONGEST = timedelta(hours=72)
LONGEST_REASON = 500


class PauseDesk:
    """Use cases of pausing. ``systems`` are those that have a connector."""

    def __init__(
        self,
        pauses: Pauses,
        acts: ActsLog,
        systems: Collection[str],
        *,
        pairs: Pairs,
        one_person: OnePerson,
    ) -> None:
        self._pauses = pauses
        self._acts = acts
        self._systems = frozenset(systems)
        self._pairs = pairs
        self._one_person = one_person

    async def pause(self, system: str, me: Principal, *, reason: str, until: datetime) -> Pause:
        """Leave a system alone from now until ``until``, for the partners that ``me`` knows of.

        Raises:
            RefusedError: if it has no connector, is paused already, or for so long.
        """
        new = NewPause(
            system,
            until,
            me.user_id,
            me.name,
            " ".join(reason.split()),
            me.partners,
            frozenset(kind.value for kind in self._pairs.prolong),
            me.own_keys,
            me.typed,
        )
        self._check(new)
        try:
            pause = await self._pauses.place(new)
        except AlreadyPausedError:
            raise RefusedError(f"{system} is paused already: resume it first") from None
        await self._acts.acted(me.user_id, "system.pause", system=system, token=me.token)
        return pause

    async def agree(self, pause_id: str, me: Principal) -> Pause:
        """Be the second person: from now on the pause holds up the dismissed too.

        Raises:
            NotAllowedError: for whoever placed it, and for a token of nobody; recorded.
            RefusedError: if there is no such pause, or it needs nobody.
        """
        pause = await self._pauses.one(pause_id, me.scope)
        if pause is None or not pause.spares or not pause.stands_at(datetime.now(UTC)):
            raise RefusedError("there is no such pause, it is over, or nobody needs to agree")
        author = Author(pause.placed_by, pause.own_keys, pause.typed)
        if me.is_nobodys or await self._one_person.is_same(me, author):
            why = "token_without_owner" if me.is_nobodys else "own_pause"
            await self._acts.denied(
                me.user_id, "system.agree", why=why, system=pause.system, token=me.token
            )
            raise NotAllowedError(
                "the second person is somebody else: as far as is known, you paused it yourself"
            )
        if not await self._pauses.agree(pause, user_id=me.user_id, name=me.name):
            raise RefusedError("somebody was faster, or the pause is over")
        await self._acts.acted(me.user_id, "system.agree", system=pause.system, token=me.token)
        return pause

    async def resume(self, system: str, me: Principal) -> list[Pause]:
        """End pauses early, of those that hold nobody but whom ``me`` may know of.

        Raises:
            RefusedError: if the system is not paused, or only by others' pauses.
        """
        ended = await self._pauses.resume(system, user_id=me.user_id, scope=me.scope)
        if not ended:
            if system in await self._pauses.standing(me.scope):
                raise RefusedError(f"{system} is paused for others than your partners, too")
            raise RefusedError(f"{system} is not paused")
        await self._acts.acted(me.user_id, "system.resume", system=system, token=me.token)
        return ended

    def _check(self, new: NewPause) -> None:
        now = datetime.now(UTC)
        if new.system not in self._systems:
            raise RefusedError(f"there is no system {new.system!r} that has a connector")
        if new.partners is not None and not new.partners:
            raise RefusedError("you know of no partner's cases: there is nothing to pause for you")
        if not new.reason:
            raise RefusedError("give a reason: whoever waits will ask")
        if len(new.reason) > LONGEST_REASON:
            raise RefusedError(f"the reason is too long: {LONGEST_REASON} characters at most")
        if not now < new.until <= now + LONGEST:
            hours = int(LONGEST.total_seconds() // 3600)
            raise RefusedError(f"a pause ends in the future, and within {hours} hours")
