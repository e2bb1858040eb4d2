"""What the inbox's events say: read, judged, kept before the brake, and carried out on known cases.

The dispatcher takes them in their turn; a case that begins takes those about its leaver at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from lockstep.control.intake.brake import Arrival, Brake
from lockstep.control.intake.events import (
    EventError,
    Statement,
    cutoff_of,
    of_unknown_systems,
    parse_statement,
    unknown_systems,
)
from lockstep.control.intake.places import Places
from lockstep.control.intake.whose_case import Found, WhoseCase
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.cases.terminations import Termination, TerminationKind
from lockstep.domain.intake.judging import Verdict
from lockstep.domain.intake.numbering import LOCAL_SOURCE, Numbering
from lockstep.domain.intake.remit import Remit
from lockstep.storage.cases.cases import Cases
from lockstep.storage.cases.rows import Opening, PinnedPolicy, Said
from lockstep.storage.intake.inbox import Disposition, Inbox, InboxEvent
from lockstep.storage.keys.keyring import KeyringError
from lockstep.storage.records import CaseRow

log = structlog.get_logger("lockstep.dispatcher")

_TOO_LATE = (
    "it adds keys after the last look at this leaver: nobody searches by them any more; report the"
    " leaver under another spell, if they may have access by these keys"
)


@dataclass(frozen=True, slots=True)
class Read:
    """An event that could be read, and the cutoff that it asks for."""

    event: InboxEvent
    termination: Termination
    cutoff: datetime
    said: Said | None
    undone: str = ""
    """What of it nobody will do, or what people have to look at, in words."""

    def done(self, case_id: str, verdict: Verdict) -> Disposition:
        """What becomes of it once it is carried out."""
        return Disposition(self.event.id, "done", case_id, verdict.value, self.undone or None)

    def opening(self, found: Found, *, tombstone: bool = False) -> Opening:
        """The case that it opens."""
        return Opening(
            found.said,
            self.event.received_at,
            self.cutoff,
            tombstone=tombstone,
            said=self.said,
            employment=found.employment,
            peers=found.peers,
            inbox_id=self.event.id,
        )


@dataclass(frozen=True, slots=True)
class Sorted:
    """``is_braked``: it opens a case or makes one a dismissal, so it counts for the brake.

    ``is_alone``: it opens one, and nothing else is known of its spell.
    """

    read: Read
    found: Found
    is_braked: bool
    is_alone: bool


class Statements:
    """Reads, judges and carries out; tells Temporal nothing."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        cases: Cases,
        policy: PinnedPolicy,
        brake: Brake,
        sources: Sequence[str] = (),
        remits: Mapping[str, Remit] | None = None,
        places: Places | None = None,
    ) -> None:
        self._places = places or Places()
        self._inbox = inbox
        self._cases = cases
        self._policy = policy.policy
        self._brake = brake
        numbering = Numbering(tuple(sources), self._policy.same_people)
        self._whose = WhoseCase(cases, inbox, numbering, remits)

    async def of(self, read: Read) -> Found:
        """What it is about, and what it does now."""
        [found] = await self._find([read])
        return found

    async def _find(self, reads: Sequence[Read]) -> list[Found]:
        """What events are about and do; none makes a partner or site that is none.

        The front doors have asked the same. What came before a list was made, or in the same moment
        as a name that looks like its own, is kept for people.
        """
        found = await self._whose.find([(read.termination, read.cutoff) for read in reads])
        naming = [place for place, one in enumerate(found) if _names_anew(one)]
        named = [(found[place].said.partner, found[place].said.site) for place in naming]
        for place, problems in zip(naming, await self._places.why_not(named), strict=True):
            if problems:
                why = "; ".join(problems)
                found[place] = replace(found[place], verdict=Verdict.UNKNOWN_PLACE, reason=why)
            else:
                self._places.take(found[place].said.partner, found[place].said.site)
        return found

    async def read(self, event: InboxEvent) -> Read | None:
        """Read one event; None where it cannot be used, which its sender hears."""
        try:
            statement = parse_statement(
                event.body, tenant=event.tenant, source=event.source, event_id=event.dedupe_key
            )
            termination = statement.termination
            if termination.source == LOCAL_SOURCE and not termination.numbered_by:
                termination = await self._whose.number(termination)
            cutoff = cutoff_of(termination, self._policy.cutoff)
            undone = self._tell_of_unknown(event, termination)
            return Read(event, termination, cutoff, _said(statement), undone)
        except (EventError, KeyringError) as error:
            await self.refuse(event, str(error))
            return None

    def _tell_of_unknown(self, event: InboxEvent, said: Termination) -> str:
        """An account of a system that is not configured is closed by nobody: people must know.

        The front doors refuse it; this one came before they did, or the system was taken out.
        """
        known = [system.system for system in self._policy.systems]
        unknown = unknown_systems(said.keys.keys, known)
        for name in unknown:
            log.error(
                "account_of_unknown_system", inbox_id=event.id, source=event.source, system=name
            )
        return of_unknown_systems(unknown) if unknown else ""

    async def refuse(self, event: InboxEvent, why: str, verdict: Verdict | None = None) -> None:
        """Keep it for people, who see it, and for its sender, who hears it when they ask."""
        log.warning("event_refused", inbox_id=event.id, source=event.source)
        said = Disposition(
            event.id, "refused", verdict=verdict.value if verdict else None, error=why[:1000]
        )
        await self._inbox.finish([said])

    async def sort(self, reads: Sequence[Read]) -> list[Sorted]:
        """What the events do, and which of them surely open a case of their own; in order."""
        found = await self._find(reads)
        seen: set[tuple[str, str, str]] = set()
        rows = []
        for read, one in zip(reads, found, strict=True):
            opens = one.verdict is Verdict.OPEN
            dismisses = (
                one.verdict is Verdict.AMEND
                and one.case is not None
                and _dismisses(one.said, one.case)
            )
            is_alone = opens and one.case is None and one.key not in seen
            notes = (one.to_look_at, _TOO_LATE if await self._comes_too_late(one) else "")
            if any(notes):
                undone = "; ".join(filter(None, (read.undone, *notes)))
                read = replace(read, undone=undone)  # noqa: PLW2901 - the same event, with a note
            rows.append(Sorted(read, one, is_braked=opens or dismisses, is_alone=is_alone))
            seen.add(one.key)
        return rows

    async def _comes_too_late(self, one: Found) -> bool:
        """Whether it brings keys of a leaver whom nobody looks for any more."""
        case = one.case
        if one.verdict is not Verdict.AMEND or case is None or case.status != CaseStatus.CLOSED:
            return False
        return await self._cases.adds_keys_too_late(case, one.said)

    async def pass_brake(self, reads: Sequence[Sorted]) -> list[Sorted]:
        """What is not held: changes of known cases, what was released, and what is not too much."""
        arrivals = [
            Arrival(
                one.read.event.id,
                one.found.said,
                one.read.cutoff,
                one.read.said.actor if one.read.said else "",
                one.read.event.reporter,
            )
            for one in reads
            if one.is_braked and one.read.event.brake_id is None
        ]
        held = await self._brake.hold(arrivals)
        return [one for one in reads if one.read.event.id not in held]

    async def carry_out(self, read: Read, found: Found, case: CaseRow) -> CaseRow:
        """Do to a known case what ``found`` says; what else it says changes nothing.

        Raises:
            StaleCaseError: if another statement came first.
        """
        said = found.said
        match found.verdict:
            case Verdict.AMEND:
                return await self._cases.amend(case, said, read.cutoff, read.said)
            case Verdict.RESCIND | Verdict.TOO_LATE:
                heard = read.event.received_at
                await self._cases.rescind(case, said, read.said, heard_at=heard)
            case Verdict.REHIRED:
                await self._cases.rehire(case, said, read.said)
            case _ if not is_sealed(case):
                log.info("event_changes_nothing", case_id=case.case_id, verdict=found.verdict.value)
        return case


def _names_anew(one: Found) -> bool:
    """Whether it opens a case, or moves a leaver to another partner or site."""
    if one.verdict is Verdict.OPEN:
        return True
    case = one.case
    if one.verdict is not Verdict.AMEND or case is None:
        return False
    partner, site = one.said.partner or case.partner, one.said.site or case.site
    return (partner, site) != (case.partner, case.site)


def _said(statement: Statement) -> Said | None:
    """Who of our own people said it, if one of them did."""
    if not statement.actor:
        return None
    return Said(statement.actor, statement.reason, statement.second)


def _dismisses(said: Termination, case: CaseRow) -> bool:
    """Whether it makes a dismissal of a leaving that still lies ahead and was none."""
    waits = case.status == CaseStatus.SCHEDULED and case.kind != TerminationKind.INVOLUNTARY
    return waits and said.kind is TerminationKind.INVOLUNTARY


def is_sealed(case: CaseRow) -> bool:
    """A coming dismissal, or one that was called off, leaves no trace in a log."""
    return case.kind == TerminationKind.INVOLUNTARY and case.begun_at is None
