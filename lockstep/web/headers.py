"""Headers that every answer carries; as plain ASGI, so that streams are not held up."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_NOTHING = "default-src 'none'; frame-ancestors 'none'"
_YEAR = 31_536_000


class Headers:
    """Sets the headers of `_ALWAYS`, a content policy, and who may keep a copy.

    ``pages``: the policy of paths below ``/console``; everything else may load nothing.
    ``secure``: whether browsers reach us by TLS; then they shall never come without it.
    """

    def __init__(self, app: ASGIApp, *, pages: str, secure: bool) -> None:
        self._app = app
        self._pages = pages
        self._secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]

        async def harden(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _ALWAYS.items():
                    headers[name] = value
                is_page = path.startswith("/console")
                policies = [self._pages if is_page else _NOTHING]
                # What a route forbids beyond that holds as well (CSP Level 3, 4.1).
                policies += headers.getlist("Content-Security-Policy")
                headers["Content-Security-Policy"] = ", ".join(policies)
                if is_page:  # without a referrer, browsers send forms with the origin "null"
                    headers["Referrer-Policy"] = "same-origin"
                if self._secure:
                    headers["Strict-Transport-Security"] = f"max-age={_YEAR}; includeSubDomains"
                fixed = path.startswith("/console/static/") and message["status"] < 300  # noqa: PLR2004
                headers["Cache-Control"] = "public, max-age=86400" if fixed else "no-store"
            await send(message)

        await self._app(scope, receive, harden)
