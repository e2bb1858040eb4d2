"""Live pages: a stream tells that something changed, never what; the page then asks as usual."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from sqlalchemy.exc import SQLAlchemyError

from lockstep.domain.rights import Permission, Principal
from lockstep.web.console.front import Front
from lockstep.web.console.gate import Refusal
from lockstep.web.console.listening import Listener, Live, stream

_TOO_MANY = Refusal(429, "Too many live pages", "Close some tabs, then load this page again.")


@dataclass(frozen=True, slots=True)
class LiveRoom(Front):
    """What tells pages that something changed."""

    live: Live


def router(room: LiveRoom) -> APIRouter:
    """The stream. It needs a session, and a page that it is for."""
    routes = room.gate.router(None)

    @routes.get("/console/live")
    async def live(request: Request, case: str = "") -> Response:
        signed = await room.gate.signed(request)
        assert signed is not None  # noqa: S101 - the router's dependency
        listener = _listener(signed.principal, case)
        if not listener.cases and not listener.systems:
            await room.gate.deny(request, signed, Permission.SEE_CASES.value)
        if not room.live.has_room(listener.user_id):
            raise _TOO_MANY

        async def stands() -> bool:
            try:
                return await room.gate.sessions.users.stands(signed.session_hash)
            except (SQLAlchemyError, OSError):
                return False

        async def body() -> AsyncIterator[bytes]:
            if not room.live.has_room(listener.user_id):  # several came at once
                yield b"event: ended\ndata: full\n\n"
                return
            async with room.live.listening(listener, _stopping(request)):
                async for chunk in stream(listener, stands):
                    yield chunk

        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(body(), media_type="text/event-stream", headers=headers)

    return routes


def _listener(me: Principal, case_id: str) -> Listener:
    return Listener(
        user_id=me.user_id,
        scope=me.scope,
        cases=me.may(Permission.SEE_CASES),
        systems=me.may(Permission.SEE_SYSTEMS),
        case_id=case_id[:100],
    )


def _stopping(request: Request) -> Callable[[], bool]:
    """Whether the server stops: it waits for answers to end, and a stream must know that it has to.

    Whoever runs the server says so in the application's state.
    """
    found: Callable[[], bool] = getattr(request.app.state, "is_stopping", lambda: False)
    return found
