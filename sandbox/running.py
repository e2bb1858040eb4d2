"""Starts and stops the simulated services together, in one event loop."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sandbox.kit.accounts import Item
from sandbox.kit.admin import Control, Simulated
from sandbox.kit.asking import post
from sandbox.kit.state_file import StateFile
from sandbox.kit.wire import Listener
from sandbox.people import Person
from sandbox.vendors.registry import simulated

__all__ = ["Options", "Sandbox", "Urls", "hire_simulated", "running", "start_in_thread"]

START_SECONDS: Final = 10.0


Urls = Mapping[str, str]
"""Where the services listen, by vendor."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to run the sandbox.

    Attributes:
        host: address to listen on. The control interface answers to loopback in any case.
        ports: by vendor; 0, or none, takes a free one.
        latency_ms: every answer of every vendor takes at least this long.
        state_file: keep the state here.
        credentials: what a vendor accepts, by vendor and name, where it is not the usual.
        people: who has accounts from the start, unless the state file says otherwise.
        shape: what they have by default, per vendor.
    """

    host: str = "127.0.0.1"
    ports: Mapping[str, int] = field(default_factory=dict)
    latency_ms: float = 0.0
    state_file: Path | None = None
    credentials: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    people: Iterable[Person | Item] = ()
    shape: Item = field(default_factory=dict)


class Sandbox:
    """The simulated services, each by its vendor's name."""

    def __init__(self, options: Options) -> None:
        """Build the services; nothing listens before `start`."""
        self._options = options
        self._services = {
            kind: each.build({**each.usual, **options.credentials.get(kind, {})})
            for kind, each in simulated().items()
        }
        self._listeners: list[Listener] = []
        self._state = self._state_file()
        for service in self._services.values():
            service.control = Control(service, self._services)
            service.latency = options.latency_ms / 1000

    def __getitem__(self, kind: str) -> Simulated:
        return self._services[kind]

    def _state_file(self) -> StateFile | None:
        path = self._options.state_file
        return StateFile(path, self._services) if path else None

    def seed(
        self,
        people: Iterable[Person | Item],
        shape: Item | None = None,
        *,
        but: Collection[str] = (),
    ) -> None:
        """Give people accounts at every vendor, but those named."""
        records = [p.as_json() if isinstance(p, Person) else p for p in people]
        for kind, service in self._services.items():
            if kind not in but:
                service.seed(records, shape or {})

    async def start(self) -> Urls:
        """Take up the state, seed, listen."""
        options = self._options
        # A vendor that the file does not know yet is new in this version.
        known = self._state.load() if self._state else frozenset[str]()
        self.seed(options.people, options.shape, but=known)
        if self._state is not None:
            for service in self._services.values():
                service.on_change = self._state.changed
        urls = {}
        for kind, service in self._services.items():
            listener = Listener(service.handle)
            self._listeners.append(listener)
            await listener.start(options.host, options.ports.get(kind, 0))
            urls[kind] = listener.url
        return urls

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


def hire_simulated(url: str, person: Mapping[str, object]) -> None:
    """Give a person access at one running simulation; blocks."""
    body = json.dumps({"people": [person]}).encode()
    post(f"{url}/sandbox/seed", body, {"Content-Type": "application/json"})


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
