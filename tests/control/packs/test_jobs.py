"""Packs in the background: finished, taken up after a death, given up with a reason, deleted."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from lockstep.control.packs.export import Exporter, Requester
from lockstep.control.packs.folder import PacksFolder
from lockstep.control.packs.jobs import ExportJobs, PackMaking
from lockstep.evidence.format.notes import FileSigner
from lockstep.storage.packs.orders import ExportRow, Exports
from tests.support.exporting import Packing, Reader, verified
from tests.support.ledgers import ORIGIN

KEEP = timedelta(days=30)
TOKEN = Requester(token="auditor")


@pytest.fixture
async def packing(packing):
    """Two leavers under a signed head."""
    await packing.revoked("W-1")
    await packing.revoked("W-2")
    await packing.seal()
    return packing


@pytest.fixture
def exports(packing) -> Exports:
    return Exports(packing.engine)


def making(packing: Packing, exporter: Exporter | None = None) -> PackMaking:
    folder = PacksFolder(packing.folder / "packs")
    return PackMaking(exporter or packing.exporter, Exports(packing.engine), folder)


def jobs(packing: Packing, *, exporter: Exporter | None = None) -> ExportJobs:
    """The loop, with a maker that works in this process."""
    return ExportJobs(
        making(packing, exporter).make,
        Exports(packing.engine),
        folder=PacksFolder(packing.folder / "packs"),
        keep=KEEP,
        poll=timedelta(milliseconds=20),
    )


def packs(packing: Packing) -> list[str]:
    folder = packing.folder / "packs"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


async def row(exports: Exports, export_id: str) -> ExportRow:
    found = await exports.get(export_id)
    assert found is not None
    return found


async def set_back(packing: Packing, column: str, ago: timedelta) -> None:
    statement = text(f"update exports set {column} = {column} - cast(:ago as interval)")
    async with packing.engine.begin() as connection:
        await connection.execute(statement, {"ago": ago})


async def test_an_order_becomes_a_pack(packing, exports):
    """The same bytes as at the command line, for its owner only, with its digest on record."""
    same = await packing.export(sample=1)
    order = packing.order(sample=1, checkpoint=same.summary.size)
    export_id, _ = await packing.exporter.order(order, TOKEN)
    assert await jobs(packing).step()
    done = await row(exports, export_id)
    path = packing.folder / "packs" / f"{export_id}.zip"

    assert (done.state, done.file_name, done.sha256) == ("done", path.name, same.sha256)
    assert path.stat().st_size == done.size_bytes
    assert path.stat().st_mode & 0o077 == path.parent.stat().st_mode & 0o077 == 0
    assert done.requested_by == "token:auditor"
    assert not await jobs(packing).step()


async def test_the_checkpoint_is_settled_when_it_is_ordered(packing, exports):
    """However long it waits: what was ordered is what is made."""
    export_id, settled = await packing.exporter.order(packing.order(), TOKEN)
    await packing.revoked("W-3")
    await packing.seal()
    await jobs(packing).step()
    pack = Reader(packing.folder / "packs" / f"{export_id}.zip")
    assert len(pack.lines()) == settled.checkpoint


async def test_the_loop_works_until_it_is_cancelled(packing, exports):
    """One order after the other."""
    ids = [(await packing.exporter.order(packing.order(), TOKEN))[0] for _ in range(3)]
    task = asyncio.create_task(jobs(packing).run())
    async with asyncio.timeout(60):
        while await exports.waiting():  # noqa: ASYNC110 - another task's work, told by the table
            await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert packs(packing) == sorted(f"{each}.zip" for each in ids)


async def test_a_dead_workers_order_is_taken_up_again(packing, exports):
    """Its half pack is nobody's pack, and goes after a day."""
    export_id, _ = await packing.exporter.order(packing.order(), TOKEN)
    await exports.claim(timedelta(seconds=60))
    folder = packing.folder / "packs"
    folder.mkdir()
    half = folder / f".{export_id}.zip.x.part"
    half.write_bytes(b"half")
    assert not await jobs(packing).step()
    await set_back(packing, "claimed_until", timedelta(seconds=61))
    assert await jobs(packing).step()
    assert (await row(exports, export_id)).state == "done"
    assert packs(packing) == [half.name, f"{export_id}.zip"]

    yesterday = time.time() - 90_000
    os.utime(half, (yesterday, yesterday))
    await jobs(packing).tidy()
    assert packs(packing) == [f"{export_id}.zip"]


_WORKER = """
import asyncio, json, sys
from datetime import timedelta
from pathlib import Path
from lockstep.control.packs.export import Exporter
from lockstep.control.packs.folder import PacksFolder
from lockstep.control.packs.jobs import ExportJobs, PackMaking
from lockstep.evidence.format.notes import FileSigner
from lockstep.storage.engine.database import create_engine
from lockstep.storage.packs.orders import Exports
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.stores import Stores

given = json.loads(sys.argv[1])
engine = create_engine(given["url"])
exporter = Exporter(
    Stores(engine, Keyring.parse(given["ring"]), tenant="acme"), origin="acme/lockstep-ledger",
    open_signer=lambda: FileSigner.parse(given["key"]),
)
exports, folder = Exports(engine), PacksFolder(Path(given["folder"]))
making = PackMaking(exporter, exports, folder)
jobs = ExportJobs(making.make, exports, folder=folder, keep=timedelta(days=30))
asyncio.run(jobs.run())
"""


async def test_a_worker_that_is_killed_leaves_no_half_pack(packing, exports, database):
    """Nothing under the final name; the next one makes the pack from the beginning."""
    export_id, _ = await packing.exporter.order(packing.order(), TOKEN)
    given = {
        "url": database.app_url,
        "ring": packing.work.ring.to_text(),
        "key": packing.book.signer.to_text(),
        "folder": str(packing.folder / "packs"),
    }
    waiting = "select from pg_locks where not granted and relation = 'anchorings'::regclass"
    with packing.book.link(superuser=True) as link, link.transaction():
        link.execute("lock table anchorings in access exclusive mode")
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _WORKER, json.dumps(given), cwd=Path(__file__).parents[3]
        )
        async with asyncio.timeout(60):
            while not packing.book.ask(waiting):  # noqa: ASYNC110 - another process comes to it
                await asyncio.sleep(0.02)
        worker.kill()
        await worker.wait()

    assert all(name.startswith(".") for name in packs(packing))
    assert (await row(exports, export_id)).state == "pending"
    await set_back(packing, "claimed_until", timedelta(seconds=61))
    assert await jobs(packing).step()
    assert (await row(exports, export_id)).state == "done"
    assert f"{export_id}.zip" in packs(packing)


async def test_two_at_the_same_order_make_the_same_pack(packing, exports):
    """One that was only slow does no harm when it comes to its end."""
    export_id, settled = await packing.exporter.order(packing.order(), TOKEN)
    slow = await exports.claim(timedelta(seconds=0))
    assert slow is not None
    assert await jobs(packing).step()
    first = await row(exports, export_id)
    await making(packing)._carry_out(slow)
    assert packs(packing) == [f"{export_id}.zip"]
    assert settled.checkpoint == slow.parameters["checkpoint"]
    assert (await row(exports, export_id)).sha256 == first.sha256
    kinds = packing.book.ask("select count(*) from ledger_entries where kind = 'evidence:exported'")
    assert kinds == [(1,)]


async def test_a_stopped_worker_gives_its_order_back_at_once(packing, exports, monkeypatch):
    """The next one need not wait for its lease to end."""
    export_id, _ = await packing.exporter.order(packing.order(), TOKEN)
    begun = asyncio.Event()

    async def carry_out(*_: object, **__: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(packing.exporter, "carry_out", carry_out)
    task = asyncio.create_task(jobs(packing).run())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    again = await exports.claim(timedelta(seconds=60))
    assert again is not None
    assert again.export_id == export_id


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("update ledger_entries set body = body || ' ' where id = 5", "not what was hashed"),
        ("delete from ledger_leaves where leaf_index > 5", "leaf 6"),
        ("delete from checkpoints", "no head of exactly"),
        ("update exports set parameters = '{}'", "a fault of Lockstep: KeyError"),
    ],
)
async def test_an_order_that_cannot_be_carried_out_says_why(packing, exports, harm, says):
    """And is not tried for ever; the loop goes on."""
    export_id, _ = await packing.exporter.order(packing.order(), TOKEN)
    packing.book.tamper(harm)
    assert await jobs(packing).step()
    done = await row(exports, export_id)
    assert done.state == "failed"
    assert says in (done.error or "")
    assert packs(packing) == []


async def test_an_unusable_key_is_told_without_quoting_it(packing, exports):
    """The row says what to mend."""

    def open_signer() -> FileSigner:
        return FileSigner.parse("PRIVATE+KEY+broken")

    exporter = Exporter(packing.work.stores, origin=ORIGIN, open_signer=open_signer)
    export_id, _ = await packing.exporter.order(packing.order(), TOKEN)
    await jobs(packing, exporter=exporter).step()
    done = await row(exports, export_id)
    assert (done.state, done.error) == ("failed", "the key is not an Ed25519 signing key")


async def test_a_folder_that_cannot_be_written_is_told(packing, exports):
    """In the row, where whoever ordered looks."""
    export_id, _ = await packing.exporter.order(packing.order(), TOKEN)
    (packing.folder / "packs").write_text("in the way")
    await jobs(packing).step()
    done = await row(exports, export_id)
    assert (done.state, done.error) == ("failed", "the pack cannot be written: File exists")


async def test_a_database_that_stumbles_is_asked_again(packing, exports):
    """The order is not lost and not failed."""
    export_id, _ = await packing.exporter.order(packing.order(), TOKEN)
    packing.book.tamper("revoke insert on ledger_entries from lockstep_app")
    with pytest.raises(Exception, match="permission denied"):
        await jobs(packing).step()
    assert (await row(exports, export_id)).state == "pending"
    packing.book.tamper("grant insert on ledger_entries to lockstep_app")
    await set_back(packing, "claimed_until", timedelta(seconds=31))
    await jobs(packing).step()
    assert (await row(exports, export_id)).state == "done"


async def test_packs_are_deleted_after_their_time(packing, exports):
    """The list keeps what they were; a newer one stays."""
    old, _ = await packing.exporter.order(packing.order(), TOKEN)
    await jobs(packing).step()
    await set_back(packing, "finished_at", KEEP + timedelta(hours=1))
    new, _ = await packing.exporter.order(packing.order(), TOKEN)
    await jobs(packing).step()
    await jobs(packing).tidy()

    assert packs(packing) == [f"{new}.zip"]
    assert [(await row(exports, each)).state for each in (old, new)] == ["expired", "done"]


async def test_what_killed_processes_left_goes_after_a_day(packing, exports):
    """Rows of a workbook, and a pack whose maker died before it said so: they may name people."""
    folder = packing.folder / "packs"
    (folder / ".xlsx-1.part").mkdir(parents=True)
    (folder / ".xlsx-1.part" / "rows").write_text("x")
    (folder / "eaaaaaaaaaaaa.zip").write_text("nobody's")
    one, _ = await packing.exporter.order(packing.order(), TOKEN)
    await jobs(packing).step()
    left = packs(packing)
    await jobs(packing).tidy()
    assert packs(packing) == left

    yesterday = time.time() - 90_000
    for path in folder.iterdir():
        os.utime(path, (yesterday, yesterday))
    await jobs(packing).tidy()
    assert packs(packing) == [f"{one}.zip"]


async def test_only_files_of_the_folder_are_ever_deleted(packing, exports):
    """Whatever a row names."""
    outside = packing.folder / "precious.zip"
    outside.write_text("x")
    export_id, _ = await packing.exporter.order(packing.order(), TOKEN)
    await jobs(packing).step()
    packing.book.tamper("update exports set file_name = '../precious.zip'")
    await set_back(packing, "finished_at", KEEP + timedelta(hours=1))
    await jobs(packing).tidy()
    assert outside.exists()
    assert (await row(exports, export_id)).state == "expired"


async def test_a_pack_from_a_job_verifies(packing):
    """Named ones too."""
    order = packing.order(identified=True, reason="sample", sample=1)
    export_id, _ = await packing.exporter.order(order, TOKEN)
    await jobs(packing).step()
    made = await packing.export()  # for its shape only
    path = packing.folder / "packs" / f"{export_id}.zip"
    report = verified(_at(made, path), packing)
    assert "2 " in report.steps[12].sentence


def _at(pack: object, path: Path) -> object:
    return type("PackAt", (), {"path": path})()
