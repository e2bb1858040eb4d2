"""What people do with cases: report, decide, amend, rescind. Shared by command line and console."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pydantic import ValidationError
from temporalio.client import (
    Client,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from lockstep.contracts import names
from lockstep.contracts.payloads import Decision, DecisionResult, TerminationChanged
from lockstep.control.intake.events import (
    MOST_ACCOUNTS,
    MOST_NAMES,
    AccountId,
    Dates,
    TerminationEvent,
    Worker,
    check_systems,
    cutoff_of,
    local_body,
    read_event,
    to_termination,
)
from lockstep.control.intake.places import Places
from lockstep.control.people.pairs import Pairs
from lockstep.control.refusals import RefusedError, UnansweredError
from lockstep.control.runtime.payloads import StrangePayloadError
from lockstep.control.runtime.stalled import tries_of
from lockstep.domain.cases.cutoff import CutoffRule
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.cases.terminations import Termination, TerminationAction, TerminationKind
from lockstep.domain.intake.key_cleaning import usable
from lockstep.domain.intake.numbering import LOCAL_SOURCE
from lockstep.domain.intake.remit import EVERYBODY, Remit
from lockstep.domain.policy import Tier
from lockstep.domain.rights import CLI_USER, Scope
from lockstep.domain.zones import WITHOUT_PLACE
from lockstep.storage.board.views import CaseViews
from lockstep.storage.intake.inbox import Inbox
from lockstep.storage.keys.subjects import Subject
from lockstep.storage.records import CaseRow, CaseView

LONGEST_WAIVER = timedelta(days=90)
_DECISION_TIMEOUT = timedelta(seconds=20)
_STRANGE = (
    "the answer does not come from this installation and is not believed: look at the case, then"
    " see `lockstep doctor`"
)
_SILENT = "Temporal or the worker does not answer: see `lockstep doctor`"


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks: recorded with the decision. ``second`` is somebody else who agreed.

    ``user_id``: theirs; "" on the command line, where nobody has one.
    """

    actor: str
    reason: str
    second: str = ""
    user_id: str = ""


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person adds to HR's word, or corrects of it; "" and () say nothing.

    Keys are added to those that are known, never exchanged for them.
    """

    emails: tuple[str, ...] = field(default=(), repr=False)
    usernames: tuple[str, ...] = field(default=(), repr=False)
    employee_number: str = field(default="", repr=False)
    kind: str = ""
    partner: str = ""
    site: str = ""

    @property
    def told(self) -> str:
        """What it is about, without any key."""
        parts = [
            "keys" if self.emails or self.usernames or self.employee_number else "",
            f"kind {self.kind.replace('_', ' ')}" if self.kind else "",
            f"partner {self.partner}" if self.partner else "",
            f"site {self.site}" if self.site else "",
        ]
        return ", ".join(part for part in parts if part)


class Desk:
    """Use cases of operations. ``client`` may be None where only the database is needed."""

    def __init__(
        self,
        *,
        tenant: str,
        views: CaseViews,
        inbox: Inbox,
        rule: CutoffRule,
        client: Client | None = None,
        systems: Collection[str] | None = None,
        places: Places | None = None,
        remit: Remit = EVERYBODY,
    ) -> None:
        self._places = places or Places()
        self._remit = remit
        self._systems = systems
        self._tenant = tenant
        self._views = views
        self._inbox = inbox
        self._rule = rule
        self._client = client

    def attach(self, client: Client) -> None:
        """Decisions reach the workflows through ``client`` from now on."""
        self._client = client

    def within(self, scope: Scope) -> Desk:
        """The same for somebody who may know of less."""
        return Desk(
            tenant=self._tenant,
            views=self._views.within(scope),
            inbox=self._inbox,
            rule=self._rule,
            client=self._client,
            systems=self._systems,
            places=self._places,
            remit=Remit(scope.partners),
        )

    async def find(self, case_id: str) -> CaseView:
        """One case.

        Raises:
            RefusedError: if there is none, or the beginning of the id fits several.
        """
        try:
            view = await self._views.show(case_id)
        except LookupError as error:
            raise RefusedError(str(error)) from None
        if view is None:
            raise RefusedError(f"there is no case {case_id!r}: see `lockstep cases`")
        return view

    def cutoff(self, event: TerminationEvent) -> datetime:
        """The cutoff that the event would get.

        Raises:
            EventError: if there is none, or an account is of a system that is not configured.
        """
        check_systems(event, self._systems)
        return cutoff_of(self.said(event), self._rule)

    def said(self, event: TerminationEvent) -> Termination:
        """The event as a statement of a person here."""
        return to_termination(event, tenant=self._tenant, source=LOCAL_SOURCE, event_id="")

    async def report(
        self,
        events: Sequence[TerminationEvent],
        person: Person,
        *,
        numbered_by: str = "",
        case_id: str = "",
    ) -> list[str]:
        """Put events into the inbox; return their ids. Works while Temporal is down.

        ``numbered_by``: the source whose numbers the workers' ids are; ``case_id``: the case meant.
        """
        ids = []
        for event in events:
            ids.append(new_event_id())
            await self.report_as(ids[-1], event, person, numbered_by=numbered_by, case_id=case_id)
        return ids

    async def amendment(self, case_id: str, dates: Dates) -> TerminationEvent:
        """The event that moves the dates of a case that has not begun.

        Raises:
            RefusedError: if there is no such case, or it has begun.
            EventError: if the dates give no cutoff.
        """
        view = await self.find(case_id)
        self._require_waiting(view.case)
        event = await self._restate(view.case, TerminationAction.AMENDED, dates)
        self.cutoff(event)
        return event

    async def correction(self, case_id: str, more: Correction) -> TerminationEvent:
        """The event that adds keys, or corrects kind, partner or site; the dates stay as they are.

        Raises:
            RefusedError: if nothing is said, there is no such case, or it was called off.
            EventError: if a key cannot be one, or there is no such partner or site.
        """
        if more == Correction():
            raise RefusedError("say what is to be added or corrected: nothing is")
        case = (await self.find(case_id)).case
        if case.status == CaseStatus.RESCINDED:
            raise RefusedError(f"case {case.case_id} was called off: report the leaver anew")
        if more.partner or more.site:
            await self._places.check(more.partner or case.partner, more.site, self._remit)
        try:
            dates = Dates(zone=case.zone, access_ends_at=case.cutoff_at)
        except ValidationError:  # of an older release, which took zones that are no place
            dates = Dates(zone=WITHOUT_PLACE, access_ends_at=case.cutoff_at)
        event = await self._restate(case, TerminationAction.AMENDED, dates)
        worker = event.worker.model_dump(exclude_none=True)
        for name in ("emails", "usernames"):
            both = [*getattr(more, name), *worker[name]]
            worker[name] = list(dict.fromkeys(both))[:MOST_NAMES]
        if more.employee_number:
            worker["employee_number"] = more.employee_number
        said = {name: getattr(more, name) for name in ("kind", "partner", "site")}
        document = event.model_dump(mode="json", exclude_none=True)
        document.update({name: value for name, value in said.items() if value})
        return read_event({**document, "worker": worker})

    async def correct(self, case_id: str, more: Correction, person: Person) -> str:
        """Add keys to a leaver's, or correct what is known of the case; return the event's id."""
        _check_people(person)
        event = await self.correction(case_id, more)
        case = (await self.find(case_id)).case
        return await self._report_of(case, event, person)

    async def rescission(self, case_id: str) -> TerminationEvent:
        """The event that stops a case that has not begun; raises `RefusedError` like the other."""
        view = await self.find(case_id)
        self._require_waiting(view.case)
        # An instant needs no zone; and a case of an older release may have one that is no place.
        dates = Dates(zone=WITHOUT_PLACE, access_ends_at=view.case.cutoff_at)
        return await self._restate(view.case, TerminationAction.RESCINDED, dates)

    async def rehiring(self, case_id: str, *, hired_on: date | None = None) -> TerminationEvent:
        """The event that says that the leaver of a closed case works here again.

        ``hired_on``: when the new employment began.

        Raises:
            RefusedError: if the case has not closed, or a later one of theirs is there.
        """
        case = (await self.find(case_id)).case
        _require_closed(case)
        event = await self._restate(
            case,
            TerminationAction.REHIRED,
            Dates(zone=WITHOUT_PLACE, access_ends_at=case.cutoff_at),
            hired_at=hired_on,
        )
        if later := await self._views.later_than(case.case_id):
            raise RefusedError(
                f"a later employment has a case, {later}: if they were hired again after that, say"
                " it of that case"
            )
        return event

    async def rehire(
        self, case_id: str, person: Person, pairs: Pairs, *, hired_on: date | None = None
    ) -> str:
        """Say that they work here again: ends the watch; return the event's id."""
        _check_people(person)
        event = await self.rehiring(case_id, hired_on=hired_on)
        case = (await self.find(case_id)).case
        if pairs.need_second_to_prolong(case.kind):
            _require_second(case, person)
        return await self._report_of(case, event, person)

    async def amend(self, case_id: str, dates: Dates, person: Person, pairs: Pairs) -> str:
        """Move the dates of a case that has not begun; return the event's id."""
        _check_people(person)
        event = await self.amendment(case_id, dates)
        case = (await self.find(case_id)).case
        if pairs.need_second_to_move(case.kind, case.cutoff_at, self.cutoff(event)):
            _require_second(case, person)
        return await self._report_of(case, event, person)

    async def rescind(self, case_id: str, person: Person, pairs: Pairs) -> str:
        """Stop a case that has not begun; return the event's id."""
        _check_people(person)
        event = await self.rescission(case_id)
        case = (await self.find(case_id)).case
        if pairs.need_second_to_prolong(case.kind):
            _require_second(case, person)
        return await self._report_of(case, event, person)

    async def decide(
        self,
        case_id: str,
        system: str,
        kind: DecisionKind,
        person: Person,
        *,
        artefact_digest: str = "",
        until: datetime | None = None,
        decision_id: str = "",
        accounts: Sequence[str] = (),
        others: Sequence[str] = (),
    ) -> DecisionResult:
        """Retry, attest or waive one system of a case, or pick accounts in it.

        ``accounts`` and ``others``: those that were shown, see `lockstep.control.cases.picking`.

        Raises:
            RefusedError: by our rules, by the workflow's, or because Temporal is away.
        """
        check_decision(kind, person, until)
        view = await self.find(case_id)
        _check_system(view, system, kind, person)
        if self._client is None:
            raise RefusedError("this needs Temporal, which is not configured here")
        decision = Decision(
            decision_id=decision_id or f"d-{secrets.token_hex(8)}",
            kind=kind,
            system=system,
            actor=person.actor,
            reason=person.reason,
            second_person=person.second,
            artefact_digest=artefact_digest,
            until=until,
            accounts=list(accounts),
            others=list(others),
        )
        return await send_decision(
            self._client, view.case.case_id, decision, status=view.case.status
        )

    async def wake(self, case_id: str) -> None:
        """Have the case's workflow read the database again; where it cannot, it does so later."""
        if self._client is None:
            return
        handle = self._client.get_workflow_handle(case_id)
        with contextlib.suppress(RPCError, RuntimeError):
            change = TerminationChanged("withdrawn")
            await handle.signal(names.TERMINATION_CHANGED, change, rpc_timeout=_DECISION_TIMEOUT)

    async def _report_of(self, case: CaseRow, event: TerminationEvent, person: Person) -> str:
        """Report what is said of a case; return the event's id."""
        [event_id] = await self.report(
            [event], person, numbered_by=case.numbered_by, case_id=case.case_id
        )
        return event_id

    async def report_as(
        self,
        event_id: str,
        event: TerminationEvent,
        person: Person,
        *,
        numbered_by: str = "",
        case_id: str = "",
    ) -> None:
        """Put one event into the inbox under an id of `new_event_id`; twice is once."""
        await self._inbox.store(
            tenant=self._tenant,
            source=LOCAL_SOURCE,
            dedupe_key=event_id,
            received_at=datetime.now(UTC),
            body=local_body(
                event,
                actor=person.actor,
                reason=person.reason,
                second=person.second,
                numbered_by=numbered_by,
                case_id=case_id,
            ),
            priority=event.kind.priority,
            about=(event.worker.id, event.spell),
            reporter=person.user_id or CLI_USER,
        )

    async def _restate(
        self,
        case: CaseRow,
        action: TerminationAction,
        dates: Dates,
        *,
        hired_at: date | None = None,
    ) -> TerminationEvent:
        subject = await self._views.subject(case)
        if subject is None:
            raise RefusedError("the leaver's data were erased")
        return TerminationEvent(
            action=action,
            revision=case.revision,
            recorded_at=datetime.now(UTC),
            kind=TerminationKind(case.kind),
            worker=_worker(subject, self._systems),
            spell=subject.spell,
            hired_at=hired_at,
            dates=dates,
            partner=case.partner,
            site=case.site,
        )

    def _require_waiting(self, case: CaseRow) -> None:
        if case.status != CaseStatus.SCHEDULED:
            raise RefusedError(
                f"case {case.case_id} is {case.status}: dates move, and cases stop, only before the"
                " cutoff; nothing is ever re-enabled here"
            )


async def send_decision(
    client: Client, case_id: str, decision: Decision, *, status: str = "over"
) -> DecisionResult:
    """Bring a decision to its case. ``status``: of the case, for whoever is told that it is over.

    Raises:
        UnansweredError: if no answer came: it may be done, and the same may be sent again.
        RefusedError: by the workflow's rules, or because none runs.
    """
    handle = client.get_workflow_handle(case_id)
    try:
        result: DecisionResult = await handle.execute_update(
            names.DECIDE,
            decision,
            id=decision.decision_id,
            result_type=DecisionResult,
            rpc_timeout=_DECISION_TIMEOUT,
        )
    except WorkflowUpdateFailedError as error:
        cause = error.cause
        text = cause.message if isinstance(cause, ApplicationError) else str(cause)
        raise RefusedError(text) from None
    except WorkflowUpdateRPCTimeoutOrCancelledError:
        raise UnansweredError(await _why_silent(handle)) from None
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise UnansweredError(await _why_silent(handle)) from None
        raise RefusedError(f"case {case_id} has no running workflow: it is {status}") from None
    except StrangePayloadError:
        raise UnansweredError(_STRANGE) from None
    except RuntimeError:
        raise UnansweredError("Temporal cannot be reached: see `lockstep doctor`") from None
    if not isinstance(result, DecisionResult):  # somebody answered without a word of ours
        raise UnansweredError(_STRANGE)
    return result


async def _why_silent(handle: WorkflowHandle[Any, Any]) -> str:
    """What is known of a workflow that gave no answer, and what to do."""
    tries = await tries_of(handle)
    if tries <= 1:
        return _SILENT
    return (
        f"no answer came, and it is not known whether it is recorded: case {handle.id} cannot go"
        f" on, because its workflow fails at every try ({tries} by now). `lockstep doctor` says"
        " what to do; after that look at the case again"
    )


def _require_second(case: CaseRow, person: Person) -> None:
    if not person.second:
        raise RefusedError(f"by this, access lasts longer ({case.kind}): it needs a second person")


def _require_closed(case: CaseRow) -> None:
    """Whether there is a watch that a rehiring could end."""
    told = {
        CaseStatus.SCHEDULED: "they have not left yet: to keep them, call the case off",
        CaseStatus.RESCINDED: "it was called off: nobody has left",
    }
    if case.status != CaseStatus.CLOSED:
        why = told.get(
            CaseStatus(case.status), "access is being ended there: say it when it has closed"
        )
        raise RefusedError(f"case {case.case_id} is {case.status}: {why}")
    if case.unwatched_at is not None:
        raise RefusedError(
            f"case {case.case_id} is not watched since"
            f" {case.unwatched_at:%Y-%m-%d %H:%M:%S} UTC: it is known that they stay or are back"
        )


def _check_people(person: Person) -> None:
    if not person.reason.strip():
        raise RefusedError("give a reason: it is kept with the decision")
    if person.second and person.second.casefold() == person.actor.casefold():
        raise RefusedError("the second person must be somebody else")


def _check_system(view: CaseView, system: str, kind: DecisionKind, person: Person) -> None:
    tiers = {row.system: row.tier for row in view.revocations}
    if system not in tiers:
        raise RefusedError(
            f"case {view.case.case_id} has no system {system!r}: it has {', '.join(tiers)}"
        )
    if kind is DecisionKind.ATTEST and tiers[system] == Tier.ZERO and not person.second:
        raise RefusedError(f"{system} is of tier 0: nobody attests it alone")


def check_decision(kind: DecisionKind, person: Person, until: datetime | None) -> None:
    _check_people(person)
    if kind is not DecisionKind.WAIVE:
        return
    now = datetime.now(UTC)
    if until is None or not now < until <= now + LONGEST_WAIVER:
        raise RefusedError(f"a waiver needs an end, {LONGEST_WAIVER.days} days ahead at most")
    if not person.second:
        raise RefusedError("a waiver needs a second person")


def new_event_id() -> str:
    """An id of an event that a person enters here; random, it says nothing of the leaver."""
    return f"cli-{secrets.token_hex(8)}"


def _worker(subject: Subject, known: Collection[str] | None) -> Worker:
    """Who it is, by the keys that can be said today: a system may be gone since."""
    keys: Sequence[Key] = subject.keys.keys

    def of(kind: KeyKind) -> list[str]:
        return usable(kind, (key.value for key in keys if key.kind is kind))[:MOST_NAMES]

    def first(kind: KeyKind) -> str | None:
        return next(iter(of(kind)), None)

    accounts: dict[str, AccountId | list[AccountId]] = {}
    for system in {key.system for key in keys if key.kind is KeyKind.ACCOUNT_ID and key.system}:
        ids = subject.keys.account_ids(system)
        accounts[system] = usable(KeyKind.ACCOUNT_ID, ids)[:MOST_ACCOUNTS]
    return Worker(
        id=first(KeyKind.WORKER_ID) or "unknown",
        name=subject.display_name,
        employee_number=first(KeyKind.EMPLOYEE_NUMBER),
        external_id=first(KeyKind.EXTERNAL_ID),
        usernames=of(KeyKind.USERNAME),
        emails=of(KeyKind.EMAIL),
        accounts={
            system: ids for system, ids in accounts.items() if ids and system in (known or accounts)
        },
    )
