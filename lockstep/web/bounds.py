"""Bounds on what a browser may send, before anything of it is read; as plain ASGI."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

MAX_FORM_BYTES = 20 * 1024 * 1024
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})


class Bounds:
    """Refuses bodies below ``/console`` whose size is unknown or above `MAX_FORM_BYTES`.

    The framework reads a form before it asks who sent it: this stands in front. Hooks and API
    bound their own bodies while they stream.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = None
        if scope["type"] == "http" and scope["path"].startswith("/console"):
            refused = _refusal(scope["method"], Headers(scope=scope))
        await (refused or self._app)(scope, receive, send)


def _refusal(method: str, headers: Headers) -> PlainTextResponse | None:
    length = headers.get("content-length", "0")
    unknown = "transfer-encoding" in headers or not (length.isascii() and length.isdecimal())
    if unknown:
        return PlainTextResponse("Send the form with its length.", 411, {"Connection": "close"})
    digits = length.lstrip("0")
    most = 0 if method in _BODILESS else MAX_FORM_BYTES
    if len(digits) > len(str(MAX_FORM_BYTES)) or int(digits or "0") > most:
        text = "A form with its file may have 20 MiB."
        return PlainTextResponse(text, 413, {"Connection": "close"})
    return None
