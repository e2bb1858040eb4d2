"""People are told once per fact and route, by real receivers, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import UTC, datetime, time, timedelta

import pytest
from aiosmtpd.smtp import SMTP
from sqlalchemy import text

from connectors.channel import Channel, ChannelError
from lockstep.control.notices.telling import PER_MINUTE, Notifier
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.notices import Fact, NoticeKind, Quiet, Route
from lockstep.domain.systems.faults import FaultCategory
from lockstep.storage.outgoing.notices import Notices
from tests.support.casework import SYSTEM, termination

ORIGIN = "https://lockstep.example.com"
EVERY = frozenset(NoticeKind)
HOURS = timedelta(hours=1)


class Receiver:
    """A small HTTP server that keeps what Apprise posts, and can refuse."""

    def __init__(self) -> None:
        self.got: list[dict] = []
        self.status = 200

    @contextlib.asynccontextmanager
    async def serving(self):
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        try:
            self.port = server.sockets[0].getsockname()[1]
            yield self
        finally:
            server.close()
            await server.wait_closed()

    @property
    def url(self) -> str:
        return f"json://:s3cr3t-token@127.0.0.1:{self.port}/hook"

    async def _answer(self, reader, writer) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        size = next(
            int(line.split(":")[1])
            for line in head.split("\r\n")
            if "content-length" in line.lower()
        )
        body = await reader.readexactly(size)
        if self.status == 200:
            self.got.append(json.loads(body))
        writer.write(f"HTTP/1.1 {self.status} x\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@pytest.fixture
async def receiver():
    async with Receiver().serving() as made:
        yield made


@pytest.fixture
def notices(engine):
    return Notices(engine)


def notifier(notices, *routes, leaver="") -> Notifier:
    async def name(_: str) -> str:
        return leaver

    return Notifier(notices, routes, origin=ORIGIN, leaver=name)


async def stuck(work, said=None):
    """A case one of whose systems waits for a person."""
    case = await work.open(said)
    item = await work.revocations.load(case.case_id, SYSTEM, 1)
    await work.revocations.needs_person(
        item, round_=1, category=FaultCategory.CREDENTIALS_REJECTED, overdue=False
    )
    return case


async def now_step(made: Notifier) -> None:
    await made.step(datetime.now(UTC))


async def test_a_fact_is_told_once_by_each_route(work, notices, receiver):
    """However often it is looked at, and by however many workers."""
    case = await stuck(work)
    channel = Channel(receiver.url)
    routes = [(Route(name, frozenset({NoticeKind.STUCK})), channel) for name in ("ops", "soc")]
    one, other = notifier(notices, *routes), notifier(notices, *routes)

    for _ in range(3):
        await asyncio.gather(now_step(one), now_step(other))
    await now_step(one)

    assert len(receiver.got) == 2
    assert f"{ORIGIN}/console/cases/{case.case_id}" in receiver.got[0]["message"]


async def test_no_name_is_told_unless_the_route_says_so(work, notices, receiver):
    """The default message has ids; a route may be allowed the leaver's name."""
    await stuck(work)
    plain = Route("plain", frozenset({NoticeKind.STUCK}))
    naming = Route("naming", frozenset({NoticeKind.STUCK}), names=True)
    channel = Channel(receiver.url)

    await now_step(notifier(notices, (plain, channel), (naming, channel), leaver="Maria D."))

    assert ["Maria D." in got["message"] for got in receiver.got].count(True) == 1


async def test_a_refused_message_is_sent_later_and_a_dead_route_holds_up_no_other(
    work, notices, receiver, engine
):
    """An outage loses nothing."""
    await stuck(work)
    dead = (Route("dead", EVERY), Channel("json://127.0.0.1:1/nobody"))
    made = notifier(notices, (Route("ops", EVERY), Channel(receiver.url)), dead)
    receiver.status = 500
    await now_step(made)
    assert receiver.got == []
    backlog = await notices.backlog()
    assert backlog["ops"][0] >= 1
    assert "s3cr3t" not in str(backlog)

    receiver.status = 200
    async with engine.begin() as connection:
        await connection.execute(text("update notices set next_at = now()"))
    await now_step(made)

    assert receiver.got
    assert set(await notices.backlog()) == {"dead"}


async def test_a_lay_off_day_is_one_message(work, notices, receiver):
    """Many facts at once go together, with counts and one link."""
    for number in range(PER_MINUTE + 10):
        await stuck(work, termination(f"W-{number}"))

    await now_step(
        notifier(notices, (Route("ops", frozenset({NoticeKind.STUCK})), Channel(receiver.url)))
    )

    [got] = receiver.got
    assert f"{PER_MINUTE + 10} things need somebody" in got["title"]
    assert f"{PER_MINUTE + 10} × A revocation needs a person" in got["message"]
    assert await notices.backlog() == {}


async def test_more_facts_than_a_statement_has_parameters_are_told(notices):
    """A day on which everything is stuck does not silence the notices."""
    now = datetime.now(UTC)
    facts = [Fact(f"stuck:{n}", NoticeKind.STUCK, now, case_id=f"c{n}") for n in range(7000)]
    both = [(route, fact) for route in ("ops", "soc") for fact in facts]

    assert await notices.put(both, now) == 14_000
    assert await notices.put(both, now) == 0
    standing = [fact.key for fact in facts] + [f"gone:{n}" for n in range(70_000)]
    assert await notices.end(standing, [NoticeKind.STUCK]) == 0
    assert await notices.end([fact.key for fact in facts[1:]], [NoticeKind.STUCK]) == 2
    assert await notices.put(both, now) == 2
    assert await notices.end([], [NoticeKind.STUCK]) == 14_000


async def test_quiet_hours_hold_back_and_lose_nothing(work, notices, receiver, engine):
    """What comes at night is told in the morning, unless it is over by then."""
    await stuck(work)
    moment = datetime.now(UTC)
    quiet = Quiet((moment - HOURS).time(), (moment + HOURS).time(), "UTC")
    channel = Channel(receiver.url)
    await now_step(
        notifier(notices, (Route("ops", frozenset({NoticeKind.STUCK}), quiet=quiet), channel))
    )
    assert receiver.got == []

    awake = notifier(notices, (Route("ops", frozenset({NoticeKind.STUCK})), channel))
    async with engine.begin() as connection:
        until = await connection.scalar(text("select next_at from notices"))
        assert timedelta(minutes=55) < until - moment < timedelta(minutes=65)
        await connection.execute(text("update notices set next_at = now()"))
    await now_step(awake)
    assert len(receiver.got) == 1


async def test_what_is_over_before_it_was_told_is_told_nobody(work, notices, receiver, engine):
    """Nobody is woken for what has mended itself."""
    await stuck(work)
    made = notifier(notices, (Route("ops", frozenset({NoticeKind.STUCK})), Channel(receiver.url)))
    receiver.status = 500
    await now_step(made)
    async with engine.begin() as connection:
        await connection.execute(text("update revocations set state = 'settled'"))
        await connection.execute(text("update notices set next_at = now()"))
    receiver.status = 200
    await now_step(made)
    assert receiver.got == []


async def test_what_nobody_takes_is_told_to_the_next(work, notices, receiver, engine):
    """A fact that was told and that nobody took goes up; a taken one does not."""
    taken, left = await stuck(work, termination("W-1")), await stuck(work, termination("W-2"))
    kinds = frozenset({NoticeKind.STUCK})
    first = Route("ops", kinds, escalate_to="lead", after=timedelta(0))
    async with engine.begin() as connection:
        await connection.execute(text("insert into users values ('u1', 'x', 'x', now(), now());"))
        await connection.execute(
            text("insert into assignments values (:c, 'u1', now())"), {"c": taken.case_id}
        )
    silent = (Route("lead", frozenset()), Channel(receiver.url))
    made = notifier(notices, (first, Channel(receiver.url)), silent)

    await now_step(made)
    assert len(receiver.got) == 2
    await now_step(made)

    assert len(receiver.got) == 3
    assert receiver.got[2]["title"].startswith("Lockstep: Still open")
    assert left.case_id in receiver.got[2]["message"]


async def test_a_coming_dismissal_is_told_nobody(work, notices, receiver, engine):
    """Whatever its rows say, before the cutoff nobody hears of it."""
    dismissal = termination(kind=TerminationKind.INVOLUNTARY)
    case = await work.open(dismissal, due=timedelta(days=1))
    async with engine.begin() as connection:
        await connection.execute(
            text("update revocations set state = 'needs_person', needs_person_since = now()")
        )

    await now_step(notifier(notices, (Route("ops", EVERY), Channel(receiver.url))))
    assert receiver.got == []

    async with engine.begin() as connection:
        await connection.execute(
            text("update cases set begun_at = now(), status = 'revoking', cutoff_at = now()")
        )
    await now_step(notifier(notices, (Route("ops", EVERY), Channel(receiver.url))))
    assert case.case_id in receiver.got[0]["message"]


class Mailbox:
    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        self.mails.append(envelope.content)
        return "250 OK"


async def test_a_name_cannot_become_a_header_of_a_mail():
    """A line feed in a title ends up as a blank."""
    box = Mailbox()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(box), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        channel = Channel(f"mailto://127.0.0.1:{port}?from=lockstep@example.com&to=ops@example.com")
        await channel.send("Hello\r\nBcc: all@example.com", "body\x00\r\n.\r\nQUIT\r\n")
    [mail] = box.mails
    head = mail.partition(b"\r\n\r\n")[0]
    assert not any(line.lower().startswith(b"bcc:") for line in head.split(b"\r\n"))


async def test_an_address_is_quoted_nowhere(receiver, caplog):
    """Neither a refusal to read it nor a failed delivery tells the token in it."""
    with pytest.raises(ValueError, match="not an address") as unusable:
        Channel("nonsense-s3cr3t")
    receiver.status = 403
    with pytest.raises(ChannelError) as refused:
        await Channel(receiver.url).send("t", "b")
    assert "s3cr3t" not in f"{unusable.value}{refused.value}{caplog.text}"


async def test_a_receiver_that_never_answers_ends_in_time():
    """A thread that hangs holds up one message, not the worker."""

    async def hang(reader, writer) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        channel = Channel(f"json://127.0.0.1:{port}/?rto=1", patience=timedelta(seconds=2))
        with pytest.raises(ChannelError):
            await channel.send("t", "b")


def test_quiet_over_the_whole_day_is_possible():
    """A route may sleep all day except for what is excepted."""
    quiet = Quiet(time(0), time(0), "UTC", frozenset({NoticeKind.BRAKE}))
    assert quiet.until(datetime.now(UTC), NoticeKind.STUCK) is not None
    assert quiet.until(datetime.now(UTC), NoticeKind.BRAKE) is None
