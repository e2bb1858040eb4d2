"""docs/connectors.md: its example works, its tables are true."""

from __future__ import annotations

import re
import textwrap
import tomllib
import types
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from connectors.base import Connector, ConnectorManifest, ConnectorOptions
from connectors.registry import MANIFESTS
from lockstep.settings.tables import SystemTable
from tests.connectors import test_conformance as suite
from tests.connectors import test_conformance_abilities as abilities
from tests.connectors import test_conformance_law as law
from tests.connectors.conftest import HARNESSES, Scene
from tests.connectors.connector_docs import PAGE, described, page_with, peer
from tests.connectors.desk import DeskHarness


class ExampleHarness(DeskHarness):
    """The harness that the example would come with."""

    def __init__(self, manifest: ConnectorManifest) -> None:
        super().__init__(manifest.kind)
        self._build: Callable[..., Connector] = manifest.build

    def connector(self, *, secret: str | None = None) -> Connector:
        secrets = {"token": secret or self.secret}
        options = ConnectorOptions("desk-test", {"base_url": "http://127.0.0.1"}, secrets)
        return self._build(options, transport=self.transport())


def example() -> types.ModuleType:
    """The page's Python, as a module."""
    (code,) = re.findall(
        r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    module = types.ModuleType("docs_example")
    exec(compile(code, str(PAGE), "exec", dont_inherit=True), vars(module))
    return module


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    module = example()
    monkeypatch.setitem(MANIFESTS.loaded, "desk", module.MANIFEST)
    made = Scene(ExampleHarness(module.MANIFEST))
    yield made
    for connector in made.opened:
        await connector.aclose()


def checks() -> list[Any]:
    """Every check of the suite, with every argument that the suite gives it."""
    found = []
    for name, check in {**vars(suite), **vars(law), **vars(abilities)}.items():
        if not name.startswith("test_") or "scene" not in check.__annotations__:
            continue
        cases: list[dict[str, object]] = [{}]
        for mark in getattr(check, "pytestmark", []):
            argument, values = mark.args
            cases = [{**case, argument: value} for case in cases for value in values]
        found += [
            pytest.param(check, case, id=f"{name}-{'-'.join(map(str, case.values()))}")
            for case in cases
        ]
    return found


@pytest.mark.parametrize(("check", "arguments"), checks())
async def test_the_example_passes_the_suite(
    scene: Scene,
    check: Callable[..., Awaitable[None]],
    arguments: dict[str, object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever starts from the page's example starts from a connector that is right."""
    if "caplog" in check.__annotations__:
        arguments = {**arguments, "caplog": caplog}
    await check(scene, **arguments)


def test_the_built_in_connectors_are_described_as_they_are() -> None:
    """The generated part is what the manifests say; the module's command rewrites it."""
    page = PAGE.read_text("utf-8")

    assert page_with(described(MANIFESTS.values()), page) == page


def test_every_peer_is_named() -> None:
    """The page says of each connector what it is proved against."""
    assert all(peer(kind) for kind in HARNESSES)


def test_the_files_of_the_page_exist() -> None:
    """Files that the page sends a reader to are there."""
    root = PAGE.parents[1]
    named = re.findall(r"`((?:tests|connectors)/[a-z_/]+\.py)`", PAGE.read_text("utf-8"))

    assert named
    assert [name for name in named if "desk" not in name and not (root / name).exists()] == []


PRODUCTS = [each.kind for each in MANIFESTS.values() if each.is_product and each.of is None]
"""Without those that a file of the operator's describes: docs/own-systems.md."""


@pytest.mark.parametrize("kind", PRODUCTS)
def test_every_product_has_a_page_on_how_to_connect_it(kind: str) -> None:
    """Its settings are ones that the connector takes, and it says how to prove them."""
    text = (PAGE.parent / "connect" / f"{kind}.md").read_text("utf-8")
    tables = re.findall(r"^ *```toml\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    systems = [
        table
        for each in tables
        for table in tomllib.loads(textwrap.dedent(each)).get("systems", {}).values()
    ]
    takes = {spec.name for spec in MANIFESTS[kind].options} | set(SystemTable.model_fields)

    assert [table for table in systems if table["connector"] == kind]
    assert {key for table in systems if table["connector"] == kind for key in table} <= takes
    assert "lockstep doctor" in text
    assert len(text.splitlines()) < 70  # one screen
