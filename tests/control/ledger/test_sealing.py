"""The loop that seals: in its own thread, never in the way, never silently gone."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from lockstep.control.ledger import sealing
from lockstep.control.ledger.sealing import Sealer
from lockstep.evidence.format.notes import FileSigner
from lockstep.evidence.ledger.entries import EntryKind
from tests.support.ledgers import LedgerBook, advisory_locks, entry

QUICK = timedelta(milliseconds=50)


@pytest.fixture
def book(database, tmp_path, monkeypatch):
    for name in ("POLL", "WAITING", "AFTER_TROUBLE", "REFUSED"):
        monkeypatch.setattr(sealing, name, QUICK)
    made = LedgerBook(database.app_url, database.superuser_url, tmp_path)
    yield made
    made.close()


@contextlib.asynccontextmanager
async def sealed(book: LedgerBook, **changes: object) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(Sealer(book.sequencer(**changes)).run())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(holds, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not await asyncio.to_thread(holds):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_a_closing_is_under_a_head_within_seconds(book, monkeypatch):
    """With the intervals that are shipped."""
    monkeypatch.setattr(sealing, "POLL", timedelta(milliseconds=500))
    async with sealed(book):
        await until(lambda: len(book.heads()) == 1)
        book.append(entry(EntryKind.CASE_CLOSED))
        began = time.monotonic()
        await until(lambda: book.heads()[-1][0] == 3)

    assert time.monotonic() - began < 15


async def test_it_gives_the_lock_up_when_it_is_stopped(book):
    """So that another worker goes on at once."""
    async with sealed(book):
        await until(lambda: advisory_locks(book) == 1)
    await until(lambda: advisory_locks(book) == 0)


async def test_another_takes_over(book):
    """Of two workers one seals; when it stops, the other goes on."""
    async with sealed(book) as first, sealed(book):
        await until(lambda: len(book.heads()) == 1)
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        book.append(entry(EntryKind.CASE_CLOSED))
        await until(lambda: book.heads()[-1][0] == 3)


async def test_a_refusal_is_said_once_and_ends_when_its_cause_does(book):
    """An error in the log, not one per try; and the ledger is sealed once the key is right."""
    right, book.signer = book.signer, FileSigner.generate("acme/another")
    tries = []

    def key():
        tries.append(1)
        if book.signer is not right:
            raise ValueError("ledger.key: the key is named acme/another")
        return right

    with capture_logs() as logged:
        async with sealed(book, open_signer=key):
            await until(lambda: len(tries) > 3)
            book.signer = right
            await until(lambda: len(book.heads()) == 1)
    errors = [line for line in logged if line["log_level"] == "error"]

    assert [(line["event"], line["code"]) for line in errors] == [
        ("ledger_refused", "key_unusable")
    ]
    assert book.heads()[0][0] == 2


class Service:
    """A key service that is away, or slow."""

    def __init__(self, book: LedgerBook) -> None:
        self.verifier = book.signer.verifier
        self.signing, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        self.was_let_go: list[bool] = []
        self.is_away = False
        self._key = book.signer

    def sign(self, message: bytes) -> bytes:
        if self.is_away:
            raise ConnectionError("the key service is away")
        self.signing.set()
        self.was_let_go.append(self.go_on.wait(30))
        return self._key.sign(message)


async def test_a_key_service_that_is_away_delays_heads_and_not_the_order(book):
    """Entries keep getting their places, and are signed when the service is back."""
    service = Service(book)
    service.is_away = True
    async with sealed(book, open_signer=lambda: service):
        book.append(entry(EntryKind.CASE_CLOSED))
        await until(lambda: len(book.order()) == 3)
        assert book.heads() == []
        service.is_away = False
        await until(lambda: len(book.heads()) == 1)


async def test_a_slow_key_service_does_not_hold_the_cases_up(book):
    """While a signature takes its time, everything else in the process goes on."""
    service = Service(book)
    service.go_on.clear()
    async with sealed(book, open_signer=lambda: service):
        await until(service.signing.is_set)
        assert book.heads() == []
        service.go_on.set()
        await until(lambda: len(book.heads()) == 1)

    assert service.was_let_go == [True], "the loop stood still until the signature was given up"


async def test_it_steps_back_while_the_process_is_behind(book, monkeypatch):
    """Fewer passes while cases need the processor; closings are still covered within seconds."""
    monkeypatch.setattr(sealing, "BEHIND", timedelta(seconds=1))
    steps: list[float] = []
    sequencer = book.sequencer()
    step = sequencer.step
    sequencer.step = lambda: steps.append(time.monotonic()) or step()
    task = asyncio.create_task(Sealer(sequencer, is_behind=lambda: True).run())
    try:
        await until(lambda: len(steps) >= 4)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    assert steps[3] - steps[0] > 1.5, "at most one of the waits was short"


async def test_a_database_that_is_away_is_waited_for(book):
    """Ended sessions cost a warning and a new connection, nothing else."""
    with capture_logs() as logged:
        async with sealed(book):
            await until(lambda: advisory_locks(book) == 1)
            with book.link(superuser=True) as link:
                link.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where application_name = 'lockstep-sequencer'"
                    " and datname = current_database()"
                )
            book.append(entry(EntryKind.CASE_CLOSED))
            await until(lambda: book.heads() and book.heads()[-1][0] == 3)

    assert [line["event"] for line in logged if line["log_level"] == "warning"] == [
        "ledger_unreachable"
    ]
