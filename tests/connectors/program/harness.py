"""The program of the example against a desk, over a loopback that misbehaves on demand."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from connectors.base import ConnectorOptions
from connectors.program.connector import ProgramConnector, manifest_for
from tests.connectors.desk import DeskHarness

PEER = "a made-up vendor on the loopback, by the program of the example"
EXAMPLES = Path(__file__).parents[3] / "examples" / "desk"
SYSTEM = "desk-test"
STATED = {"session": "unknown"}


class ProgramHarness(DeskHarness):
    blind = None  # it lists everybody, and makes no search that could be blind

    def __init__(self, program: Path) -> None:
        super().__init__("program", page=40)
        self.program = program
        self.manifest = manifest_for({"residuals": STATED})

    def connector(self, *, secret: str | None = None) -> ProgramConnector:
        secrets = {"token": self.secret if secret is None else secret}
        settings = {"program": str(self.program), "residuals": STATED, "base_url": self.base_url}
        return ProgramConnector(ConnectorOptions(SYSTEM, settings, secrets))


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
        async with made.served():
            yield made
