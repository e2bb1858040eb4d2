"""What people do to a case from its page. Every form carries what it saw."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData, UploadFile

from lockstep.control.cases.asking import Asked
from lockstep.control.cases.casework import Done, writable
from lockstep.control.cases.dates import dates_of_form
from lockstep.control.cases.desk import Correction
from lockstep.control.cases.uploads import MOST_BYTES, checked_upload
from lockstep.control.cases.withdrawing import Withdrawing, key_given
from lockstep.control.refusals import NotAllowedError, NotThereError, RefusedError
from lockstep.domain.rights import Permission, Principal
from lockstep.storage.keys.artefacts import Upload
from lockstep.web.console.cases.page import HOME, CaseRoom, field, room_form, values_of
from lockstep.web.console.gate import NOT_THERE

_CASE = f"{HOME}/{{case_id}}"
_SYSTEM = f"{_CASE}/systems/{{system}}"
_REQUEST = "/console/requests/{request_id}"
_CORRECTED = ("employee_number", "kind", "partner", "site")
_NOT_DONE = (RefusedError, NotAllowedError, NotThereError)
Work = Callable[[Principal, FormData], Awaitable[Done | Asked]]


def act_router(room: CaseRoom) -> APIRouter:
    """What needs the right to act."""
    routes = room.gate.router(Permission.ACT)
    _add_system_acts(routes, room)
    _add_date_acts(routes, room)
    _add_withdrawing(routes, room)
    _add_case_acts(routes, room)

    @routes.post(f"{_REQUEST}/withdraw")
    async def withdraw(request: Request, request_id: str) -> Response:
        async def work(me: Principal, form: FormData) -> Done:
            return await room.seconds.withdraw(me, request_id, reason=field(form, "reason"))

        return await _decide_request(room, request, request_id, "withdraw", work)

    return routes


def approve_router(room: CaseRoom) -> APIRouter:
    """What a second person does."""
    routes = room.gate.router(Permission.APPROVE)

    @routes.post(f"{_REQUEST}/approve")
    async def approve(request: Request, request_id: str) -> Response:
        async def work(me: Principal, form: FormData) -> Done:
            return await room.seconds.approve(me, request_id, reason=field(form, "reason"))

        return await _decide_request(room, request, request_id, "approve", work)

    @routes.post(f"{_REQUEST}/refuse")
    async def refuse(request: Request, request_id: str) -> Response:
        async def work(me: Principal, form: FormData) -> Done:
            return await room.seconds.refuse(me, request_id, reason=field(form, "reason"))

        return await _decide_request(room, request, request_id, "refuse", work)

    return routes


def _add_system_acts(routes: APIRouter, room: CaseRoom) -> None:
    @routes.post(f"{_SYSTEM}/retry")
    async def retry(request: Request, case_id: str, system: str) -> Response:
        async def work(me: Principal, form: FormData) -> Done:
            return await room.desk.retry(
                me, case_id, system, reason=field(form, "reason"), seen=field(form, "seen")
            )

        return await _carry_out(room, request, case_id, "retry", work, system=system)

    @routes.post(f"{_SYSTEM}/pick")
    async def pick(request: Request, case_id: str, system: str) -> Response:
        async def work(me: Principal, form: FormData) -> Done | Asked:
            return await room.picking.pick(
                me,
                case_id,
                system,
                _picked(form),
                reason=field(form, "reason"),
                seen=field(form, "seen"),
            )

        return await _carry_out(room, request, case_id, "pick", work, system=system)

    @routes.post(f"{_SYSTEM}/attest")
    async def attest(request: Request, case_id: str, system: str) -> Response:
        async def work(me: Principal, form: FormData) -> Done | Asked:
            return await room.seconds.attest(
                me,
                case_id,
                system,
                reason=field(form, "reason"),
                seen=field(form, "seen"),
                upload=await _upload(form),
            )

        return await _carry_out(room, request, case_id, "attest", work, system=system)

    @routes.post(f"{_SYSTEM}/waive")
    async def waive(request: Request, case_id: str, system: str) -> Response:
        async def work(me: Principal, form: FormData) -> Asked:
            return await room.seconds.waive(
                me,
                case_id,
                system,
                reason=field(form, "reason"),
                until=_moment(field(form, "until")),
                seen=field(form, "seen"),
            )

        return await _carry_out(room, request, case_id, "waive", work, system=system)


def _add_date_acts(routes: APIRouter, room: CaseRoom) -> None:
    @routes.post(f"{_CASE}/reschedule")
    async def reschedule(request: Request, case_id: str) -> Response:
        found = await room.find(request, case_id)

        async def work(me: Principal, form: FormData) -> Done | Asked:
            dates = dates_of_form(
                zone=found.view.case.zone,
                last_day=field(form, "last_day"),
                ends_at=field(form, "ends_at"),
            )
            return await room.dates.reschedule(
                me, case_id, dates, reason=field(form, "reason"), seen=field(form, "seen")
            )

        return await _carry_out(room, request, case_id, "reschedule", work)

    @routes.post(f"{_CASE}/rescind")
    async def rescind(request: Request, case_id: str) -> Response:
        async def work(me: Principal, form: FormData) -> Done | Asked:
            return await room.dates.rescind(
                me, case_id, reason=field(form, "reason"), seen=field(form, "seen")
            )

        return await _carry_out(room, request, case_id, "rescind", work)

    @routes.post(f"{_CASE}/rehire")
    async def rehire(request: Request, case_id: str) -> Response:
        async def work(me: Principal, form: FormData) -> Done | Asked:
            return await room.dates.rehire(
                me,
                case_id,
                reason=field(form, "reason"),
                hired_on=_day(field(form, "hired_on")),
                seen=field(form, "seen"),
            )

        return await _carry_out(room, request, case_id, "rehire", work)


def _day(given: str) -> date | None:
    try:
        return date.fromisoformat(given) if given else None
    except ValueError:
        raise RefusedError("a date is 2026-11-30") from None


def _add_withdrawing(routes: APIRouter, room: CaseRoom) -> None:
    @routes.post(f"{_CASE}/withdraw-key")
    async def withdraw_key(request: Request, case_id: str) -> Response:
        async def work(me: Principal, form: FormData) -> Done | Asked:
            system = field(form, "system").strip()
            key = key_given(field(form, "kind"), field(form, "value"), system)
            reason = field(form, "reason")
            return await Withdrawing(room.desk).withdraw(me, case_id, key, reason=reason)

        return await _carry_out(room, request, case_id, "withdraw-key", work)


def _add_case_acts(routes: APIRouter, room: CaseRoom) -> None:
    @routes.post(f"{_CASE}/correct")
    async def correct(request: Request, case_id: str) -> Response:
        async def work(me: Principal, form: FormData) -> Done:
            more = Correction(
                tuple(field(form, "emails").split()),
                tuple(_lines(field(form, "usernames"))),
                *(field(form, name).strip() for name in _CORRECTED),
            )
            return await room.dates.correct(
                me, case_id, more, reason=field(form, "reason"), seen=field(form, "seen")
            )

        return await _carry_out(room, request, case_id, "correct", work)

    @routes.post(f"{_CASE}/comment")
    async def comment(request: Request, case_id: str) -> Response:
        async def work(me: Principal, form: FormData) -> Done:
            return await room.desk.comment(me, case_id, field(form, "text"))

        return await _carry_out(room, request, case_id, "comment", work)

    @routes.post(f"{_CASE}/assign")
    async def assign(request: Request, case_id: str) -> Response:
        async def work(me: Principal, form: FormData) -> Done:
            return await room.dates.assign(
                me,
                case_id,
                field(form, "user") or me.user_id,
                reason=field(form, "reason"),
                seen=field(form, "seen"),
            )

        return await _carry_out(room, request, case_id, "assign", work)

    @routes.post(f"{_CASE}/acts/{{act_id}}/send")
    async def send_again(request: Request, case_id: str, act_id: str) -> Response:
        async def work(me: Principal, _: FormData) -> Done:
            return await room.desk.send_again(me, case_id, act_id)

        return await _carry_out(room, request, case_id, "sent", work)


async def _carry_out(
    room: CaseRoom, request: Request, case_id: str, word: str, work: Work, *, system: str = ""
) -> Response:
    """Do it and go back to the case; or the case at once, with why not and what was typed."""
    me = (await room.me(request)).principal
    await room.find(request, case_id)
    form = await room_form(request)
    try:
        result = await work(me, form)
    except _NOT_DONE as error:
        draft = {**values_of(form), "act": word, "system": system}
        return await room.refused(request, case_id, error, draft)
    finally:
        await form.close()  # a file that was sent goes at once
    return _back_to(case_id, "asked" if isinstance(result, Asked) else word)


async def _decide_request(
    room: CaseRoom, request: Request, request_id: str, word: str, work: Work
) -> Response:
    me = (await room.me(request)).principal
    try:
        asked = await room.seconds.find(me, request_id)
    except NotThereError:
        raise NOT_THERE from None
    form = await room_form(request)
    try:
        await work(me, form)
    except _NOT_DONE as error:
        draft = {**values_of(form), "act": word, "system": asked.system}
        return await room.refused(request, asked.case_id, error, draft)
    return _back_to(asked.case_id, asked.kind if word == "approve" else word)


def _back_to(case_id: str, word: str) -> Response:
    return RedirectResponse(f"{HOME}/{case_id}?done={word}", HTTPStatus.SEE_OTHER)


async def _upload(form: FormData) -> Upload | None:
    given = form.get("artefact")
    if not isinstance(given, UploadFile) or not given.filename:
        return None
    return checked_upload(given.filename, await given.read(MOST_BYTES + 1))


def _lines(given: str) -> list[str]:
    return [line.strip() for line in given.splitlines() if line.strip()]


def _picked(form: FormData) -> list[str]:
    """The accounts that were ticked; that none is the leaver's has to be said, not left out."""
    accounts = [writable(value) for value in form.getlist("account") if isinstance(value, str)]
    if bool(accounts) == bool(field(form, "none")):
        raise RefusedError("tick the leaver's accounts, or that none of them is the leaver's")
    return accounts


def _moment(given: str) -> datetime:
    """An instant as a form has it; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise RefusedError("say when the waiver ends, as in 2026-11-30T18:00") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
