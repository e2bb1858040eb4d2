"""``/api/events``: HR's programs report leavers by token, and see what became of what they sent.

An HR system that can sign belongs on a webhook (`/hooks/<source>`); this is for what holds a token
with the right ``send_events``. The rules are those of the page `My events`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, date
from functools import partial
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Header, Path, Query, Request
from pydantic import Field

from lockstep.control.cases.asking import Asked
from lockstep.control.hr.own_reports import MOST_REASON, OwnReports, Sent, Submission
from lockstep.control.intake.events import Day as SaidDay
from lockstep.control.intake.events import Instant as SaidInstant
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.cases.terminations import TerminationAction, TerminationKind
from lockstep.domain.rights import Permission, Principal
from lockstep.storage.intake.sent_events import PAGE
from lockstep.web.api.answers import Answer, Prose, Told, one_of, told
from lockstep.web.api.answers import CaseId as CaseIdText
from lockstep.web.api.auth import Gate, Problem, answers
from lockstep.web.api.bodies import Body, described_body, read_body
from lockstep.web.api.case_answers import Instant

_LARGEST = 2**63 - 1
EventId = Annotated[int, Path(ge=1, le=_LARGEST)]
Once = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern="^[A-Za-z0-9_-]{16,64}$",
        description="Random, chosen by the caller: the same key again is the same report.",
    ),
]
Text = Annotated[str, Field(max_length=200)]


AccountId = Annotated[str, Field(min_length=1, max_length=200)]


class _Dates(Body):
    """In the zone: the last working day, or the exact moment at which access ends."""

    zone: str = Field(max_length=60, description="IANA time zone.", examples=["Asia/Manila"])
    last_working_day: SaidDay | None = None
    access_ends_at: SaidInstant | Literal["now"] | None = None
    reason: str = Field(default="", max_length=MOST_REASON, repr=False)

    def dates(self) -> dict[str, str]:
        """As cells of a CSV line."""
        given = {"zone": self.zone}
        if self.last_working_day is not None:
            given["last_working_day"] = self.last_working_day.isoformat()
        if self.access_ends_at is not None:
            ends = self.access_ends_at
            given["access_ends_at"] = ends if isinstance(ends, str) else ends.isoformat()
        return given


class LeaverReport(_Dates):
    """Somebody leaves."""

    worker_id: Text = Field(repr=False, description="HR's immutable id of the worker.")
    name: Text = Field(default="", repr=False)
    employee_number: Text = Field(default="", repr=False)
    emails: list[Text] = Field(default_factory=list, max_length=10, repr=False)
    usernames: list[Text] = Field(default_factory=list, max_length=10, repr=False)
    accounts: dict[str, AccountId | Annotated[list[AccountId], Field(max_length=20)]] = Field(
        default_factory=dict,
        max_length=50,
        repr=False,
        description="Immutable account ids by configured system, one or several.",
    )
    kind: TerminationKind
    spell: Text = Field(default="1", description="Which employment of the worker ends.")
    hired_at: date | None = Field(
        default=None, description="When it began, where the worker had an earlier one."
    )
    source: Text = Field(
        default="",
        description="Whose number `worker_id` is: the name of an HR system in the settings, or"
        " `cli` where none knows it. Needed where several could be meant.",
    )
    partner: Text = ""
    site: Text = ""

    def cells(self) -> dict[str, object]:
        """As cells of a CSV line, lists as they are."""
        plain = ("worker_id", "name", "employee_number", "spell", "partner", "site", "source")
        return {
            **{name: str(getattr(self, name)) for name in plain},
            "emails": self.emails,
            "usernames": self.usernames,
            "accounts": self.accounts,
            "kind": self.kind.value,
            "hired_at": self.hired_at.isoformat() if self.hired_at else "",
            **self.dates(),
        }


class NewDates(_Dates):
    """Other dates, before the cutoff."""


class CallingOff(Body):
    """They stay."""

    reason: str = Field(min_length=1, max_length=MOST_REASON, repr=False)


class EventDocument(Answer):
    """One report of the token's, and what became of it."""

    id: Annotated[int, Field(ge=1)]
    sent_at: Instant
    action: Annotated[str, one_of(TerminationAction)] | None = Field(
        description="None once the leaver's data were erased, as is the worker's id."
    )
    worker_id: Annotated[str, Field(max_length=200)] | None
    became: Prose = Field(description="What became of it, in words.")
    case_id: CaseIdText | None = Field(description="Once it has led to a case.")
    case_status: Annotated[str, one_of(CaseStatus)] | None
    cutoff_at: Instant | None = Field(description="When access ends, as the case has it now.")
    changeable: bool = Field(description="Whether it can be amended or called off.")
    request_id: Annotated[str, Field(pattern=r"^r[0-9a-f]{12,16}$")] | None = Field(
        default=None,
        description="Nothing has changed yet: somebody else has to agree, within 48 hours.",
    )

    @classmethod
    def of(cls, sent: Sent) -> Self:
        row, said = sent.row, sent.said
        return cls(
            id=row.id,
            sent_at=row.sent_at.astimezone(UTC),
            action=said.action.value if said else None,
            worker_id=said.worker.id if said else None,
            became=sent.became,
            case_id=row.case_id or None,
            case_status=row.case_status or None,
            cutoff_at=row.cutoff_at,
            changeable=sent.is_open,
        )


class EventsDocument(Answer):
    """A page of them, the newest first."""

    events: Annotated[list[EventDocument], Field(max_length=PAGE)]
    next: Annotated[int, Field(ge=1)] | None = Field(description="`before` of the next page.")


_TAKEN = {202: told(EventDocument, "It is stored, and will be carried out.")}


def events_router(gate: Gate, reports: OwnReports) -> APIRouter:
    """Reporting; every route needs the right ``send_events``."""
    routes = gate.router(Permission.SEND_EVENTS, tag="events")

    @routes.get("/api/events", summary="The token's own reports", responses=answers())
    async def list_events(
        request: Request, before: Annotated[int | None, Query(ge=1, le=_LARGEST)] = None
    ) -> EventsDocument:
        sent, more = await reports.newest(await gate.asker(request), before=before)
        return EventsDocument(events=[EventDocument.of(each) for each in sent], next=more)

    @routes.get("/api/events/{event}", summary="One report", responses=answers(404))
    async def read_event(request: Request, event: EventId) -> EventDocument:
        return EventDocument.of(await _found(reports, await gate.asker(request), event))

    @routes.post("/api/events", summary="Report a leaver", **_described(LeaverReport))
    async def report(request: Request, once: Once) -> Told:
        me, said = await gate.asker(request), await read_body(request, LeaverReport)
        await reports.report(said.cells(), Submission(once, said.reason), by=me)
        return await _taken(reports, me, once)

    _add_changes(routes, gate, reports)
    return routes


def _add_changes(routes: APIRouter, gate: Gate, reports: OwnReports) -> None:
    async def change(
        me: Principal, event: int, wish: Submission, work: Callable[[], Awaitable[Asked | None]]
    ) -> Told:
        await _found(reports, me, event)
        asked = await work()
        if asked is not None:
            found = EventDocument.of(await _found(reports, me, event))
            document = found.model_copy(update={"request_id": asked.request_id})
            return Told(document, 202)
        return await _taken(reports, me, wish.once)

    @routes.post(
        "/api/events/{event}/amend",
        summary="Move the dates of a leaver before the cutoff",
        **_described(NewDates, 404),
    )
    async def amend(request: Request, event: EventId, once: Once) -> Told:
        me, said = await gate.asker(request), await read_body(request, NewDates)
        wish = Submission(once, said.reason)
        work = partial(reports.amend, event, said.dates(), wish, by=me)
        return await change(me, event, wish, work)

    @routes.post(
        "/api/events/{event}/rescind",
        summary="Call a leaving off before the cutoff",
        **_described(CallingOff, 404),
    )
    async def rescind(request: Request, event: EventId, once: Once) -> Told:
        me, said = await gate.asker(request), await read_body(request, CallingOff)
        wish = Submission(once, said.reason)
        return await change(me, event, wish, partial(reports.rescind, event, wish, by=me))

    @routes.post(
        "/api/events/{event}/rehire",
        summary="Say that the leaver of a closed case works here again",
        **_described(CallingOff, 404),
    )
    async def rehire(request: Request, event: EventId, once: Once) -> Told:
        me, said = await gate.asker(request), await read_body(request, CallingOff)
        wish = Submission(once, said.reason)
        return await change(me, event, wish, partial(reports.rehire, event, wish, by=me))


def _described(model: type[Body], *more: int) -> dict[str, Any]:
    """Body and answers, for the OpenAPI description."""
    return {
        "status_code": 202,
        "responses": {**_TAKEN, **answers(409, 413, 415, *more)},
        "openapi_extra": described_body(model),
    }


async def _found(reports: OwnReports, me: Principal, event: int) -> Sent:
    """A report of the asker's own; every other is not there."""
    sent = await reports.one(me, event)
    if sent is None:
        raise Problem(404, "no_such_event")
    return sent


async def _taken(reports: OwnReports, me: Principal, once: str) -> Told:
    """What stands under the key, whether this call or an earlier one has stored it."""
    sent = await reports.sent_as(once, me)
    if sent is None:
        raise Problem(422, "cannot_be_done", ["this key was used for what you may not see"])
    return Told(EventDocument.of(sent), 202)
