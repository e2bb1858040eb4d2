"""Bounds on what a browser may send, before anything of it is read; as plain ASGI."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

MAX_FORM_BYTES = 20 * 1024 * 1024
SHEETS = "/console/hr/sheet"
_SMALLER = {
    # A file above the framework's `spool_max_size` would be written to disk, unencrypted.
    f"{SHEETS}/preview": 1024 * 1024,
    f"{SHEETS}/report": 2 * 1024 * 1024,
}
"""Forms that may be of less, by path."""
_TOO_LARGE, _WITHOUT_LENGTH = 413, 411
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})


class Bounds:
    """Refuses bodies below ``/console`` whose size is unknown or above `most_bytes`.

    The framework reads a form before it asks who sent it: this stands in front. Hooks and API
    bound their own bodies while they stream. ``page`` answers people; it is given the status.
    """

    def __init__(
        self, app: ASGIApp, page: Callable[[Request, int], Response] | None = None
    ) -> None:
        self._app = app
        self._page = page or _plain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0
        if scope["type"] == "http" and scope["path"].startswith("/console"):
            most = most_bytes(scope["path"])
            status = _refusal(scope["method"], Headers(scope=scope), most)
        answer = self._page(Request(scope), status) if status else self._app
        await answer(scope, receive, send)


def _plain(_: Request, status: int) -> Response:
    return PlainTextResponse("The body is not taken.", status, {"Connection": "close"})


def most_bytes(path: str) -> int:
    """How large a form may be that is sent to a path of the console."""
    return _SMALLER.get(path, MAX_FORM_BYTES)


def _refusal(method: str, headers: Headers, allowed: int) -> int:
    """The status of a refusal; 0 where the body may come."""
    length = headers.get("content-length", "0")
    unknown = "transfer-encoding" in headers or not (length.isascii() and length.isdecimal())
    if unknown:
        return _WITHOUT_LENGTH
    digits = length.lstrip("0")
    most = 0 if method in _BODILESS else allowed
    if len(digits) > len(str(MAX_FORM_BYTES)) or int(digits or "0") > most:
        return _TOO_LARGE
    return 0
