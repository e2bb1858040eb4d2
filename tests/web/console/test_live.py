"""The stream of live pages, through a real server: who is told of what, and when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import pytest
import uvicorn
from sqlalchemy import text

from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import Permission, Role
from lockstep.evidence.ledger.entries import Entry, EntryKind
from lockstep.storage.board.live import LedgerTail
from lockstep.storage.ledger.append import Append, Ledger, append_all
from lockstep.web.console import listening
from tests.support.board import HOUR
from tests.support.casework import EMAIL, TENANT, revised, termination
from tests.web.console.conftest import COOKIE, Browser, Site

PATIENCE_S = 60
GRACE_S = 60


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same clockwork, faster."""
    monkeypatch.setattr(listening, "LOOK_S", 0.05)
    monkeypatch.setattr(listening, "SPACING_S", 0.0)
    monkeypatch.setattr(listening, "CHECK_S", 0.3)


@pytest.fixture
async def server(site: Site) -> AsyncIterator[uvicorn.Server]:
    """The application on a port of its own, run as `lockstep web` runs it."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        site.app, log_config=None, lifespan="off", timeout_graceful_shutdown=GRACE_S
    )
    running = uvicorn.Server(config)
    site.app.state.is_stopping = lambda: running.should_exit
    running.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(running.serve(sockets=[listening]))
    running.port = listening.getsockname()[1]  # type: ignore[attr-defined]
    async with asyncio.timeout(PATIENCE_S):
        while not running.started:  # noqa: ASYNC110 - uvicorn tells by this flag
            await asyncio.sleep(0.01)
    yield running
    running.should_exit = True
    await task


@dataclass
class Stream:
    """One open page: the names of the events that it was told."""

    status: int = 0
    events: list[str] = field(default_factory=list)
    beats: int = 0
    has_ended: bool = False

    async def until(self, condition) -> None:
        """Wait for what must come."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - the other side is a server
                await asyncio.sleep(0.01)

    async def told(self, name: str) -> None:
        await self.until(lambda: name in self.events)


@contextlib.asynccontextmanager
async def page(server, browser: Browser, query: str = "") -> AsyncIterator[Stream]:
    """Listen as a browser does."""
    stream = Stream()
    opened = asyncio.Event()

    async def listen() -> None:
        cookies = {COOKIE: browser.client.cookies[COOKIE]}
        url = f"http://127.0.0.1:{server.port}/console/live{query}"
        async with (
            httpx.AsyncClient(cookies=cookies, timeout=PATIENCE_S, trust_env=False) as client,
            client.stream("GET", url) as answer,
        ):
            stream.status = answer.status_code
            async for line in answer.aiter_lines():
                opened.set()
                is_beat = line == "event: alive"
                stream.beats += is_beat
                if line.startswith("event: ") and not is_beat:
                    stream.events.append(line.removeprefix("event: "))
        stream.has_ended = True

    task = asyncio.create_task(listen())
    opening = asyncio.create_task(opened.wait())
    await asyncio.wait({task, opening}, return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE_S)
    opening.cancel()
    try:
        if stream.status == 200:
            await stream.until(lambda: stream.beats > 0)
        yield stream
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_page_is_told_that_a_case_changed(site, work, server):
    """As soon as a case in scope changes, and not before; not what changed, nor of whom."""
    olivia = await site.sign_in(Role.OPERATOR)
    async with page(server, olivia) as stream:
        await stream.until(lambda: stream.beats > 2)
        assert stream.events == []
        await work.open(termination("W-1"))
        await stream.told("changed")


async def test_of_what_is_out_of_scope_a_page_gets_no_sign(site, work, server):
    """Another partner's case, a coming dismissal and one's own case are not even a ping."""
    seeing = await site.sign_in(Role.OPERATOR, more=[Permission.SEALED])
    other = await site.sign_in(Role.OPERATOR, partners=["contoso"])
    plain = await site.sign_in(Role.OPERATOR)
    mine = await site.sign_in(Role.OPERATOR, keys=[Key(KeyKind.EMAIL, EMAIL)])
    secret = termination("W-1", kind=TerminationKind.INVOLUNTARY)
    async with (
        page(server, seeing) as sees,
        page(server, other) as of_other,
        page(server, plain) as of_plain,
        page(server, mine) as of_mine,
    ):
        case = await work.open(secret, due=HOUR)
        await sees.told("changed")
        assert of_other.events == of_plain.events == of_mine.events == []

        sees.events.clear()
        await work.cases.amend(case, revised(secret, 2), datetime.now(UTC) + 2 * HOUR)
        await sees.told("changed")
        beats = of_plain.beats
        await of_plain.until(lambda: of_plain.beats > beats + 1)
        assert of_other.events == of_plain.events == of_mine.events == []

        await work.open(
            termination("W-2", partner="contoso", keys=LeaverKeys((Key(KeyKind.WORKER_ID, "W-2"),)))
        )
        await of_other.told("changed")
        await of_plain.told("changed")
        await of_mine.told("changed")

        for each in (sees, of_other, of_plain, of_mine):
            each.events.clear()
        about_me = LeaverKeys((Key(KeyKind.EMAIL, EMAIL),))
        await work.open(termination("W-3", keys=about_me), due=HOUR)
        await of_plain.told("changed")
        mine, others = of_mine.beats, of_other.beats
        await of_mine.until(lambda: of_mine.beats > mine + 1)
        await of_other.until(lambda: of_other.beats > others + 1)
        assert of_other.events == of_mine.events == []


async def test_a_page_of_one_case_is_told_of_that_one_only(site, work, server):
    """`?case=` narrows to it; of a case out of scope it tells nothing either."""
    olivia = await site.sign_in(Role.OPERATOR)
    stranger = await site.sign_in(Role.OPERATOR, partners=["contoso"])
    one = await work.open(termination("W-1"), due=HOUR)
    query = f"?case={one.case_id}"
    async with (
        page(server, olivia) as every,
        page(server, olivia, query) as its,
        page(server, stranger, query) as foreign,
    ):
        await work.open(termination("W-2"))
        await every.told("changed")
        assert its.events == []
        await work.cases.amend(one, revised(termination("W-1"), 2), datetime.now(UTC) + 2 * HOUR)
        await its.told("changed")
        assert foreign.events == []


@pytest.mark.parametrize(
    "kind",
    [
        EntryKind.BRAKE_SET,
        EntryKind.BRAKE_DECIDED,
        EntryKind.SYSTEM_PAUSED,
        EntryKind.SYSTEM_RESUMED,
    ],
)
async def test_a_brake_or_a_pause_is_told_to_who_sees_systems(site, server, kind):
    """They belong to no case; an auditor's page, which shows neither, hears nothing."""
    admin = await site.sign_in(Role.ADMIN)
    auditor = await site.sign_in(Role.AUDITOR)
    now = datetime.now(UTC).replace(microsecond=0)
    async with page(server, admin) as told, page(server, auditor) as silent:
        await Ledger(site.engine).append(Append(Entry(kind, f"{kind}:1", TENANT, now, now)))
        await told.told("systems")
        assert "changed" not in told.events
        assert silent.events == []


async def test_an_ended_session_ends_its_stream(site, server):
    """Whoever was signed out is told so, and hears nothing any more."""
    olivia = await site.sign_in(Role.OPERATOR)
    async with page(server, olivia) as stream:
        await site.sessions.end_all_of(olivia.principal.user_id, by=olivia.principal)
        await stream.told("ended")
        await stream.until(lambda: stream.has_ended)


async def test_a_live_page_keeps_nobody_signed_in(site, server):
    """The idle time of a session goes on while its page only listens, or refreshes by itself."""
    olivia = await site.sign_in(Role.OPERATOR)
    async with page(server, olivia) as stream:
        async with site.engine.begin() as connection:
            await connection.execute(text("update sessions set seen_at = now() - interval '9 min'"))
        beats = stream.beats
        await stream.until(lambda: stream.beats > beats + 2)
        headers = {"hx-request": "true", "x-lockstep-live": "1"}
        assert (await olivia.client.get("/console/", headers=headers)).status_code == 200
        idle = text("select now() - seen_at > interval '8 min' from sessions")
        async with site.engine.connect() as connection:
            assert await connection.scalar(idle)
        assert (await olivia.get("/console/")).status_code == 200
        async with site.engine.connect() as connection:
            assert not await connection.scalar(idle)


async def test_streams_of_a_user_and_of_all_are_bounded(site, server, monkeypatch):
    """The seventh page of somebody is refused with a word; so is any beyond the bound of all."""
    olivia = await site.sign_in(Role.OPERATOR)
    other = await site.sign_in(Role.OPERATOR)
    async with contextlib.AsyncExitStack() as pages:
        for _ in range(listening.MOST_OF_USER):
            stream = await pages.enter_async_context(page(server, olivia))
            assert stream.status == 200
        refused = await pages.enter_async_context(page(server, olivia))
        assert refused.status == 429
        assert (await pages.enter_async_context(page(server, other))).status == 200
        monkeypatch.setattr(listening, "MOST", listening.MOST_OF_USER + 1)
        third = await site.sign_in(Role.OPERATOR)
        assert (await pages.enter_async_context(page(server, third))).status == 429


async def test_a_page_that_went_away_makes_room(site, server):
    """Closing tabs is enough: nothing of them stays."""
    olivia = await site.sign_in(Role.OPERATOR)
    for _ in range(3 * listening.MOST_OF_USER):
        async with page(server, olivia) as stream:
            assert stream.status in {200, 429}
    last = Stream()

    async def has_room() -> bool:
        async with page(server, olivia) as again:
            last.status = again.status
        return last.status == 200

    async with asyncio.timeout(PATIENCE_S):
        while not await has_room():  # noqa: ASYNC110 - the other side is a server
            await asyncio.sleep(0.05)


async def test_the_server_stops_although_pages_listen(site, server):
    """Streams end when the process is asked to stop, long before its grace is over."""
    olivia = await site.sign_in(Role.OPERATOR)
    async with page(server, olivia) as stream:
        began = asyncio.get_running_loop().time()
        server.should_exit = True
        await stream.until(lambda: stream.has_ended)
        assert asyncio.get_running_loop().time() - began < GRACE_S / 2


async def test_who_may_see_neither_cases_nor_systems_has_no_stream(site, server):
    """The refusal is recorded; without a session there is only the way to sign in."""
    viewer = await site.sign_in(Role.VIEWER)
    assert (await viewer.get("/console/live")).status_code == 403
    nobody = await (await site.visitor()).get("/console/live")
    assert (nobody.status_code, nobody.headers["location"].split("?")[0]) == (
        303,
        "/console/sign-in",
    )


async def test_an_entry_that_commits_late_is_not_lost(site, work):
    """Numbers are given before the commit: what comes after a later one is told all the same."""
    tail = LedgerTail(site.engine)
    await tail.look()
    now = datetime.now(UTC).replace(microsecond=0)
    slow = Append(Entry(EntryKind.CASE_BEGUN, "slow", TENANT, now, now, case_id="c-slow"))
    quick = Append(Entry(EntryKind.CASE_BEGUN, "quick", TENANT, now, now, case_id="c-quick"))
    async with site.engine.begin() as connection:
        await append_all(connection, [slow])
        await Ledger(site.engine).append(quick)
        assert (await tail.look()).case_ids == {"c-quick"}
        assert not await tail.look()
    assert (await tail.look()).case_ids == {"c-slow"}
    assert not await tail.look()
