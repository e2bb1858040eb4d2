"""`Evidence`: order packs, fetch and check them; see the ledger and its copies elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import NoReturn

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.datastructures import FormData, UploadFile

from lockstep.control.ledger.facts import LedgerSight, age
from lockstep.control.packs.check import MOST_BYTES, PackChecker, PackCheckError
from lockstep.control.packs.order import Order, OrderError
from lockstep.control.packs.orders import (
    NOT_IDENTIFIED,
    SEALED,
    FileGoneError,
    PackNotAllowedError,
    PackOrders,
)
from lockstep.control.people.sessions import Signed
from lockstep.domain.rights import Permission, Principal
from lockstep.evidence.pack.layout import OCSF_VERSIONS
from lockstep.storage.board.sight import CaseSight
from lockstep.storage.packs.orders import ExportRow, ExportState
from lockstep.web.console.front import Front
from lockstep.web.console.gate import NOT_THERE, ConsoleGate, Refusal, act_of
from lockstep.web.console.packs.words import PackLine, line_of, report_values

HOME = "/console/evidence"
PAGE = 25
_WITHOUT_RIGHT = {
    NOT_IDENTIFIED: "It names people: your role does not include that.",
    SEALED: "Your role does not include this one: order it again for yourself.",
}
_EXPORT_ID = re.compile(r"e[a-z2-7]{12}")
_MAX_DIGITS = 15
_MAX_TEXT = 70_000
"""Characters of a form's field: a checkpoint is the longest."""


def router(desk: PacksRoom) -> APIRouter:
    """Everything that needs the right to export."""
    routes = desk.gate.router(Permission.EXPORT)
    _add_pages(routes, desk)
    _add_orders(routes, desk)
    _add_checks(routes, desk)
    _add_ledger(routes, desk)
    return routes


@dataclass(frozen=True, slots=True)
class PacksRoom(Front):
    """Packs, and the ledger that they are made from."""

    orders: PackOrders
    ledger: LedgerSight
    checker: PackChecker
    cases: CaseSight

    async def me(self, request: Request) -> Signed:
        signed = await self.gate.signed(request)
        assert signed is not None  # noqa: S101 - the router's dependency
        return signed

    async def row(self, export_id: str, by: Principal) -> ExportRow:
        """An order in scope; raises `Refusal` for every other, whether or not there is one."""
        found = None
        if _EXPORT_ID.fullmatch(export_id):
            found = await self.orders.views.get(by.scope, export_id)
        if found is None:
            raise NOT_THERE
        return found

    async def lines(self, by: Principal, before: str) -> tuple[list[PackLine], str]:
        """One page of orders, and where the next one begins; "" at the end."""
        mark = before if _EXPORT_ID.fullmatch(before) else ""
        rows = await self.orders.views.newest(by.scope, limit=PAGE + 1, before=mark)
        shown = [self.line(row, by) for row in rows[:PAGE]]
        return shown, shown[-1].export_id if len(rows) > PAGE else ""

    def line(self, row: ExportRow, by: Principal) -> PackLine:
        """An order as a page shows it to somebody."""
        who, reason = self.orders.who(row)
        try:
            self.orders.file_of(row, by)
            missing = ""
        except PackNotAllowedError as refused:
            missing = _WITHOUT_RIGHT[refused.why]
        except FileGoneError as gone:
            missing = str(gone) if row.state in {ExportState.DONE, ExportState.EXPIRED} else ""
        return line_of(
            row, who=who, reason=reason if by.may(Permission.IDENTIFIED) else "", missing=missing
        )


def _add_pages(routes: APIRouter, desk: PacksRoom) -> None:
    pages = desk.pages

    @routes.get(HOME)
    async def show_evidence(request: Request, before: str = "") -> Response:
        return await _home(request, desk, before=before)

    @routes.get(f"{HOME}/packs")
    async def show_packs(request: Request, before: str = "") -> Response:
        """The list alone, for a page that is open."""
        if not request.headers.get("hx-request"):
            return RedirectResponse(HOME, HTTPStatus.SEE_OTHER)
        me = (await desk.me(request)).principal
        lines, older = await desk.lines(me, before)
        return pages.page(request, "evidence_packs.html", lines=lines, older=older, before=before)

    @routes.get(f"{HOME}/packs/{{export_id}}")
    async def show_pack(request: Request, export_id: str) -> Response:
        me = (await desk.me(request)).principal
        pack = desk.line(await desk.row(export_id, me), me)
        part = bool(request.headers.get("hx-request"))
        template = "evidence_pack_part.html" if part else "evidence_pack.html"
        return pages.page(request, template, pack=pack)


async def _home(
    request: Request,
    desk: PacksRoom,
    *,
    before: str = "",
    given: dict[str, str] | None = None,
    problem: str = "",
) -> Response:
    me = (await desk.me(request)).principal
    lines, older = await desk.lines(me, before)
    ledger = await desk.ledger.facts()
    return desk.pages.page(
        request,
        "evidence.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK,
        lines=lines,
        older=older,
        before=before,
        ledger=ledger,
        anchors=[(row, age(row.standing, datetime.now(UTC))) for row in ledger.anchors],
        partners=await desk.cases.partners(me.scope),
        given=given or _proposal(),
        problem=problem,
        versions=sorted(OCSF_VERSIONS, reverse=True),
        may_name=me.may(Permission.IDENTIFIED),
        largest=MOST_BYTES,
    )


def _add_orders(routes: APIRouter, desk: PacksRoom) -> None:
    @routes.post(f"{HOME}/packs")
    async def order(request: Request) -> Response:
        me = await desk.me(request)
        given = _texts(await read_form(request))
        try:
            export_id = await desk.orders.order(_order(given), me.principal)
        except OrderError as error:
            return await _home(request, desk, given=given, problem=str(error))
        except PackNotAllowedError as error:
            await _refuse(request, desk.gate, me, error)
        return RedirectResponse(f"{HOME}/packs/{export_id}", HTTPStatus.SEE_OTHER)

    @routes.get(f"{HOME}/packs/{{export_id}}/file")
    async def fetch(request: Request, export_id: str) -> Response:
        me = await desk.me(request)
        row = await desk.row(export_id, me.principal)
        try:
            path = await desk.orders.hand_out(row, me.principal)
        except PackNotAllowedError as error:
            await _refuse(request, desk.gate, me, error)
        except FileGoneError as gone:
            raise Refusal(404, "There is no file", str(gone)) from None
        asked = row.parameters
        name = f"lockstep-evidence-{asked['first']}-{asked['last']}-{row.export_id}.zip"
        return FileResponse(path, media_type="application/zip", filename=name)


def _add_checks(routes: APIRouter, desk: PacksRoom) -> None:
    @routes.post(f"{HOME}/verify")
    async def check_upload(request: Request) -> Response:
        form = await read_form(request)
        try:
            raw, key = await _file_of(form), _texts(form).get("key", "").strip()
        finally:
            await form.close()
        if raw is None:
            return _report(request, desk, problem="Choose the pack's file first.")
        try:
            keys = [key] if key else await _own_keys(desk)
            found = await desk.checker.check_bytes(raw, keys)
        except PackCheckError as error:
            return _report(request, desk, problem=str(error))
        return _report(request, desk, found=found, own_key=not key)

    @routes.post(f"{HOME}/packs/{{export_id}}/verify")
    async def check_made(request: Request, export_id: str) -> Response:
        me = await desk.me(request)
        row = await desk.row(export_id, me.principal)
        try:
            path = desk.orders.file_of(row, me.principal)
            found = await desk.checker.check(path, await _own_keys(desk))
        except PackNotAllowedError as error:
            await _refuse(request, desk.gate, me, error)
        except (FileGoneError, PackCheckError) as error:
            return _report(request, desk, problem=str(error))
        return _report(request, desk, found=found, own_key=True)


def _report(
    request: Request,
    desk: PacksRoom,
    *,
    found: dict[str, object] | None = None,
    own_key: bool = True,
    problem: str = "",
) -> Response:
    part = bool(request.headers.get("hx-request"))
    return desk.pages.page(
        request,
        "evidence_report.html" if part else "evidence_checked.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK,
        problem=problem,
        report=None if found is None else report_values(found),
        own_key=own_key,
    )


def _add_ledger(routes: APIRouter, desk: PacksRoom) -> None:
    @routes.get(f"{HOME}/checkpoints/{{size}}")
    async def checkpoint(size: str) -> Response:
        """A signed head, exactly as it was signed: keep it, and later packs must grow from it."""
        known = size.isascii() and size.isdecimal() and len(size) <= _MAX_DIGITS
        head = await desk.ledger.checkpoints.at(int(size)) if known else None
        if head is None:
            raise NOT_THERE
        return _download(head.note, f"checkpoint-{head.size}.txt")

    @routes.get(f"{HOME}/key")
    async def key() -> Response:
        keys, _ = await desk.ledger.keys()
        if not keys:
            raise NOT_THERE
        return _download(keys[-1] + "\n", "ledger.vkey")


def _download(text: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return PlainTextResponse(text, headers=headers)


async def _own_keys(desk: PacksRoom) -> list[str]:
    """The keys that the ledger itself names; raises `PackCheckError` where it names none."""
    keys, refused = await desk.ledger.keys()
    if not keys:
        why = refused or "the ledger has none yet"
        raise PackCheckError(f"There is no key to check with: {why}. Give one.")
    return list(keys)


async def _refuse(
    request: Request, gate: ConsoleGate, me: Signed, error: PackNotAllowedError
) -> NoReturn:
    """Record it and refuse; raises `Refusal`. What is out of scope is not there."""
    if error.why in _WITHOUT_RIGHT:
        await gate.deny(request, me, error.why)
    await gate.sessions.log.denied(me.principal.user_id, act_of(request), why=error.why)
    raise NOT_THERE


async def read_form(request: Request) -> FormData:
    """A form with one file at most; `Bounds` has looked at its size."""
    return await request.form(max_files=1, max_fields=100)


async def _file_of(form: FormData) -> bytes | None:
    """What was uploaded as the pack; None if nothing was chosen."""
    given = form.get("pack")
    return await given.read() if isinstance(given, UploadFile) and given.filename else None


def _texts(form: FormData) -> dict[str, str]:
    return {name: value[:_MAX_TEXT] for name, value in form.multi_items() if isinstance(value, str)}


def _proposal() -> dict[str, str]:
    """What the form begins with: this quarter up to today."""
    today = datetime.now(UTC).date()
    first = date(today.year, (today.month - 1) // 3 * 3 + 1, 1)
    return {"from": first.isoformat(), "to": today.isoformat()}


def _order(given: dict[str, str]) -> Order:
    """The order that a form asks for; raises `OrderError`."""
    checkpoint = _whole(given, "checkpoint")
    return Order(
        first=_day(given, "from"),
        last=_day(given, "to"),
        partner=given.get("partner", "").strip(),
        case_id=given.get("case", "").strip(),
        sample=_whole(given, "sample") or 0,
        seed=given.get("seed", "").strip(),
        identified=given.get("identified") == "yes",
        reason=given.get("reason", "").strip(),
        ocsf=given.get("ocsf", "1.9"),
        checkpoint=checkpoint,
        previous=given.get("previous", "").replace("\r\n", "\n"),
    )


def _day(given: dict[str, str], name: str) -> date:
    try:
        return date.fromisoformat(given.get(name, "").strip())
    except ValueError:
        raise OrderError(f"{name}: give a day, as in 2026-07-01") from None


def _whole(given: dict[str, str], name: str) -> int | None:
    text = given.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        raise OrderError(f"{name}: give a whole number")
    return int(text)
