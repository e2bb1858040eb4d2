"""The anchor ``file``: copies are added whole, read-only, and never replaced."""

from __future__ import annotations

import asyncio
import stat
import sys
import threading
from pathlib import Path

import pytest

from connectors.anchors.base import AnchorConflict, AnchorFault
from tests.connectors.anchors.peers import build, checkpoint


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "copies"
    made.mkdir()
    return made


@pytest.fixture
def anchor(tmp_path, folder):
    """Told the folder relative to the settings file."""
    return build("file", {"path": "copies"}, home=tmp_path)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_checkpoint_becomes_a_read_only_file(anchor, folder):
    """Its bytes are the note's, its name is the size, nothing else is left there."""
    given = checkpoint(7)
    receipt = await anchor.publish(given)

    assert names(folder) == ["7.txt"]
    assert (folder / "7.txt").read_bytes() == given.note
    assert stat.S_IMODE((folder / "7.txt").stat().st_mode) == 0o444
    assert receipt == f"7.txt sha256:{given.digest}\n".encode()


async def test_the_same_checkpoint_again_changes_nothing(anchor, folder):
    """A repetition gives the same receipt and does not touch the file."""
    first = await anchor.publish(checkpoint(7))
    before = (folder / "7.txt").stat()

    assert await anchor.publish(checkpoint(7)) == first
    after = (folder / "7.txt").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


async def test_another_checkpoint_of_the_same_size_is_a_conflict(anchor, folder):
    """What stands stays as it is, and the difference is told."""
    await anchor.publish(checkpoint(7))
    with pytest.raises(AnchorConflict, match=r"7\.txt holds another checkpoint"):
        await anchor.publish(checkpoint(7, root=b"\x02" * 32))

    assert (folder / "7.txt").read_bytes() == checkpoint(7).note
    assert names(folder) == ["7.txt"]


async def test_a_longer_file_that_begins_alike_is_a_conflict(anchor, folder):
    """The whole content counts, not its beginning."""
    (folder / "7.txt").write_bytes(checkpoint(7).note + b"more")
    with pytest.raises(AnchorConflict):
        await anchor.publish(checkpoint(7))


async def test_two_processes_at_once_leave_one_whole_file(tmp_path, folder):
    """However they race, every one of them is told that it is there."""
    anchors = [build("file", {"path": "copies"}, home=tmp_path) for _ in range(8)]
    barrier = threading.Barrier(len(anchors))
    faults: list[BaseException] = []

    def work(one) -> None:
        try:
            for size in range(1, 30):
                barrier.wait(60)
                one._publish(checkpoint(size))
        except BaseException as error:  # noqa: BLE001 - a thread's fault is told below
            faults.append(error)
            barrier.abort()

    threads = [threading.Thread(target=work, args=(one,)) for one in anchors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert faults == []
    assert names(folder) == sorted(f"{size}.txt" for size in range(1, 30))


async def test_a_missing_folder_is_not_made(tmp_path):
    """A share that is not mounted must be noticed, not written beside."""
    anchor = build("file", {"path": "nowhere"}, home=tmp_path)
    with pytest.raises(AnchorFault, match="is it mounted") as caught:
        await anchor.publish(checkpoint(7))

    assert caught.value.transient
    assert not (tmp_path / "nowhere").exists()


async def test_a_link_in_place_of_the_file_is_not_followed(anchor, folder, tmp_path):
    """Whoever can add names to the folder cannot point us elsewhere."""
    (tmp_path / "elsewhere").write_bytes(checkpoint(7).note)
    (folder / "7.txt").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AnchorFault, match="ELOOP"):
        await anchor.publish(checkpoint(7))


async def test_a_file_in_place_of_the_folder_needs_a_person(tmp_path):
    """The setting is wrong, and the fault says so."""
    (tmp_path / "copies").touch()
    anchor = build("file", {"path": "copies"}, home=tmp_path)
    with pytest.raises(AnchorFault, match="cannot write: ENOTDIR") as caught:
        await anchor.publish(checkpoint(7))

    assert not caught.value.transient


KILLED = """
import os, sys
from pathlib import Path
from connectors.anchors import file
from tests.connectors.anchors.peers import build, checkpoint

sync = os.fsync
def dies(descriptor):
    sync(descriptor)
    os._exit(9)
file.os.fsync = dies
build("file", {"path": "copies"}, home=Path(sys.argv[1]))._publish(checkpoint(7))
"""


async def test_a_process_killed_while_writing_leaves_no_half_copy(anchor, folder, tmp_path):
    """The name appears with the whole content, and the next attempt is not in conflict."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, str(tmp_path))
    assert await process.wait() == 9
    assert not (folder / "7.txt").exists()
    await anchor.publish(checkpoint(7))

    assert (folder / "7.txt").read_bytes() == checkpoint(7).note


@pytest.mark.parametrize("path", ["", 7, "a\nb"])
def test_a_path_that_is_none_is_refused(tmp_path, path):
    """The option is named."""
    with pytest.raises(ValueError, match="path: give"):
        build("file", {"path": path}, home=tmp_path)
