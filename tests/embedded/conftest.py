import asyncio
import sys
import time
from collections.abc import Callable

import pytest

from lockstep.embedded.child import ChildSpec
from lockstep.embedded.supervisor import Backoff, Event, EventKind, Supervisor
from tests.support.homes import server_home

QUICK = Backoff(first_s=0.02, most_s=0.1)


@pytest.fixture
def home():
    with server_home() as folder:
        yield folder


async def eventually(true: Callable[[], bool], *, within_s: float = 60.0) -> None:
    """Poll until `true()`; fail the test otherwise."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"not true within {within_s} s"
        await asyncio.sleep(0.02)


class Recorder:
    """Keeps a supervisor's events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: EventKind) -> list[Event]:
        return [event for event in self.events if event.kind is kind]


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def make_supervisor(home, recorder):
    def make(**options) -> Supervisor:
        options = {"stop_signals": (), "backoff": QUICK, **options}
        return Supervisor(home, on_event=recorder, **options)

    return make


@pytest.fixture
def python_child(home):
    """Make the spec of a child that runs a piece of Python and is ready when a file appears."""

    def make(name: str = "child", code: str = "", **options) -> ChildSpec:
        flag = home / f"{name}.ready"
        body = (
            "import os, pathlib, signal, sys, time\n"
            f"flag = pathlib.Path({str(flag)!r})\n"
            f"{code or 'flag.touch()'}\n"
            "time.sleep(600)\n"
        )

        async def ready() -> None:
            while not flag.exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.01)

        options = {"ready": ready, "prepare": lambda: flag.unlink(missing_ok=True), **options}
        return ChildSpec(
            name=name,
            argv=(sys.executable, "-I", "-S", "-c", body),
            log_path=home / f"{name}.log",
            **options,
        )

    return make
