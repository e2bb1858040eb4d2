"""What refusals mean: by rows, by the limit that a 403 carries, and by a body under 200."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from connectors.base import ConnectorFault, Transcript
from connectors.http import Dialect, VendorHttp
from connectors.kit.faults import FaultRow, ReallyOk, category_of
from lockstep.domain.systems.faults import FaultCategory

F = FaultCategory
ROWS = (
    FaultRow(F.PROTECTED_ACCOUNT, codes=frozenset({"E1"}), statuses=frozenset({403})),
    FaultRow(F.PERMISSION_MISSING, codes=frozenset({"E1", "E2"})),
    FaultRow(F.VENDOR_ERROR, statuses=frozenset({409})),
)
DIALECT = Dialect(
    "chat",
    error_code=("error",),
    faults=(
        FaultRow(F.RATE_LIMITED, codes=frozenset({"ratelimited"})),
        FaultRow(F.CREDENTIALS_REJECTED, codes=frozenset({"invalid_auth"})),
    ),
    ok=ReallyOk(("ok",)),
)


@pytest.mark.parametrize(
    ("status", "code", "headers", "expected"),
    [
        (403, "E1", {}, F.PROTECTED_ACCOUNT),
        (400, "E1", {}, F.PERMISSION_MISSING),
        (400, "E2", {}, F.PERMISSION_MISSING),
        (403, "E2", {"retry-after": "5"}, F.PERMISSION_MISSING),
        (409, "", {}, F.VENDOR_ERROR),
        (403, "", {}, F.PERMISSION_MISSING),
        (403, "", {"retry-after": "5"}, F.RATE_LIMITED),
        (403, "", {"x-ratelimit-remaining": "0"}, F.RATE_LIMITED),
        (403, "", {"x-ratelimit-remaining": "9", "retry-after": ""}, F.PERMISSION_MISSING),
        (401, "", {}, F.CREDENTIALS_REJECTED),
        (429, "E9", {}, F.RATE_LIMITED),
        (408, "", {}, F.TIMEOUT),
        (503, "", {}, F.VENDOR_ERROR),
        (404, "", {}, F.UNEXPECTED_ANSWER),
        (200, "", {}, F.UNEXPECTED_ANSWER),
    ],
)
def test_the_first_row_that_fits_decides(
    status: int, code: str, headers: dict[str, str], expected: FaultCategory
) -> None:
    """Then a limit on a 403, then the status."""
    assert category_of(ROWS, status, code, headers, datetime.now(UTC)) is expected


async def told(body: object, **headers: str) -> ConnectorFault | object:
    """What a call makes of a 200 with this body."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=body, headers=headers))
    http = VendorHttp(DIALECT, "https://chat.example.test", headers={}, transport=transport)
    try:
        return (await http.call("GET", "/x", operation="x.get", transcript=Transcript())).data
    except ConnectorFault as fault:
        return fault


@pytest.mark.parametrize(
    ("body", "category", "code"),
    [
        ({"ok": False, "error": "ratelimited"}, F.RATE_LIMITED, "200.ratelimited"),
        ({"ok": False, "error": "invalid_auth"}, F.CREDENTIALS_REJECTED, "200.invalid_auth"),
        ({"ok": False, "error": "other"}, F.UNEXPECTED_ANSWER, "200.other"),
        ({"ok": 1}, F.UNEXPECTED_ANSWER, "200"),
        ({}, F.UNEXPECTED_ANSWER, "200"),
        ([], F.UNEXPECTED_ANSWER, "200"),
        (None, F.UNEXPECTED_ANSWER, "200"),
    ],
)
async def test_a_body_under_200_may_be_a_refusal(
    body: object, category: FaultCategory, code: str
) -> None:
    """Of such a vendor only what says that it is ok is."""
    fault = await told(body)

    assert isinstance(fault, ConnectorFault)
    assert (fault.category, fault.code) == (category, code)


async def test_the_waiting_time_of_a_refusal_under_200_counts() -> None:
    """The vendor's retry time is taken over, whatever the status."""
    fault = await told({"ok": False, "error": "ratelimited"}, **{"retry-after": "7"})

    assert isinstance(fault, ConnectorFault)
    assert fault.retry_after is not None
    assert fault.retry_after.total_seconds() == 7


async def test_what_says_that_it_is_ok_is() -> None:
    """The answer is handed on whole."""
    assert await told({"ok": True, "x": 1}) == {"ok": True, "x": 1}
