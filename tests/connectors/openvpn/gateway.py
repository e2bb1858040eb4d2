"""A stand-in for a server: its management line over a Unix socket, and whom it lets in.

Simulated: it speaks as OpenVPN 2.6 does, reads the same files, and carries no tunnel. What it
claims is compared with the real one in `test_openvpn_tunnel`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

from tests.connectors.openvpn.authority import CertificateAuthority

HEADER = (
    "HEADER\tCLIENT_LIST\tCommon Name\tReal Address\tVirtual Address\tVirtual IPv6 Address\t"
    "Bytes Received\tBytes Sent\tConnected Since\tConnected Since (time_t)\tUsername\tClient ID\t"
    "Peer ID\tData Channel Cipher"
)


class SimulatedGateway:
    """Accepts whoever the list does not hold and no client configuration disables."""

    def __init__(self, ca: CertificateAuthority, ccd: Path, password: str) -> None:
        self.ca = ca
        self.ccd = ccd
        self.password = password
        self.clients: dict[int, str] = {}
        self.said = ""
        """Instead of everything that it would say."""
        self._number = 0
        self._server: asyncio.Server | None = None

    def connect(self, name: str, serial: int) -> bool:
        """Somebody comes with a certificate."""
        block = self.ccd / name
        disabled = block.exists() and "disable" in block.read_text().split()
        if disabled or serial in self.ca.revoked():
            return False
        self._number += 1
        self.clients[self._number] = name
        return True

    async def start(self, socket: Path) -> None:
        self._server = await asyncio.start_unix_server(self._serve, str(socket))

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            if self.said:
                writer.write(self.said.encode())
                await writer.drain()
                await reader.readline()
            else:
                writer.write(b"ENTER PASSWORD:")
                if (await reader.readline()).decode().rstrip("\n") != self.password:
                    writer.write(b"ERROR: bad password\r\n")
                else:
                    writer.write(b"SUCCESS: password is correct\r\n>INFO:Management 5\r\n")
                    await self._converse(reader, writer)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := (await reader.readline()).decode().strip():
            writer.write(b">BYTECOUNT_CLI:1,2,3\r\n")
            writer.writelines(f"{each}\r\n".encode() for each in self._answer(line))

    def _answer(self, line: str) -> list[str]:
        if line == "status 3":
            rows = [
                f"CLIENT_LIST\t{name}\t10.91.0.2:1\t10.92.0.2\t\t1\t1\tnow\t{int(time.time())}"
                f"\tUNDEF\t{number}\t0\tAES-256-GCM"
                for number, name in self.clients.items()
            ]
            return ["TITLE\tsimulated", f"TIME\tnow\t{int(time.time())}", HEADER, *rows, "END"]
        word, _, number = line.partition(" ")
        if word == "kill" and (mine := [n for n, name in self.clients.items() if name == number]):
            for each in mine:
                del self.clients[each]
            return [f"SUCCESS: common name '{number}' found, {len(mine)} client(s) killed"]
        if word == "client-kill" and self.clients.pop(int(number), None):
            return ["SUCCESS: client-kill command succeeded"]
        return [f"ERROR: {word} command failed"]
