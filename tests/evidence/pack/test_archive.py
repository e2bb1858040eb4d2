"""The archive: the same files give the same bytes, and nothing unfinished has the final name."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from lockstep.evidence.pack.archive import Archive, PartFile, Spool, digest_of
from tests.support.children import child

FILES = {"README.md": b"hello\n" * 1000, "ledger/entries.jsonl": b"", "score/score.json": b"{}"}


def archived(files: dict[str, bytes]) -> tuple[bytes, dict[str, str]]:
    out = io.BytesIO()
    with Archive(out) as archive:
        for name, data in files.items():
            archive.add(name, data)
    return out.getvalue(), archive.digests


def test_the_same_files_give_the_same_bytes(tmp_path):
    """Whether they come from memory or from the disk, and whatever that file's own date is."""
    with_spool = io.BytesIO()
    spool = Spool(tmp_path)
    spool.put(b"before")
    with Archive(with_spool) as archive:
        for name, data in FILES.items():
            archive.add(name, spool.put(data))
    spool.close()

    assert with_spool.getvalue() == archived(FILES)[0]


def test_every_file_has_the_same_date_rights_and_origin():
    """Nothing of the machine that wrote it stands in the archive."""
    raw, digests = archived(FILES)
    with ZipFile(io.BytesIO(raw)) as archive:
        infos = archive.infolist()
        assert [info.filename for info in infos] == sorted(FILES)
        assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.external_attr >> 16 for info in infos} == {0o100644}
        assert {info.create_system for info in infos} == {3}
        assert {info.compress_type for info in infos} == {ZIP_DEFLATED}
        assert {bytes(info.extra) for info in infos} == {b""}
        assert {name: archive.read(name) for name in archive.namelist()} == FILES
    assert digests == {name: digest_of(data) for name, data in FILES.items()}


@pytest.mark.parametrize("second", ["README.md", "A"])
def test_files_out_of_order_are_refused(second):
    """A name that comes twice or too late would make the bytes depend on the caller."""
    with Archive(io.BytesIO()) as archive:
        archive.add("README.md", b"x")
        with pytest.raises(ValueError, match="in order"):
            archive.add(second, b"y")


def test_work_that_must_stop_stops_within_a_file(tmp_path):
    """A large file is written in pieces, and asks before each."""
    spool = Spool(tmp_path)
    part = spool.put(b"x" * 5_000_000)
    ticks = []

    def tick() -> None:
        ticks.append(1)
        if len(ticks) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError), Archive(io.BytesIO(), tick) as archive:
        archive.add("large", part)
    spool.close()
    assert len(ticks) == 3


def test_a_spool_leaves_nothing_on_the_disk(tmp_path):
    """It has no name even while it is in use."""
    spool = Spool(tmp_path)
    part = spool.put(b"y" * 3_000_000)
    assert list(tmp_path.iterdir()) == []
    assert b"".join(part.chunks()) == b"y" * 3_000_000
    spool.close()


def test_a_part_file_gets_its_name_only_when_complete(tmp_path):
    """Until then only its owner can read it, and it is not under its name."""
    part = PartFile(tmp_path / "pack.zip")
    part.file.write(b"all of it")
    [hidden] = tmp_path.iterdir()
    assert (hidden.name.startswith("."), hidden.stat().st_mode & 0o777) == (True, 0o600)
    digest, size = part.seal()
    part.publish()
    part.discard()

    assert [path.name for path in tmp_path.iterdir()] == ["pack.zip"]
    assert (digest, size) == (digest_of(b"all of it"), 9)


def test_a_part_file_that_is_given_up_leaves_nothing(tmp_path):
    """Neither under its name nor under another."""
    part = PartFile(tmp_path / "pack.zip")
    part.file.write(b"half of")
    part.discard()
    assert list(tmp_path.iterdir()) == []


_KILLED = """
import sys, time
from pathlib import Path
from lockstep.evidence.pack.archive import PartFile
part = PartFile(Path(sys.argv[1]) / "pack.zip")
part.file.write(b"half of" * 1000)
part.file.flush()
print("ready", flush=True)
time.sleep(60)
"""


def test_a_killed_writer_leaves_no_pack(tmp_path):
    """What is there afterwards nobody takes for a pack."""
    command = [sys.executable, "-c", _KILLED, str(tmp_path)]
    with child(command, stdout=subprocess.PIPE, cwd=Path.cwd()) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=60)
    names = [path.name for path in tmp_path.iterdir()]
    assert names
    assert all(name.startswith(".") and name.endswith(".part") for name in names)
