"""The recipe of the example against a desk in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from connectors.base import ConnectorOptions
from connectors.kit.rest import RestConnector, manifest_of
from connectors.recipe.spec import read_recipe
from tests.connectors.desk import DeskHarness

PEER = "a made-up vendor in memory, by the recipe of the example"
FILE = Path(__file__).parents[3] / "examples" / "desk" / "desk.toml"
SYSTEM = "desk-test"


class RecipeHarness(DeskHarness):
    def __init__(self) -> None:
        super().__init__("recipe", page=40)
        self.spec = read_recipe(FILE)
        self.manifest = manifest_of(self.spec)

    def connector(self, *, secret: str | None = None) -> RestConnector:
        secrets = {"token": self.secret if secret is None else secret}
        settings = {"recipe": str(FILE), "base_url": "http://127.0.0.1"}
        given = ConnectorOptions(SYSTEM, settings, secrets)
        return RestConnector(self.spec, given, transport=self.transport())


@asynccontextmanager
async def harness() -> AsyncIterator[RecipeHarness]:
    """A desk of its own, for as long as the tests run."""
    yield RecipeHarness()
