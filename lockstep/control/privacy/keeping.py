"""What people and the clock do with personal data: show, hold, release, erase, retain."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from lockstep.control.cases.desk import Desk, Person
from lockstep.control.refusals import RefusedError
from lockstep.evidence.format.canonical import instant_text
from lockstep.storage.cases.spells import Kept, Obstacle, Spell
from lockstep.storage.keys.subjects import Subject, SubjectErasedError
from lockstep.storage.privacy.erasure import PAGE, Cause, Erased, Erasure, Ground, Inventory
from lockstep.storage.privacy.holds import Hold
from lockstep.storage.stores import Stores

log = structlog.get_logger("lockstep.privacy")

DAILY = timedelta(hours=24)
AGAIN = timedelta(hours=1)
"""How soon a run of retention that failed is tried again."""

REFERENCE = re.compile(r"[A-Za-z0-9._-]{1,40}")
"""A ticket's number: it stands in the ledger for ever, so that it must not hold a sentence."""


@dataclass(frozen=True, slots=True)
class Whom:
    """A person: by case, by subject id, or by HR's worker id. One of both is given.

    A case or a subject means that one spell; a worker id means all spells of the person. Where
    several sources know that number, ``source`` says whose it is.
    """

    target: str = ""
    worker_id: str = field(default="", repr=False)
    source: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored of a person.

    Args:
        spells: those that were asked for; ``others`` counts the person's further ones.
        subjects: the personal data by subject id; an erased one is not among them.
        kept: what keeps the data from being erased now; None if nothing does.
    """

    spells: tuple[Spell, ...]
    others: int
    subjects: dict[UUID, Subject] = field(repr=False)
    holds: tuple[Hold, ...]
    inventory: Inventory
    kept: Kept | None


class Privacy:
    """Use cases of whoever answers for personal data. ``packs``: the folder of exported packs."""

    def __init__(self, stores: Stores, *, desk: Desk, packs: Path) -> None:
        self._ring = stores.ring
        self._tenant = stores.tenant
        self._desk = desk
        self._packs = packs
        self._holds = stores.holds
        self._erasure = stores.erasure

    async def erase(self, whom: Whom, *, reference: str, actor: str) -> tuple[Erased, list[str]]:
        """Erase a person for good; return what was done, and the files of packs that were deleted.

        Whoever is erased already is not erased again, and that is no error.

        Raises:
            RefusedError: nobody of that name, no fit reference, or something keeps the data.
        """
        _require_number(reference)
        wanted, _ = await self._find(whom)
        done = await self._erasure.erase(wanted, Cause(Ground.REQUEST, actor, reference))
        if done.kept:
            raise RefusedError(_why(done.kept[0]))
        for spell in done.spells:
            log.info("subject_erased", case_id=spell.case_id)
        return done, await delete_packs(self._erasure, self._packs)

    async def erasable(self, whom: Whom, *, reference: str) -> Stored:
        """Whom `erase` would erase; changes nothing, and raises what that would."""
        _require_number(reference)
        stored = await self.show(whom)
        if stored.kept is not None:
            raise RefusedError(_why(stored.kept))
        return stored

    async def show(self, whom: Whom) -> Stored:
        """Everything that is stored of a person; raises `RefusedError` if nothing ever was."""
        spells, others = await self._find(whom)
        ids = {spell.subject_id for spell in spells if spell.erased_at is None}
        _, kept = await self._erasure.standing(spells)
        return Stored(
            spells=tuple(spells),
            others=others,
            subjects=await self._erasure.people(sorted(ids)),
            holds=tuple(await self._holds.of([spell.case_id for spell in spells])),
            inventory=await self._erasure.inventory(spells),
            kept=next(iter(kept), None),
        )

    async def hold(self, case_id: str, person: Person) -> str:
        """Keep the personal data of a case's leaver until released; return the hold's id.

        Raises:
            RefusedError: without a reason, without such a case, or if nothing is left to keep.
        """
        _require_reason(person)
        case = (await self._desk.find(case_id)).case
        try:
            return await self._holds.place(case.case_id, actor=person.actor, reason=person.reason)
        except SubjectErasedError:
            raise RefusedError(f"case {case.case_id}: its data were erased before") from None

    async def release(self, case_id: str, person: Person, *, hold_id: str = "") -> str:
        """End a hold, the only one that stands if none is named; return its id.

        Raises:
            RefusedError: without a reason, or if it is not clear which hold is meant.
        """
        _require_reason(person)
        case = (await self._desk.find(case_id)).case
        standing = [
            hold.hold_id
            for hold in await self._holds.of([case.case_id])
            if hold.released_at is None and hold_id in {"", hold.hold_id}
        ]
        if not standing:
            raise RefusedError(f"no such legal hold stands on case {case.case_id}")
        if len(standing) > 1:
            raise RefusedError(f"several holds stand: name one with --hold: {', '.join(standing)}")
        await self._holds.release(
            case.case_id, standing[0], actor=person.actor, reason=person.reason
        )
        return standing[0]

    async def _find(self, whom: Whom) -> tuple[list[Spell], int]:
        """The spells that are meant, and how many others the same person has."""
        if bool(whom.target) == bool(whom.worker_id):
            raise RefusedError("give a case, a subject, or --worker-id")
        if whom.worker_id:
            index = self._ring.blind_index("worker", self._tenant, whom.worker_id)
            spells = await self._erasure.spells_of(worker_index=index)
            if whom.source:
                spells = [spell for spell in spells if spell.numbered_by == whom.source]
            if not spells:
                raise RefusedError("no case was ever opened for this worker id")
            if names := sorted({spell.numbered_by for spell in spells})[1:]:
                first = min(spell.numbered_by for spell in spells)
                raise RefusedError(
                    "each source numbers its own people, and several know this number: say whose"
                    f" it is with --source: {', '.join([first, *names])}"
                )
            return spells, 0
        subject_id = _uuid(whom.target)
        if subject_id is None:
            subject_id = (await self._desk.find(whom.target)).case.subject_id
        spells = await self._erasure.spells_of(subject_id=subject_id)
        if not spells:
            raise RefusedError(f"there is no subject {subject_id}")
        meant = [spell for spell in spells if spell.subject_id == subject_id]
        return meant, len(spells) - len(meant)


@dataclass(frozen=True, slots=True)
class Tally:
    """What one run of retention did; ``kept`` counts people by what keeps their data."""

    erased: int
    events: int
    packs: int
    kept: Counter[Obstacle]


class Retention:
    """Erases whoever has been kept for ``keep`` after their case ended; any number may run."""

    def __init__(self, erasure: Erasure, *, keep: timedelta, packs: Path) -> None:
        self._erasure = erasure
        self._keep = keep
        self._packs = packs

    async def run(self) -> None:
        """Run daily until cancelled; a run that fails is logged and tried again."""
        while True:
            pause = DAILY
            try:
                await self.once()
            except (SQLAlchemyError, OSError) as error:
                log.warning("retention_failed", error=type(error).__name__)
                pause = AGAIN
            except Exception:  # the worker goes on without it, and says so
                log.exception("retention_failed")
            await asyncio.sleep(pause.total_seconds())

    async def once(self) -> Tally:
        """Erase everybody who is due, a page of people in each transaction."""
        before = datetime.now(UTC) - self._keep
        erased = 0
        events = 0
        kept: dict[object, Obstacle] = {}  # by person: two spells may stand on two pages
        async for page in self._pages(before):
            done = await self._erasure.erase(page, Cause(Ground.RETENTION))
            erased += len(done.spells)
            events += done.events
            kept.update((row.spell.person, row.obstacle) for row in done.kept)
        events += await self._erasure.sweep(before)
        packs = len(await delete_packs(self._erasure, self._packs))
        log.info("retention_done", count=erased)
        counted = Counter(kept.values())
        for obstacle, count in counted.items():
            log.info("retention_kept", status=obstacle.value, count=count)
        return Tally(erased, events, packs, counted)

    async def due(self) -> AsyncIterator[tuple[list[Spell], list[Kept]]]:
        """What `once` would erase, and what it would have to keep, page by page."""
        async for page in self._pages(datetime.now(UTC) - self._keep):
            yield await self._erasure.standing(page)

    async def _pages(self, before: datetime) -> AsyncIterator[Sequence[Spell]]:
        after = ""
        while page := await self._erasure.due(before, after=after, limit=PAGE):
            yield page
            after = page[-1].case_id


async def delete_packs(erasure: Erasure, folder: Path) -> list[str]:
    """Delete the files of withdrawn packs that lie in ``folder``; return their names.

    After the transaction that withdrew them: a process that dies between leaves them on record,
    and the next run, on the machine that holds them, deletes them.
    """
    condemned = await erasure.condemned()
    gone = await asyncio.to_thread(_unlink, folder, [name for _, name in condemned])
    if gone:
        await erasure.deleted([export_id for export_id, name in condemned if name in gone])
    return sorted(gone)


def _unlink(folder: Path, names: Sequence[str]) -> set[str]:
    gone = set()
    for name in names:
        place = folder / name
        if Path(name).name == name and place.is_file():  # never outside the folder
            place.unlink()
            gone.add(name)
    return gone


def _why(kept: Kept) -> str:
    case_id = kept.spell.case_id
    match kept.obstacle:
        case Obstacle.HELD:
            return (
                f"a legal hold stands on case {case_id}: it must be released first "
                f"(`lockstep subject release {case_id}`)"
            )
        case Obstacle.OPEN:
            return (
                f"case {case_id} is {kept.spell.status}: its person's data are needed until it has "
                "closed and its watch is over"
            )
        case Obstacle.AT_WORK:
            return (
                f"case {case_id} is closed, but a system that is not required is still open: see "
                f"`lockstep case show {case_id}`, then retry or attest it"
            )
        case Obstacle.WATCHED if not kept.spell.is_watched:
            until = instant_text(kept.spell.ended_at) if kept.spell.ended_at else "later"
            return (
                f"the watch of case {case_id} was ended, but a look that had begun may still be "
                f"under way until {until}: erase the data after that"
            )
        case Obstacle.WATCHED:
            until = instant_text(kept.spell.ended_at) if kept.spell.ended_at else "later"
            return (
                f"case {case_id} is watched until {until}: access that returns could not be "
                "found and revoked without the data; erase them after that"
            )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _require_number(reference: str) -> None:
    if not REFERENCE.fullmatch(reference):
        raise RefusedError(
            "give the number of the request, 40 characters of A-Z, a-z, 0-9, . _ and -: it "
            "stands in the ledger for ever, so it must not say more than a number"
        )


def _require_reason(person: Person) -> None:
    if not person.reason.strip():
        raise RefusedError("give a reason: it is kept with the hold")
