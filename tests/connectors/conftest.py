"""One harness per connector, one peer per session."""

from __future__ import annotations

import importlib
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from uuid import uuid4

import pytest

from connectors.base import Connector, Transcript
from connectors.registry import PLACES
from lockstep.domain.cases.leavers import LeaverKeys
from lockstep.domain.systems.access import Account, Observation
from tests.connectors.harness import Harness, HarnessFactory

# By name, so that one harness that cannot be imported fails its own connector and no other.
HARNESSES = {kind: f"tests.connectors.{kind}.harness" for kind in PLACES}


def harness_factory(kind: str) -> HarnessFactory:
    """The `harness` function of one connector's harness file."""
    factory: HarnessFactory = importlib.import_module(HARNESSES[kind]).harness
    return factory


@pytest.fixture(scope="session", autouse=True)
def _peers_end() -> Iterator[None]:
    """The server that tests of several files share does not outlive them."""
    yield
    for name in HARNESSES.values():
        if ended := getattr(sys.modules.get(name), "ended", None):
            ended()


@pytest.fixture(scope="session", params=list(HARNESSES))
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    async with harness_factory(request.param)() as made:
        yield made


@dataclass(slots=True)
class Leaver:
    """A person hired for one test, located and looked at."""

    keys: LeaverKeys = field(repr=False)
    account: Account
    before: Observation


@dataclass(slots=True)
class Stock:
    """People who were hired once and stay as they are, for all tests that change nobody."""

    keys: list[LeaverKeys] = field(default_factory=list, repr=False)


@dataclass(slots=True)
class Scene:
    """One test's use of a harness: fresh people, its own connectors, an empty script."""

    harness: Harness
    stock: Stock = field(default_factory=Stock)
    transcript: Transcript = field(default_factory=Transcript)
    opened: list[Connector] = field(default_factory=list)
    drew: bool = False

    @property
    def effects(self) -> list[str]:
        return self.harness.script.effects

    def connect(self, *, secret: str | None = None) -> Connector:
        connector = self.harness.connector(secret=secret)
        self.opened.append(connector)
        return connector

    async def hire(self) -> LeaverKeys:
        return await self.harness.hire(f"w{uuid4().hex[:12]}")

    async def stayer(self, number: int = 0) -> LeaverKeys:
        """Somebody whom no test changes: hired by the first that asks, for all that come."""
        self.drew = True
        while len(self.stock.keys) <= number:
            self.stock.keys.append(await self.hire())
        return self.stock.keys[number]

    async def leaver(self, connector: Connector) -> Leaver:
        """Hire somebody, find the account, take the snapshot."""
        return await self.seen(connector, await self.hire())

    async def standing(self, connector: Connector, number: int = 0) -> Leaver:
        """The same of somebody of the stock, for a test that has no effect on them."""
        return await self.seen(connector, await self.stayer(number))

    async def seen(self, connector: Connector, keys: LeaverKeys) -> Leaver:
        """Find the account, take the snapshot."""
        location = await connector.locate(keys, self.transcript)
        assert len(location.matches) == 1
        account = location.matches[0].account
        before = await connector.read_back(account, self.transcript)
        assert not before.is_closed
        return Leaver(keys, account, before)

    def quiet(self) -> None:
        """Forget faults that were not used up, and the effects so far; the clock is right."""
        self.harness.script.clock_off = None
        self.harness.script.pending.clear()
        self.harness.script.effects.clear()
        self.harness.script.calls.clear()
        self.harness.script.instead = None


@pytest.fixture(scope="session")
def stock(harness: Harness) -> Stock:
    """Of one harness, as long as its peer runs."""
    return Stock()


@pytest.fixture
async def scene(harness: Harness, stock: Stock) -> AsyncIterator[Scene]:
    made = Scene(harness, stock)
    made.quiet()
    yield made
    if made.drew and made.effects:  # nobody is left in the stock who may have been touched
        stock.keys.clear()
    made.quiet()
    for connector in made.opened:
        await connector.aclose()
