"""A body below /console is refused by its announced size, before anything of it is read."""

from __future__ import annotations

import pytest

from lockstep.web.bounds import MAX_FORM_BYTES, Bounds

CASES = [
    ("POST", "/console/x", {"content-length": str(MAX_FORM_BYTES)}, None),
    ("POST", "/console/x", {"content-length": str(MAX_FORM_BYTES + 1)}, 413),
    ("POST", "/console/x", {"content-length": "9" * 5000}, 413),
    ("POST", "/console/x", {"content-length": "000007"}, None),
    ("POST", "/console/x", {"content-length": "-1"}, 411),
    ("POST", "/console/x", {"content-length": "\u0667"}, 411),
    ("POST", "/console/x", {"transfer-encoding": "chunked"}, 411),
    ("POST", "/console/x", {}, None),
    ("GET", "/console/x", {"content-length": "7"}, 413),
    ("GET", "/console/x", {}, None),
    ("POST", "/console/hr/sheet/preview", {"content-length": str(2**20)}, None),
    ("POST", "/console/hr/sheet/preview", {"content-length": str(2**20 + 1)}, 413),
    ("POST", "/console/hr/sheet/report", {"content-length": str(2**21 + 1)}, 413),
    ("POST", "/hooks/hr", {"transfer-encoding": "chunked"}, None),
]


@pytest.mark.parametrize(("method", "path", "headers", "status"), CASES)
async def test_a_body_of_unknown_or_too_large_a_size_is_refused_unread(
    method, path, headers, status
):
    """What is refused never reaches a route, and nothing of it is taken from the connection."""
    passed, sent = [], []

    async def app(scope, receive, send) -> None:
        passed.append(scope["path"])

    async def receive():
        raise AssertionError("the body was read")

    async def send(message) -> None:
        sent.append(message.get("status"))

    raw = [(name.encode(), value.encode("utf-8")) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": raw}
    await Bounds(app)(scope, receive, send)

    assert (sent[0] if sent else None) == status
    assert bool(passed) is (status is None)
