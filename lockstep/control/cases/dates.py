"""Moving the cutoff of a case, calling it off, and giving it to somebody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from lockstep.control.cases.asking import Asked, Wish, ask
from lockstep.control.cases.casework import (
    LONGEST_TEXT,
    CaseDesk,
    Done,
    living,
    named,
    text_of,
    writable,
)
from lockstep.control.cases.desk import Correction, Person, new_event_id
from lockstep.control.intake.events import Dates, EventError, TerminationEvent
from lockstep.control.intake.reporting import make_dates
from lockstep.control.people.pairs import Pairs
from lockstep.control.refusals import ConflictError, RefusedError
from lockstep.domain.cases.cutoff import CutoffError, zone_named
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.rights import Principal
from lockstep.storage.board.file import CaseFile
from lockstep.storage.cases.acts import ActKind, ActRow, ActState, NewAct
from lockstep.storage.records import CaseRow

OF_DATES = frozenset({ActKind.RESCHEDULE, ActKind.RESCIND, ActKind.REHIRE})
"""What is about a case as a whole, and reaches it as an event."""


@dataclass(frozen=True, slots=True)
class Move:
    """A change of a case's dates, ready to be sent.

    Args:
        slot: what of two people who change them at once only one can take.
        cutoff: the case's, once it is carried out.
        numbered_by: the source whose number the leaver's is.
    """

    case_id: str
    kind: ActKind
    slot: str
    person: Person
    event: TerminationEvent = field(repr=False)
    cutoff: datetime
    numbered_by: str
    event_id: str = field(default_factory=new_event_id)

    def act(self, me: Principal, **more: str) -> NewAct:
        """How it is recorded. ``more``: why, and what was agreed to."""
        document: dict[str, object] = {"name": me.name, "event": self.event_id, **more}
        if self.kind is ActKind.RESCHEDULE:
            document["cutoff"] = self.cutoff.isoformat()
        return NewAct(
            self.case_id,
            "",
            self.kind,
            me.user_id,
            document,
            token=me.token,
            slot=self.slot,
            state=ActState.SENT,
        )


class CaseDates:
    """Acts on a case as a whole."""

    def __init__(self, desk: CaseDesk) -> None:
        self._desk = desk

    async def reschedule(
        self, me: Principal, case_id: str, dates: Dates, *, reason: str, seen: str = ""
    ) -> Done | Asked:
        """Move the cutoff of a case that has not begun; to later, maybe when somebody agrees."""
        person = Person(named(me), text_of(reason), user_id=me.user_id)
        found = await self._waiting(me, case_id, seen)
        move = await self._move(me, found, ActKind.RESCHEDULE, person, dates)
        case, pairs = found.view.case, self._desk.pairs
        if pairs.need_second_to_move(case.kind, case.cutoff_at, move.cutoff):
            more = {"dates": dates.model_dump(mode="json"), "cutoff": move.cutoff.isoformat()}
            return await self._ask(me, found, ActKind.RESCHEDULE, person, more)
        return await self._report(me, found, move)

    async def rescind(
        self, me: Principal, case_id: str, *, reason: str, seen: str = ""
    ) -> Done | Asked:
        """Stop a case that has not begun, maybe when somebody agrees.

        Afterwards nothing is ever re-enabled by us.
        """
        person = Person(named(me), text_of(reason), user_id=me.user_id)
        found = await self._waiting(me, case_id, seen)
        if self._desk.pairs.need_second_to_prolong(found.view.case.kind):
            return await self._ask(me, found, ActKind.RESCIND, person, {})
        return await self._report(me, found, await self._move(me, found, ActKind.RESCIND, person))

    async def rehire(
        self,
        me: Principal,
        case_id: str,
        *,
        reason: str,
        hired_on: date | None = None,
        seen: str = "",
    ) -> Done | Asked:
        """Say that they work here again, maybe when somebody agrees: the watch ends.

        From then on access that people give them is not taken again in the name of this case.
        """
        person = Person(named(me), text_of(reason), user_id=me.user_id)
        found = await self._desk.find(me, case_id)
        living(found)
        if seen and seen != dates_seen(found):
            raise ConflictError("the case has changed since you looked at it: look again")
        move = await self._rehiring(me, found, person, hired_on)
        if self._desk.pairs.need_second_to_prolong(found.view.case.kind):
            more = {"hired_on": hired_on.isoformat() if hired_on else ""}
            return await self._ask(me, found, ActKind.REHIRE, person, more)
        return await self._report(me, found, move)

    async def correct(
        self, me: Principal, case_id: str, more: Correction, *, reason: str, seen: str = ""
    ) -> Done:
        """Add keys of the leaver, or correct kind, partner or site of the case."""
        person = Person(named(me), text_of(reason), user_id=me.user_id)
        found = await self._desk.find(me, case_id)
        living(found)
        if seen and seen != dates_seen(found):
            raise ConflictError("the case has changed since you looked at it: look again")
        case = found.view.case
        refuse_to_soften(self._desk.pairs, case, more)
        if more.partner and me.partners is not None and more.partner not in me.partners:
            raise RefusedError("you do not know of this partner's cases: ask somebody who does")
        desk = self._desk.desk.within(me.scope)
        try:
            event = await desk.correction(case_id, more)
            cutoff = desk.cutoff(event)
        except EventError as error:
            raise RefusedError(str(error)) from None
        slot = f"{case.case_id}:dates:{dates_seen(found)}"
        move = Move(case_id, ActKind.CORRECT, slot, person, event, cutoff, case.numbered_by)
        taken = await self._desk.take(move.act(me, reason=reason.strip(), what=more.told), found)
        return await self.send(move, taken)

    async def agreed(
        self,
        me: Principal,
        found: CaseFile,
        kind: ActKind,
        person: Person,
        asked: Mapping[str, Any],
    ) -> Move:
        """What a second person has agreed to, if it is still what was asked for.

        Raises:
            ConflictError: if the case has begun, or its dates have changed since.
        """
        if kind is not ActKind.REHIRE:
            _require_waiting(found)
        if dates_seen(found) != asked["seen"]:
            raise ConflictError(
                "the case has changed since this was asked for: it must be asked anew"
            )
        if kind is ActKind.REHIRE:
            hired_on = asked.get("hired_on")
            return await self._rehiring(
                me, found, person, date.fromisoformat(hired_on) if hired_on else None
            )
        dates = Dates.model_validate(asked["dates"]) if "dates" in asked else None
        return await self._move(me, found, kind, person, dates)

    async def send(self, move: Move, act: ActRow) -> Done:
        """Bring what an act has decided to the inbox, where HR's own statements come in."""
        await self._desk.desk.report_as(
            move.event_id,
            move.event,
            move.person,
            numbered_by=move.numbered_by,
            case_id=move.case_id,
        )
        await self._desk.acts.done(act.act_id)
        return Done(act.act_id)

    async def assign(
        self, me: Principal, case_id: str, user_id: str, *, reason: str = "", seen: str = ""
    ) -> Done:
        """Give a case to somebody who may act on it; to oneself, it is taken.

        Raises:
            RefusedError: for somebody who may not act on this case.
        """
        found = await self._desk.find(me, case_id)
        if seen and seen != assigned_at(found):
            raise ConflictError(await self._who_took(found))
        partner = found.view.case.partner
        people = {one.user_id: one for one in await self._desk.colleagues(partner)}
        chosen = people.get(user_id)
        if chosen is None or not await self._desk.sight.among([case_id], chosen.scope):
            raise RefusedError("whom you chose cannot act on this case")
        document = {
            "name": me.name,
            "to": chosen.name,
            "reason": writable(reason).strip()[:LONGEST_TEXT],
        }
        act = NewAct(
            case_id,
            "",
            ActKind.ASSIGN,
            me.user_id,
            document,
            token=me.token,
            slot=f"{case_id}:assign:{assigned_at(found)}",
        )
        return Done((await self._desk.take(act, found, give_to=user_id)).act_id)

    async def _waiting(self, me: Principal, case_id: str, seen: str) -> CaseFile:
        found = await self._desk.find(me, case_id)
        _require_waiting(found)
        if seen and seen != dates_seen(found):
            raise ConflictError("the dates have changed since you looked at them: look again")
        return found

    async def _ask(
        self,
        me: Principal,
        found: CaseFile,
        kind: ActKind,
        person: Person,
        more: Mapping[str, object],
    ) -> Asked:
        wish = Wish(kind, person.reason, more={**more, "seen": dates_seen(found)})
        return await ask(self._desk, me, found, wish)

    async def _move(
        self,
        me: Principal,
        found: CaseFile,
        kind: ActKind,
        person: Person,
        dates: Dates | None = None,
    ) -> Move:
        case = found.view.case
        desk = self._desk.desk.within(me.scope)
        try:
            if dates is None:
                event = await desk.rescission(case.case_id)
            else:
                event = await desk.amendment(case.case_id, dates)
            cutoff = desk.cutoff(event)
        except EventError as error:
            raise RefusedError(str(error)) from None
        slot = f"{case.case_id}:dates:{dates_seen(found)}"
        return Move(case.case_id, kind, slot, person, event, cutoff, case.numbered_by)

    async def _rehiring(
        self, me: Principal, found: CaseFile, person: Person, hired_on: date | None
    ) -> Move:
        case = found.view.case
        desk = self._desk.desk.within(me.scope)
        try:
            event = await desk.rehiring(case.case_id, hired_on=hired_on)
        except EventError as error:
            raise RefusedError(str(error)) from None
        slot = f"{case.case_id}:dates:{dates_seen(found)}"
        return Move(
            case.case_id,
            ActKind.REHIRE,
            slot,
            person,
            event,
            cutoff=case.cutoff_at,
            numbered_by=case.numbered_by,
        )

    async def _report(self, me: Principal, found: CaseFile, move: Move) -> Done:
        """First the act, then the event: of two people at once, one event."""
        taken = await self._desk.take(move.act(me, reason=move.person.reason), found)
        return await self.send(move, taken)

    async def _who_took(self, found: CaseFile) -> str:
        for act in found.acts:
            if act.kind == ActKind.ASSIGN:
                name = act.document.get("name") or act.user_id
                to = act.document.get("to") or "somebody"
                return f"{name} gave the case to {to} meanwhile: look again"
        return "the case was given to somebody meanwhile: look again"


def refuse_to_soften(pairs: Pairs, case: CaseRow, more: Correction) -> None:
    """Nobody here makes something else of a dismissal; raises `RefusedError`.

    It would let one person prolong it afterwards. HR's own statement may say so.
    """
    if not more.kind:
        return
    if pairs.need_second_to_prolong(case.kind) and not pairs.need_second_to_prolong(more.kind):
        raise RefusedError(
            f"nobody makes {more.kind.replace('_', ' ')} of a case that is"
            f" {case.kind.replace('_', ' ')} here: whose access may be prolonged would change;"
            " HR's system may say so by an event"
        )


def _require_waiting(found: CaseFile) -> None:
    status = found.view.case.status
    if status != CaseStatus.SCHEDULED:
        raise ConflictError(
            f"the case is {status}: dates move, and cases stop, only before the cutoff; nothing is "
            "ever re-enabled here"
        )


def dates_seen(found: CaseFile) -> str:
    """What a form about the dates carries."""
    case = found.view.case
    return f"{case.revision}.{case.last_event_id}.{found.dates_moved}"


def assigned_at(found: CaseFile) -> str:
    """What a form about who has the case carries."""
    return found.assigned[1].isoformat() if found.assigned else "nobody"


def dates_of_form(*, zone: str, last_day: str = "", ends_at: str = "") -> Dates:
    """Dates as a form has them: a day, or a moment on a clock in ``zone`` (or with its offset).

    Raises:
        RefusedError: naming what cannot be read.
    """
    if not last_day and not ends_at:
        raise RefusedError("give the last working day, or the moment at which access ends")
    try:
        moment = datetime.fromisoformat(ends_at) if ends_at else None
        day = date.fromisoformat(last_day) if last_day else None
        if moment is not None and moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone_named(zone))
    except CutoffError as error:
        raise RefusedError(str(error)) from None
    except ValueError:
        raise RefusedError("a date is 2026-11-30, a moment 2026-11-30T18:00") from None
    return make_dates(
        zone=zone, last_day=day, access_ends_at=moment.isoformat() if moment else None
    )
