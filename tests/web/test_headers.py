"""Headers that every answer carries, whatever its route says."""

from __future__ import annotations

import pytest
from starlette.responses import Response

from lockstep.web.headers import Headers


async def headers_of(answer: Response, path: str) -> dict[str, str]:
    """What is sent for ``answer``."""
    sent = []

    async def send(message) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "method": "GET", "headers": []}
    await Headers(answer, pages="default-src 'self'", secure=False)(scope, None, send)
    return {name.decode(): value.decode() for name, value in sent[0]["headers"]}


async def test_a_route_can_forbid_more_and_allow_nothing():
    """Of two policies a browser keeps both: an upload stays in its sandbox."""
    file = Response(b"x", headers={"Content-Security-Policy": "sandbox"})
    loose = Response(b"x", headers={"Content-Security-Policy": "default-src *"})

    assert (await headers_of(file, "/console/x"))["content-security-policy"] == (
        "default-src 'self', sandbox"
    )
    assert (await headers_of(loose, "/console/x"))["content-security-policy"].startswith(
        "default-src 'self', "
    )


@pytest.mark.parametrize("kept", ["public, max-age=9", "private"])
async def test_no_route_lets_a_page_be_kept(kept):
    """Names are on pages; the rule is in one place."""
    answer = Response(b"x", headers={"Cache-Control": kept, "X-Frame-Options": "SAMEORIGIN"})
    found = await headers_of(answer, "/console/cases/c1")

    assert (found["cache-control"], found["x-frame-options"]) == ("no-store", "DENY")
