"""`lockstep up` over ports that belong to other programs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lockstep.cli.runtime import up as up_module
from lockstep.cli.runtime.init import SECRET, write_home
from lockstep.cli.runtime.templates import settings_text
from lockstep.cli.runtime.up import start_all
from lockstep.embedded.errors import EmbeddedError
from lockstep.embedded.events import Event
from lockstep.embedded.supervisor import Supervisor
from lockstep.settings import load_settings


@pytest.fixture
def taken() -> Iterator[list[int]]:
    """Ports on which other programs listen."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        yield [listener.getsockname()[1] for listener in listeners]


def test_nothing_is_started_and_every_port_is_named(
    tmp_path: Path, taken: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person corrects all of them at once, and no half of Lockstep runs meanwhile."""
    monkeypatch.setattr(up_module, "_LEFT_S", 0.0)
    text = settings_text(
        tenant="acme",
        keyring=".lockstep/keyring.json",
        secret=SECRET,
        systems='\n[systems.badge]\nconnector = "manual"\n',
        temporal_port=taken[0],
        web_port=taken[1],
    )
    write_home(tmp_path, text)
    settings = load_settings(tmp_path / "lockstep.toml")
    events: list[Event] = []

    async def start() -> None:
        home = settings.path(settings.data_dir)
        async with Supervisor(home, on_event=events.append, stop_signals=()) as supervisor:
            await start_all(supervisor, settings, tmp_path / "lockstep.toml", sandbox=False)

    with pytest.raises(EmbeddedError) as refused:
        asyncio.run(start())

    said = str(refused.value)
    assert f"Port {taken[0]} " in said
    assert "`temporal.port`" in said
    assert f"Port {taken[1]} " in said
    assert "`web.port`" in said
    assert events == []
