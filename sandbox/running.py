"""Starts and stops the four simulated services together, in one event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sandbox.kit.accounts import Item
from sandbox.kit.admin import Control, Simulated
from sandbox.kit.state_file import StateFile
from sandbox.kit.wire import Listener
from sandbox.people import Person
from sandbox.settings import Credentials
from sandbox.vendors.instant.simulator import Instant
from sandbox.vendors.kisi.simulator import Kisi
from sandbox.vendors.okta.simulator import Okta
from sandbox.vendors.tailscale.simulator import Tailscale, TailscaleCredentials

__all__ = ["Options", "Sandbox", "Urls", "running", "start_in_thread"]

START_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the services listen."""

    okta: str
    tailscale: str
    kisi: str
    instant: str

    def as_json(self) -> dict[str, str]:
        """The addresses by service."""
        return {
            "okta": self.okta,
            "tailscale": self.tailscale,
            "kisi": self.kisi,
            "instant": self.instant,
        }


@dataclass(frozen=True, slots=True)
class Options:
    """How to run the sandbox; port 0 takes a free one.

    Attributes:
        host: address to listen on. The control interface answers to loopback in any case.
        okta_port: port of the simulated Okta.
        tailscale_port: port of the simulated Tailscale.
        kisi_port: port of the simulated Kisi.
        instant_port: port of Instant.
        latency_ms: every answer of every vendor takes at least this long.
        state_file: keep the state here.
        credentials: what the vendors accept.
        people: who has accounts from the start, unless the state file says otherwise.
        shape: what they have by default, per vendor.
    """

    host: str = "127.0.0.1"
    okta_port: int = 0
    tailscale_port: int = 0
    kisi_port: int = 0
    instant_port: int = 0
    latency_ms: float = 0.0
    state_file: Path | None = None
    credentials: Credentials = field(default_factory=Credentials)
    people: Iterable[Person | Item] = ()
    shape: Item = field(default_factory=dict)


class Sandbox:
    """The four simulated services."""

    def __init__(self, options: Options) -> None:
        """Build the services; nothing listens before `start`."""
        given = options.credentials
        self.okta = Okta(given.okta_token, given.okta_limited)
        self.tailscale = Tailscale(
            TailscaleCredentials(
                tailnet=given.tailnet,
                api_token=given.tailscale_token,
                client_id=given.tailscale_client_id,
                client_secret=given.tailscale_client_secret,
            )
        )
        self.kisi = Kisi(given.kisi_key)
        self.instant = Instant(given.instant_token)
        self._options = options
        self._services = (self.okta, self.tailscale, self.kisi, self.instant)
        self._listeners: list[Listener] = []
        self._state = self._state_file()
        everybody: dict[str, Simulated] = {service.name: service for service in self._services}
        for service in self._services:
            service.control = Control(service, everybody)
            service.latency = options.latency_ms / 1000

    def _state_file(self) -> StateFile | None:
        path = self._options.state_file
        return StateFile(path, {s.name: s for s in self._services}) if path else None

    def seed(self, people: Iterable[Person | Item], shape: Item | None = None) -> None:
        """Give people accounts at every vendor."""
        records = [p.as_json() if isinstance(p, Person) else p for p in people]
        for service in self._services:
            service.seed(records, shape or {})

    async def start(self) -> Urls:
        """Take up the state, seed, listen."""
        options = self._options
        known = self._state.load() if self._state else False
        if not known:
            self.seed(options.people, options.shape)
        if self._state is not None:
            for service in self._services:
                service.on_change = self._state.changed
        ports = (
            options.okta_port,
            options.tailscale_port,
            options.kisi_port,
            options.instant_port,
        )
        handlers = [service.handle for service in self._services]
        for handler, port in zip(handlers, ports, strict=True):
            listener = Listener(handler)
            self._listeners.append(listener)
            await listener.start(options.host, port)
        return Urls(*(listener.url for listener in self._listeners))

    async def stop(self) -> None:
        """Stop listening and write the state."""
        for listener in self._listeners:
            await listener.stop()
        self._listeners.clear()
        if self._state is not None:
            self._state.write()


@asynccontextmanager
async def running(options: Options | None = None) -> AsyncIterator[Urls]:
    """Run the sandbox in this event loop for as long as the block lasts."""
    sandbox = Sandbox(options or Options())
    try:
        yield await sandbox.start()
    finally:
        await sandbox.stop()


@contextmanager
def start_in_thread(options: Options | None = None) -> Iterator[Urls]:
    """Run the sandbox in a thread with a loop of its own, for blocking callers.

    Raises:
        RuntimeError: when it does not start or stop, with the reason as its cause.
    """
    thread = _SandboxThread(options or Options())
    thread.start()
    try:
        yield thread.wait_until_ready()
    finally:
        thread.stop()


class _SandboxThread(threading.Thread):
    """Owns the loop that the sandbox runs in."""

    def __init__(self, options: Options) -> None:
        super().__init__(name="sandbox", daemon=True)
        self._options = options
        self._ready = threading.Event()
        self._urls: Urls | None = None
        self._error: Exception | None = None
        self._end: Callable[[], None] = lambda: None

    def run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - raised again by the thread that waits
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        loop, finished = asyncio.get_running_loop(), asyncio.Event()

        def end() -> None:
            loop.call_soon_threadsafe(finished.set)

        self._end = end
        async with running(self._options) as urls:
            self._urls = urls
            self._ready.set()
            await finished.wait()

    def wait_until_ready(self) -> Urls:
        self._ready.wait(START_SECONDS)
        if self._urls is None:
            raise RuntimeError("the sandbox did not start") from self._error
        return self._urls

    def stop(self) -> None:
        if self.is_alive():
            self._end()
        self.join(START_SECONDS)
        if self._urls is not None and self._error is not None:
            raise RuntimeError("the sandbox did not end well") from self._error
