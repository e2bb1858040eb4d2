"""`Case`: everything about one case, and its proofs and artefacts to take away."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import FormData

from lockstep.control.board.bulk import Bulk
from lockstep.control.cases.asking import LIFETIME
from lockstep.control.cases.casework import CaseDesk, writable
from lockstep.control.cases.dates import CaseDates
from lockstep.control.cases.names import CaseNames
from lockstep.control.cases.picking import Picking
from lockstep.control.cases.proofs import CaseProofs, NoHeadError
from lockstep.control.cases.uploads import ENDINGS, MOST_BYTES, TooLargeError
from lockstep.control.cases.wording import NOT_OF_THIS_CASE
from lockstep.control.cases.words import why_words
from lockstep.control.people.sessions import Signed
from lockstep.control.refusals import (
    ConflictError,
    NotAllowedError,
    NotThereError,
    RefusedError,
    UnansweredError,
)
from lockstep.control.requests.second_person import SecondPerson
from lockstep.domain.rights import Permission
from lockstep.storage.board.file import CaseFile
from lockstep.storage.keys.artefacts import ArtefactRow
from lockstep.storage.ledger.checkpoints import BrokenOrderError
from lockstep.storage.stores import Stores
from lockstep.web.console.cases.people import people_in
from lockstep.web.console.cases.view import sheet
from lockstep.web.console.front import Front
from lockstep.web.console.gate import NOT_THERE, Refusal

HOME = "/console/cases"
_MOST_ENTRIES = 2000
_DONE: Mapping[str, str] = {
    "retry": "The retry is under way.",
    "attest": "The attestation is recorded.",
    "waive": "The waiver is recorded.",
    "pick": "It is recorded whose the accounts are.",
    "asked": "It waits for a second person now.",
    "refuse": "It was refused.",
    "withdraw": "It was withdrawn.",
    "reschedule": "The new dates are being carried out.",
    "rescind": "The case is being called off.",
    "rehire": "It is recorded that they work here again; the watch ends.",
    "correct": "What you added is being carried out.",
    "withdraw-key": "The key is withdrawn: nobody is searched for by it any more.",
    "comment": "The comment was added.",
    "assign": "The case was handed over.",
    "sent": "It was sent again, and answered.",
}
"""What a page says after an act; its address carries the word only."""


@dataclass(frozen=True, slots=True)
class CaseRoom(Front):
    """What the routes about cases share."""

    desk: CaseDesk
    dates: CaseDates
    seconds: SecondPerson
    picking: Picking
    names: CaseNames
    proofs: CaseProofs
    bulk: Bulk

    @classmethod
    def of(cls, front: Front, stores: Stores, desk: CaseDesk) -> CaseRoom:
        return cls(
            front.gate,
            front.pages,
            desk,
            CaseDates(desk),
            SecondPerson(desk),
            Picking(desk),
            CaseNames(desk),
            CaseProofs(desk.files, stores.checkpoints, stores.proofs),
            Bulk(stores, desk),
        )

    async def me(self, request: Request) -> Signed:
        signed = await self.gate.signed(request)
        assert signed is not None  # noqa: S101 - the router's dependency
        return signed

    async def show(
        self,
        request: Request,
        found: CaseFile,
        *,
        status: int = HTTPStatus.OK,
        problem: str = "",
        draft: Mapping[str, str] | None = None,
        revealed: bool = False,
    ) -> Response:
        """The page, or its live part."""
        me = (await self.me(request)).principal
        case = found.view.case
        entries = await self.desk.files.entries(case.case_id, limit=_MOST_ENTRIES)
        users = await self.gate.sessions.users.names(people_in(found))
        own = await self.seconds.own_requests(me, found)
        shown = sheet(
            found, entries, me, users=users, pairs=self.desk.pairs, own=own, revealed=revealed
        )
        people = await self.desk.colleagues(case.partner) if me.may(Permission.ACT) else []
        part = bool(request.headers.get("hx-request")) and request.method == "GET"
        return self.pages.page(
            request,
            "case_part.html" if part else "case.html",
            status=status,
            sheet=shown,
            case=case,
            people=people,
            problem=problem,
            draft=draft or {},
            why_words=why_words,
            not_of_this_case=NOT_OF_THIS_CASE,
            done="" if part else _DONE.get(request.query_params.get("done", ""), ""),
            revealed=revealed,
            hours=int(LIFETIME.total_seconds() // 3600),
            endings=ENDINGS,
            most_mib=MOST_BYTES // 1024 // 1024,
        )

    async def find(self, request: Request, case_id: str) -> CaseFile:
        """A case in the scope of whoever asks; every other is not there."""
        me = (await self.me(request)).principal
        try:
            return await self.desk.find(me, case_id)
        except NotThereError:
            raise NOT_THERE from None

    async def refused(
        self,
        request: Request,
        case_id: str,
        error: Exception,
        draft: Mapping[str, str] | None = None,
    ) -> Response:
        """The case again, with why the act was not carried out and what was typed."""
        if isinstance(error, NotThereError):
            raise NOT_THERE
        if isinstance(error, NotAllowedError):
            raise Refusal(403, "Not allowed", f"{_sentence(error)} It was recorded.")
        found = await self.find(request, case_id)
        return await self.show(
            request, found, status=status_of(error), problem=_sentence(error), draft=draft
        )


def status_of(error: Exception) -> int:
    """The status of an act that was not carried out."""
    match error:
        case ConflictError():
            return HTTPStatus.CONFLICT
        case UnansweredError():
            return HTTPStatus.SERVICE_UNAVAILABLE
        case TooLargeError():
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        case _:
            return HTTPStatus.UNPROCESSABLE_ENTITY


def router(room: CaseRoom) -> APIRouter:
    """Looking at a case."""
    routes = room.gate.router(Permission.SEE_CASES)
    case_path = f"{HOME}/{{case_id}}"

    @routes.get(case_path)
    async def show_case(request: Request, case_id: str) -> Response:
        return await room.show(request, await room.find(request, case_id))

    @routes.get(f"{case_path}/proofs.json")
    async def proofs(request: Request, case_id: str) -> Response:
        await room.find(request, case_id)
        try:
            document = await room.proofs.of(case_id)
        except NoHeadError as error:
            raise Refusal(409, "Nothing to prove by yet", str(error)) from None
        except BrokenOrderError as error:
            raise Refusal(409, "The ledger is broken", _sentence(error)) from None
        name = f"lockstep-{case_id}-proofs.json"
        return JSONResponse(document, headers=_attachment(name))

    @routes.get(f"{case_path}/artefacts/{{artefact_id}}")
    async def fetch(request: Request, case_id: str, artefact_id: str) -> Response:
        me = (await room.me(request)).principal
        await room.find(request, case_id)
        if not me.sees_names and me.may(Permission.IDENTIFIED):
            raise Refusal(
                422, "A reason is needed", "Open the case and fetch it with a reason there."
            )
        return await _artefact(room, request, case_id, artefact_id, "")

    return routes


def identified_router(room: CaseRoom) -> APIRouter:
    """Names, for whoever sees them with a reason only."""
    routes = room.gate.router(Permission.IDENTIFIED)
    case_path = f"{HOME}/{{case_id}}"

    @routes.post(f"{case_path}/names")
    async def show_names(request: Request, case_id: str) -> Response:
        me = (await room.me(request)).principal
        await room.find(request, case_id)
        form = await room_form(request)
        try:
            found = await room.names.show(me, case_id, reason=field(form, "reason"))
        except (RefusedError, NotAllowedError, NotThereError) as error:
            return await room.refused(request, case_id, error)
        return await room.show(request, found, revealed=True)

    @routes.post(f"{case_path}/artefacts/{{artefact_id}}")
    async def fetch(request: Request, case_id: str, artefact_id: str) -> Response:
        await room.find(request, case_id)
        reason = field(await room_form(request), "reason")
        return await _artefact(room, request, case_id, artefact_id, reason)

    return routes


async def room_form(request: Request) -> FormData:
    """A form; the gate has checked its length."""
    return await request.form(max_files=1, max_fields=100)


def field(form: FormData, name: str, *, longest: int = 4000) -> str:
    """One text field of a form; "" where there is none."""
    value = form.get(name, "")
    return writable(value[:longest]) if isinstance(value, str) else ""


async def _artefact(
    room: CaseRoom, request: Request, case_id: str, artefact_id: str, reason: str
) -> Response:
    me = (await room.me(request)).principal
    try:
        row, content = await room.names.artefact(me, case_id, artefact_id, reason=reason)
    except (RefusedError, NotAllowedError, NotThereError) as error:
        return await room.refused(request, case_id, error)
    return Response(content, media_type="application/octet-stream", headers=_file_headers(row))


def _file_headers(row: ArtefactRow) -> dict[str, str]:
    """To be kept as a file, whatever it is: never shown by the browser in our origin."""
    return {**_attachment(row.name), "Content-Security-Policy": "sandbox"}


def _attachment(name: str) -> dict[str, str]:
    """RFC 6266, with the name as RFC 8187 encodes it: nothing of it can end the header."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name) or "file"
    encoded = quote(name.encode("utf-8", "replace"), safe="")
    return {"Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"}


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}." if text else "It cannot be done."


def values_of(form: FormData) -> dict[str, Any]:
    """What was typed, so that it stands in the form again."""
    return {name: field(form, name) for name in form}
