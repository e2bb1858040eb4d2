"""The same act on many: a preview, a page that carries out a few at a time, and what became of it.

A retry that was asked for is not done. The page asks every few seconds what became of each, for two
minutes at most; then it says of which nothing is known.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import FormData

from lockstep.control.board.bulk import MOST, STEP, BulkAction, Fate, Item
from lockstep.control.cases.casework import text_of
from lockstep.control.refusals import RefusedError
from lockstep.domain.rights import Permission
from lockstep.web.console.cases.page import CaseRoom, field, room_form
from lockstep.web.console.gate import Refusal

PATH = "/console/bulk"
MOST_LOOKS = 40
"""So often a page asks what became of its retries, every three seconds."""
_NO_MORE = 286
"""To htmx: do not ask again."""
_LONGEST = 200_000
"""Characters of what a form carries from step to step: 500 items."""
_LONGEST_ROW = 200
_MOST_DIGITS = 19


def router(room: CaseRoom) -> APIRouter:
    """Retrying and reassigning many at once."""
    routes = room.gate.router(Permission.ACT)

    @routes.get(PATH)
    async def preview(request: Request) -> Response:
        me = (await room.me(request)).principal
        given = request.query_params
        action = _action(given.get("action", ""))
        system = given.get("system", "") if action is BulkAction.RETRY else ""
        try:
            if system:
                items, more = await room.bulk.preview_held_up(me, system)
            else:
                items, more = await room.bulk.preview(me, action, given.getlist("pick")), 0
        except RefusedError as error:
            raise _unusable(error) from None
        return await _show_preview(room, request, action, items, system=system, more=more)

    @routes.post(PATH)
    async def carry_out(request: Request) -> Response:
        """One step: the first few of what is left. The part that it answers asks for the next."""
        me = (await room.me(request)).principal
        form = await room_form(request)
        action = _action(field(form, "action"))
        left = _left(field(form, "left", longest=_LONGEST))
        give_to = field(form, "user") or me.user_id
        try:
            reason = text_of(field(form, "reason"))
        except RefusedError as error:
            raise _unusable(error) from None
        now, rest = left[:STEP], left[STEP:]
        done = await room.bulk.carry_out(me, action, now, reason=reason, give_to=give_to)
        silent = any(item.fate is Fate.UNANSWERED for item in done)
        first = not request.headers.get("hx-request")
        return room.pages.page(
            request,
            "bulk_run.html" if first else "bulk_step.html",
            action=action.value,
            rest=rest,
            left=_packed(rest),
            total=_number(form, "total", len(left)),
            count=_number(form, "total", len(left)) - len(rest),
            reason=reason,
            user=give_to,
            goes_on=bool(rest) and not silent,
            **_known(done, look=0),
        )

    @routes.post(PATH + "/became")
    async def became(request: Request) -> Response:
        """What is known by now of what was tried again."""
        me = (await room.me(request)).principal
        form = await request.form(max_files=0, max_fields=MOST + 20)
        asked = _asked([text for text in form.getlist("asked") if isinstance(text, str)])
        look = _number(form, "look", 0) + 1
        known = _known(await room.bulk.became(me, asked), look=look)
        if not request.headers.get("hx-request"):
            known["oob"] = False
            return room.pages.page(request, "bulk_became_page.html", **known)
        status = HTTPStatus.OK if known["looks_again"] else _NO_MORE
        return room.pages.page(request, "bulk_became.html", status=status, **known)

    return routes


def _known(items: Sequence[Item], *, look: int) -> dict[str, Any]:
    """What a page says of items that were acted on."""
    fates = [item.fate for item in items]
    open_ones = sum(not item.is_over for item in items)
    return {
        "done": items,
        "look": look,
        "oob": look > 0,
        "most_looks": MOST_LOOKS,
        "fates": {fate.value: fates.count(fate) for fate in Fate},
        "waiting": open_ones,
        "looks_again": bool(open_ones) and look < MOST_LOOKS,
    }


def _asked(given: Sequence[str]) -> list[Item]:
    """What a page tells of its rows: case, system, and where the ledger was before."""
    wrong = Refusal(422, "Cannot be read", "Go back to the list of cases and select again.")
    items = []
    for text in given:
        parts = text.split("/")
        if len(parts) != 3 or len(text) > _LONGEST_ROW or not text.isprintable():  # noqa: PLR2004
            raise wrong
        case_id, system, mark = parts
        if not (mark.isascii() and mark.isdecimal() and len(mark) < _MOST_DIGITS):
            raise wrong
        items.append(Item(case_id, system, Fate.ASKED, mark=mark))
    if not 0 < len(items) <= MOST:
        raise wrong
    return items


async def _show_preview(
    room: CaseRoom,
    request: Request,
    action: BulkAction,
    items: Sequence[Item],
    *,
    system: str,
    more: int,
) -> Response:
    """``system``: which holds them up, and ``more`` beside them; "" where they were picked."""
    pending = [item for item in items if item.fate is Fate.PENDING]
    people = []
    if action is BulkAction.REASSIGN:
        people = await room.desk.colleagues(*{item.partner for item in pending})
    return room.pages.page(
        request,
        "bulk.html",
        action=action.value,
        all_items=items,
        pending=len(pending),
        skipped=len(items) - len(pending),
        left=_packed(pending),
        people=people,
        of_system=system,
        more=more,
    )


def _action(given: str) -> BulkAction:
    try:
        return BulkAction(given)
    except ValueError:
        raise Refusal(422, "Nothing to do", "Choose what to do in the list of cases.") from None


def _packed(items: Sequence[Item]) -> str:
    """What is left, as one field of a form; each item is checked again when its turn comes."""
    return json.dumps([[item.case_id, item.system, item.seen] for item in items])


def _left(given: str) -> list[Item]:
    wrong = Refusal(422, "Cannot be read", "Go back to the list of cases and select again.")
    try:
        rows = json.loads(given)
        items = [Item(str(case), str(system), seen=str(seen)) for case, system, seen in rows]
    except (ValueError, TypeError, RecursionError):
        raise wrong from None
    if not 0 < len(items) <= MOST or not all(item.key.isprintable() for item in items):
        raise wrong
    return items


def _number(form: FormData, name: str, default: int) -> int:
    """A count that is only shown."""
    given = field(form, name)
    return min(int(given), MOST) if given.isdecimal() and len(given) < 5 else default  # noqa: PLR2004


def _unusable(error: RefusedError) -> Refusal:
    text = str(error)
    return Refusal(422, "This cannot be done", f"{text[:1].upper()}{text[1:]}.")
