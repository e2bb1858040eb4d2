"""Ordered packs are made in a process of their own, which never outlives the worker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from lockstep.control.packs.export import LEASE
from lockstep.control.packs.folder import PacksFolder
from lockstep.control.packs.jobs import AGAIN, MOST_DEATHS, ExportJobs
from lockstep.control.packs.process import TRY_LATER, MakerProcess, MakerWaitsError
from lockstep.storage.packs.orders import ExportRow, Exports
from tests.cli.ledger.test_ledger import SETTINGS
from tests.control.packs.test_jobs import KEEP, TOKEN, packs, row, set_back
from tests.support.exporting import Packing, verified

ROOT = Path(__file__).parents[3]
LATER = "select 1 from exports where claimed_until between now() and now() + interval '30 s'"
WAITING = "select from pg_locks where not granted and relation = 'anchorings'::regclass"


@pytest.fixture
async def packing(packing, ring, database, tmp_path):
    """Two leavers under a signed head, and the settings that a worker reads."""
    await packing.revoked("W-1")
    await packing.revoked("W-2")
    await packing.seal()
    ring.save(tmp_path / "keyring.json")
    (tmp_path / "db").write_text(database.app_url)
    (tmp_path / "ledger.key").write_text(packing.book.signer.to_text())
    (tmp_path / "lockstep.toml").write_text(SETTINGS)
    return packing


@pytest.fixture
def exports(packing) -> Exports:
    return Exports(packing.engine)


def command(packing: Packing) -> list[str]:
    """What a worker runs."""
    program = [sys.executable, "-m", "lockstep.cli.main", "evidence", "make-ordered"]
    return [*program, "--config", str(packing.folder / "lockstep.toml")]


def python(code: str) -> list[str]:
    """A maker of another kind; it gets the export's id as an argument too."""
    return [sys.executable, "-c", code]


def jobs(packing: Packing, argv: list[str] | None = None, **options: timedelta) -> ExportJobs:
    return ExportJobs(
        MakerProcess(argv or command(packing)).make,
        Exports(packing.engine),
        folder=PacksFolder(packing.folder / "packs"),
        keep=KEEP,
        poll=timedelta(milliseconds=20),
        **options,
    )


async def ordered(packing: Packing, **changes: object) -> str:
    export_id, _ = await packing.exporter.order(packing.order(**changes), TOKEN)
    return export_id


@contextlib.contextmanager
def halfway(packing: Packing):
    """Whoever makes a pack in here stops half way, at a table that somebody else holds."""
    with packing.book.link(superuser=True) as link, link.transaction():
        link.execute("lock table anchorings in access exclusive mode")
        yield


async def arrival(packing: Packing, of: psutil.Process | None = None) -> psutil.Process:
    """The maker, once it waits at that table."""
    await until(lambda: packing.book.ask(WAITING))
    [maker] = makers(of)
    return maker


def makers(of: psutil.Process | None = None) -> list[psutil.Process]:
    found = []
    for child in (of or psutil.Process()).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "make-ordered" in child.cmdline():
                found.append(child)
    return found


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - another process comes to it
            await asyncio.sleep(0.02)


def is_gone(process: psutil.Process) -> bool:
    """Ended; nobody may be there to bury it."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def waits_for(exports: Exports, export_id: str) -> timedelta:
    """How long nobody takes up an order that waits."""
    found: ExportRow = await row(exports, export_id)
    assert found.state == "pending"
    assert found.claimed_until is not None
    return found.claimed_until - datetime.now(UTC)


async def test_an_order_is_made_by_another_process(packing, exports):
    """The same bytes as in ours, and nobody is left."""
    same = await packing.export(sample=1)
    export_id = await ordered(packing, sample=1, checkpoint=same.summary.size)
    assert await jobs(packing).step()
    done = await row(exports, export_id)

    assert (done.state, done.sha256, done.done_entries) == ("done", same.sha256, same.summary.size)
    assert packs(packing) == [f"{export_id}.zip"]
    assert makers() == []
    verified(same, packing)


async def test_it_yields_to_the_worker_and_shows_no_secret(packing, exports):
    """Nicer than the worker, its progress told; its command line names settings and order alone."""
    export_id = await ordered(packing)
    with halfway(packing):
        step = asyncio.create_task(jobs(packing).step())
        maker = await arrival(packing)
        assert maker.nice() == psutil.Process().nice() + 10
        assert maker.cmdline()[1:] == [*command(packing)[1:], export_id]
        told = f"select 1 from exports where done_entries = {packing.book.heads()[-1][0]}"
        await until(lambda: packing.book.ask(told))
    assert await step


async def test_a_maker_that_is_killed_half_way_is_made_up_for(packing, exports):
    """The order waits a moment and is made from the beginning; nothing half is left meanwhile."""
    export_id = await ordered(packing, identified=True, reason="sample")
    its = jobs(packing)
    with halfway(packing):
        step = asyncio.create_task(its.step())
        maker = await arrival(packing)
        assert any(name.endswith(".part") for name in packs(packing))
        maker.kill()
        assert await step

    assert packs(packing) == []
    assert timedelta(0) < await waits_for(exports, export_id) <= AGAIN
    await set_back(packing, "claimed_until", AGAIN)
    assert await its.step()
    assert (await row(exports, export_id)).state == "done"


async def test_an_order_over_which_makers_die_is_given_up(packing, exports):
    """After a few tries, and the row says how they died and what to do; other orders go on."""
    export_id = await ordered(packing)
    its = jobs(packing, python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    for _ in range(MOST_DEATHS):
        assert (await row(exports, export_id)).state == "pending"
        assert await its.step()
        await set_back(packing, "claimed_until", AGAIN)
    failed = await row(exports, export_id)

    assert failed.state == "failed"
    for part in ("3 times", "signal SIGKILL", "memory", "order it again"):
        assert part in (failed.error or "")
    assert not await its.step()


async def test_settings_that_broke_meanwhile_are_not_tried_for_ever(packing, exports):
    """The worker goes on with what it has read; the maker reads anew, and says in the log why."""
    export_id = await ordered(packing)
    (packing.folder / "lockstep.toml").write_text("tenant = 7")
    its = jobs(packing)
    for _ in range(MOST_DEATHS):
        assert await its.step()
        await set_back(packing, "claimed_until", AGAIN)
    failed = await row(exports, export_id)
    assert (failed.state, "exit code 2" in (failed.error or "")) == ("failed", True)


async def test_a_worker_that_is_stopped_leaves_no_maker(packing, exports):
    """Nor a half pack; and the next worker need not wait."""
    export_id = await ordered(packing)
    with halfway(packing):
        run = asyncio.create_task(jobs(packing).run())
        maker = await arrival(packing)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert not maker.is_running()

    assert packs(packing) == []
    assert await waits_for(exports, export_id) <= timedelta(0)
    assert await jobs(packing).step()
    assert (await row(exports, export_id)).state == "done"


async def test_a_maker_that_does_not_listen_is_ended(packing, exports):
    """A worker that stops does not wait for it for ever."""
    await ordered(packing)
    file = packing.folder / "pid"
    deaf = python(
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    )
    step = asyncio.create_task(jobs(packing, deaf).step())
    await until(lambda: file.exists() and file.read_text())
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    assert not psutil.pid_exists(int(file.read_text()))


_WORKER = """
import asyncio, json, sys
from datetime import timedelta
from pathlib import Path
from lockstep.control.packs.folder import PacksFolder
from lockstep.control.packs.jobs import ExportJobs
from lockstep.control.packs.process import MakerProcess
from lockstep.storage.engine.database import create_engine
from lockstep.storage.packs.orders import Exports

given = json.loads(sys.stdin.readline())
jobs = ExportJobs(
    MakerProcess(given["command"]).make,
    Exports(create_engine(given["url"])),
    folder=PacksFolder(Path(given["folder"])),
    keep=timedelta(days=30),
)
asyncio.run(jobs.run())
"""


async def test_a_worker_that_is_killed_leaves_no_maker(packing, exports, database):
    """Nobody can tell it to stop: it notices by itself, and its lease runs out."""
    export_id = await ordered(packing)
    given = {
        "url": database.app_url,
        "folder": str(packing.folder / "packs"),
        "command": command(packing),
    }
    with halfway(packing):
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _WORKER), cwd=ROOT, stdin=asyncio.subprocess.PIPE
        )
        assert worker.stdin is not None
        worker.stdin.write(json.dumps(given).encode() + b"\n")
        maker = await arrival(packing, psutil.Process(worker.pid))
        worker.kill()
        await worker.wait()
        await until(lambda: is_gone(maker))

    assert f"{export_id}.zip" not in packs(packing)
    await set_back(packing, "claimed_until", LEASE)
    assert await jobs(packing).step()
    assert (await row(exports, export_id)).state == "done"


async def test_a_maker_that_hangs_is_noticed(packing, exports):
    """It says that it lives every second; who has not for minutes is ended, and made up for."""
    export_id = await ordered(packing)
    with halfway(packing):
        step = asyncio.create_task(jobs(packing, look=timedelta(milliseconds=50)).step())
        maker = await arrival(packing)
        os.kill(maker.pid, signal.SIGSTOP)
        await set_back(packing, "claimed_until", 3 * LEASE)
        assert await step
        assert not maker.is_running()
    assert timedelta(0) < await waits_for(exports, export_id) <= AGAIN


async def test_a_database_that_fails_the_maker_is_asked_again(packing, exports):
    """The order is neither lost nor failed, nor does it count as a death."""
    export_id = await ordered(packing)
    packing.book.tamper("revoke insert on ledger_entries from lockstep_app")
    with pytest.raises(MakerWaitsError):
        await jobs(packing).step()
    assert timedelta(0) < await waits_for(exports, export_id) <= AGAIN


async def test_the_loop_survives_what_cannot_be_made(packing, exports):
    """A program that is not there, and one that asks to be tried later: the loop goes on."""
    await ordered(packing)
    for argv in (["/nowhere/python"], python(f"raise SystemExit({TRY_LATER})")):
        run = asyncio.create_task(jobs(packing, argv).run())
        await until(lambda: packing.book.ask(LATER))
        assert not run.done()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        await set_back(packing, "claimed_until", LEASE)


async def test_an_order_that_was_withdrawn_is_not_made(packing, exports):
    """Between being taken and the maker's beginning, somebody in it was erased."""
    export_id = await ordered(packing)
    slow = await exports.claim(timedelta(seconds=0))
    assert slow is not None
    await exports.cancel(export_id)
    await MakerProcess(command(packing)).make(export_id)
    assert packs(packing) == []
