"""``/api/cases/...`` and ``/api/requests/...``: what people do to cases, by tokens."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field

from lockstep.control.cases.asking import Asked
from lockstep.control.cases.casework import CaseDesk, Done
from lockstep.control.cases.dates import CaseDates, dates_of_form
from lockstep.control.cases.desk import Correction
from lockstep.control.cases.picking import Picking
from lockstep.control.cases.uploads import MOST_BYTES, checked_upload
from lockstep.control.cases.withdrawing import Withdrawing, key_given
from lockstep.control.intake.events import Day as SaidDay
from lockstep.control.intake.events import Instant as SaidInstant
from lockstep.control.requests.second_person import SecondPerson
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import Permission
from lockstep.web.api.answers import Told, told, zoned
from lockstep.web.api.auth import NO_ANSWER, Gate, Problem, answers
from lockstep.web.api.bodies import Body, described_body, read_body
from lockstep.web.api.case_answers import (
    AskedDocument,
    DoneDocument,
    RequestDocument,
    RequestsDocument,
)

_MAX_ATTEST = MOST_BYTES * 4 // 3 + 64 * 1024
"""An artefact in base64, and a few words."""
_LONGEST_SEEN = 400
"""That of dates holds the sender's id of HR's last event, which has 256 characters at most."""

CaseId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,80}$", description="The whole id.")]
SystemName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
RequestId = Annotated[str, Path(pattern=r"^r[0-9a-f]{12,16}$")]
ActId = Annotated[str, Path(pattern=r"^a[0-9a-f]{16}$", description="As `no_answer` told it.")]
_ANSWERS = (404, 409, 413, 415)
_CASE = "/api/cases/{case_id}"
_SYSTEM = f"{_CASE}/systems/{{system}}"
_ONE_REQUEST = "/api/requests/{request_id}"


class Reason(Body):
    """Why; kept with the act."""

    reason: str = Field(min_length=1, max_length=2000, repr=False)
    seen: str = Field(
        default="",
        max_length=_LONGEST_SEEN,
        description="What the caller looked at: `seen` of a system, `pick_seen` of it for a pick, "
        "or `dates_seen` of the case where its dates are moved, it is called off, or its leaver is "
        "said to work here again, as "
        "`GET /api/cases/{case_id}` tells them. "
        "Refused where that has changed; left out, nothing is compared.",
    )


class MaybeReason(Body):
    """A few words, if there is something to say."""

    reason: str = Field(default="", max_length=2000, repr=False)


class Artefact(Body):
    """A file: pdf, png, jpeg, txt, csv or eml, 10 MiB at most."""

    name: str = Field(min_length=1, max_length=200, repr=False)
    content: str = Field(repr=False, description="base64 (RFC 4648, section 4)")


class Attestation(Reason):
    """With an artefact it waits for a second person, and is grade C then."""

    artefact: Artefact | None = None


class Pick(Reason):
    """Which of the accounts that `GET /api/cases/{case_id}` shows as ``candidates`` are theirs."""

    accounts: list[Annotated[str, Field(min_length=1, max_length=512)]] = Field(
        max_length=200,
        repr=False,
        description="`account_id` of each that is the leaver's; empty says that none is.",
    )


class Waiver(Reason):
    """Until when the system may stay open; it waits for a second person."""

    until: SaidInstant


class NewDates(Reason):
    """A day, or an exact moment."""

    last_working_day: SaidDay | None = None
    access_ends_at: SaidInstant | None = None


class Rehiring(Reason):
    """That they work here again."""

    hired_on: date | None = Field(
        default=None, description="When the new employment began, where that is known."
    )


class Additions(Reason):
    """What is added to HR's word, or corrected of it; what is left out stays."""

    emails: list[Annotated[str, Field(max_length=254)]] = Field(
        default_factory=list, max_length=20, repr=False
    )
    usernames: list[Annotated[str, Field(max_length=200)]] = Field(
        default_factory=list, max_length=20, repr=False
    )
    employee_number: str = Field(default="", max_length=200, repr=False)
    kind: TerminationKind | None = None
    partner: str = Field(default="", max_length=200)
    site: str = Field(default="", max_length=200)


class WithdrawnKey(Body):
    """A key of the leaver that is out of force from now on, and why."""

    kind: KeyKind
    value: str = Field(min_length=1, max_length=512, repr=False)
    system: str = Field(default="", max_length=40, description="Of an account, and else left out.")
    reason: str = Field(min_length=1, max_length=2000, repr=False)


class Comment(Body):
    """Free text."""

    text: str = Field(min_length=1, max_length=2000, repr=False)


class Assignee(MaybeReason):
    """Who gets the case: the id of a user who may act on it."""

    user: str = Field(min_length=1, max_length=80)
    seen: str = Field(
        default="", max_length=200, description="`assignment_seen` of the case, or left out."
    )


def acts_routers(gate: Gate, desk: CaseDesk) -> list[APIRouter]:
    """Acting needs the right ``act``, being the second person ``approve``."""
    dates, seconds = CaseDates(desk), SecondPerson(desk)
    acting = gate.router(Permission.ACT, tag="cases")
    _add_decisions(acting, gate, desk, seconds)
    _add_case_acts(acting, gate, desk, dates)
    _add_sending_again(acting, gate, desk)
    _add_withdrawal(acting, gate, seconds)
    approving = gate.router(Permission.APPROVE, tag="cases")
    _add_approvals(approving, gate, seconds)
    seeing = gate.router(Permission.SEE_CASES, tag="cases")
    _add_list(seeing, gate, seconds)
    return [acting, approving, seeing]


def _add_decisions(routes: APIRouter, gate: Gate, desk: CaseDesk, seconds: SecondPerson) -> None:
    @routes.post(f"{_SYSTEM}/retry", summary="Try a system again", **_sent(Reason))
    async def retry(case_id: CaseId, system: SystemName, request: Request) -> Told:
        said, me = await read_body(request, Reason), await gate.asker(request)
        return await _told(desk.retry(me, case_id, system, reason=said.reason, seen=said.seen))

    @routes.post(
        f"{_SYSTEM}/attest",
        summary="Say that access was ended by hand",
        **_sent(Attestation, 200, 202),
    )
    async def attest(case_id: CaseId, system: SystemName, request: Request) -> Told:
        said = await read_body(request, Attestation, _MAX_ATTEST)
        me = await gate.asker(request)
        upload = checked_upload(*_file(said.artefact)) if said.artefact else None
        return await _told(
            seconds.attest(me, case_id, system, reason=said.reason, seen=said.seen, upload=upload)
        )

    @routes.post(
        f"{_SYSTEM}/pick",
        summary="Say which accounts in doubt are the leaver's",
        **_sent(Pick, 200, 202),
    )
    async def pick(case_id: CaseId, system: SystemName, request: Request) -> Told:
        said, me = await read_body(request, Pick), await gate.asker(request)
        work = Picking(desk).pick(
            me, case_id, system, said.accounts, reason=said.reason, seen=said.seen
        )
        return await _told(work)

    @routes.post(
        f"{_SYSTEM}/waive",
        summary="Ask that a system may stay open",
        status_code=202,
        **_described(Waiver, 202),
    )
    async def waive(case_id: CaseId, system: SystemName, request: Request) -> Told:
        said, me = await read_body(request, Waiver), await gate.asker(request)
        return await _told(
            seconds.waive(me, case_id, system, reason=said.reason, until=said.until, seen=said.seen)
        )


def _add_case_acts(routes: APIRouter, gate: Gate, desk: CaseDesk, dates: CaseDates) -> None:
    @routes.post(f"{_CASE}/reschedule", summary="Move the cutoff", **_described(NewDates, 200, 202))
    async def reschedule(case_id: CaseId, request: Request) -> Told:
        said, me = await read_body(request, NewDates), await gate.asker(request)

        async def work() -> Done | Asked:
            found = await desk.find(me, case_id)
            ends = said.access_ends_at
            given = dates_of_form(
                zone=found.view.case.zone,
                last_day=said.last_working_day.isoformat() if said.last_working_day else "",
                ends_at=ends.isoformat() if ends else "",
            )
            return await dates.reschedule(me, case_id, given, reason=said.reason, seen=said.seen)

        return await _told(work())

    @routes.post(f"{_CASE}/rescind", summary="Call a case off", **_described(Reason, 200, 202))
    async def rescind(case_id: CaseId, request: Request) -> Told:
        said, me = await read_body(request, Reason), await gate.asker(request)
        return await _told(dates.rescind(me, case_id, reason=said.reason, seen=said.seen))

    @routes.post(
        f"{_CASE}/rehire",
        summary="Say that the leaver of a closed case works here again",
        **_described(Rehiring, 200, 202),
    )
    async def rehire(case_id: CaseId, request: Request) -> Told:
        said, me = await read_body(request, Rehiring), await gate.asker(request)
        return await _told(
            dates.rehire(me, case_id, reason=said.reason, hired_on=said.hired_on, seen=said.seen)
        )

    @routes.post(
        f"{_CASE}/correct",
        summary="Add keys of the leaver, or correct kind, partner or site",
        **_described(Additions),
    )
    async def correct(case_id: CaseId, request: Request) -> Told:
        said, me = await read_body(request, Additions), await gate.asker(request)
        more = Correction(
            tuple(said.emails),
            tuple(said.usernames),
            said.employee_number,
            said.kind.value if said.kind else "",
            said.partner,
            said.site,
        )
        return await _told(dates.correct(me, case_id, more, reason=said.reason, seen=said.seen))

    @routes.post(
        f"{_CASE}/withdraw-key",
        summary="Take a key of the leaver out of force",
        **_described(WithdrawnKey, 200, 202),
    )
    async def withdraw_key(case_id: CaseId, request: Request) -> Told:
        said, me = await read_body(request, WithdrawnKey), await gate.asker(request)

        async def work() -> Done | Asked:
            key = key_given(said.kind.value, said.value, said.system)
            return await Withdrawing(desk).withdraw(me, case_id, key, reason=said.reason)

        return await _told(work())

    @routes.post(f"{_CASE}/comment", summary="Comment on a case", **_described(Comment))
    async def comment(case_id: CaseId, request: Request) -> Told:
        said, me = await read_body(request, Comment), await gate.asker(request)
        return await _told(desk.comment(me, case_id, said.text))

    @routes.post(f"{_CASE}/assign", summary="Give a case to somebody", **_described(Assignee))
    async def assign(case_id: CaseId, request: Request) -> Told:
        said, me = await read_body(request, Assignee), await gate.asker(request)
        return await _told(dates.assign(me, case_id, said.user, reason=said.reason, seen=said.seen))


def _add_sending_again(routes: APIRouter, gate: Gate, desk: CaseDesk) -> None:
    @routes.post(
        f"{_CASE}/acts/{{act_id}}/send",
        summary="Send again what got no answer",
        responses={200: _DONE[200], **answers(404, 409), 503: NO_ANSWER},
    )
    async def send_again(case_id: CaseId, act_id: ActId, request: Request) -> Told:
        me = await gate.asker(request)
        return await _told(desk.send_again(me, case_id, act_id))


def _add_withdrawal(routes: APIRouter, gate: Gate, seconds: SecondPerson) -> None:
    @routes.post(
        f"{_ONE_REQUEST}/withdraw",
        summary="Take back what you asked for",
        **_described(MaybeReason),
    )
    async def withdraw(request_id: RequestId, request: Request) -> Told:
        said, me = await read_body(request, MaybeReason), await gate.asker(request)
        return await _told(seconds.withdraw(me, request_id, reason=said.reason))


def _add_approvals(routes: APIRouter, gate: Gate, seconds: SecondPerson) -> None:
    @routes.post(
        f"{_ONE_REQUEST}/approve", summary="Agree as the second person", **_sent(MaybeReason)
    )
    async def approve(request_id: RequestId, request: Request) -> Told:
        said, me = await read_body(request, MaybeReason), await gate.asker(request)
        return await _told(seconds.approve(me, request_id, reason=said.reason))

    @routes.post(f"{_ONE_REQUEST}/refuse", summary="Do not agree", **_described(Reason))
    async def refuse(request_id: RequestId, request: Request) -> Told:
        said, me = await read_body(request, Reason), await gate.asker(request)
        return await _told(seconds.refuse(me, request_id, reason=said.reason))


def _add_list(routes: APIRouter, gate: Gate, seconds: SecondPerson) -> None:
    @routes.get("/api/requests", summary="What waits for a second person", responses=_WAITING)
    async def pending(request: Request, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Told:
        me = await gate.asker(request)
        rows = await seconds.pending(me.scope, limit=limit)
        return Told(RequestsDocument(requests=[RequestDocument.of(row) for row in rows]))


_WAITING = {200: told(RequestsDocument, "As far as the token may know of them."), **answers()}
_DONE = {
    200: told(DoneDocument, "It is done."),
    202: told(AskedDocument, "It waits for a second person."),
}


def _described(model: type[Body], *wanted: int) -> dict[str, Any]:
    """The body and every answer, for the OpenAPI description; 200 where nothing else is given."""
    return {
        "responses": {
            **{status: _DONE[status] for status in wanted or (200,)},
            **answers(*_ANSWERS),
        },
        "openapi_extra": described_body(model),
    }


def _sent(model: type[Body], *wanted: int) -> dict[str, Any]:
    """The same of an act that is brought to its case, which may give no answer."""
    described = _described(model, *wanted)
    described["responses"][503] = NO_ANSWER
    return described


def _file(artefact: Artefact) -> tuple[str, bytes]:
    try:
        return artefact.name, base64.b64decode(artefact.content, validate=True)
    except (binascii.Error, ValueError):
        raise Problem(422, "not_valid", ["artefact.content: not base64"]) from None


async def _told(work: Awaitable[Done | Asked]) -> Told:
    """What came of an act."""
    result = await work
    if isinstance(result, Asked):
        until = zoned(result.expires_at)
        return Told(AskedDocument(request_id=result.request_id, expires_at=until), 202)
    return Told(DoneDocument(act_id=result.act_id, outcome=result.outcome or None))
