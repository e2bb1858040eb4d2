"""``/api/cases``: the same lists as the page `Now`, and one case; within the token's scope."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi import Path as PathPart
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lockstep.control.board.filters import LONGEST, Filters, is_text, read_place
from lockstep.control.board.now import PAGE, Board
from lockstep.control.cases.casework import CaseDesk
from lockstep.control.cases.seen import CaseSeen
from lockstep.control.intake.events import why_not_valid
from lockstep.control.refusals import NotThereError
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import Permission, Principal
from lockstep.storage.board.file import CaseFile
from lockstep.storage.board.filter import BoardState, Due
from lockstep.storage.board.now import MOST_ROWS
from lockstep.web.api.auth import Gate, Problem, answers, bounded_body
from lockstep.web.api.case_answers import CaseDocument, CasesDocument

CaseId = Annotated[str, PathPart(max_length=40, description="The whole id of a case.")]


class CaseSearch(BaseModel):
    """What to find, in a body, because addresses end up in logs."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    key: str = Field(
        min_length=1,
        max_length=LONGEST,
        repr=False,
        description="An e-mail address, user name, worker id or employee number, in full.",
    )
    after: str = Field(default="", max_length=LONGEST)
    limit: int = Field(default=PAGE, ge=1, le=MOST_ROWS)


class CaseFilters(BaseModel):
    """Which cases; a filter that is left out narrows nothing."""

    model_config = ConfigDict(extra="forbid")

    state: BoardState = Field(default=BoardState.NEED, description="`any` is every case.")
    partner: str = Field(default="", max_length=LONGEST)
    site: str = Field(default="", max_length=LONGEST)
    system: str = Field(default="", max_length=LONGEST, description="Because of this system.")
    kind: TerminationKind | None = None
    due: Due | None = Field(default=None, description="When the first open system is due.")
    assignee: str = Field(default="", max_length=LONGEST, description="A user id, or `nobody`.")
    case: str = Field(
        default="", pattern="^(c[a-z2-7]{0,12})?$", description="The beginning of a case's id."
    )
    after: str = Field(default="", max_length=LONGEST, description="`next` of the page before.")
    limit: int = Field(default=PAGE, ge=1, le=MOST_ROWS)

    def filters(self) -> Filters:
        """As a list takes them; raises `FilterError`."""
        given = {name: str(getattr(self, name) or "") for name in Filters.plain_names()}
        return Filters.parse(given, self.case)


def cases_router(gate: Gate, board: Board, desk: CaseDesk) -> APIRouter:
    """Reading cases; every route needs the right ``see_cases``."""
    routes = gate.router(Permission.SEE_CASES, tag="cases")

    async def page(me: Principal, filters: Filters, after: str, limit: int) -> CasesDocument:
        found = await board.page(me, filters, after=read_place(after), limit=limit)
        return CasesDocument.of(found, me)

    @routes.get(
        "/api/cases",
        summary="Cases, most urgent first, and how many each state has",
        responses=answers(),
    )
    async def list_cases(
        request: Request, wanted: Annotated[CaseFilters, Query()]
    ) -> CasesDocument:
        me = await gate.asker(request)
        return await page(me, wanted.filters(), wanted.after, wanted.limit)

    @routes.post(
        "/api/cases/search",
        summary="Cases of a leaver, by a key; in a body, because addresses end up in logs",
        responses=answers(400, 413, 415),
        openapi_extra=_search_body(),
    )
    async def search(request: Request) -> CasesDocument:
        me = await gate.asker(request)
        wanted = _search(await bounded_body(request))
        if not me.sees_names:
            why = "the token may not see names, so it cannot search by them"
            await gate.deny(request, me, "names", problems=[why])
        filters = Filters.parse({"state": BoardState.ANY.value}, wanted.key)
        return await page(me, filters, wanted.after, wanted.limit)

    @routes.get("/api/cases/{case_id}", summary="One case and its systems", responses=answers(404))
    async def read_case(request: Request, case_id: CaseId) -> CaseDocument:
        me = await gate.asker(request)
        # First: nothing may be decided about that came after what the answer shows.
        found = await _found(desk, me, case_id) if me.sees_names else None
        seen = CaseSeen.of(found) if found and me.may(Permission.ACT) else None
        line = await board.one(me, case_id) if is_text(case_id) else None
        if line is None:
            raise Problem(404, "no_such_case")
        return CaseDocument.of(line, me, seen, found)

    return routes


async def _found(desk: CaseDesk, me: Principal, case_id: str) -> CaseFile:
    try:
        return await desk.find(me, case_id)
    except NotThereError:
        raise Problem(404, "no_such_case") from None


def _search(raw: bytes) -> CaseSearch:
    try:
        return CaseSearch.model_validate_json(raw)
    except ValidationError as error:
        rows = error.errors(include_input=False, include_url=False)
        if rows[0]["type"] == "json_invalid":
            raise Problem(400, "not_json") from None
        places = [str(row["loc"][0]) if row["loc"] else "body" for row in rows]
        known = [place if place in CaseSearch.model_fields else "body" for place in places]
        told = zip(known, rows, strict=True)
        raise Problem(
            422, "not_valid", [f"{place}: {why_not_valid(row)}" for place, row in told]
        ) from None


@cache
def _search_body() -> dict[str, Any]:
    schema = CaseSearch.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
