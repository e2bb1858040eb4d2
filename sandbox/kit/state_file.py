"""Keeps the state of the sandbox in a file, so that a restart of it loses nothing that was done."""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

__all__ = ["Keeps", "StateFile"]

VERSION: Final = 1
QUIET_SECONDS: Final = 0.25
# Writing may take at most this share of the time, however large the state has become.
WRITING_SHARE: Final = 0.05


class Keeps(Protocol):
    """A service with state."""

    def dump(self) -> dict[str, Any]:
        """The state as JSON values."""

    def load(self, value: dict[str, Any]) -> None:
        """Take up what `dump` wrote."""


class StateFile:
    """Writes all services into one file, some time after each change and at the end."""

    def __init__(self, path: Path, services: Mapping[str, Keeps]) -> None:
        self._path = path
        self._services = services
        self._timer: asyncio.TimerHandle | None = None
        self._pause = QUIET_SECONDS

    def load(self) -> frozenset[str]:
        """Take up the file's content; the services that it knows, none when there is half of one.

        Raises:
            ValueError: when the file is not one that this version wrote.
        """
        if not self._path.exists():
            return frozenset()
        try:
            value = json.loads(self._path.read_text("utf-8"))
        except ValueError:  # of a machine that lost its power: kept aside, for people
            self._path.replace(self._path.with_name(self._path.name + ".broken"))
            return frozenset()
        if value.get("version") != VERSION:
            raise ValueError(f"{self._path} was not written by this version of the sandbox")
        known = value["services"].keys() & self._services.keys()
        for name in known:
            self._services[name].load(value["services"][name])
        return frozenset(known)

    def changed(self) -> None:
        """Write soon; more changes until then are written together."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._pause, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        began = time.perf_counter()
        self.write()
        spent = time.perf_counter() - began
        self._pause = max(QUIET_SECONDS, spent / WRITING_SHARE)

    def write(self) -> None:
        """Write now: to a neighbour file first, then in place of the old one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        states = {name: service.dump() for name, service in self._services.items()}
        text = json.dumps({"version": VERSION, "services": states}, separators=(",", ":"))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle, neighbour = tempfile.mkstemp(dir=self._path.parent, prefix=".sandbox-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(neighbour).replace(self._path)
