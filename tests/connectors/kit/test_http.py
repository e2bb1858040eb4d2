"""One careful HTTP call: bounded, classified, recorded, silent about secrets."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from connectors.base import ConnectorFault, Transcript
from connectors.http import (
    MAX_ANSWER_BYTES,
    TOO_LARGE,
    Answer,
    Dialect,
    VendorHttp,
    require_safe_url,
    retry_after,
)
from connectors.kit.faults import FaultRow
from lockstep.domain.systems.faults import FaultCategory

SECRET = "s3cr3t-of-the-test"
NOW = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)
DIALECT = Dialect(
    "vendor",
    error_code=("error", "code"),
    reset_epoch_header="x-reset",
    faults=(
        FaultRow(FaultCategory.PERMISSION_MISSING, codes=frozenset({"needs_scope"})),
        FaultRow(FaultCategory.PROTECTED_ACCOUNT, codes=frozenset({"last_owner"})),
    ),
)
Handler = Callable[[httpx.Request], httpx.Response]


def vendor(handler: Handler) -> VendorHttp:
    return VendorHttp(
        DIALECT,
        "http://127.0.0.1/api",  # plain, because loading certificates takes longer than a test
        headers={"Authorization": f"Bearer {SECRET}"},
        secrets=(SECRET, ""),
        transport=httpx.MockTransport(handler),
    )


async def call(handler: Handler, transcript: Transcript | None = None) -> Answer:
    http = vendor(handler)
    try:
        return await http.call(
            "GET", "/things", operation="things.list", transcript=transcript or Transcript()
        )
    finally:
        await http.aclose()


async def fault_of(handler: Handler, transcript: Transcript | None = None) -> ConnectorFault:
    with pytest.raises(ConnectorFault) as caught:
        await call(handler, transcript)
    return caught.value


def always(status: int, **answer: object) -> Handler:
    return lambda _: httpx.Response(status, **answer)


class Endless(httpx.AsyncByteStream):
    """Sends more than anybody may, and counts how much was taken."""

    def __init__(self) -> None:
        self.taken = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.taken < 4 * MAX_ANSWER_BYTES:
            self.taken += 65_536
            yield b" " * 65_536

    async def aclose(self) -> None:
        self.closed = True


async def test_an_oversize_answer_is_not_read_to_its_end() -> None:
    """Reading stops at the bound, and the connection is given up."""
    stream = Endless()
    fault = await fault_of(lambda _: httpx.Response(200, stream=stream))

    assert fault.category is FaultCategory.UNEXPECTED_ANSWER
    assert fault.code == "answer_too_large"
    assert stream.taken <= MAX_ANSWER_BYTES + 65_536
    assert stream.closed


async def test_an_oversize_answer_names_the_operation() -> None:
    """The fault of an oversize answer says which call it was."""
    fault = await fault_of(lambda _: httpx.Response(200, stream=Endless()))

    assert fault.operation == "things.list"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    """Our credential goes to the configured address only."""
    asked: list[str] = []

    def redirect(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(status, headers={"Location": "https://elsewhere.example.test/"})

    fault = await fault_of(redirect)

    assert asked == ["127.0.0.1"]
    assert fault.category is FaultCategory.UNEXPECTED_ANSWER


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "7"}, timedelta(seconds=7)),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=90))}, timedelta(seconds=90)),
        ({"retry-after": format_datetime(NOW - timedelta(seconds=90))}, timedelta(0)),
        ({"x-reset": str(NOW.timestamp() + 12)}, timedelta(seconds=12)),
        ({"x-reset": str(NOW.timestamp() - 12)}, timedelta(0)),
        ({"retry-after": "5", "x-reset": str(NOW.timestamp() + 12)}, timedelta(seconds=5)),
        ({"retry-after": "86400"}, timedelta(hours=1)),
        ({"retry-after": "9" * 40}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "²"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Sat, 01 Mar 2025 12:00:07 -0000"}, None),
        ({"x-reset": "nan"}, None),
        ({"x-reset": "1e300"}, None),
        ({}, None),
    ],
)
def test_waiting_time_is_the_vendors_within_an_hour(
    headers: dict[str, str], expected: timedelta | None
) -> None:
    """Seconds, date or epoch; the past is now, nonsense is nothing, a long wait is cut."""
    assert retry_after(headers, DIALECT, NOW) == expected


@pytest.mark.parametrize("name", ["retry-after", "x-reset"])
def test_a_date_to_wait_for_is_held_against_the_vendors_own_clock(name: str) -> None:
    """A vendor two hours behind that says "in 30 seconds" is not asked again at once."""
    theirs = NOW - timedelta(hours=2)
    until = theirs + timedelta(seconds=30)
    said = format_datetime(until, usegmt=True) if name == "retry-after" else str(until.timestamp())
    headers = {"date": format_datetime(theirs, usegmt=True), name: said}

    assert retry_after(headers, DIALECT, NOW) == timedelta(seconds=30)


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (429, {"x-reset": "4102444800"}, timedelta(hours=1)),
        (502, {"x-reset": "4102444800"}, None),
        (503, {"x-reset": "4102444800", "retry-after": "3"}, timedelta(seconds=3)),
    ],
)
async def test_the_end_of_a_rate_limit_delays_no_other_fault(
    status: int, headers: dict[str, str], expected: timedelta | None
) -> None:
    """Okta names its next window on every answer: a passing 502 must not wait for it."""
    fault = await fault_of(lambda _: httpx.Response(status, headers=headers))

    assert fault.retry_after == expected


@pytest.mark.parametrize(
    "url",
    [
        "http://vendor.example.test",
        "http://127.0.0.1.example.test",
        "http://localhost.example.test",
        "http://127.0.0.1@vendor.example.test",
        "ftp://vendor.example.test",
        "vendor.example.test",
        "",
        "https://user:word@vendor.example.test",
        "https://user@vendor.example.test",
        "http://user:word@127.0.0.1",
        "https:///path",
    ],
)
def test_an_unsafe_address_is_refused(url: str) -> None:
    """Plain http leaves the machine never, and credentials do not belong in an address."""
    with pytest.raises(ValueError, match=r"^api_url: "):
        require_safe_url(url, option="api_url")


@pytest.mark.parametrize(
    "url",
    [
        "https://vendor.example.test/v2",
        "http://127.0.0.1:8080",
        "http://[::1]:1",
        "http://localhost",
    ],
)
def test_a_safe_address_loses_its_trailing_slash(url: str) -> None:
    """TLS to anywhere, plain http to loopback for sandbox and tests."""
    assert require_safe_url(f"{url}/") == url


@pytest.mark.parametrize(
    "scheme",
    [
        "https",
        "HTTPS",
    ],
)
async def test_certificates_are_checked(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the scheme is written, the vendor's certificate is verified, from TLS 1.2 on."""
    used: list[object] = []
    real = httpx.AsyncHTTPTransport

    def spied(**options: object) -> httpx.AsyncHTTPTransport:
        used.append(options["verify"])
        return real(**options)

    monkeypatch.setattr("connectors.http.httpx.AsyncHTTPTransport", spied)
    await VendorHttp(DIALECT, f"{scheme}://vendor.example.test", headers={}).aclose()

    context = used[0]
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("variables", "proxied"),
    [
        ({}, False),
        ({"https_proxy": "http://proxy.example.test:3128"}, True),
        ({"https_proxy": "http://proxy.example.test:3128", "no_proxy": ".example.test"}, False),
    ],
)
async def test_the_environments_proxy_is_used(variables, proxied, monkeypatch) -> None:
    """A company's proxy carries the calls, except to addresses that it is not meant for."""
    for name in ("https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    used: list[object] = []
    real = httpx.AsyncHTTPTransport

    def spied(**options: object) -> httpx.AsyncHTTPTransport:
        used.append(options["proxy"])
        return real(**options)

    monkeypatch.setattr("connectors.http.httpx.AsyncHTTPTransport", spied)
    await VendorHttp(DIALECT, "https://vendor.example.test", headers={}).aclose()

    assert bool(used[0]) is proxied


async def test_a_vendors_cookies_are_not_kept() -> None:
    """What a vendor sets during one leaver's calls is not sent with the next one's."""
    sent: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("cookie"))
        return httpx.Response(200, headers={"set-cookie": "sid=1"}, json={})

    http = VendorHttp(
        DIALECT, "http://127.0.0.1", headers={}, transport=httpx.MockTransport(answer)
    )
    for _ in range(2):
        await http.call("GET", "/things", operation="things.list", transcript=Transcript())

    assert sent == [None, None]


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("E0000001", "400.E0000001"),
        ("with space/and\nline", "400.with_space_and_line"),
        ("x" * 500, "400." + "x" * 60),
        (f"bad token {SECRET}", "400.redacted"),
        ({"nested": 1}, "400"),
        (17, "400.17"),
        (None, "400"),
    ],
)
async def test_error_codes_are_cleaned(told: object, shown: str) -> None:
    """A vendor's code is bounded, has no odd characters and never our secret."""
    fault = await fault_of(always(400, json={"error": {"code": told}}))

    assert fault.code == shown
    assert len(fault.code) <= 64
    assert SECRET not in str(fault)


async def test_a_request_id_with_our_secret_is_dropped() -> None:
    """The request id is cleaned like a code, in the fault and in the transcript."""
    transcript = Transcript()
    fault = await fault_of(always(400, headers={"x-request-id": SECRET}), transcript)

    assert fault.request_id == "redacted"
    assert transcript.exchanges[0].request_id == "redacted"


@pytest.mark.parametrize(
    ("status", "code", "category"),
    [
        (400, "", FaultCategory.UNEXPECTED_ANSWER),
        (400, "last_owner", FaultCategory.PROTECTED_ACCOUNT),
        (400, "needs_scope", FaultCategory.PERMISSION_MISSING),
        (401, "", FaultCategory.CREDENTIALS_REJECTED),
        (403, "", FaultCategory.PERMISSION_MISSING),
        (403, "last_owner", FaultCategory.PROTECTED_ACCOUNT),
        (404, "", FaultCategory.UNEXPECTED_ANSWER),
        (408, "", FaultCategory.TIMEOUT),
        (409, "", FaultCategory.UNEXPECTED_ANSWER),
        (425, "", FaultCategory.VENDOR_ERROR),
        (429, "", FaultCategory.RATE_LIMITED),
        (500, "", FaultCategory.VENDOR_ERROR),
        (503, "", FaultCategory.VENDOR_ERROR),
    ],
)
async def test_status_and_code_decide_the_category(
    status: int, code: str, category: FaultCategory
) -> None:
    """The category is all that decides about a repetition, so each status has one."""
    fault = await fault_of(always(status, json={"error": {"code": code}}))

    assert fault.category is category
    assert str(fault).startswith("vendor things.list: ")


async def test_only_a_busy_vendor_sets_the_waiting_time() -> None:
    """Retry-After beside a refusal that lasts means nothing."""
    fault = await fault_of(always(400, headers={"Retry-After": "7"}))

    assert fault.retry_after is None


IN_A_MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "60"}, IN_A_MINUTE),
        ({"Retry-After": "1.5"}, timedelta(seconds=1.5)),
        ({"Retry-After": "60s"}, IN_A_MINUTE),
        ({"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}, timedelta(hours=1)),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60"}, IN_A_MINUTE),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4102444800"}, timedelta(hours=1)),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4102444800000"}, timedelta(hours=1)),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": "60"}, IN_A_MINUTE),
        ({"X-Rate-Limit-Remaining": "0"}, None),
        ({"RateLimit-Reset": "60"}, IN_A_MINUTE),
    ],
)
async def test_403_for_a_limit_is_a_wait(headers: dict[str, str], wait: timedelta | None) -> None:
    """A refusal that names its end, or a spent budget, is no missing permission."""
    fault = await fault_of(always(403, headers=headers))

    assert fault.category is FaultCategory.RATE_LIMITED
    assert fault.retry_after == wait


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"X-RateLimit-Remaining": "4999", "X-RateLimit-Reset": "4102444800"}, ""),
        ({"X-RateLimit-Reset": "soon"}, ""),
        ({"Retry-After": "soon"}, ""),
        ({"Retry-After": "7"}, "needs_scope"),
    ],
)
async def test_403_with_budget_left_is_a_missing_permission(
    headers: dict[str, str], code: str
) -> None:
    """Many vendors name their window on every answer; a code of the vendor's own says more."""
    fault = await fault_of(always(403, headers=headers, json={"error": {"code": code}}))

    assert fault.category is FaultCategory.PERMISSION_MISSING
    assert fault.retry_after is None


async def test_429_reads_every_spelling_of_the_reset() -> None:
    """The usual names of the header count, as seconds to go and as an instant."""
    headers = {"X-RateLimit-Reset": str(int(datetime.now(UTC).timestamp()) + 60)}
    fault = await fault_of(always(429, headers=headers))

    assert fault.retry_after is not None
    assert timedelta(seconds=58) <= fault.retry_after <= IN_A_MINUTE


async def test_a_caller_may_bound_an_answer_by_itself() -> None:
    """A long list has a bound of its own; what passes it is not read."""
    http = vendor(always(200, json=["x" * 200]))
    with pytest.raises(ConnectorFault, match=TOO_LARGE):
        await http.call(
            "GET", "/things", operation="things.list", transcript=Transcript(), most=100
        )
    await http.aclose()


@pytest.mark.parametrize(
    ("error", "category", "times"),
    [
        (httpx.ConnectError("refused"), FaultCategory.UNREACHABLE, 3),
        (httpx.ReadTimeout("slow"), FaultCategory.TIMEOUT, 1),
        (httpx.ReadError("died"), FaultCategory.TIMEOUT, 1),
        (httpx.WriteError("died"), FaultCategory.TIMEOUT, 1),
        (httpx.RemoteProtocolError("died"), FaultCategory.TIMEOUT, 1),
    ],
)
async def test_only_what_was_never_sent_is_sent_again(
    error: httpx.TransportError, category: FaultCategory, times: int
) -> None:
    """A refused connection is tried three times; after a lost reply nothing is repeated."""
    asked: list[httpx.Request] = []

    def lose(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        raise error

    fault = await fault_of(lose)

    assert fault.category is category
    assert fault.is_transient
    assert len(asked) == times
    assert fault.__cause__ is None


async def test_a_second_connection_may_succeed() -> None:
    """One refused connection is not yet a fault."""
    refusals = [httpx.ConnectError("refused")]

    def second_time(_: httpx.Request) -> httpx.Response:
        if refusals:
            raise refusals.pop()
        return httpx.Response(200, json=[{"id": 1}, "odd"])

    answer = await call(second_time)

    assert answer.objects() == [{"id": 1}]


async def test_an_accepted_answer_must_be_json() -> None:
    """A page under a 200 is unexpected; an empty body is an answer without data."""
    fault = await fault_of(always(200, text="<html>"))
    empty = await call(always(204))

    assert fault.category is FaultCategory.UNEXPECTED_ANSWER
    assert fault.code == "200.not_json"
    assert empty.data is None
    assert empty.objects("things") == []


async def test_an_error_page_is_judged_by_its_status() -> None:
    """A proxy's page under a 502 is the vendor's fault, not a riddle."""
    fault = await fault_of(always(502, text="<html>"))

    assert fault.category is FaultCategory.VENDOR_ERROR


async def test_the_call_is_recorded_whatever_it_says() -> None:
    """Refused or accepted, an exchange holds operation, status, instant, id and digest."""
    transcript = Transcript()
    headers = {"x-request-id": "req-1", "date": "Sat, 01 Mar 2025 12:00:00 GMT"}
    await fault_of(always(403, headers=headers, content=b"no"), transcript)
    (exchange,) = transcript.exchanges

    assert exchange.operation == "things.list"
    assert exchange.status == 403
    assert abs(exchange.at_by_vendor - NOW) < timedelta(seconds=30), "the end of that second"
    assert exchange.request_id == "req-1"
    assert exchange.date_header == "Sat, 01 Mar 2025 12:00:00 GMT"
    assert exchange.digest == hashlib.sha256(b"no").hexdigest()


@pytest.mark.parametrize("date", [None, "yesterday", "Sat, 01 Mar 2025 12:00:00 -0000"])
async def test_our_clock_where_the_vendor_states_no_time(date: str | None) -> None:
    """No date, nonsense, no zone: our instant counts, and the vendor's clock is unknown."""
    before = datetime.now(UTC)
    answer = await call(always(200, headers={} if date is None else {"date": date}))

    assert before <= answer.answered_at <= datetime.now(UTC)
    assert answer.exchange.skew is None


@pytest.mark.parametrize("off", [timedelta(hours=-2), timedelta(seconds=-9), timedelta(days=800)])
async def test_a_date_outside_the_call_is_recorded_and_not_believed(off: timedelta) -> None:
    """Our own instant counts, and how far the vendor's lies outside is known."""
    before = datetime.now(UTC)
    said = format_datetime(before + off, usegmt=True)
    answer = await call(always(200, headers={"date": said}))

    assert before <= answer.answered_at <= datetime.now(UTC)
    assert answer.exchange.skew is not None
    assert abs(answer.exchange.skew - off) < timedelta(seconds=3)
    assert answer.exchange.date_header == said


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            {"headers": {"content-encoding": "gzip"}, "stream": httpx.ByteStream(b"no gzip")},
            id="gzip",
        ),
        pytest.param({"headers": {"date": f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT"}}, id="date"),
        pytest.param({"content": b"[" * 100_000}, id="deep"),
    ],
)
async def test_garbage_is_a_fault_and_nothing_else(answer: dict[str, object]) -> None:
    """Whatever bytes a vendor sends, the caller sees an answer or a ConnectorFault."""
    try:
        await call(always(200, **answer))
    except ConnectorFault as fault:
        assert fault.operation == "things.list"  # noqa: PT017 - either way is right


async def test_a_transcript_is_bounded() -> None:
    """Evidence is stored for years: beyond the limit calls are counted, not kept."""
    transcript = Transcript(limit=1)
    for _ in range(3):
        await call(always(204), transcript)

    assert len(transcript.exchanges) == 1
    assert transcript.dropped == 2


async def test_the_secret_is_in_no_repr() -> None:
    """An answer can be logged by accident: its repr shows neither headers nor data."""
    answer = await call(always(200, headers={"x-echo": SECRET}, json={"echo": SECRET}))

    assert SECRET not in repr(answer)
