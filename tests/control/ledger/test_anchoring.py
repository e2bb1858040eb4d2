"""The anchor loop: every checkpoint arrives, and no peer stands in another's way."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from connectors.anchors.base import AnchorCheckpoint
from lockstep.control.ledger.anchoring import AnchorLoop
from lockstep.evidence.ledger.entries import EntryKind
from lockstep.storage.ledger.anchorings import CLAIM, Anchorings, AnchorState
from lockstep.storage.ledger.checkpoints import Checkpoints
from lockstep.storage.ledger.proofs import Proofs
from tests.connectors.anchors.peers import HOOK_SECRET, SECRET, HttpPeer, build, silence
from tests.support.heads import ORIGIN, rows, sign

QUICK = timedelta(milliseconds=50)


@pytest.fixture
def peer() -> Iterator[HttpPeer]:
    with HttpPeer() as made:
        yield made


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "copies"
    made.mkdir()
    return made


def hook(port: int, home: Path):
    url = f"http://127.0.0.1:{port}/keep?key={SECRET}"
    return build("webhook", {"url": url}, {"secret": HOOK_SECRET}, home=home)


def files(home: Path):
    return build("file", {"path": "copies"}, home=home)


@asynccontextmanager
async def running(engine, anchors, patience: timedelta = timedelta(seconds=20)):
    loop = AnchorLoop(
        Anchorings(engine),
        Checkpoints(engine),
        Proofs(engine),
        anchors,
        patience=patience,
        poll=QUICK,
    )
    task = asyncio.create_task(loop.run())
    try:
        yield task
    finally:
        task.cancel()
        async with asyncio.timeout(30):
            await asyncio.gather(task, return_exceptions=True)


async def until(check: Callable[[], Awaitable[Any]], *, seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await check():  # noqa: ASYNC110 - what is awaited is in a database
            await asyncio.sleep(0.02)


def state(engine, anchor: str, size: int, expected: str) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return (await rows(engine)).get((anchor, size), ("",))[0] == expected

    return check


async def wait_done(engine, anchor: str, size: int) -> None:
    await until(state(engine, anchor, size, "done"))


async def test_every_anchor_gets_the_newest(engine, peer, folder, tmp_path):
    """The note's exact bytes, and what is signed later too; the receipt is kept."""
    await sign(engine, 5, 9)
    async with running(engine, {"hook": hook(peer.port, tmp_path), "files": files(tmp_path)}):
        await wait_done(engine, "hook", 9)
        await wait_done(engine, "files", 9)
        await sign(engine, 12)
        await wait_done(engine, "files", 12)
    stored = await Checkpoints(engine).at(12)
    async with engine.connect() as connection:
        receipt = await connection.scalar(
            text("select receipt from anchorings where anchor = 'files' and size = 12")
        )

    assert sorted(path.name for path in folder.iterdir()) == ["12.txt", "9.txt"]
    assert (folder / "12.txt").read_bytes() == stored.note.encode()
    assert bytes(receipt).startswith(b"12.txt sha256:")


async def test_a_peer_that_was_down_gets_what_it_missed(engine, folder, tmp_path):
    """Retried until it is there; said once when it begins and once when it ends."""
    peer = HttpPeer()
    await sign(engine, 9)
    with capture_logs() as logs:
        async with running(engine, {"hook": hook(peer.port, tmp_path), "files": files(tmp_path)}):
            await wait_done(engine, "files", 9)

            async def failed_twice() -> bool:
                found = (await rows(engine)).get(("hook", 9))
                return found is not None and found[1] >= 2 and found[2] is not None

            await until(failed_twice)
            await sign(engine, 10, reason=EntryKind.LEDGER_HEARTBEAT)
            await sign(engine, 11)
            with peer:
                await wait_done(engine, "hook", 11)
    said = [(row["event"], row["log_level"]) for row in logs if row.get("anchor") == "hook"]
    carried = [json.loads(asked.body)["data"]["size"] for asked in peer.asked]

    assert said == [("anchor_failing", "warning"), ("anchor_recovered", "info")]
    assert carried[-2:] == [10, 11]
    assert SECRET not in repr(logs) + repr(await rows(engine))


async def test_a_peer_that_hangs_delays_no_other(engine, peer, folder, tmp_path):
    """While it is waited for, the others go on."""
    with silence() as port:
        anchors = {"dead": hook(port, tmp_path), "hook": hook(peer.port, tmp_path)}
        await sign(engine, 9)
        async with running(engine, anchors):
            await wait_done(engine, "hook", 9)
            await sign(engine, 12)
            await wait_done(engine, "hook", 12)
            assert (await rows(engine))["dead", 9] == ("pending", 1, None)


async def test_an_attempt_at_a_peer_that_hangs_ends(engine, tmp_path):
    """After the patience, to be repeated."""
    await sign(engine, 9)
    with silence() as port:
        brief = timedelta(milliseconds=300)
        async with running(engine, {"dead": hook(port, tmp_path)}, brief):

            async def timed_out() -> bool:
                return (await rows(engine)).get(("dead", 9), ("",) * 3)[2] == "no answer in time"

            await until(timed_out)


async def test_a_crash_between_publishing_and_recording_publishes_twice(
    engine, database, peer, tmp_path
):
    """The second message is the first one again: same id, same bytes."""
    await sign(engine, 9)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.control.ledger.anchoring", database.app_url, f"{peer.url}/", HOOK_SECRET),
        str(tmp_path),
    )
    assert await process.wait() == 9
    assert (await rows(engine))["hook", 9] == ("pending", 1, None)
    async with engine.begin() as connection:  # as if the claim had ended
        await connection.execute(text("update anchorings set next_at = now()"))
    async with running(engine, {"hook": hook(peer.port, tmp_path)}):
        await wait_done(engine, "hook", 9)
    first, second = peer.asked

    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def test_several_workers_publish_once(engine, peer, tmp_path):
    """However many loops run, each checkpoint is carried by one of them."""
    await sign(engine, 9)
    async with (
        running(engine, {"hook": hook(peer.port, tmp_path)}),
        running(engine, {"hook": hook(peer.port, tmp_path)}),
        running(engine, {"hook": hook(peer.port, tmp_path)}),
    ):
        await wait_done(engine, "hook", 9)
        await sign(engine, 12)
        await wait_done(engine, "hook", 12)

    assert len(peer.asked) == 2


async def test_a_conflict_is_told_and_holds_up_nothing(engine, folder, tmp_path):
    """The copy stays as it was; larger checkpoints go on."""
    (folder / "9.txt").write_text("another ledger's head\n")
    await sign(engine, 9)
    with capture_logs() as logs:
        async with running(engine, {"files": files(tmp_path)}):
            await until(state(engine, "files", 9, "conflict"))
            await sign(engine, 12)
            await wait_done(engine, "files", 12)
    said = [(row["event"], row["log_level"]) for row in logs]

    assert said == [("anchor_conflict", "error")]
    assert (folder / "9.txt").read_text() == "another ledger's head\n"


class Broken:
    """An anchor with a bug of ours."""

    kind = "broken"

    def __init__(self) -> None:
        self.closed = False

    async def publish(self, checkpoint: AnchorCheckpoint) -> bytes:
        assert checkpoint.origin == ORIGIN
        raise KeyError(SECRET)

    async def aclose(self) -> None:
        self.closed = True


async def test_an_anchor_that_can_take_none_is_not_asked_again(engine, peer, folder, tmp_path):
    """Neither for this head nor for the next; others go on. A worker that starts anew asks once."""
    peer.answer = lambda _: (501, {}, b"")
    await sign(engine, 1)
    anchors = {"hook": hook(peer.port, tmp_path), "copies": files(tmp_path)}
    with capture_logs() as logged:
        async with running(engine, anchors):
            await until(state(engine, "hook", 1, "unfit"))
            await sign(engine, 2, reason=EntryKind.LEDGER_HEARTBEAT)
            await wait_done(engine, "copies", 2)
    assert len(peer.asked) == 1
    assert [line["code"] for line in logged if line["event"] == "anchor_unfit"] == [
        "status 501: the receiver cannot do this: correct url"
    ]
    [standing] = await Anchorings(engine).standings(["hook"])
    assert (standing.state, standing.size) == (AnchorState.UNFIT, None)
    assert standing.unfit == "status 501: the receiver cannot do this: correct url"

    peer.answer = lambda _: (200, {}, b"")
    async with running(engine, {"hook": hook(peer.port, tmp_path)}):
        await wait_done(engine, "hook", 2)
    assert (await Anchorings(engine).standings(["hook"]))[0].state is AnchorState.CURRENT


async def test_a_bug_in_one_anchor_stops_nobody(engine, folder, tmp_path):
    """It is told as ours, without the text of the exception."""
    broken = Broken()
    await sign(engine, 9)
    async with running(engine, {"broken": broken, "files": files(tmp_path)}):
        await wait_done(engine, "files", 9)

        async def told() -> bool:
            return (await rows(engine))["broken", 9][2] == "a fault of Lockstep: KeyError"

        await until(told)
    assert broken.closed


async def test_a_stored_head_that_is_none_is_told(engine, database, folder, tmp_path):
    """Whoever wrote into the table is not copied to the outside."""
    await sign(engine, 9)
    with psycopg.connect(database.superuser_url.replace("+psycopg", "")) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("update checkpoints set note = 'nonsense'")
    async with running(engine, {"files": files(tmp_path)}):

        async def told() -> bool:
            found = (await rows(engine)).get(("files", 9))
            return found is not None and (found[2] or "").startswith("the stored checkpoint")

        await until(told)

    assert list(folder.iterdir()) == []


async def test_a_database_that_was_away_ends_nothing(engine, database, folder, tmp_path):
    """The loop waits and goes on where it was."""
    await sign(engine, 9)
    name = engine.url.database
    admin = database.superuser_url.replace("+psycopg", "").replace(name, "postgres")
    with capture_logs() as logs:
        async with running(engine, {"files": files(tmp_path)}):
            await wait_done(engine, "files", 9)
            with psycopg.connect(admin, autocommit=True) as connection:
                connection.execute(f"alter database {name} allow_connections false".encode())
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
                    [name],
                )

                async def waits() -> bool:
                    return any(row["event"] == "anchoring_waits" for row in logs)

                await until(waits)
                connection.execute(f"alter database {name} allow_connections true".encode())
            await until_signed(engine, 12)
            await wait_done(engine, "files", 12)


async def until_signed(engine, size: int) -> None:
    """Connections that died in the pool fail once each."""

    async def signed() -> bool:
        try:
            await sign(engine, size)
        except Exception:  # noqa: BLE001 - whatever a dead connection raises
            return False
        return True

    await until(signed)


async def test_stopping_waits_for_no_peer(engine, tmp_path):
    """A worker that is asked to stop does, in the middle of a publication too."""
    await sign(engine, 9)
    with silence() as port:
        async with running(engine, {"dead": hook(port, tmp_path)}) as task:
            await until(state(engine, "dead", 9, "pending"))
            await asyncio.sleep(0.1)
            task.cancel()
            async with asyncio.timeout(15):  # less than the patience with that peer
                await asyncio.gather(task, return_exceptions=True)

    assert task.cancelled()


def test_the_patience_must_end_before_the_claim(engine):
    """Else two processes would publish at once, again and again."""
    with pytest.raises(ValueError, match="before the claim"):
        AnchorLoop(Anchorings(engine), Checkpoints(engine), Proofs(engine), {}, patience=CLAIM)
