"""`My events`, many at once: a sheet of leavers is looked at line by line, then sent as seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import FormData, UploadFile

from lockstep.control.cases.uploads import clean_name
from lockstep.control.hr.leaver_lines import Becomes
from lockstep.control.hr.own_reports import MOST_REASON, OwnReports
from lockstep.control.hr.own_sheets import (
    MOST_BYTES,
    MOST_LINES,
    WOULD,
    OwnSheets,
    Sheet,
    SheetPreview,
    UnsentError,
)
from lockstep.control.refusals import RefusedError
from lockstep.domain.intake.sheets import COLUMNS
from lockstep.domain.rights import Permission
from lockstep.web.bounds import SHEETS
from lockstep.web.console.front import Front
from lockstep.web.console.gate import signed_of

COUNTED = {
    Becomes.OPENED: ("reported", "good"),
    Becomes.AMENDED: ("corrected", "good"),
    Becomes.UNCHANGED: ("unchanged", ""),
    Becomes.HELD: ("held", "warn"),
    Becomes.WAITING: ("not carried out yet", "warn"),
    Becomes.REFUSED: ("refused", "bad"),
}
"""What became of lines, in the order in which it is told, with its colour."""


@dataclass(frozen=True, slots=True)
class HrRoom(Front):
    """What people report themselves, one by one and in sheets."""

    reports: OwnReports
    sheets: OwnSheets


def router(room: HrRoom) -> APIRouter:
    """Both steps; what lies between them lies in the page."""
    routes = room.gate.router(Permission.SEND_EVENTS)

    @routes.post(f"{SHEETS}/preview")
    async def preview(request: Request) -> Response:
        form = await request.form()
        try:
            sheet = await _sheet(form)
            found = await room.sheets.preview(sheet, signed_of(request).principal)
        except RefusedError as error:
            given = {name: _text(form, name) for name in ("source", "reason")}
            return _not_read(room, request, str(error), given)
        finally:
            await form.close()
        return _looked_at(room, request, found)

    @routes.post(f"{SHEETS}/report")
    async def report(request: Request) -> Response:
        by, form = signed_of(request).principal, await request.form()
        leaves_out = _text(form, "leave_out") == "yes"
        try:
            done = await room.sheets.report(_text(form, "sheet"), by, leaves_out=leaves_out)
        except UnsentError as error:
            return _looked_at(room, request, error.preview, problem=str(error))
        except RefusedError as error:
            return _not_read(room, request, str(error), {})
        return room.pages.page(
            request,
            "hr_sheet_done.html",
            done=done,
            sheet=_text(form, "sheet"),
            leave_out=leaves_out,
            counted_as=COUNTED,
            kinds=Becomes,
        )

    return routes


def sheet_form(room: HrRoom, given: Mapping[str, str]) -> dict[str, Any]:
    """What the form of a sheet shows."""
    return {
        "given": given,
        "sources": room.reports.sources,
        "sheet_bounds": (MOST_BYTES, MOST_LINES),
        "columns": COLUMNS,
    }


def _not_read(room: HrRoom, request: Request, problem: str, given: Mapping[str, str]) -> Response:
    return room.pages.page(
        request,
        "hr_sheet.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        problem=problem,
        **sheet_form(room, given),
    )


def _looked_at(
    room: HrRoom, request: Request, preview: SheetPreview, *, problem: str = ""
) -> Response:
    """The page that shows every line; with ``problem`` where it should have been sent."""
    status = HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK
    return room.pages.page(
        request,
        "hr_sheet_preview.html",
        status=status,
        preview=preview,
        problem=problem,
        would=WOULD,
        kinds=Becomes,
    )


async def _sheet(form: FormData) -> Sheet:
    """The file that was chosen; raises `RefusedError` where none was."""
    given = form.get("file")
    if not isinstance(given, UploadFile) or not given.filename:
        raise RefusedError("choose a file")
    return Sheet(
        clean_name(given.filename),
        await given.read(MOST_BYTES + 1),
        _text(form, "source").strip(),
        _text(form, "reason")[: MOST_REASON + 1],
    )


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""
