"""docs/connectors.md: its example works, its tables are true."""

from __future__ import annotations

import re
import types
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from connectors.base import Connector, ConnectorManifest, ConnectorOptions
from connectors.registry import MANIFESTS
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from tests.connectors import test_conformance as suite
from tests.connectors import test_conformance_abilities as abilities
from tests.connectors import test_conformance_law as law
from tests.connectors.conftest import HARNESSES, Scene
from tests.connectors.connector_docs import PAGE, PEERS, described, page_with
from tests.connectors.harness import FaultScript, FaultTransport

TOKEN = "desk-token-77e0"


class Desk:
    """The made-up vendor of the example, in memory."""

    def __init__(self) -> None:
        self.people: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, dict[str, Any]] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.headers["authorization"] != f"Bearer {TOKEN}":
            return httpx.Response(401)
        match request.method, request.url.path.split("/")[1:]:
            case "GET", ["people"]:
                email = request.url.params.get("email", "").lower()
                found = [one for one in self.people.values() if email in {one["email"], ""}]
                return self._page(request, "people", found)
            case "DELETE", ["keys", key]:
                return httpx.Response(200 if self.keys.pop(key, None) else 404)
            case _, ["people", person, *rest] if person in self.people:
                if rest == ["keys"]:
                    own = [key for key in self.keys.values() if key["person"] == person]
                    return self._page(request, "keys", own)
                if rest == ["block"]:
                    self.people[person]["blocked"] = True
                return httpx.Response(200, json=self.people[person])
        return httpx.Response(404)

    @staticmethod
    def _page(request: httpx.Request, name: str, found: list[dict[str, Any]]) -> httpx.Response:
        start = int(request.url.params.get("cursor", 0))
        end = start + 3
        following = {"next": str(end)} if end < len(found) else {}
        return httpx.Response(200, json={name: found[start:end], **following})


class DeskHarness:
    """The harness that the example would come with."""

    kind = "desk"
    secret = TOKEN

    def __init__(self, manifest: ConnectorManifest, build: Callable[..., Connector]) -> None:
        self.script = FaultScript()
        self.manifest = manifest
        self._build = build
        self._desk = Desk()

    def connector(self, *, secret: str | None = None) -> Connector:
        transport = FaultTransport(
            self.script, rate_limit_headers=lambda wait_s: {"Retry-After": str(wait_s)}
        )
        transport._inner = httpx.MockTransport(self._desk)
        options = ConnectorOptions(
            "desk-test", {"base_url": "http://127.0.0.1"}, {"token": secret or self.secret}
        )
        return self._build(options, transport=transport)

    async def hire(self, worker: str) -> LeaverKeys:
        person = {"id": uuid4().hex, "email": f"{worker}@example.test", "blocked": False}
        self._desk.people[person["id"]] = person
        self._give_keys(person)
        return LeaverKeys((Key(KeyKind.EMAIL, person["email"]), Key(KeyKind.WORKER_ID, worker)))

    async def still_in(self, keys: LeaverKeys) -> bool:
        person = self._of(keys)
        held = any(key["person"] == person["id"] for key in self._desk.keys.values())
        return held or not person["blocked"]

    async def give_back(self, keys: LeaverKeys) -> None:
        person = self._of(keys)
        person["blocked"] = False
        self._give_keys(person)

    def _give_keys(self, person: dict[str, Any]) -> None:
        for key in (uuid4().hex, uuid4().hex):
            self._desk.keys[key] = {"id": key, "person": person["id"]}

    @staticmethod
    def blind(request: httpx.Request) -> httpx.Response | None:
        """A search that finds nobody, although the list shows them."""
        return httpx.Response(200, json={"people": []}) if request.url.params.get("email") else None

    def _of(self, keys: LeaverKeys) -> dict[str, Any]:
        return next(one for one in self._desk.people.values() if one["email"] == keys.emails[0])


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
    made = Scene(DeskHarness(module.MANIFEST, module.MANIFEST.build))
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
    assert set(PEERS) == set(HARNESSES)


def test_the_files_of_the_page_exist() -> None:
    """Files that the page sends a reader to are there."""
    root = PAGE.parents[1]
    named = re.findall(r"`((?:tests|connectors)/[a-z_/]+\.py)`", PAGE.read_text("utf-8"))

    assert named
    assert [name for name in named if "desk" not in name and not (root / name).exists()] == []
