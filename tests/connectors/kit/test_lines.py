"""The channels of lines and files: bounded, silent about secrets, and never half of a file."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.base import ConnectorFault, Transcript
from connectors.kit.lines.files import Files, LocalStore
from connectors.kit.lines.line import Command, Grammar, Line, LineServer
from connectors.kit.lines.places import place_of
from connectors.kit.lines.recorded import Recorder, Refusal
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.anchors.peers import Authority

SECRET = "kL-not-a-real-password"
GRAMMAR = Grammar(
    ends=lambda line: line == "END",
    refused=lambda lines: "refused" if "NO" in lines else "",
    notice=">",
    welcome=">HELLO",
    prompt="PASSWORD:",
    let_in="OK",
    hidden=("key=",),
)
ASK = Command("thing.get", "get {thing}")

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def server_of(address: str, *, ca_file: str = "", password: str = SECRET) -> LineServer:
    recorder = Recorder("kit", {}, secrets=[password], timeout=timedelta(seconds=0.5))
    line = Line(GRAMMAR, place_of(address, ca_file=ca_file), password)
    return LineServer(recorder, line.connect)


@asynccontextmanager
async def serving(folder: Path, said: str, *, prompt: str = ">HELLO\r\n") -> AsyncIterator[str]:
    """A socket that greets, hears one line, says this, and then nothing more."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(prompt.encode())
        await reader.readline()
        writer.write(said.encode())
        await reader.read()
        writer.close()

    path = folder / "line.sock"
    server = await asyncio.start_unix_server(serve, str(path))
    async with server:
        yield str(path)


async def asked(server: LineServer, transcript: Transcript, thing: str = "x") -> tuple[str, ...]:
    async with server.opened(transcript) as line:
        return (await line.ask(ASK, thing=thing))[0]


async def test_notices_and_secrets_are_no_part_of_an_answer(tmp_path: Path) -> None:
    """What nobody asked for is skipped; a line that holds a key is dropped and not digested."""
    digests = []
    for key in ("one", "two"):
        transcript = Transcript()
        async with serving(tmp_path, f">LOG x\r\nthing=1\r\nkey={key}\r\nEND\r\n") as address:
            assert await asked(server_of(address), transcript) == ("thing=1", "END")
        digests += [each.digest for each in transcript.exchanges]

    assert len(set(digests)) == 1


@pytest.mark.parametrize(
    ("said", "category"),
    [
        ("NO\r\nEND\r\n", FaultCategory.UNEXPECTED_ANSWER),
        ("a line\r\n", FaultCategory.TIMEOUT),
        ("x" * 20_000 + "\r\nEND\r\n", FaultCategory.UNEXPECTED_ANSWER),
    ],
)
async def test_an_answer_that_is_none_is_a_fault(
    tmp_path: Path, said: str, category: FaultCategory
) -> None:
    """Refused, cut off in the middle, or without an end: recorded, and in time."""
    transcript = Transcript()
    async with serving(tmp_path, said) as address:
        with pytest.raises(ConnectorFault) as caught:
            await asked(server_of(address), transcript)

    assert caught.value.category is category
    assert [each.operation for each in transcript.exchanges] == ["thing.get"]


async def test_a_wrong_password_is_our_credential(tmp_path: Path) -> None:
    """It is said nowhere, and neither is what was answered."""
    async with serving(tmp_path, f"no: {SECRET}\r\n", prompt="PASSWORD:") as address:
        with pytest.raises(ConnectorFault) as caught:
            await asked(server_of(address), Transcript())

    assert caught.value.category is FaultCategory.CREDENTIALS_REJECTED
    assert SECRET not in repr(vars(caught.value)) + str(caught.value)


@pytest.mark.parametrize("thing", ["a b", "a\nkill everybody", "", "a\x00"])
async def test_a_word_is_one_word(tmp_path: Path, thing: str) -> None:
    """A value never becomes a second command."""
    async with serving(tmp_path, "END\r\n") as address:
        with pytest.raises(ConnectorFault) as caught:
            await asked(server_of(address), Transcript(), thing)

    assert caught.value.code == "word_not_sendable"


async def test_another_machine_is_known_by_its_certificate(tmp_path: Path) -> None:
    """Its own authority lets us speak; with another nothing is sent."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b">HELLO\r\n")
        heard.append(await reader.readline())
        writer.write(b"END\r\n")
        await reader.read()
        writer.close()

    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    ours, theirs = Authority.make(tmp_path / "ours"), Authority.make(tmp_path / "theirs")
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=ours.server())
    async with server:
        address = f"tls://localhost:{server.sockets[0].getsockname()[1]}"
        await asked(server_of(address, ca_file=str(ours.ca)), Transcript())
        with pytest.raises(ConnectorFault) as caught:
            await asked(server_of(address, ca_file=str(theirs.ca)), Transcript())

    assert heard == [b"get x\n"]
    assert caught.value.category is FaultCategory.UNREACHABLE
    assert caught.value.code == "tls"


def test_what_two_change_at_once_is_not_lost(tmp_path: Path) -> None:
    """Each replaces the whole file with its own line more: all lines are there."""
    path = tmp_path / "list"
    path.write_bytes(b"")
    store = LocalStore()

    def add(number: int) -> None:
        for _ in range(5):
            asyncio.run(store.change(str(path), lambda old: (old or b"") + b"%d\n" % number))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert sorted(path.read_bytes().split()) == sorted([b"0", b"1", b"2", b"3"] * 5)
    assert [each.name for each in tmp_path.iterdir()] == ["list"]


async def test_a_file_keeps_what_it_is(tmp_path: Path) -> None:
    """Its mode stays, a link stays one, and an edit that fails leaves it as it was."""
    path, link = tmp_path / "there" / "list", tmp_path / "link"
    path.parent.mkdir()
    path.write_bytes(b"old")
    path.chmod(0o640)
    link.symlink_to(path)
    files, transcript = Files(Recorder("kit", {}), LocalStore()), Transcript()

    def fails(_: bytes | None) -> bytes | None:
        raise Refusal("other_form")

    with pytest.raises(ConnectorFault):
        await files.change("list.replace", str(link), fails, transcript)
    assert path.read_bytes() == b"old"
    changed, _ = await files.change("list.replace", str(link), lambda _: b"new", transcript)
    again, _ = await files.change("list.replace", str(link), lambda _: b"new", transcript)

    assert (changed, again) == (True, False)
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in path.parent.iterdir()] == ["list"]


async def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    """Where it must be there; else it is None, which is no empty file."""
    files, transcript = Files(Recorder("kit", {}), LocalStore()), Transcript()
    missing = str(tmp_path / "missing")
    with pytest.raises(ConnectorFault) as caught:
        await files.read("list.read", missing, transcript)

    assert await files.find("list.read", missing, transcript) is None
    assert caught.value.category is FaultCategory.MISCONFIGURED
    assert missing not in str(caught.value)
