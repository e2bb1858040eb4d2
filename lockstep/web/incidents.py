"""Faults of ours that nobody foresaw: one line in the log, and its number for whoever asked."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger("lockstep.web")


class Incidents:
    """Answers 500 without a word of what went wrong; as plain ASGI, so that headers are added.

    ``page`` answers people below ``/console``; it is given the number. All others get JSON.
    """

    def __init__(self, app: ASGIApp, page: Callable[[Request, str], Response] | None) -> None:
        self._app = app
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def watch(message: Message) -> None:
            nonlocal has_begun
            has_begun = has_begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except ClientDisconnect:
            log.info("client_left")
        except Exception:
            incident = "i" + secrets.token_hex(6)
            log.exception("unforeseen_fault", incident=incident, operation=_operation(scope))
            if has_begun:  # the connection must break: what was sent is not whole
                raise
            await self._answer(scope, incident)(scope, receive, send)

    def _answer(self, scope: Scope, incident: str) -> Response:
        if self._page is None or not is_page(scope["path"]):
            return JSONResponse({"error": "internal_error", "incident": incident}, 500)
        try:
            return self._page(Request(scope), incident)
        except Exception:  # noqa: BLE001 - even the page for faults may be broken
            return PlainTextResponse(f"Something went wrong: {incident}", 500)


def is_page(path: str) -> bool:
    """Whether a person asks, not a program."""
    return path == "/console" or path.startswith("/console/")


def _operation(scope: Scope) -> str:
    """Method and route, without ids."""
    return f"{scope['method']} {getattr(scope.get('route'), 'path', '?')}"
