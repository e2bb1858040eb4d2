"""Checking packs in place: the verifier's own verdicts, in a process that cannot run away."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from lockstep.control.packs import check_child as pack_check_child
from lockstep.control.packs.check import MOST_BYTES, PackChecker, PackCheckError
from lockstep.evidence.format.notes import FileSigner
from tests.evidence.ledgers import ORIGIN, story
from tests.evidence.packs import Files, make_pack


@pytest.fixture(scope="module")
def book():
    return story()


def key_of(book) -> str:
    return book.signer.verifier.to_text()


async def test_a_good_pack_is_verified(book):
    """With the same document as the offline verifier's."""
    found = await PackChecker().check_bytes(make_pack(book), [key_of(book)])
    assert found["verified"]
    assert [step["step"] for step in found["steps"]] == list(range(1, 14))


@pytest.mark.parametrize("step", [2, 3, 4])
async def test_a_tampered_pack_is_refuted(book, step):
    """Another key, another byte, another head: the step says so."""

    def tamper(files: Files) -> None:
        files["population/leavers.csv"] += b"x"

    stranger = FileSigner.generate(ORIGIN)
    raw = {
        2: lambda: make_pack(book, signer=stranger),
        3: lambda: make_pack(book, tamper=tamper),
        4: lambda: make_pack(book, checkpoint=book.checkpoint(len(book.entries), stranger)),
    }[step]()
    found = await PackChecker().check_bytes(raw, [key_of(book)])
    assert not found["verified"]
    assert "FAIL" in {each["verdict"] for each in found["steps"] if each["step"] == step}


async def test_what_is_nothing_to_check_is_said(book, tmp_path):
    """No ZIP, no key, a file that is named as a key, a file that is gone, one that is too large."""
    checker = PackChecker()
    for raw, key, said in (
        (b"words", key_of(book), "cannot be checked"),
        (b"words", "a+b+c", "key cannot be used"),
        (b"words", "/etc/passwd", "key cannot be used"),
    ):
        with pytest.raises(PackCheckError, match=said):
            await checker.check_bytes(raw, [key])
    with pytest.raises(PackCheckError, match="not here any more"):
        await checker.check(tmp_path / "gone.zip", [key_of(book)])
    large = tmp_path / "large.zip"
    with large.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(PackCheckError, match="too large"):
        await checker.check(large, [key_of(book)])


async def test_a_check_that_takes_too_long_is_ended(book, tmp_path):
    """And leaves no process behind: nobody writes the pipe that is read here."""
    pack = tmp_path / "never.zip"
    os.mkfifo(pack)
    checker = PackChecker(patience=timedelta(seconds=1))
    with pytest.raises(PackCheckError, match="more time or memory"):
        await checker.check(pack, [key_of(book)])
    assert not _children()


def _children() -> list[Path]:
    """Checking processes of ours that still run."""
    me = str(os.getpid())
    return [
        path
        for path in Path("/proc").glob("[0-9]*/stat")
        if b"pack_check_child" in _read(path.with_name("cmdline"))
        and _read(path).rpartition(b")")[2].split()[1].decode() == me
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


async def test_the_process_has_bounds_and_no_secrets(tmp_path):
    """Memory, files and time are bounded, and nothing is inherited that it does not need."""
    code = (
        "import resource, sys, json, os\n"
        "from lockstep.control.packs import check_child as child\n"
        "try:\n    child.main(['9', '/nowhere', 'a+b+c'])\nexcept Exception: pass\n"
        "sys.stdout.write('\\n' + json.dumps([resource.getrlimit(what)[0] for what in"
        " (resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU)]))\n"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-c", code, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await child.communicate()
    assert out.decode().splitlines()[-1] == f"[{pack_check_child.MEMORY}, 0, 9]"
