"""`Now`: the cases that need somebody, most urgent first; and every other list of cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData

from lockstep.control.board.filters import (
    FilterError,
    Filters,
    Links,
    is_text,
    read_place,
    write_place,
)
from lockstep.control.board.now import Board, BoardPage
from lockstep.control.cases.wording import afterwards_words, outage_words
from lockstep.control.cases.words import asked_words
from lockstep.control.people.sessions import Signed
from lockstep.domain.rights import Permission
from lockstep.storage.board.filter import BoardState
from lockstep.storage.board.saved_views import MOST_VIEWS, SavedViews, TooManyViewsError
from lockstep.storage.keys.keyring import Keyring
from lockstep.web.console.front import Front
from lockstep.web.console.gate import NOT_THERE, Away, Refusal
from lockstep.web.console.pages import duration, menu_of

PATH = "/console/"
_LONGEST_NAME = 60
_NO_PAGE = Refusal(403, "Nothing here for you", "Your role has no page of this room.")
TILES: tuple[tuple[BoardState, str, str], ...] = (
    (BoardState.NEED, "Need somebody", "warn"),
    (BoardState.LATE, "Late", "bad"),
    (BoardState.NEAR, "Near the SLA", "warn"),
    (BoardState.PERSON, "Need a person", "warn"),
    (BoardState.BACK, "Access found", "bad"),
    (BoardState.SECOND, "Wait for a second person", ""),
    (BoardState.REVOKING, "Revoking", ""),
    (BoardState.SCHEDULED, "Scheduled", ""),
    (BoardState.CLOSED_TODAY, "Closed today", "good"),
)
"""State, what people read, and its colour while there are any."""
_TITLES = {
    **{state: name for state, name, _ in TILES},
    BoardState.CLOSED: "Closed",
    BoardState.RESCINDED: "Rescinded",
    BoardState.ANY: "All cases",
}


_WITH_HELD = frozenset({BoardState.NEED, BoardState.LATE})
"""Lists that tell of who waits at a brake past the cutoff."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What an address asks for; ``problem`` says what in it cannot be."""

    filters: Filters
    after: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class NowRoom(Front):
    """``systems``: names that the policy has. ``ring`` seals what somebody searches for."""

    board: Board
    saved: SavedViews
    ring: Keyring = field(repr=False)
    systems: Sequence[str]


def router(room: NowRoom) -> APIRouter:
    """The first page, which everybody may ask for."""
    routes = room.gate.router(None)

    @routes.get(PATH)
    async def show_now(request: Request) -> Response:
        signed = await _signed(room, request)
        if not signed.principal.may(Permission.SEE_CASES):
            raise _elsewhere(signed)
        links = Links(room.ring, signed.principal.user_id)
        asked = _asked(request.query_params, links)
        try:
            page = await room.board.page(
                signed.principal, asked.filters, after=read_place(asked.after)
            )
        except FilterError as error:
            asked = _Asked(Filters(), problem=str(error))
            page = await room.board.page(signed.principal, asked.filters)
        values = _part_values(asked, page, links)
        # Asked only where it could matter: an empty list that nothing narrows.
        bare = not page.lines and not asked.filters.narrows
        values["nothing_yet"] = bare and await room.board.is_empty(signed.principal)
        if request.headers.get("hx-request"):
            return room.pages.page(request, "now_part.html", live=True, **values)
        more = await _page_values(room, signed, asked, links)
        return room.pages.page(request, "now.html", live=False, **values, **more)

    return routes


def case_router(room: NowRoom) -> APIRouter:
    """What needs the right to see cases: searching, and keeping views."""
    routes = room.gate.router(Permission.SEE_CASES)

    @routes.post("/console/search")
    async def search(request: Request) -> Response:
        """By a form that is sent, not by an address: what is searched may be somebody's e-mail."""
        links = Links(room.ring, (await _signed(room, request)).principal.user_id)
        form = await request.form()
        try:
            filters = Filters.parse(_texts(form), _texts(form).get("text", ""))
        except FilterError as error:
            raise _unusable(error) from None
        if filters.search and "state" not in filters.plain():
            filters = filters.changed(state=BoardState.ANY.value)
        return _to(links.query(filters))

    @routes.post("/console/views")
    async def keep_view(request: Request) -> Response:
        signed = await _signed(room, request)
        links = Links(room.ring, signed.principal.user_id)
        texts = _texts(await request.form())
        name = texts.get("name", "").strip()
        if not 1 <= len(name) <= _LONGEST_NAME or not is_text(name):
            raise Refusal(422, "Not kept", f"Give the view a name of 1 to {_LONGEST_NAME} letters.")
        try:
            filters = links.parse(texts)
            document = {**filters.plain(), "search": filters.search}
            await room.saved.keep(signed.principal.user_id, name, document)
        except FilterError as error:
            raise _unusable(error) from None
        except TooManyViewsError:
            raise Refusal(
                409, "Not kept", f"You have {MOST_VIEWS} views: remove one first."
            ) from None
        return _to(links.query(filters))

    @routes.post("/console/views/{view_id}/remove")
    async def remove_view(request: Request, view_id: str) -> Response:
        signed = await _signed(room, request)
        if not await room.saved.remove(signed.principal.user_id, view_id):
            raise NOT_THERE
        return _to("")

    return routes


async def _signed(room: NowRoom, request: Request) -> Signed:
    signed = await room.gate.signed(request)
    assert signed is not None  # noqa: S101 - the router's dependency
    return signed


def _elsewhere(signed: Signed) -> Exception:
    """Everybody arrives here after signing in; who sees no cases goes on to a page of theirs."""
    first = next((path for path, _ in menu_of(signed) if path != PATH), "")
    return Away(first) if first else _NO_PAGE


def _asked(given: Mapping[str, str], links: Links) -> _Asked:
    after = given.get("after", "")
    try:
        read_place(after)
        return _Asked(links.parse(given), after)
    except FilterError as error:
        return _Asked(Filters(), problem=str(error))


def _part_values(asked: _Asked, page: BoardPage, links: Links) -> dict[str, Any]:
    """What the part that refreshes itself shows."""
    filters = asked.filters
    tiles = [
        Tile(
            name=name,
            count=page.people(state),
            colour=colour if page.people(state) else "",
            link=_address(links.query(filters.changed(state=state.value))),
            is_chosen=filters.state == state,
        )
        for state, name, colour in TILES
    ]
    more = write_place(page.more)
    return {
        "filters": filters,
        "tiles": tiles,
        "lines": page.lines,
        "counts": {state.value: page.people(state) for state in page.counts},
        "held": page.held,
        "shows_held": filters.state in _WITH_HELD,
        "standstill": page.standstill,
        "doubts": page.doubts,
        "outages": page.outages,
        "outage_words": outage_words,
        "afterwards_words": afterwards_words,
        "asked": page.asked,
        "stalled": page.stalled.cases,
        "stalled_known": page.stalled.is_known,
        "lost": page.swept.open,
        "swept_known": page.swept.is_known,
        "mended": page.swept.mended,
        "clocks": page.clocks,
        "title": _TITLES[BoardState(filters.state)],
        "next_page": _address(links.query(filters, after=more)) if more else "",
        "first_page": _address(links.query(filters)) if asked.after else "",
        "all_link": _address(links.query(Filters(state=BoardState.ANY.value))),
        "due_text": due_text,
        "asked_words": asked_words,
    }


async def _page_values(
    room: NowRoom, signed: Signed, asked: _Asked, links: Links
) -> dict[str, Any]:
    """What stands around the part: filters with their choices, and saved views."""
    me = signed.principal
    board: Board = room.board
    filters = asked.filters
    kept = [
        KeptView(row.view_id, row.name, _address(links.query(_kept_filters(row.document))))
        for row in await room.saved.of(me.user_id)
    ]
    plain = filters.plain()
    return {
        "choices": await board.choices(me),
        "systems": sorted({*room.systems, filters.system} - {""}),
        "states": [(state.value, name) for state, name in _TITLES.items()],
        "here": _address(links.query(filters, after=asked.after)),
        "token": links.seal(filters.search) if filters.search else "",
        "plain": plain,
        "kept": kept,
        "problem": asked.problem,
    }


@dataclass(frozen=True, slots=True)
class Tile:
    """A count that is a link."""

    name: str
    count: int
    colour: str
    link: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class KeptView:
    """A saved view as a link."""

    view_id: str
    name: str = field(repr=False)
    link: str = field(repr=False)


def due_text(due_at: datetime, now: datetime) -> str:
    """How long there is, or how late it is; `now.js` keeps the same words up to date."""
    ms = int((due_at - now).total_seconds()) * 1000
    return f"due in {_span(ms)}" if ms >= 0 else f"late by {_span(-ms)}"


def _span(ms: int) -> str:
    return duration(ms) if ms >= 60_000 else f"{ms // 1000} s"  # noqa: PLR2004


def _kept_filters(document: Mapping[str, str]) -> Filters:
    """Filters of a view that an older release kept may not exist any more."""
    try:
        return Filters.parse(document, document.get("search", ""))
    except FilterError:
        return Filters()


def _texts(form: FormData) -> dict[str, str]:
    return {name: value for name, value in form.items() if isinstance(value, str)}


def _unusable(error: FilterError) -> Refusal:
    return Refusal(422, "This cannot be searched", f"{error}.")


def _address(query: str) -> str:
    return f"{PATH}?{query}" if query else PATH


def _to(query: str) -> Response:
    return RedirectResponse(_address(query), HTTPStatus.SEE_OTHER)
