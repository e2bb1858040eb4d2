"""What people of HR report here: leavers, changed dates, calling off; and what became of it."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self

from lockstep.control.cases.asking import Asked
from lockstep.control.cases.casework import CaseDesk
from lockstep.control.cases.dates import CaseDates
from lockstep.control.hr.reporters import TOO_LATE, Reporters, key_prefix, may_hear
from lockstep.control.intake.events import (
    EventError,
    TerminationEvent,
    check_systems,
    cutoff_of,
    local_body,
    read_event,
    to_termination,
)
from lockstep.control.intake.places import Places
from lockstep.control.intake.reporting import event_of
from lockstep.control.intake.whose_case import Found, WhoseCase
from lockstep.control.refusals import NotAllowedError, NotThereError, RefusedError, ReusedKeyError
from lockstep.domain.cases.cutoff import CutoffRule
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.cases.terminations import TerminationAction, TerminationKind
from lockstep.domain.intake.judging import Verdict
from lockstep.domain.intake.numbering import LOCAL_SOURCE
from lockstep.domain.rights import Permission, Principal
from lockstep.storage.intake.sent_events import PAGE, SentEvent
from lockstep.storage.records import CaseRow
from lockstep.storage.stores import Stores

MOST_REASON = 500
_REUSED = "something else was sent with this before: begin again"
_ONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be reported. ``once`` makes two presses of a button one report."""

    event: TerminationEvent = field(repr=False)
    numbered_by: str
    """The source whose number the worker's id is."""
    cutoff_at: datetime
    known: str
    """Status of a case of this leaver that the asker may change instead; "" where there is none."""
    once: str


@dataclass(frozen=True, slots=True)
class Submission:
    """How a form is sent. ``once`` is `Preview.once`, or as random; ``reason`` is kept."""

    once: str
    reason: str = field(default="", repr=False)

    def check(self) -> None:
        """Refuse what is not a form of ours; raises `RefusedError`."""
        if not _ONCE.fullmatch(self.once):
            raise RefusedError("the form is not complete: begin again")
        if len(self.reason) > MOST_REASON:
            raise RefusedError(f"reason: {MOST_REASON} characters at most")


@dataclass(frozen=True, slots=True)
class Sent:
    """One event of the asker's. ``said`` is None once the leaver's data were erased."""

    row: SentEvent
    said: TerminationEvent | None = field(repr=False)
    numbered_by: str = ""

    @classmethod
    def of(cls, row: SentEvent) -> Self:
        said, numbered_by = _said(row.body)
        return cls(row, said, numbered_by)

    @property
    def is_open(self) -> bool:
        """Whether its dates may still be moved, or the leaving called off."""
        opened = self.row.verdict == Verdict.OPEN and self.said is not None
        return opened and self.row.case_status == CaseStatus.SCHEDULED

    @property
    def is_closed(self) -> bool:
        """Whether it may be said that the leaver works here again."""
        opened = self.row.verdict == Verdict.OPEN and self.said is not None
        return opened and self.row.case_status == CaseStatus.CLOSED

    @property
    def became(self) -> str:
        """What became of it, in plain words; nothing of a case that the asker did not open."""
        return _became(self)


class OwnReports:
    """The use case; every event is the same as one of `lockstep terminate`."""

    def __init__(
        self,
        stores: Stores,
        whose: WhoseCase,
        *,
        rule: CutoffRule,
        systems: Collection[str] | None = None,
        places: Places | None = None,
        desk: CaseDesk,
    ) -> None:
        self._systems = systems
        self._places = places or Places()
        self._pairs = desk.pairs
        self._dates = CaseDates(desk)
        self._inbox = stores.inbox
        self._sent = stores.sent_events
        self._whose = whose
        self._reporters = Reporters.on(stores)
        self._log = stores.log
        self._tenant = stores.tenant
        self._rule = rule

    @property
    def sources(self) -> tuple[str, ...]:
        """Whose number a worker's can be."""
        return self._whose.sources

    async def preview(self, cells: Mapping[str, object], by: Principal) -> Preview:
        """Check what was entered, and say when access would end; changes nothing.

        Raises:
            EventError: with every problem, by field.
            RefusedError: for a leaver whom ``by`` may not report.
        """
        event = event_of({**cells, "revision": "1"})
        check_systems(event, self._systems)
        cutoff = self._cutoff(event)
        await self._places.check(event.partner, event.site, by.remit)
        await self._check_whom(event, by)
        found = await self._find(event, str(cells.get("source") or ""), cutoff)
        own = await self._reporters.own([found.case] if found.case else [], by)
        if found.refusal and (own or may_hear(found, by)):
            raise RefusedError(found.refusal)
        status = ""
        if found.case is not None and own and found.verdict is not Verdict.OPEN:
            status = found.case.status
        once = secrets.token_urlsafe(16)
        return Preview(event, found.said.whose_number, cutoff, status, once)

    async def report(
        self, cells: Mapping[str, object], submission: Submission, *, by: Principal
    ) -> None:
        """Report a leaver; raises as `preview`.

        The same ``submission`` again changes nothing; to say something else with it is refused.
        """
        submission.check()
        at_once = cells.get("access_ends_at") == "now"  # another instant each time it is sent
        if await self.sent_as(submission.once, by) is not None:  # whatever has become of it
            event = event_of({**cells, "revision": "1"})
            await self._check_same(event, submission, by, dates=not at_once)
            return
        preview = await self.preview(cells, by)
        if await self._store(preview.event, submission, by, preview.numbered_by):
            self._places.take(preview.event.partner, preview.event.site)
            await self._log.acted(by.user_id, "hr.report", token=by.token)
        else:
            await self._check_same(preview.event, submission, by, dates=not at_once)

    async def sent_as(self, once: str, by: Principal) -> Sent | None:
        """What ``by`` has sent under this `Submission.once`."""
        row = await self._sent.by_key(f"{key_prefix(by)}{once}", by.scope)
        return None if row is None else Sent.of(row)

    async def newest(
        self, by: Principal, *, before: int | None = None
    ) -> tuple[list[Sent], int | None]:
        """What ``by`` has sent, the newest first, and where the next page begins."""
        rows = await self._sent.newest(key_prefix(by), by.scope, before=before)
        more = rows[PAGE - 1].id if len(rows) > PAGE else None
        return [Sent.of(row) for row in rows[:PAGE]], more

    async def one(self, by: Principal, event: int) -> Sent | None:
        """One event that ``by`` has sent."""
        row = await self._sent.one(key_prefix(by), by.scope, event)
        return None if row is None else Sent.of(row)

    async def amend(
        self, event: int, cells: Mapping[str, object], submission: Submission, *, by: Principal
    ) -> Asked | None:
        """Move the dates of a leaver whom ``by`` has reported, before the cutoff.

        A dismissal's, to later, only when somebody else agrees; so it is called off, too.

        Raises:
            EventError: with every problem, by field.
            RefusedError: if it is not theirs, or too late.
        """
        sent, said = await self._changeable(event, by)
        fresh = event_of({**_cells(said), **cells, "worker_id": said.worker.id})
        changes = {"action": TerminationAction.AMENDED, "dates": fresh.dates}
        return await self._restate(sent, said.model_copy(update=changes), submission, by)

    async def rescind(self, event: int, submission: Submission, *, by: Principal) -> Asked | None:
        """Call a leaving off, before the cutoff; raises `RefusedError`."""
        if not submission.reason.strip():
            raise RefusedError("give a reason: it is kept with the case")
        sent, said = await self._changeable(event, by)
        changes = {"action": TerminationAction.RESCINDED}
        return await self._restate(sent, said.model_copy(update=changes), submission, by)

    async def rehire(self, event: int, submission: Submission, *, by: Principal) -> Asked | None:
        """Say that a leaver whom ``by`` has reported works here again: ends the case's watch.

        Raises:
            RefusedError: if it is not theirs, the case has not closed, or is not the last.
        """
        if not submission.reason.strip():
            raise RefusedError("give a reason: it is kept with the case")
        found = await self.one(by, event)
        if found is None:
            raise RefusedError("there is no such report of yours")
        if not found.is_closed or found.said is None:
            raise RefusedError("this can be said once the case has closed; else ask operations")
        changes = {"action": TerminationAction.REHIRED, "hired_at": None}
        return await self._restate(found, found.said.model_copy(update=changes), submission, by)

    async def _changeable(self, event: int, by: Principal) -> tuple[Sent, TerminationEvent]:
        found = await self.one(by, event)
        if found is None:
            raise RefusedError("there is no such report of yours")
        if found.row.verdict == Verdict.OPEN and not found.row.case_status:
            raise RefusedError("this cannot be changed here any more: ask operations")
        if not found.is_open or found.said is None:
            raise RefusedError(TOO_LATE)
        return found, found.said

    async def _restate(
        self, sent: Sent, event: TerminationEvent, submission: Submission, by: Principal
    ) -> Asked | None:
        submission.check()
        event = event.model_copy(update={"recorded_at": datetime.now(UTC)})
        cutoff = self._cutoff(event)
        await self._check_whom(event, by)
        found = await self._find(event, sent.numbered_by, cutoff, case_id=sent.row.case_id)
        if found.case and not by.remit.covers(found.case.partner, found.case.site):
            raise RefusedError("this leaver is of another partner or site by now: ask operations")
        if event.action is TerminationAction.REHIRED:
            _check_rehiring(sent, found)
        if found.case is not None and self._prolongs(found.case, event, cutoff):
            if found.case.case_id != sent.row.case_id:
                raise RefusedError("a later report of this person has its own case: ask operations")
            return await self._ask(found.case, event, submission, by)
        if found.case is not None:  # they say dates: what HR has corrected meanwhile stays
            standing = {
                "kind": TerminationKind(found.case.kind),
                "partner": found.case.partner,
                "site": found.case.site,
            }
            event = event.model_copy(update=standing)
        about = sent.row.case_id
        if not await self._store(event, submission, by, found.said.whose_number, case_id=about):
            await self._check_same(event, submission, by, dates=True)
            return None
        act = _ACTS[event.action]
        case_id = found.case.case_id if found.case else ""
        await self._log.acted(by.user_id, act, case_id=case_id, token=by.token)
        return None

    def _prolongs(self, case: CaseRow, event: TerminationEvent, cutoff: datetime) -> bool:
        """Whether access would last longer of somebody whose access nobody prolongs alone."""
        if event.action is TerminationAction.AMENDED:
            return self._pairs.need_second_to_move(case.kind, case.cutoff_at, cutoff)
        return self._pairs.need_second_to_prolong(case.kind)

    async def _ask(
        self,
        case: CaseRow,
        event: TerminationEvent,
        submission: Submission,
        by: Principal,
    ) -> Asked:
        """Have it wait for somebody else. The case is one that they opened: it is no secret."""
        if not submission.reason.strip():
            raise RefusedError("give a reason: somebody else has to agree, and will ask")
        me = replace(by, permissions=by.permissions | {Permission.SEALED})
        reason = submission.reason
        try:
            match event.action:
                case TerminationAction.AMENDED:
                    done = await self._dates.reschedule(
                        me, case.case_id, event.dates, reason=reason
                    )
                case TerminationAction.RESCINDED:
                    done = await self._dates.rescind(me, case.case_id, reason=reason)
                case _:
                    done = await self._dates.rehire(me, case.case_id, reason=reason)
        except (NotThereError, NotAllowedError) as error:
            raise RefusedError(str(error) or "ask operations") from None
        assert isinstance(done, Asked), "by the same rules"  # noqa: S101
        return done

    async def _check_same(
        self, event: TerminationEvent, submission: Submission, by: Principal, *, dates: bool
    ) -> None:
        """Refuse what was not stored because something else was sent under its key."""
        before = await self.sent_as(submission.once, by)
        if before is None or before.said is None:  # erased meanwhile: nothing to compare
            return
        varies = {"recorded_at", "revision"} | (set() if dates else {"dates"})
        if before.said.model_dump(exclude=varies) != event.model_dump(exclude=varies):
            await self._store(event, submission, by, "", refused=_REUSED)
            raise ReusedKeyError(_REUSED)

    async def _store(
        self,
        event: TerminationEvent,
        submission: Submission,
        by: Principal,
        numbered_by: str,
        *,
        case_id: str = "",
        refused: str | None = None,
    ) -> bool:
        actor, reason = f"{by.name} ({by.user_id})", submission.reason.strip()
        key = f"{key_prefix(by)}{submission.once}"
        body = local_body(
            event, actor=actor, reason=reason, numbered_by=numbered_by, case_id=case_id
        )
        if refused:  # beside what was sent under this key before: once for each other content
            said = event.model_dump_json(exclude={"recorded_at", "dates"})
            key = self._inbox.key_beside(key, said.encode())
        return await self._inbox.store(
            tenant=self._tenant,
            source=LOCAL_SOURCE,
            dedupe_key=key,
            received_at=datetime.now(UTC),
            body=body,
            priority=event.kind.priority,
            about=(event.worker.id, event.spell),
            refused=refused,
            reporter=by.user_id,
        )

    def _cutoff(self, event: TerminationEvent) -> datetime:
        termination = to_termination(event, tenant=self._tenant, source=LOCAL_SOURCE, event_id="")
        return cutoff_of(termination, self._rule)

    async def _check_whom(self, event: TerminationEvent, by: Principal) -> None:
        """Refuse a leaver whom ``by`` may not report; raises `RefusedError`."""
        said = to_termination(event, tenant=self._tenant, source=LOCAL_SOURCE, event_id="")
        [why] = await self._reporters.why_not([said], by)
        if why:
            raise RefusedError(why)

    async def _find(
        self, event: TerminationEvent, named: str, cutoff: datetime, *, case_id: str = ""
    ) -> Found:
        """What the report is about and would do; ``named`` is the source whose worker it is."""
        said = to_termination(event, tenant=self._tenant, source=LOCAL_SOURCE, event_id="")
        said = replace(said, case_id=case_id)
        numbered = await self._whose.number(said, named, sealed=False)
        return await self._whose.of(numbered, cutoff)


_ACTS = {
    TerminationAction.AMENDED: "hr.amend",
    TerminationAction.RESCINDED: "hr.rescind",
    TerminationAction.REHIRED: "hr.rehire",
}


def _check_rehiring(sent: Sent, found: Found) -> None:
    if found.case is None or found.case.case_id != sent.row.case_id:
        raise RefusedError("a later employment has a case of its own: ask operations")
    if found.case.unwatched_at is not None:
        raise RefusedError("this is known already")
    if found.verdict.is_refusal:
        raise RefusedError(found.why)


def _said(body: bytes) -> tuple[TerminationEvent | None, str]:
    """What an event says, and of whose worker; None where it cannot be read any more."""
    if not body:
        return None, ""
    try:
        document = json.loads(body)
        return read_event(document["event"]), str(document.get("numbered_by", ""))
    except (ValueError, KeyError, TypeError, EventError):
        return None, ""


def _cells(sent: TerminationEvent) -> dict[str, Any]:
    """What identifies the leaver of an earlier event, as cells of a form."""
    return {
        "kind": sent.kind.value,
        "spell": sent.spell,
        "zone": sent.dates.zone,
        "partner": sent.partner,
        "site": sent.site,
    }


_NOT_CARRIED_OUT = (
    "Not carried out: it opened and changed nothing. Operations see it and decide: ask them."
)
_STATES = {
    "pending": "Waits to be carried out.",
    "held": "Held: unusually many leavers were reported. An approver must release it.",
}
_STATUSES = {
    CaseStatus.SCHEDULED: "Scheduled: access ends at the cutoff.",
    CaseStatus.REVOKING: "Access is being revoked.",
    CaseStatus.CLOSED: "Closed: every system that has to be is settled.",
    CaseStatus.RESCINDED: "Called off.",
}
_VERDICTS = {
    Verdict.AMEND: "The dates were moved.",
    Verdict.RESCIND: "Called off.",
    Verdict.TOO_LATE: "Too late: the cutoff had passed.",
    Verdict.REHIRED: "They work here again: nothing is taken from them any more.",
}


def _became(sent: Sent) -> str:
    row = sent.row
    if row.state == "refused" and row.verdict == Verdict.CONFLICT:
        return _NOT_CARRIED_OUT  # says nothing of a case that the asker may not know of
    if row.state == "refused":
        return f"Refused: {row.error}" if row.error else "Refused."
    if row.state in _STATES:
        return _STATES[row.state]
    if row.verdict == Verdict.OPEN and row.case_status:
        return _STATUSES.get(CaseStatus(row.case_status), "Operations are at it.")
    if row.verdict == Verdict.AMEND and row.case_id and _said_anew(sent):
        return "Your earlier report was corrected."
    changed = sent.said is not None and not _said_anew(sent)
    return _VERDICTS.get(Verdict(row.verdict), "Taken.") if changed and row.verdict else "Taken."


def _said_anew(sent: Sent) -> bool:
    """Whether they reported the leaver, rather than said something of an earlier report."""
    return sent.said is not None and sent.said.action is TerminationAction.TERMINATED
