"""Names that a filter may be set to; a list that nothing fits is not a name that nobody has."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, func, not_, select, union_all
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.domain.errors import Kind, LockstepError
from lockstep.domain.rights import Scope
from lockstep.storage.intake.brake_rows import visible_held
from lockstep.storage.people.visibility import is_sealed_fact, visible
from lockstep.storage.tables.case import cases, revocations
from lockstep.storage.tables.casework import assignments
from lockstep.storage.tables.intake import held_events
from lockstep.storage.tables.score import case_facts
from lockstep.storage.tables.sign_in import users

MOST_NAMED = 12
_MOST_READ = 500


class UnknownNameError(LockstepError, LookupError):
    """Nothing has the name that a filter asks for; the text says which ones there are."""

    kind = Kind.NOT_VALID
    is_of_option = True


class KnownNames:
    """What there is to filter by, within a scope.

    Args:
        partners: names that the settings have, for whoever may know of every partner.
        systems: names that the policy has.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        partners: Collection[str] = (),
        systems: Collection[str] = (),
    ) -> None:
        self._engine = engine
        self._configured = {"partner": frozenset(partners), "system": frozenset(systems)}

    async def check(self, scope: Scope, **given: str) -> None:
        """Whether each name that is given, as ``partner``, ``site`` or ``system``, is anybody's.

        Raises:
            UnknownNameError: for the first that is not; it tells which there are.
        """
        for what, name in given.items():
            # PostgreSQL takes no NUL to look for; intake lets none into a name.
            if name and ("\0" in name or not await self._has(scope, what, name)):
                known = await self.names(scope, what)
                raise UnknownNameError(f"{what}: none has this name; {_told(known)}")

    async def check_assignee(self, user_id: str) -> None:
        """Whether anybody has this user id; raises `UnknownNameError`."""
        either = (users.c.user_id, assignments.c.user_id)
        if "\0" in user_id or not await self._any(
            [select(name).where(name == user_id) for name in either]
        ):
            raise UnknownNameError("assignee: nobody has this user id; `me` and `nobody` are words")

    async def names(self, scope: Scope, what: str) -> list[str]:
        """Names in ``scope``, sorted; `_MOST_READ` of those that are in use."""
        if what == "partner" and scope.partners is not None:
            return sorted(scope.partners)
        found = set(self._configured.get(what, ()))
        async with self._engine.connect() as connection:
            for column, query in _places(scope, what):
                named = query.where(column != "").distinct().limit(_MOST_READ)
                found.update(await connection.scalars(named))
        return sorted(found)

    async def _has(self, scope: Scope, what: str, name: str) -> bool:
        if what == "partner" and scope.partners is not None:
            return name in scope.partners
        if name in self._configured.get(what, ()):
            return True
        places = _places(scope, what)
        return await self._any([query.where(column == name) for column, query in places])

    async def _any(self, queries: Sequence[Select[Any]]) -> bool:
        one = union_all(*(query.limit(1).subquery().select() for query in queries))
        async with self._engine.connect() as connection:
            return (await connection.execute(one)).first() is not None


def _places(scope: Scope, what: str) -> list[tuple[ColumnElement[str], Select[Any]]]:
    """Where names of a kind stand, as far as ``scope`` may know."""
    if what == "system":
        joined = select(revocations.c.system).join(cases, cases.c.case_id == revocations.c.case_id)
        return [(revocations.c.system, joined.where(visible(scope)))]
    of_cases: tuple[ColumnElement[str], Select[Any]] = (
        cases.c[what],
        select(cases.c[what]).where(visible(scope)),
    )
    if what == "site":
        return [of_cases]
    held, counted = held_events.c.partner, case_facts.c.partner
    facts = select(counted)
    if not scope.sealed:
        facts = facts.where(case_facts.c.cutoff_at <= func.now(), not_(is_sealed_fact()))
    return [of_cases, (held, select(held).where(visible_held(scope))), (counted, facts)]


def _told(known: Sequence[str]) -> str:
    if not known:
        return "there is none yet"
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    return f"there {'is' if len(known) == 1 else 'are'} {', '.join(known[:MOST_NAMED])}{more}"
