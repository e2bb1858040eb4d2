"""Leavers who may use Lockstep no more, and letting in somebody who was hired again."""

from __future__ import annotations

from lockstep.domain.errors import Kind, LockstepError
from lockstep.domain.rights import Principal
from lockstep.storage.cases.keys import searched_indexes
from lockstep.storage.people.bars import Bar
from lockstep.storage.stores import Stores

MOST_REASON = 500


class BarError(LockstepError, ValueError):
    """A bar that cannot be lifted; the text says why."""

    kind = Kind.CANNOT_BE_DONE


class Bars:
    """The use case."""

    def __init__(self, stores: Stores) -> None:
        self._rows = stores.bars
        self._log = stores.log
        self._ring = stores.ring
        self._tenant = stores.tenant

    async def standing(self, by: Principal, *, key: str = "") -> list[Bar]:
        """The newest bars in scope; with ``key``, those of whoever holds it as any kind of key."""
        if not key.strip():
            return await self._rows.standing(by.scope)
        indexes = searched_indexes(self._ring, self._tenant, key)
        return await self._rows.standing(by.scope, indexes=indexes)

    async def lift(self, case_id: str, *, reason: str, by: Principal) -> int:
        """Let a case's leaver sign in again; return how many keys were barred.

        Sessions and tokens that ended stay ended.

        Raises:
            BarError: without a reason, or where there is no such bar in scope.
        """
        why = reason.strip()
        if not why or len(why) > MOST_REASON:
            raise BarError(f"give a reason, in {MOST_REASON} characters at most")
        lifted = 0
        if case_id.isprintable():
            lifted = await self._rows.lift(case_id, by.scope, by=by.user_id, reason=why)
        if not lifted:
            raise BarError("there is no such bar, or it is lifted already")
        await self._log.acted(by.user_id, "bar.lift", case_id=case_id, token=by.token)
        return lifted
