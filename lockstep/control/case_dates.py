"""Moving the cutoff of a case, calling it off, and giving it to somebody."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from lockstep.control.casework import (
    LONGEST_TEXT,
    CaseDesk,
    ConflictError,
    Done,
    named,
    text_of,
    writable,
)
from lockstep.control.desk import Person, RefusedError, new_event_id
from lockstep.control.events import Dates, EventError, TerminationEvent
from lockstep.control.reporting import make_dates
from lockstep.domain.outcomes import CaseStatus
from lockstep.domain.rights import Principal
from lockstep.storage.case_acts import ActKind, ActState, NewAct
from lockstep.storage.case_file import CaseFile


class CaseDates:
    """Acts on a case as a whole."""

    def __init__(self, desk: CaseDesk) -> None:
        self._desk = desk

    async def reschedule(
        self, me: Principal, case_id: str, dates: Dates, *, reason: str, seen: str = ""
    ) -> Done:
        """Move the cutoff of a case that has not begun."""
        person = Person(named(me), text_of(reason))
        found = await self._waiting(me, case_id, seen)
        try:
            event = await self._desk.desk.within(me.scope).amendment(case_id, dates)
        except EventError as error:
            raise RefusedError(str(error)) from None
        return await self._report(me, found, ActKind.RESCHEDULE, person, event)

    async def rescind(self, me: Principal, case_id: str, *, reason: str, seen: str = "") -> Done:
        """Stop a case that has not begun. Afterwards nothing is ever re-enabled by us."""
        person = Person(named(me), text_of(reason))
        found = await self._waiting(me, case_id, seen)
        event = await self._desk.desk.within(me.scope).rescission(case_id)
        return await self._report(me, found, ActKind.RESCIND, person, event)

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
        if found.view.case.status != CaseStatus.SCHEDULED:
            raise ConflictError(
                f"the case is {found.view.case.status}: dates move, and cases stop, only before "
                "the cutoff; nothing is ever re-enabled here"
            )
        if seen and seen != dates_seen(found):
            raise ConflictError("the dates have changed since you looked at them: look again")
        return found

    async def _report(
        self,
        me: Principal,
        found: CaseFile,
        kind: ActKind,
        person: Person,
        event: TerminationEvent,
    ) -> Done:
        """First the act, then the event: of two people at once, one event."""
        case_id = found.view.case.case_id
        event_id = new_event_id()
        document: dict[str, object] = {
            "name": me.name,
            "reason": person.reason,
            "event": event_id,
        }
        if kind is ActKind.RESCHEDULE:
            document["cutoff"] = self._desk.desk.cutoff(event).isoformat()
        act = NewAct(
            case_id,
            "",
            kind,
            me.user_id,
            document,
            token=me.token,
            slot=f"{case_id}:dates:{dates_seen(found)}",
            state=ActState.SENT,
        )
        taken = await self._desk.take(act, found)
        await self._desk.desk.report_as(event_id, event, person)
        await self._desk.acts.done(taken.act_id)
        return Done(taken.act_id)

    async def _who_took(self, found: CaseFile) -> str:
        for act in found.acts:
            if act.kind == ActKind.ASSIGN:
                name = act.document.get("name") or act.user_id
                to = act.document.get("to") or "somebody"
                return f"{name} gave the case to {to} meanwhile: look again"
        return "the case was given to somebody meanwhile: look again"


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
            moment = moment.replace(tzinfo=ZoneInfo(zone))
    except (ValueError, OSError, LookupError):
        raise RefusedError("a date is 2026-11-30, a moment 2026-11-30T18:00") from None
    return make_dates(
        zone=zone, last_day=day, access_ends_at=moment.isoformat() if moment else None
    )
