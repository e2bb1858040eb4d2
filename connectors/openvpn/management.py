"""The management line of a server: who is connected, and ending one connection.

https://github.com/OpenVPN/openvpn/blob/master/doc/management-notes.txt
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from connectors.kit.lines.line import Command, Grammar, Lines, OpenLine
from lockstep.domain.systems.access import Exchange
from lockstep.domain.systems.faults import FaultCategory

FAILED: Final = "command_failed"

FAULTS: Final = {FAILED: FaultCategory.VENDOR_ERROR}

STATUS: Final = Command("status.list", "status 3")
KILL: Final = Command("client.kill", "kill {name}", effect=True)
"""By common name: every tunnel of it ends at once."""
KILL_NUMBER: Final = Command("client.kill", "client-kill {number}", effect=True)
"""By the client's number, for names that cannot be sent: the tunnel ends five seconds later, and
until then the status shows it. By address IPv6 is not understood."""

_SENDABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]*")
_NOBODY_YET = "UNDEF"
"""Who has begun to speak, and has shown no certificate that is good."""
_NAME, _NUMBER, _SINCE = "Common Name", "Client ID", "Connected Since (time_t)"


@dataclass(frozen=True, slots=True)
class Connected:
    """One tunnel: the server's number for it, whose it is, and since when."""

    number: str
    name: str = field(repr=False)
    since: datetime | None


def _ends(line: str) -> bool:
    return line == "END" or line.startswith(("SUCCESS:", "ERROR:"))


def _refused(lines: Sequence[str]) -> str:
    return FAILED if lines[-1].startswith("ERROR:") else ""


def _clock(lines: Sequence[str]) -> datetime | None:
    """``TIME<TAB>text<TAB>seconds``, which a status begins with."""
    for line in lines:
        if line.startswith("TIME\t"):
            return _instant(line.rpartition("\t")[2])
    return None


def _instant(text: str) -> datetime | None:
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(int(text), UTC)
    return None


GRAMMAR: Final = Grammar(
    ends=_ends,
    refused=_refused,
    notice=">",
    welcome=">INFO:",
    prompt="ENTER PASSWORD:",
    let_in="SUCCESS:",
    clock=_clock,
)


async def connected(line: OpenLine) -> tuple[Connected, ...]:
    """Every tunnel that stands.

    Raises:
        ConnectorFault: it cannot be read, or is of another form.
    """
    lines, _ = await line.ask(STATUS)
    columns = _columns(lines)
    rows = [each.split("\t")[1:] for each in lines if each.startswith("CLIENT_LIST\t")]
    if not columns or lines[-1] != "END" or any(len(row) != len(columns) for row in rows):
        raise line.odd(STATUS)
    told = [dict(zip(columns, row, strict=True)) for row in rows]
    return tuple(
        Connected(row[_NUMBER], row[_NAME], _instant(row[_SINCE]))
        for row in told
        if row[_NAME] != _NOBODY_YET
    )


async def end(line: OpenLine, tunnels: Sequence[Connected]) -> Exchange:
    """End all tunnels of one name; the answer to the last command.

    Raises:
        ConnectorFault: one was not ended.
    """
    name = tunnels[0].name
    if _SENDABLE.fullmatch(name):
        return (await line.ask(KILL, name=name))[1]
    return [await line.ask(KILL_NUMBER, number=one.number) for one in tunnels][-1][1]


def _columns(lines: Lines) -> tuple[str, ...]:
    for line in lines:
        kind, *names = line.split("\t")
        if (
            kind == "HEADER"
            and names[:1] == ["CLIENT_LIST"]
            and {_NAME, _NUMBER, _SINCE} <= {*names}
        ):
            return tuple(names[1:])
    return ()
