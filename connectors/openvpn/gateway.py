"""One server: whom it would let in by its files, who is in, and what shuts both."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from cryptography import x509

from connectors.base import Transcript
from connectors.kit.lines.files import Files
from connectors.kit.lines.line import LineServer
from connectors.kit.lines.recorded import Recorder, Refusal
from connectors.openvpn import management, revocations
from connectors.openvpn.book import NOT_IN_BOOK, Entry
from connectors.openvpn.options import GATEWAY
from connectors.openvpn.revocations import SigningKey
from lockstep.domain.systems.access import Access, AccessKind, Action, Exchange
from lockstep.domain.systems.faults import FaultCategory

READ_LIST: Final = "crl.read"
SIGN_LIST: Final = "crl.replace"
READ_BLOCK: Final = "ccd.read"
WRITE_BLOCK: Final = "ccd.replace"
DISABLE: Final = "disable"

FAULTS: Final = {
    **management.FAULTS,
    revocations.NO_LIST: FaultCategory.MISCONFIGURED,
    revocations.OTHER_CA: FaultCategory.MISCONFIGURED,
    NOT_IN_BOOK: FaultCategory.MISCONFIGURED,
    "name_is_no_file": FaultCategory.PROTECTED_ACCOUNT,
}
_EVERYBODY: Final = "DEFAULT"
"""The client configuration of whoever has none."""


@dataclass(frozen=True, slots=True)
class Signing:
    """What a list is signed with."""

    ca: x509.Certificate
    key: SigningKey | None
    lasts: timedelta


@dataclass(frozen=True, slots=True)
class Rules:
    """What one server goes by: the CA's list, and names that are disabled."""

    at: str
    revocations: revocations.List | None
    blocked: frozenset[str] = field(repr=False)

    def lets_in(self, entries: Iterable[Entry]) -> tuple[Access, ...]:
        """Which of these certificates open a tunnel."""
        left = (
            one
            for one in entries
            if one.name not in self.blocked
            and not (self.revocations and revocations.has(self.revocations, one.serial))
        )
        return tuple(Access(AccessKind.SIGN_IN, f"{one.serial:x}@{self.at}") for one in left)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A server.

    Args:
        name: by which the settings know it.
        line: its management line.
        files: of all servers.
        recorder: of the connector.
        crl: the list that it reads; "" where it is not ours.
        ccd: its folder of client configurations; "" where there is none.
        signing: how a list is read and signed.
    """

    name: str
    line: LineServer
    files: Files
    recorder: Recorder
    crl: str
    ccd: str
    signing: Signing

    async def rules(self, transcript: Transcript, *, name: str = "") -> Rules:
        """What the server reads before it lets anybody in: of one name, or of everybody.

        Raises:
            ConnectorFault: that cannot be read.
        """
        listed = await self.listed(transcript) if self.crl else None
        if not self.ccd:
            return Rules(self.name, listed, frozenset())
        if name:
            raw = await self.files.find(READ_BLOCK, self._block_of(name, READ_BLOCK), transcript)
            return Rules(self.name, listed, frozenset([name] if _is_disabled(raw or b"") else []))
        files = await self.files.read_each(READ_BLOCK, self.ccd, ("",), transcript)
        blocked = (each for each, content in files.items() if _is_disabled(content))
        return Rules(self.name, listed, frozenset(blocked))

    async def listed(self, transcript: Transcript) -> revocations.List:
        """The list that the server reads.

        Raises:
            ConnectorFault: it is not there, or not the CA's.
        """
        raw = await self.files.read(READ_LIST, self.crl, transcript)
        try:
            return revocations.read_list(raw, ca=self.signing.ca)
        except Refusal as refusal:
            code = refusal.code
        if code == revocations.NO_LIST and raw.strip():
            code = "other_form"
        raise self.recorder.fault(READ_LIST, code)

    async def revoke(self, serials: Collection[int], transcript: Transcript) -> Exchange:
        """Sign these into the list."""
        key = self.signing.key
        if key is None:
            raise self.recorder.fault(SIGN_LIST, revocations.OTHER_CA)
        edit = partial(_signed, serials=serials, signing=self.signing, key=key)
        return (await self.files.change(SIGN_LIST, self.crl, edit, transcript))[1]

    async def block(self, name: str, transcript: Transcript) -> Exchange:
        """Disable whoever has this common name."""
        path = self._block_of(name, WRITE_BLOCK)
        return (await self.files.change(WRITE_BLOCK, path, _disabled, transcript))[1]

    async def sessions(self, name: str, transcript: Transcript) -> tuple[Access, ...]:
        """The tunnels of this common name."""
        mine = (one for one in await self.connected(transcript) if name and one.name == name)
        return tuple(Access(AccessKind.SESSION, f"{one.number}@{self.name}") for one in mine)

    async def connected(self, transcript: Transcript) -> tuple[management.Connected, ...]:
        """Everybody's tunnels."""
        async with self.line.opened(transcript) as line:
            return await management.connected(line)

    async def end(
        self, name: str, ways: Iterable[Access], transcript: Transcript
    ) -> tuple[Action, ...]:
        """End every tunnel of this name that stands now: numbers begin anew with a server."""
        asked = {way.ref: way for way in ways}
        async with self.line.opened(transcript) as line:
            mine = [one for one in await management.connected(line) if name and one.name == name]
            if not mine:
                return ()
            exchange = await management.end(line, mine)
        refs = (f"{one.number}@{self.name}" for one in mine)
        ended = (asked.get(ref) or Access(AccessKind.SESSION, ref) for ref in refs)
        return tuple(Action(way, exchange.answered_at, exchange.operation) for way in ended)

    def _block_of(self, name: str, operation: str) -> str:
        """The file of a common name.

        Raises:
            ConnectorFault: the name is not one of a file, or is everybody's.
        """
        if not name.isprintable() or "/" in name or name.startswith(".") or name == _EVERYBODY:
            raise self.recorder.fault(operation, "name_is_no_file")
        return f"{self.ccd}/{name}"


def _signed(
    raw: bytes | None, *, serials: Collection[int], signing: Signing, key: SigningKey
) -> bytes | None:
    if raw is None:
        raise Refusal(revocations.NO_LIST)
    now = datetime.now(UTC)
    return revocations.with_serials(
        raw, serials, ca=signing.ca, key=key, now=now, lasts=signing.lasts
    )


def _is_disabled(raw: bytes) -> bool:
    return any(line.split()[:1] == [DISABLE.encode()] for line in raw.splitlines())


def _disabled(raw: bytes | None) -> bytes | None:
    """The client configuration with the block at its end; all else stays."""
    old = raw or b""
    if _is_disabled(old):
        return None
    return old + (b"" if not old or old.endswith(b"\n") else b"\n") + DISABLE.encode() + b"\n"


def at_gateway(path: str, name: str) -> str:
    """A path of one server."""
    return path.replace(GATEWAY, name)
