"""``/api/evidence/exports``: order packs, see how far they are, fetch them."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi import Path as PathPart
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lockstep.control.intake.events import why_not_valid
from lockstep.control.packs.export import Exporter, Requester
from lockstep.control.packs.order import Order, OrderError, shows_coming
from lockstep.domain.rights import Permission, Principal
from lockstep.storage.board.views import CaseIdError, CaseViews
from lockstep.storage.packs.orders import ExportRow, Exports, ExportState
from lockstep.storage.packs.views import ExportViews
from lockstep.web.api.answers import Told, header, told
from lockstep.web.api.auth import Gate, Problem, answers, bounded_body
from lockstep.web.api.evidence_answers import (
    EXPORTS,
    MOST_LISTED,
    ExportDocument,
    ExportsDocument,
    state_of,
)

_MAX_BODY = 160 * 1024
"""A checkpoint of 64 KiB, escaped, and a few words."""


ExportId = Annotated[
    str, PathPart(pattern=r"^e[a-z2-7]{12}$", description="As the order's answer gave it.")
]


_ORDERED = told(
    ExportDocument,
    "It is ordered; checkpoint and seed are settled.",
    headers={"Location": header("Where to ask how far it is.", format="uri-reference")},
)
_PACK: dict[str, Any] = {
    "description": "The pack.",
    "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    "headers": {
        "Repr-Digest": header("RFC 9530.", pattern="^sha-256=:[A-Za-z0-9+/]{43}=:$"),
        "Content-Disposition": header("The file's name."),
    },
}
_TEXT = {"content": {"text/plain": {"schema": {"type": "string"}}}}
_PART = {"multipart/byteranges": {"schema": {"type": "string", "format": "binary"}}}
_FILE: dict[int | str, dict[str, Any]] = {
    **answers(404, 409),
    200: _PACK,
    206: {
        "description": "A part of it, as `Range` asked.",
        "content": {**_PACK["content"], **_PART},
    },
    400: {"description": "`Range` is malformed.", **_TEXT},
    416: {"description": "`Range` lies outside of it.", **_TEXT},
}


@dataclass(frozen=True, slots=True)
class Packs:
    """What the routes need. ``folder``: where the jobs put finished packs."""

    exporter: Exporter
    exports: Exports
    folder: Path
    listed: ExportViews
    cases: CaseViews


class ExportWish(BaseModel):
    """What a pack is asked for. The period is whole days in UTC, the last one included."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    first: date = Field(alias="from")
    last: date = Field(alias="to")
    partner: str = ""
    case: str = ""
    sample: int = 0
    seed: str = ""
    identified: bool = False
    reason: str = Field(default="", repr=False)
    ocsf: str = "1.9"
    checkpoint: int | None = None
    previous: str = ""

    def order(self) -> Order:
        """The order; raises `OrderError`."""
        return Order(
            first=self.first,
            last=self.last,
            partner=self.partner,
            case_id=self.case,
            sample=self.sample,
            seed=self.seed,
            identified=self.identified,
            reason=self.reason,
            ocsf=self.ocsf,
            checkpoint=self.checkpoint,
            previous=self.previous,
        )


def evidence_router(gate: Gate, packs: Packs) -> APIRouter:
    """Every route needs the right ``export``; what names people needs ``identified`` too."""
    routes = gate.router(Permission.EXPORT, tag="evidence")

    @routes.post(
        EXPORTS,
        status_code=202,
        summary="Order a pack",
        responses={202: _ORDERED, **answers(404, 413, 415)},
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": _wish_schema()}},
            }
        },
    )
    async def order(request: Request) -> Told:
        raw = await bounded_body(request, _MAX_BODY)
        wish = _wish(raw)
        if wish.identified:
            await gate.needs(Permission.IDENTIFIED)(request)
        asker = await gate.asker(request)
        asked = replace(wish.order(), coming=asker.may(Permission.SEALED))
        await _check_scope(packs, asked, asker)
        if asker.partners is None:
            await packs.exporter.check_partner(asked)
        export_id, _ = await packs.exporter.order(asked, Requester(token=asker.user_id))
        row = await _row(packs, export_id, asker)
        return Told(ExportDocument.of(row), 202, {"Location": f"{EXPORTS}/{export_id}"})

    @routes.get(
        EXPORTS,
        summary="The newest orders",
        responses={200: told(ExportsDocument, "Those that the token may know of."), **answers()},
    )
    async def newest(
        request: Request, limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 50
    ) -> Told:
        asker = await gate.asker(request)
        rows = await packs.listed.newest(asker.scope, limit=limit)
        return Told(ExportsDocument(exports=[ExportDocument.of(row) for row in rows]))

    @routes.get(
        f"{EXPORTS}/{{export_id}}",
        summary="One order",
        responses={200: told(ExportDocument, "How far it is."), **answers(404)},
    )
    async def one(export_id: ExportId, request: Request) -> Told:
        row = await _row(packs, export_id, await gate.asker(request))
        return Told(ExportDocument.of(row))

    @routes.get(
        f"{EXPORTS}/{{export_id}}/file",
        summary="The pack",
        response_class=FileResponse,
        responses=_FILE,
    )
    async def file(export_id: ExportId, request: Request) -> FileResponse:
        row = await _row(packs, export_id, await gate.asker(request))
        if row.parameters["identified"]:
            await gate.needs(Permission.IDENTIFIED)(request)
        answer = _file(packs.folder, row)
        if shows_coming(row.parameters):
            await gate.needs(Permission.SEALED)(request)
        return answer

    return routes


@cache
def _wish_schema() -> dict[str, Any]:
    return ExportWish.model_json_schema(by_alias=True)


def _wish(raw: bytes) -> ExportWish:
    try:
        return ExportWish.model_validate_json(raw)
    except ValidationError as error:
        rows = error.errors(include_input=False, include_url=False)
        problems = [
            f"{'.'.join(map(str, row['loc'])) or 'body'}: {why_not_valid(row)}" for row in rows
        ]
        raise Problem(422, "not_valid", problems) from None


async def _check_scope(packs: Packs, order: Order, asker: Principal) -> None:
    """A pack of one's partners, or of a case that one may see.

    Raises:
        OrderError: where it names no partner and must.
        Problem: 404 for what is not there for this token.
    """
    if order.case_id:
        try:
            view = await packs.cases.within(asker.scope).show(order.case_id)
        except CaseIdError:
            view = None
        if view is None or view.case.case_id != order.case_id:
            raise Problem(404, "no_such_case")
    elif asker.partners is not None:
        if not order.partner:
            raise OrderError("partner: name one that the token is for")
        if order.partner not in asker.partners:
            raise Problem(404, "no_such_partner")


async def _row(packs: Packs, export_id: str, asker: Principal) -> ExportRow:
    row = await packs.listed.get(asker.scope, export_id)
    if row is None:
        raise Problem(404, "no_such_export")
    return row


def _file(folder: Path, row: ExportRow) -> FileResponse:
    if row.state == ExportState.EXPIRED:
        raise Problem(404, "file_deleted", ["packs are kept for a limited time: order it again"])
    if row.state != ExportState.DONE:
        raise Problem(409, "not_ready", [f"the export is {state_of(row)}"])
    if row.file_name is None:
        raise Problem(404, "kept_elsewhere", ["it was exported at a command line"])
    path = folder / row.file_name
    if not path.is_file():
        raise Problem(404, "file_not_here", ["it lies on another machine's disk"])
    asked = row.parameters
    name = f"lockstep-evidence-{asked['first']}-{asked['last']}-{row.export_id}.zip"
    digest = base64.b64encode(bytes.fromhex(row.sha256 or "")).decode()
    return FileResponse(
        path,
        media_type="application/zip",
        filename=name,
        headers={"Repr-Digest": f"sha-256=:{digest}:"},  # RFC 9530
    )
