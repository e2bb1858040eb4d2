"""What each line of a sheet of leavers would do: for the command line and the console alike."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol
from zoneinfo import ZoneInfo

from lockstep.control.cases.desk import Desk
from lockstep.control.intake.events import EventError, TerminationEvent
from lockstep.control.intake.places import Places
from lockstep.control.intake.reporting import event_of
from lockstep.control.intake.whose_case import Found, WhoseCase
from lockstep.control.people.pairs import Pairs
from lockstep.control.refusals import RefusedError
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.cases.terminations import Termination, TerminationKind
from lockstep.domain.intake.brakes import BrakeRule, Channel, Flow
from lockstep.domain.intake.judging import Verdict
from lockstep.domain.intake.numbering import LOCAL_SOURCE
from lockstep.domain.intake.remit import EVERYBODY, Remit
from lockstep.domain.intake.sheets import SheetLine
from lockstep.domain.rights import CLI_USER
from lockstep.storage.intake.brakes import Brakes

_AT_ONCE = 50
"""Lines that are read in one go."""


class Becomes(StrEnum):
    """What a line would do, or has done. The counts of all of them add up to the lines."""

    OPENED = "opened"
    AMENDED = "amended"
    UNCHANGED = "unchanged"
    """It says what is known already."""
    SUPERSEDED = "superseded"
    """A later revision is known: it changes nothing."""
    RECORDED = "recorded"
    """It comes too late to change anything, and stands in the ledger."""
    HELD = "held"
    """By the brake, until an approver decides."""
    REFUSED = "refused"
    WAITING = "waiting"
    """Stored, and not yet carried out."""
    EMPTY = "empty"
    """Nothing stands in the line."""

    @property
    def is_taken(self) -> bool:
        """Whether what the line says is in force, or will be without anybody's doing."""
        return self not in {Becomes.HELD, Becomes.REFUSED, Becomes.SUPERSEDED, Becomes.RECORDED}


_VERDICTS: Mapping[Verdict, Becomes] = {
    Verdict.OPEN: Becomes.OPENED,
    Verdict.TOMBSTONE: Becomes.RECORDED,
    Verdict.AMEND: Becomes.AMENDED,
    Verdict.DUPLICATE: Becomes.UNCHANGED,
    Verdict.OUTDATED: Becomes.SUPERSEDED,
    Verdict.RESCIND: Becomes.AMENDED,
    Verdict.REHIRED: Becomes.AMENDED,
    Verdict.TOO_LATE: Becomes.RECORDED,
}


def became(state: str, verdict: str) -> Becomes:
    """What an event of the inbox has done, by its state and verdict there."""
    match state:
        case "held":
            return Becomes.HELD
        case "refused":
            return Becomes.REFUSED
        case "done":
            return _VERDICTS.get(Verdict(verdict), Becomes.REFUSED)
        case _:
            return Becomes.WAITING


@dataclass(frozen=True, slots=True)
class LeaverLine:
    """One line, checked against what is known now.

    Args:
        number: of the line in its file; 0 for one person.
        source: whose number it is, as named.
        found: what it is about; None where it cannot be used.
        becomes: what it would do, the brake's word included.
        is_of_file: no leaver, but what is wrong with the file as a whole.
    """

    number: int
    worker_id: str = field(default="", repr=False)
    name: str = field(default="", repr=False)
    partner: str = ""
    event: TerminationEvent | None = field(default=None, repr=False)
    cutoff: datetime | None = None
    source: str = ""
    found: Found | None = None
    problems: tuple[str, ...] = ()
    becomes: Becomes = Becomes.REFUSED
    is_of_file: bool = False

    @property
    def local_cutoff(self) -> datetime | None:
        """The cutoff as a clock at the leaver's place shows it."""
        if self.cutoff is None or self.event is None:
            return None
        return self.cutoff.astimezone(ZoneInfo(self.event.dates.zone))


@dataclass(frozen=True, slots=True)
class Seen:
    """What a line is about and would do, as far as whoever looks may know.

    Args:
        why: why it would not be carried out; "" where it would.
        revision: by which it is to be said; None as it stands in the line.
    """

    found: Found
    why: str = ""
    revision: int | None = None


class Sight(Protocol):
    """Who looks: whom they may report, and what they may be told of cases."""

    @property
    def sealed(self) -> bool:
        """Whether coming cases tell whose number a worker's is."""
        ...

    @property
    def remit(self) -> Remit:
        """For whose people they speak."""
        ...

    @property
    def reporter(self) -> str:
        """With whose reports theirs are counted, by id."""
        ...

    async def barred(self, said: Sequence[Termination]) -> list[str]:
        """Why each may not be reported; "" where it may."""
        ...

    async def seen(
        self, asked: Sequence[tuple[Termination, datetime]], whose: WhoseCase
    ) -> list[Seen]:
        """What each would do."""
        ...

    def flow(self, flow: Flow) -> Flow:
        """What they may know of what was reported within the hour."""
        ...


class _Everything:
    """For whoever holds the keyring itself: the command line."""

    sealed = True
    remit = EVERYBODY

    @property
    def reporter(self) -> str:
        return CLI_USER

    async def barred(self, said: Sequence[Termination]) -> list[str]:
        return [""] * len(said)

    async def seen(
        self, asked: Sequence[tuple[Termination, datetime]], whose: WhoseCase
    ) -> list[Seen]:
        return [Seen(one, _told_with_case(one)) for one in await whose.find(asked)]

    def flow(self, flow: Flow) -> Flow:
        return flow


EVERYTHING: Sight = _Everything()


class LeaverLines:
    """Checks lines; changes nothing."""

    def __init__(
        self,
        desk: Desk,
        whose: WhoseCase,
        brakes: Brakes,
        rule: BrakeRule,
        places: Places | None = None,
        *,
        pairs: Pairs | None = None,
    ) -> None:
        self._places = places or Places()
        self._pairs = pairs or Pairs()
        self._desk = desk
        self._whose = whose
        self._brakes = brakes
        self._rule = rule

    async def look(
        self, lines: Sequence[SheetLine], *, source: str = "", sight: Sight = EVERYTHING
    ) -> list[LeaverLine]:
        """What each line would do, in order.

        Args:
            lines: as `read_sheet` gives them.
            source: whose number it is where a line does not say.
            sight: who looks.
        """
        read = []
        for place, line in enumerate(lines):
            if place % _AT_ONCE == 0:  # whoever else is served by this process goes on
                await asyncio.sleep(0)
            read.append(self._read(line, source))
        read = await self._allowed(await self._placed(read, sight), sight)
        return await self._forecast(await self._found(read, sight), sight)

    def _read(self, line: SheetLine, source: str) -> LeaverLine:
        cells = line.cells
        plain = LeaverLine(
            line.number,
            worker_id=cells.get("worker_id", ""),
            name=cells.get("name", ""),
            partner=cells.get("partner", ""),
            source=(cells.get("source") or source).strip(),
            problems=line.problems,
            becomes=Becomes.EMPTY if line.is_empty else Becomes.REFUSED,
            is_of_file=line.is_of_file,
        )
        if line.is_empty or line.problems:
            return plain
        try:
            event = event_of(cells)
            cutoff = self._desk.cutoff(event)
        except EventError as error:
            return replace(plain, problems=tuple(error.problems))
        except RefusedError as error:
            return replace(plain, problems=(str(error),))
        return replace(
            plain,
            worker_id=event.worker.id,
            name=event.worker.name,
            partner=event.partner,
            event=event,
            cutoff=cutoff,
        )

    async def _placed(self, lines: Sequence[LeaverLine], sight: Sight) -> list[LeaverLine]:
        """The lines, with a problem where a partner or site is none."""
        named = [(line.event.partner, line.event.site) for line in lines if line.event]
        whys = iter(await self._places.why_not(named, sight.remit))
        return [
            _refused(line, *why) if line.event is not None and (why := next(whys)) else line
            for line in lines
        ]

    async def _allowed(self, lines: Sequence[LeaverLine], sight: Sight) -> list[LeaverLine]:
        """The lines, with a problem where whoever looks may not report this person."""
        whys = iter(
            await sight.barred([self._desk.said(line.event) for line in lines if line.event])
        )
        return [
            _refused(line, why) if line.event is not None and (why := next(whys)) else line
            for line in lines
        ]

    async def _found(self, lines: Sequence[LeaverLine], sight: Sight) -> list[LeaverLine]:
        """The lines with what each is about; one that would not be carried out gets a problem."""
        said = [
            (self._desk.said(line.event), line.cutoff, line.source)
            for line in lines
            if line.event is not None and line.cutoff is not None
        ]
        numbered = await self._whose.number_all(
            [(one, named) for one, _, named in said], sealed=sight.sealed
        )
        sure = [
            (one, cutoff)
            for one, (_, cutoff, _) in zip(numbered, said, strict=True)
            if not isinstance(one, EventError)
        ]
        seen = iter(await sight.seen(sure, self._whose))
        whose = iter(numbered)
        lines = [
            line if line.event is None else _as_seen(line, next(whose), seen) for line in lines
        ]
        return [_refused(line, _BY_TWO) if self._prolongs(line) else line for line in lines]

    def _prolongs(self, line: LeaverLine) -> bool:
        """Whether it would have access last longer whose end nobody delays alone."""
        found, event, cutoff = line.found, line.event, line.cutoff
        if found is None or found.case is None or event is None or cutoff is None:
            return False
        case = found.case
        return found.verdict is Verdict.AMEND and self._pairs.need_second_to_restate(
            case.kind, case.cutoff_at, to=cutoff, said=event.kind.value
        )

    async def _forecast(self, lines: Sequence[LeaverLine], sight: Sight) -> list[LeaverLine]:
        """The lines with what the brake would hold, if all were sent now."""
        counted = [number for number, line in enumerate(lines) if _is_braked(line)]
        if self._rule.is_off or not counted:
            return list(lines)
        channel = Channel(LOCAL_SOURCE, sight.reporter)
        flows = await self._brakes.flows([channel], now=datetime.now(UTC))
        flow = sight.flow(flows[channel])
        flow.is_local = True
        forecast = list(lines)
        for number in sorted(counted, key=lambda each: _kind(lines[each]).priority):
            if flow.admit(_kind(lines[number]), self._rule) is not None:
                forecast[number] = replace(lines[number], becomes=Becomes.HELD)
        return forecast


def _refused(line: LeaverLine, *problems: str) -> LeaverLine:
    """It cannot be sent, whatever it says."""
    return replace(line, problems=problems, event=None, becomes=Becomes.REFUSED)


_BY_TWO = (
    "this would prolong access that nobody prolongs alone: move the dates at the case, where"
    " somebody else is asked"
)


def _as_seen(line: LeaverLine, whose: Termination | EventError, seen: Iterator[Seen]) -> LeaverLine:
    if isinstance(whose, EventError):
        return replace(line, problems=tuple(whose.problems))
    one = next(seen)
    if one.why:
        return replace(line, problems=(one.why,), found=one.found)
    event = line.event
    if event is not None and one.revision is not None:
        event = event.model_copy(update={"revision": one.revision})
    return replace(line, event=event, found=one.found, becomes=_VERDICTS[one.found.verdict])


def _told_with_case(found: Found) -> str:
    """Why it is not carried out, and which case is in its way."""
    about = f" (case {found.case.case_id}, {found.case.status})" if found.case else ""
    return found.refusal and found.refusal + about


def _kind(line: LeaverLine) -> TerminationKind:
    return line.event.kind if line.event else TerminationKind.VOLUNTARY


def _is_braked(line: LeaverLine) -> bool:
    """Whether it opens a case, or makes a dismissal of one that lies ahead."""
    if line.becomes is Becomes.OPENED:
        return True
    case = line.found.case if line.found else None
    return (
        line.becomes is Becomes.AMENDED
        and case is not None
        and case.status == CaseStatus.SCHEDULED
        and case.kind != TerminationKind.INVOLUNTARY
        and _kind(line) is TerminationKind.INVOLUNTARY
    )
