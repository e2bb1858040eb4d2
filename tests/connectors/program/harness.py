"""The program of the example against a desk, over a loopback that misbehaves on demand."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from connectors.base import ConnectorOptions
from connectors.program.connector import ProgramConnector, manifest_for
from tests.connectors.desk import DeskHarness

EXAMPLES = Path(__file__).parents[3] / "examples" / "desk"
SYSTEM = "desk-test"
STATED = {"session": "unknown"}


class ProgramHarness(DeskHarness):
    blind = None  # it lists everybody, and makes no search that could be blind

    def __init__(self, program: Path) -> None:
        super().__init__("program", page=40)
        self.program = program
        self.base_url = ""
        self.manifest = manifest_for({"residuals": STATED})

    def connector(self, *, secret: str | None = None) -> ProgramConnector:
        secrets = {"token": self.secret if secret is None else secret}
        settings = {"program": str(self.program), "residuals": STATED, "base_url": self.base_url}
        return ProgramConnector(ConnectorOptions(SYSTEM, settings, secrets))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one request on to the desk; a reply that is lost is a connection that dies."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = [tuple(line.split(": ", 1)) for line in lines]
        request = httpx.Request(method, f"{self.base_url}{path}", headers=dict(headers))  # type: ignore[arg-type] # pairs
        try:
            answer = await self.transport().handle_async_request(request)
            body = await answer.aread()
        except httpx.TransportError:
            writer.transport.abort()
            return
        answer.headers.pop("content-length", None)
        told = [f"HTTP/1.1 {answer.status_code} -", "Connection: close"]
        told += [f"Content-Length: {len(body)}"]
        told += [f"{name}: {value}" for name, value in answer.headers.items()]
        writer.write("\r\n".join([*told, "", ""]).encode() + body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def placed(name: str) -> AsyncIterator[Path]:
    """A copy of an example where nobody else may write, as the page says."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / name
        shutil.copy(EXAMPLES / name, program)
        program.chmod(0o755)
        yield program


@asynccontextmanager
async def harness() -> AsyncIterator[ProgramHarness]:
    """A desk of its own, for as long as the tests run."""
    async with placed("desk.py") as program:
        made = ProgramHarness(program)
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        made.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield made
