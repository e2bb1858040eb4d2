"""The script's faults between a connector of lines and files and its peer."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from datetime import datetime

from connectors.kit.lines.files import Edit, LocalStore
from connectors.kit.lines.line import Command, Connect, Lines, Session
from connectors.kit.lines.recorded import PASSWORD, Refusal
from tests.connectors.harness import FaultKind, FaultScript, Injected

_ERRORS = {
    FaultKind.FORBIDDEN: errno.EACCES,
    FaultKind.RATE_LIMITED_WITH_TIME: errno.EBUSY,
    FaultKind.RATE_LIMITED_BARE: errno.EBUSY,
    FaultKind.SERVER_ERROR: errno.EIO,
    FaultKind.LOST_BEFORE: errno.ECONNRESET,
    FaultKind.LOST_AFTER: errno.ECONNRESET,
}
"""What such a peer says instead of a status; it never says when to come back."""


def fails(fault: Injected, secret: str) -> None:
    """What the other side does instead of an answer, where that is a failure."""
    if fault.kind is FaultKind.UNAUTHORIZED:
        raise Refusal(PASSWORD)
    if fault.kind is FaultKind.ECHO_SECRET:
        raise Refusal(secret)
    if number := _ERRORS.get(fault.kind):
        raise OSError(number, secret)


class FaultySession:
    """A real session, except where the script says otherwise."""

    def __init__(self, session: Session, script: FaultScript, secret: str, done: Lines) -> None:
        self._session = session
        self._done = done
        self._script = script
        self._secret = secret

    async def ask(self, command: Command, words: Mapping[str, str]) -> Lines:
        self._script.calls.append(command.effect)
        fault = self._script.next_for(is_effect=command.effect)
        if fault is not None and fault.kind is not FaultKind.LOST_AFTER:
            fails(fault, self._secret)
            return ("<html>a proxy</html>",) if fault.kind is FaultKind.NOT_JSON else self._done
        answer = await self._session.ask(command, words)
        if command.effect:
            told = sorted(f"{name}={value}" for name, value in words.items())
            self._script.effects.append(" ".join((command.operation, *told)))
        if fault is not None:
            fails(fault, self._secret)
        return tuple(self._later(line) for line in answer)

    async def close(self) -> None:
        await self._session.close()

    def _later(self, line: str) -> str:
        off = self._script.clock_off
        kind, *rest = line.split("\t")
        if off is None or kind != "TIME":
            return line
        told = int(rest[-1]) + int(off.total_seconds())
        return f"TIME\t{datetime.fromtimestamp(told).astimezone()}\t{told}"


def between(
    connect: Connect, script: FaultScript, secret: str, *, done: Lines = ("SUCCESS:",)
) -> Connect:
    """Sessions that pass through the script; ``done`` is how the peer says that it did it."""

    async def connected() -> Session:
        return FaultySession(await connect(), script, secret, done)

    return connected


class FaultyStore(LocalStore):
    """Real files, except where the script says otherwise."""

    def __init__(self, script: FaultScript, secret: str) -> None:
        self._script = script
        self._secret = secret

    async def read(self, path: str) -> bytes | None:
        odd = self._before(is_effect=False)
        return odd if odd is not None else await super().read(path)

    async def read_each(self, folder: str, ends: tuple[str, ...]) -> Mapping[str, bytes]:
        odd = self._before(is_effect=False)
        return {"odd.pem": odd} if odd is not None else await super().read_each(folder, ends)

    async def change(self, path: str, edit: Edit) -> bytes | None:
        self._script.calls.append(True)
        fault = self._script.next_for(is_effect=True)
        if fault is not None and fault.kind is not FaultKind.LOST_AFTER:
            fails(fault, self._secret)
            return b"written, it says"
        written = await super().change(path, edit)
        if written is not None:
            self._script.effects.append(f"replace {path}")
        if fault is not None:
            fails(fault, self._secret)
        return written

    def _before(self, *, is_effect: bool) -> bytes | None:
        self._script.calls.append(is_effect)
        fault = self._script.next_for(is_effect=is_effect)
        if fault is None:
            return None
        fails(fault, self._secret)
        return b"<html>a proxy</html>\n"
