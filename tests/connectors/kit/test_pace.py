"""Turns at a vendor: who waits, in which order, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import httpx
import pytest

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.http import Dialect, VendorHttp
from connectors.kit.faults import FaultRow
from connectors.kit.pacing.limits import told_of
from connectors.kit.pacing.pace import OPEN, Line, NoTurnError, OwnBudget
from connectors.registry import MANIFESTS
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.pace import Ask, Band, Lease, LeaseError, Limit, Told, Urgency

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
TWENTY = Limit(20)
DISMISSED = Urgency(Band.REVOKE, 1)
RESIGNED = Urgency(Band.REVOKE, 3)
HEALTH = Urgency()


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    """A line of its own at a vendor that takes twenty calls a second."""
    line = Line(TWENTY)
    yield line
    await line.aclose()


def now() -> float:
    """The event loop's clock."""
    return asyncio.get_running_loop().time()


async def called(line: Line, urgency: Urgency, log: list[tuple[float, Urgency]]) -> None:
    """One call in its turn."""
    async with line.turn(urgency, until=now() + 10):
        log.append((now(), urgency))


async def test_calls_are_spaced_and_the_most_urgent_go_first(line: Line) -> None:
    """Whoever came first: a dismissal overtakes resignations and looks at the health."""
    log: list[tuple[float, Urgency]] = []
    async with asyncio.TaskGroup() as group:
        for urgency in (HEALTH, RESIGNED, RESIGNED, HEALTH, DISMISSED, DISMISSED):
            group.create_task(called(line, urgency, log))

    assert [urgency for _, urgency in log] == [
        *(DISMISSED, DISMISSED, RESIGNED, RESIGNED, HEALTH, HEALTH)
    ]
    gaps = [later - sooner for (sooner, _), (later, _) in pairwise(log)]
    assert min(gaps) > 0.03
    assert sum(gaps) < 5 * TWENTY.spacing() + 0.2


async def test_two_lines_share_one_budget() -> None:
    """Ten calls in each of two lines take as long as twenty in one."""
    budget = OwnBudget()
    lines, log = (Line(TWENTY, budget), Line(TWENTY, budget)), list[tuple[float, Urgency]]()
    began = now()
    async with asyncio.TaskGroup() as group:
        for line in lines:
            for _ in range(10):
                group.create_task(called(line, RESIGNED, log))
    least = 19 * TWENTY.spacing()

    assert least - 0.06 < now() - began < least * 1.2 + 0.1
    for line in lines:
        await line.aclose()


async def test_who_cannot_have_a_turn_in_time_is_sent_away_at_once(line: Line) -> None:
    """Nobody holds a place for a turn that comes too late; it is said when it may come."""
    waiting = [asyncio.create_task(called(line, DISMISSED, [])) for _ in range(10)]
    await asyncio.sleep(0.01)
    with pytest.raises(NoTurnError) as caught:
        async with line.turn(HEALTH, until=now() + 0.1):
            raise AssertionError("it had no turn")

    assert caught.value.wait.total_seconds() >= 0.4
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_turn_of_one_who_gave_up_goes_to_the_next(line: Line) -> None:
    """A caller that is cancelled while it waits takes no turn with it."""
    log: list[tuple[float, Urgency]] = []
    first = [asyncio.create_task(called(line, DISMISSED, log)) for _ in range(5)]
    last = asyncio.create_task(called(line, RESIGNED, log))
    await asyncio.sleep(0.01)
    for task in first[1:]:
        task.cancel()
    began = now()
    await last

    assert now() - began < 3 * TWENTY.spacing()
    await asyncio.gather(*first, return_exceptions=True)


async def test_what_was_leased_is_not_used_once_the_vendor_refuses(line: Line) -> None:
    """A refusal with a waiting time holds up every call of this process until then."""
    log: list[tuple[float, Urgency]] = []
    tasks = [asyncio.create_task(called(line, RESIGNED, log)) for _ in range(4)]
    await asyncio.sleep(0.01)
    line.heard(Told(refused=True, wait_s=0.5), age_s=0.1)
    refused_at, done = now(), len(log)
    await asyncio.gather(*tasks)

    assert all(at >= refused_at + 0.49 for at, _ in log[done:])


async def test_a_budget_that_cannot_be_asked_holds_nobody_for_ever() -> None:
    """Without the database a call waits within its bound, and is sent away."""

    class Away:
        async def lease(self, limit: Limit, ask: Ask) -> Lease:
            del limit, ask
            raise LeaseError

    line = Line(TWENTY, Away())
    began = now()
    with pytest.raises(NoTurnError):
        async with line.turn(DISMISSED, until=now() + 0.2):
            raise AssertionError("it had no turn")
    assert now() - began < 0.5
    await line.aclose()


async def test_no_more_calls_are_under_way_than_the_vendor_takes() -> None:
    """A limit of concurrency is kept, also where there is none of the rate."""
    line, most, under_way = Line(Limit(0, at_once=3)), 0, 0

    async def call() -> None:
        nonlocal most, under_way
        async with line.turn(RESIGNED):
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.01)
            under_way -= 1

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        for _ in range(12):
            group.create_task(call())

    assert most == 3
    await line.aclose()


async def test_without_a_limit_nobody_waits_until_refusals_teach_one() -> None:
    """One refusal among many calls is nobody else's; many of them slow this process down."""
    line = Line()
    for _ in range(40):
        assert line.passes()
    for _ in range(13):
        line.heard(Told(refused=True, wait_s=0.2), age_s=0.1)
        assert line.limit is None

    line.heard(Told(refused=True, wait_s=0.2), age_s=0.1)

    assert not line.passes()
    assert line.limit is not None
    began = now()
    log: list[tuple[float, Urgency]] = []
    await called(line, RESIGNED, log)
    assert 0.15 < now() - began < 1.0
    await line.aclose()


async def test_a_limit_that_an_answer_states_whole_is_kept() -> None:
    """Where nobody wrote a limit down, count and window in a header are one."""
    line = Line()
    line.heard(Told(limit=100, left=99, reset_s=59.0, per=60.0), age_s=0.1)

    assert line.limit == Limit(100, 60.0)
    assert OPEN.passes()


async def test_a_call_out_of_turn_is_a_fault_of_our_pace() -> None:
    """It says that the vendor refused nothing; the machine tries again after a while."""
    line = Line(Limit(1, 60.0))
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json={})

    http = VendorHttp(
        Dialect("vendor"),
        "https://vendor.example.test",
        headers={},
        transport=httpx.MockTransport(answer),
        pace=line,
    )
    await http.call("GET", "/first", operation="first", transcript=Transcript(until=now() + 1))
    with pytest.raises(ConnectorFault, match="not_a_refusal") as caught:
        await http.call(
            "GET", "/second", operation="second", transcript=Transcript(until=now() + 0.1)
        )

    assert asked == ["/first"]
    assert caught.value.is_own_pace
    assert caught.value.category is FaultCategory.RATE_LIMITED
    assert caught.value.is_transient
    assert caught.value.retry_after is not None
    await http.aclose()
    await line.aclose()


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (200, {"date": "x", "x-generated": "1"}, None),
        (
            200,
            {
                "X-Rate-Limit-Limit": "600",
                "X-Rate-Limit-Remaining": "598",
                "X-Rate-Limit-Reset": str(int(NOW.timestamp()) + 30),
            },
            Told(600, 598, 30.0),
        ),
        (
            200,
            {"RateLimit-Limit": "100, 100;w=60", "RateLimit-Remaining": "7"},
            Told(100, 7, None, 60.0),
        ),
        (
            200,
            {"RateLimit-Policy": '"default";q=100;w=60', "RateLimit": '"default";r=50;t=30'},
            Told(100, 50, 30.0, 60.0),
        ),
        (429, {"Retry-After": "3"}, Told(refused=True, wait_s=3.0)),
        (429, {}, Told(refused=True)),
        (403, {}, None),
        (
            403,
            {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9"},
            Told(None, 0, 9.0, refused=True, wait_s=9.0),
        ),
    ],
)
def test_the_spellings_of_limits(status: int, headers: dict[str, str], told: Told | None) -> None:
    """Every usual way in which vendors state a limit is read, and nothing else is one."""
    given = httpx.Headers(headers)

    assert told_of(status, given, given.raw, NOW) == told


async def test_a_refusal_that_only_the_vendors_code_tells_slows_down_too() -> None:
    """Where a limit is refused by a status of another meaning, the vendor's row says what it is."""
    line = Line(TWENTY)
    rows = (FaultRow(FaultCategory.RATE_LIMITED, codes=frozenset({"too_fast"})),)

    def answer(request: httpx.Request) -> httpx.Response:
        del request
        return httpx.Response(400, json={"error": "too_fast"}, headers={"Retry-After": "2"})

    http = VendorHttp(
        Dialect("vendor", faults=rows),
        "https://vendor.example.test",
        headers={},
        transport=httpx.MockTransport(answer),
        pace=line,
    )
    with pytest.raises(ConnectorFault):
        await http.call("GET", "/one", operation="one", transcript=Transcript())

    assert line.last_told == Told(refused=True, wait_s=2.0)
    assert line.wait_s(1, DISMISSED) > 1.5
    await http.aclose()
    await line.aclose()


class Never:
    """A pace in which no turn ever comes."""

    asked = 0

    def passes(self) -> bool:
        return False

    @contextlib.asynccontextmanager
    async def turn(self, urgency: Urgency, *, until: float | None = None) -> AsyncIterator[None]:
        del urgency, until
        self.asked += 1
        raise NoTurnError(timedelta(seconds=7))
        yield

    def heard(self, told: Told, *, age_s: float) -> None:
        """Nothing is asked, so nothing is heard."""

    def wait_s(self, calls: int, urgency: Urgency) -> float:
        del calls, urgency
        return 7.0


NOWHERE = "http://127.0.0.1:9"
"""Whoever called there would fail otherwise than by our pace."""
BUILT = {
    "okta": ({"base_url": NOWHERE}, {"token": "t"}),
    "scim": ({"base_url": NOWHERE}, {"token": "t"}),
    "aws": (
        {"region": "eu-central-1", "endpoint_url": NOWHERE},
        {"access_key_id": "a", "secret_access_key": "s"},
    ),
    "tailscale": ({"base_url": NOWHERE}, {"api_key": "k"}),
    "kisi": ({"base_url": NOWHERE}, {"api_key": "k"}),
    "instant": ({"base_url": NOWHERE}, {"token": "t"}),
}


@pytest.mark.parametrize("kind", BUILT)
async def test_every_connector_waits_for_its_turn(kind: str) -> None:
    """Each call of each vendor passes the pace, the first one too."""
    settings, secrets = BUILT[kind]
    pace = Never()
    connector = MANIFESTS[kind].build(ConnectorOptions("any", settings, secrets, pace=pace))
    keys = LeaverKeys((Key(KeyKind.WORKER_ID, "W1"), Key(KeyKind.EMAIL, "w1@example.com")))
    transcript = Transcript()
    with pytest.raises(ConnectorFault) as caught:
        await connector.locate(keys, transcript)

    assert caught.value.is_own_pace
    assert caught.value.retry_after == timedelta(seconds=7)
    assert transcript.out_of_turn == timedelta(seconds=7)
    assert transcript.exchanges == []
    assert pace.asked
    await connector.aclose()
