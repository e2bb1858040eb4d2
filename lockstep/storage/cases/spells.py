"""Spells, as far as erasing their leaver goes: what has ended, and what keeps the data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from lockstep.contracts.policies import WATCH_PATIENCE
from lockstep.domain.cases.outcomes import CaseStatus


class Obstacle(StrEnum):
    """What keeps a person's data, most binding first."""

    HELD = "held"
    """A legal hold stands."""
    OPEN = "open"
    """A case has not come to its end."""
    AT_WORK = "at_work"
    """The case is closed, but a system that is not required is still open."""
    WATCHED = "watched"
    """Access that returns must be revoked again, and only with the keys it can be found."""


class Person(NamedTuple):
    """Whose number, and its blind index: one number of two sources is two people."""

    numbered_by: str
    worker_index: bytes


@dataclass(frozen=True, slots=True)
class Spell:
    """One case, as far as erasing its leaver goes.

    Args:
        worker_index: of the worker's number.
        numbered_by: the source whose number it is: with it, the same for all spells of one person.
        ended_at: end of the last look, or of a rescinded case; None while it is open.
        is_watched: nobody has said that they stay or work here again, which ends the watch.
        is_held: a legal hold stands.
        is_at_work: some system is neither settled nor stopped.
    """

    case_id: str
    tenant: str
    subject_id: UUID
    worker_index: bytes
    numbered_by: str
    policy: str
    partner: str
    status: str
    cutoff_at: datetime
    ended_at: datetime | None
    is_watched: bool
    is_held: bool
    is_at_work: bool
    erased_at: datetime | None

    @property
    def person(self) -> Person:
        return Person(self.numbered_by, bytes(self.worker_index))

    def obstacle(self, now: datetime) -> Obstacle | None:
        """What keeps this spell's data at ``now``, if anything does."""
        if self.erased_at is not None:
            return None
        if self.is_held:
            return Obstacle.HELD
        if self.status not in {CaseStatus.CLOSED, CaseStatus.RESCINDED} or self.ended_at is None:
            return Obstacle.OPEN
        if self.is_at_work:
            return Obstacle.AT_WORK
        return Obstacle.WATCHED if self.ended_at > now else None


@dataclass(frozen=True, slots=True)
class Kept:
    """A case that keeps a person's data."""

    spell: Spell
    obstacle: Obstacle


_SPELL = """
    select c.case_id, c.tenant, c.subject_id, c.worker_index, c.numbered_by, c.policy, c.partner,
           c.status, c.cutoff_at, s.erased_at,
           case c.status
             when 'closed' then
               case when c.unwatched_at is null then c.closed_at + watch.longest
                    else greatest(c.closed_at, c.unwatched_at) end
               + case when watch.longest > interval '0' then cast(:patience as interval)
                      else interval '0' end
             when 'rescinded' then c.updated_at
           end as ended_at,
           c.unwatched_at is null as is_watched,
           exists (
             select from holds h where h.case_id = c.case_id and h.released_at is null
           ) as is_held,
           exists (
             select from revocations r
              where r.case_id = c.case_id and r.state not in ('settled', 'stopped')
           ) as is_at_work
      from cases c
      join subjects s on s.subject_id = c.subject_id
      join policies p on p.digest = c.policy
     cross join lateral (
       select make_interval(secs => coalesce(max(cast(delay as int)), 0)) as longest
         from jsonb_array_elements_text(p.document -> 'watch_s') as delay
     ) as watch
"""
"""A look that a vendor holds up is tried for its patience; only then is the watch over."""
_OF_PEOPLE = text(
    f"""
    {_SPELL} where (c.numbered_by, c.worker_index) in (
      select * from unnest(cast(:names as text[]), cast(:workers as bytea[]))
    ) order by c.opened_at, c.case_id
    """  # noqa: S608 - ours alone
)
_OF_NUMBER = text(
    _SPELL + " where c.worker_index = cast(:worker as bytea) order by c.opened_at, c.case_id"
)
_DUE = text(
    f"""
    select * from ({_SPELL} where s.erased_at is null) as spell
     where ended_at < :before and case_id > :after
     order by case_id limit :limit
    """  # noqa: S608 - ours alone
)


async def spells_of_people(connection: AsyncConnection, people: Iterable[Person]) -> list[Spell]:
    """All spells of these people, oldest first."""
    sought = sorted(set(people))
    values = {
        "names": [person.numbered_by for person in sought],
        "workers": [person.worker_index for person in sought],
        "patience": WATCH_PATIENCE,
    }
    return [_spell(row) for row in (await connection.execute(_OF_PEOPLE, values)).mappings()]


async def spells_of_number(connection: AsyncConnection, worker_index: bytes) -> list[Spell]:
    """All spells of everybody who has this number, whoever gave it; oldest first."""
    values = {"worker": worker_index, "patience": WATCH_PATIENCE}
    return [_spell(row) for row in (await connection.execute(_OF_NUMBER, values)).mappings()]


async def due_spells(
    connection: AsyncConnection, before: datetime, *, after: str, limit: int
) -> list[Spell]:
    """Spells that ended before ``before`` and are not erased; by case id, after ``after``."""
    values = {"before": before, "after": after, "limit": limit, "patience": WATCH_PATIENCE}
    return [_spell(row) for row in (await connection.execute(_DUE, values)).mappings()]


def _spell(row: RowMapping) -> Spell:
    return Spell(**{name: row[name] for name in Spell.__slots__})


async def judged(
    connection: AsyncConnection, wanted: Sequence[Spell]
) -> tuple[list[Spell], list[Kept]]:
    """The wanted spells as they are now: whom nothing keeps or who is erased, and the others."""
    now = datetime.now(UTC)
    case_ids = {spell.case_id for spell in wanted}
    people: dict[Person, list[Spell]] = defaultdict(list)
    for spell in await spells_of_people(connection, (spell.person for spell in wanted)):
        people[spell.person].append(spell)
    free: list[Spell] = []
    kept: list[Kept] = []
    for spells in people.values():
        asked = [spell for spell in spells if spell.case_id in case_ids]
        reasons = [Kept(row, why) for row in spells if (why := row.obstacle(now)) is not None]
        if reasons and any(spell.erased_at is None for spell in asked):
            kept.append(min(reasons, key=lambda row: list(Obstacle).index(row.obstacle)))
            asked = [spell for spell in asked if spell.erased_at is not None]
        free.extend(asked)
    return free, kept
