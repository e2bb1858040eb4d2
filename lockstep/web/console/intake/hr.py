"""`My events`: people of HR report leavers here, and see what became of what they sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from secrets import token_urlsafe
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import RedirectResponse, Response

from lockstep.control.hr.own_reports import Sent, Submission
from lockstep.control.intake.events import EventError
from lockstep.control.refusals import RefusedError
from lockstep.domain.cases.cutoff import CutoffError, local_instant, zone_named
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import Permission, Principal
from lockstep.domain.zones import zone_names
from lockstep.web.console.gate import NOT_THERE, signed_of
from lockstep.web.console.intake.sheet import HrRoom, sheet_form

HOME = "/console/hr"
FIELDS = (
    "worker_id",
    "name",
    "employee_number",
    "emails",
    "usernames",
    "accounts",
    "kind",
    "zone",
    "when",
    "last_working_day",
    "ends_at",
    "partner",
    "site",
    "spell",
    "hired_at",
    "source",
    "reason",
)
_LONGEST = 2000
_LONGEST_ACCOUNTS = 20_000
_LARGEST = 2**63 - 1
EventId = Annotated[int, Path(ge=1, le=_LARGEST)]
_ZONES = zone_names()
Say = Callable[[Mapping[str, str], Submission, Principal], Awaitable[object]]
"""What is done with a form, its submission, and who sent it."""


def router(room: HrRoom) -> APIRouter:
    """Everything that the right to send events opens."""
    routes = room.gate.router(Permission.SEND_EVENTS)

    @routes.get(HOME)
    async def show(
        request: Request, before: Annotated[int | None, Query(ge=1, le=_LARGEST)] = None
    ) -> Response:
        by = signed_of(request).principal
        sent, more = await room.reports.newest(by, before=before)
        return room.pages.page(
            request,
            "hr.html",
            sent=sent,
            more=more,
            before=before,
            **_form(room, by, {}),
        )

    @routes.post(f"{HOME}/preview")
    async def preview(request: Request) -> Response:
        by, given = signed_of(request).principal, await _given(request)
        try:
            found = await room.reports.preview(cells_of(given), by)
        except (EventError, RefusedError) as error:
            return _wrong(room, request, "hr_report.html", error, **_form(room, by, given))
        return room.pages.page(request, "hr_preview.html", preview=found, given=given)

    @routes.post(f"{HOME}/change")
    async def change(request: Request) -> Response:
        """Back from the preview, with everything as it was entered."""
        by, given = signed_of(request).principal, await _given(request)
        return room.pages.page(request, "hr_report.html", problems=[], **_form(room, by, given))

    @routes.post(f"{HOME}/report")
    async def report(request: Request) -> Response:
        by, given = signed_of(request).principal, await _given(request)
        submission = Submission(given.get("once", ""), given.get("reason", ""))
        try:
            await room.reports.report(cells_of(given), submission, by=by)
        except (EventError, RefusedError) as error:
            return _wrong(room, request, "hr_report.html", error, **_form(room, by, given))
        return RedirectResponse(f"{HOME}?reported=1#sent", HTTPStatus.SEE_OTHER)

    _add_changes(routes, room)
    return routes


def _add_changes(routes: APIRouter, room: HrRoom) -> None:
    """Moving dates, and calling off, of one's own reports."""

    async def found(request: Request, event: EventId) -> Sent:
        sent = await room.reports.one(signed_of(request).principal, event)
        if sent is None:
            raise NOT_THERE
        return sent

    @routes.get(f"{HOME}/{{event}}")
    async def show_event(request: Request, event: EventId) -> Response:
        sent = await found(request, event)
        return room.pages.page(
            request,
            "hr_event.html",
            sent=sent,
            problems=[],
            once=token_urlsafe(16),
            zones=_ZONES,
        )

    async def said(request: Request, event: int, say: Say) -> Response:
        """Carry out what a form says of one report; where it is refused, show the report again."""
        sent, given = await found(request, event), await _given(request)
        wish = Submission(given.get("once", ""), given.get("reason", ""))
        try:
            asked = await say(given, wish, signed_of(request).principal)
        except (EventError, RefusedError) as error:
            once = token_urlsafe(16)
            return _wrong(room, request, "hr_event.html", error, sent=sent, once=once, zones=_ZONES)
        told = "?asked=1" if asked is not None else ""
        return RedirectResponse(f"{HOME}{told}#sent", HTTPStatus.SEE_OTHER)

    @routes.post(f"{HOME}/{{event}}/amend")
    async def amend(request: Request, event: EventId) -> Response:
        return await said(
            request,
            event,
            lambda given, wish, by: room.reports.amend(event, _dates(given), wish, by=by),
        )

    @routes.post(f"{HOME}/{{event}}/rescind")
    async def rescind(request: Request, event: EventId) -> Response:
        return await said(
            request, event, lambda _, wish, by: room.reports.rescind(event, wish, by=by)
        )

    @routes.post(f"{HOME}/{{event}}/rehire")
    async def rehire(request: Request, event: EventId) -> Response:
        return await said(
            request, event, lambda _, wish, by: room.reports.rehire(event, wish, by=by)
        )


def cells_of(given: Mapping[str, str]) -> dict[str, object]:
    """The form's fields as cells of a CSV line; raises `EventError`."""
    too_long = [name for name in FIELDS if len(given.get(name, "")) > _longest(name)]
    if too_long:  # a key that was cut would be somebody else's
        raise EventError([f"{name}: {_longest(name):,} characters at most" for name in too_long])
    cells = {name: given.get(name, "") for name in FIELDS if name not in _NOT_CELLS}
    for name in ("emails", "usernames"):  # people write lists in many ways
        cells[name] = ";".join(cells[name].replace(",", ";").replace("\n", ";").split(";"))
    return {
        **cells,
        "spell": cells["spell"] or "1",
        "accounts": _accounts(given.get("accounts", "")),
        **_dates(given),
    }


_NOT_CELLS = frozenset({"when", "last_working_day", "ends_at", "reason", "accounts"})


def _accounts(text: str) -> dict[str, list[str]]:
    """Account ids by system, of lines such as `directory: 00u1a2b3c4`; raises `EventError`."""
    found: dict[str, list[str]] = {}
    problems = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        system, sign, account = (part.strip() for part in line.partition(":"))
        if system and sign and account:
            found.setdefault(system, []).append(account)
        else:
            problems.append(f"accounts, line {number}: write it as system: id, one in each line")
    if problems:
        raise EventError(problems)
    return found


def _longest(field: str) -> int:
    return _LONGEST_ACCOUNTS if field == "accounts" else _LONGEST


def _dates(given: Mapping[str, str]) -> dict[str, str]:
    """Zone, and the day or the instant at which access ends; raises `EventError`."""
    zone = given.get("zone", "")
    match given.get("when", ""):
        case "now":
            return {"zone": zone, "access_ends_at": "now"}
        case "at":
            return {"zone": zone, "access_ends_at": _instant(given.get("ends_at", ""), zone)}
        case _:
            return {"zone": zone, "last_working_day": given.get("last_working_day", "")}


def _instant(text: str, zone: str) -> str:
    """A wall clock's time in ``zone``; of an hour that comes twice, the first.

    Raises:
        EventError: no time, no zone, or a time that the clock there leaves out on that day.
    """
    try:
        wall = datetime.fromisoformat(text).replace(tzinfo=None, fold=0)
        place = zone_named(zone)
        instant = local_instant(wall.date(), wall.time(), place)
    except CutoffError as error:
        raise EventError([str(error)]) from None
    except (ValueError, OverflowError):
        raise EventError(["access ends at: give a day and a time"]) from None
    shown = instant.astimezone(place)
    if shown.replace(tzinfo=None, fold=0) != wall:
        skipped = (
            f"access ends at: on {wall:%Y-%m-%d} clocks in {zone} are put forward and never "
            f"show {wall:%H:%M}; the first time after it is {shown:%H:%M}"
        )
        raise EventError([skipped])
    return instant.isoformat()


async def _given(request: Request) -> dict[str, str]:
    form = await request.form()
    wanted = {*FIELDS, "once"}
    return {
        name: value[: _longest(name) + 1]  # so that it shows that it is too long
        for name, value in form.items()
        if name in wanted and isinstance(value, str)
    }


def _form(room: HrRoom, by: Principal, given: Mapping[str, str]) -> dict[str, Any]:
    """What the form shows."""
    return {
        **sheet_form(room, given),
        "kinds": list(TerminationKind),
        "zones": _ZONES,
        "partners": None if by.remit.partners is None else sorted(by.remit.partners),
    }


def _wrong(
    room: HrRoom, request: Request, template: str, error: Exception, **values: Any
) -> Response:
    problems = error.problems if isinstance(error, EventError) else [str(error)]
    return room.pages.page(
        request, template, status=HTTPStatus.UNPROCESSABLE_ENTITY, problems=problems, **values
    )
