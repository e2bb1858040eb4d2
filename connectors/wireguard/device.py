"""A live interface: by its socket, or, of the kernel's, by ``wg``.

The socket's protocol: https://www.wireguard.com/xplatform/.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from connectors.kit.lines.line import MOST_BYTES, Command, Grammar, Lines, OpenLine, Session
from connectors.kit.lines.recorded import OTHER_FORM, TOO_LONG, Refusal
from lockstep.domain.systems.access import Exchange

GET: Final = Command("device.get", "get=1\n")
REMOVE: Final = Command(
    "peer.remove", "set=1\npublic_key={key}\nremove=true\n", effect=True, missing="CAP_NET_ADMIN"
)
DONE: Final = ("errno=0", "")
_PROGRAM: Final = "wg"
_NOT_THERE: Final = "interface_not_there"


def _refused(lines: Sequence[str]) -> str:
    """What ``errno`` says; an answer without one is none."""
    said = [line.removeprefix("errno=") for line in lines if line.startswith("errno=")]
    if not said or not said[-1].removeprefix("-").isdigit():
        return OTHER_FORM
    number = abs(int(said[-1]))
    return errno.errorcode.get(number, "os_error") if number else ""


GRAMMAR: Final = Grammar(
    ends=lambda line: not line,
    refused=_refused,
    hidden=("private_key=", "preshared_key="),
)


@dataclass(frozen=True, slots=True)
class LivePeer:
    """A peer of the interface, and when it last shook hands."""

    key: str
    used_at: datetime | None


async def peers(line: OpenLine) -> tuple[LivePeer, ...]:
    """Every peer that the interface lets in.

    Raises:
        ConnectorFault: it cannot be read, or is of another form.
    """
    lines, _ = await line.ask(GET)
    if lines[-2:] != DONE:
        raise line.odd(GET)
    found: list[LivePeer] = []
    for each in lines:
        name, _, value = each.partition("=")
        if name == "public_key":
            found.append(LivePeer(_text(line, value), None))
        elif name == "last_handshake_time_sec" and found and value != "0":
            found[-1] = LivePeer(found[-1].key, _instant(value))
    return tuple(found)


async def remove(line: OpenLine, key: str) -> Exchange:
    """Take a peer out; one that is not there is no error.

    Raises:
        ConnectorFault: it was not done.
    """
    answer, exchange = await line.ask(REMOVE, key=base64.b64decode(key).hex())
    if answer[-2:] != DONE:
        raise line.odd(REMOVE)
    return exchange


def _text(line: OpenLine, value: str) -> str:
    try:
        return base64.b64encode(bytes.fromhex(value)).decode()
    except ValueError:
        raise line.odd(GET) from None


def _instant(value: str) -> datetime | None:
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(int(value), UTC)
    return None


@dataclass(frozen=True, slots=True)
class Kernel:
    """An interface of the kernel, which has no socket: ``wg`` speaks to it."""

    interface: str

    async def connect(self) -> Session:
        """Nothing stays open; that there is such a program."""
        program = shutil.which(_PROGRAM)
        if program is None:
            raise Refusal("wg_not_installed")
        return WgProgram(program, self.interface)


class WgProgram:
    """Asks as the socket is asked, and answers as it answers."""

    def __init__(self, program: str, interface: str) -> None:
        self._program = program
        self._interface = interface

    async def ask(self, command: Command, words: Mapping[str, str]) -> Lines:
        if command is GET:
            rows = (await self._run("show", self._interface, "dump")).splitlines()
            told = (row.split("\t") for row in rows[1:])  # the first is the interface's own keys
            return (*(line for row in told for line in _as_told(row)), *DONE)
        key = base64.b64encode(bytes.fromhex(words["key"])).decode()
        await self._run("set", self._interface, "peer", key, "remove")
        return DONE

    async def close(self) -> None:
        """Nothing is open."""

    async def _run(self, *argv: str) -> str:
        process = await asyncio.create_subprocess_exec(
            self._program,
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise Refusal("EPERM" if b"not permitted" in err else _NOT_THERE)
        if len(out) > MOST_BYTES:
            raise Refusal(TOO_LONG)
        return out.decode("utf-8", "replace")


_COLUMNS: Final = 8


def _as_told(row: Sequence[str]) -> tuple[str, ...]:
    if len(row) != _COLUMNS:
        raise Refusal(OTHER_FORM)
    try:
        key = base64.b64decode(row[0], validate=True).hex()
    except ValueError:
        raise Refusal(OTHER_FORM) from None
    return (f"public_key={key}", f"last_handshake_time_sec={row[4]}")
