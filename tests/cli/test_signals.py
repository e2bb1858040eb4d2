"""Our processes answer Ctrl-C and a polite end, also where a script started them behind itself."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from lockstep.cli.runtime import templates
from lockstep.cli.runtime.init import KEYRING, SECRET, write_home
from lockstep.settings import load_settings
from tests.support.children import BOUND_S, IN_BACKGROUND, child
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
LOCKSTEP = (sys.executable, "-m", "lockstep.cli.main")
PROGRAMS = {
    # With the words that say that it has begun; the web has none, and is asked.
    "worker": ((*LOCKSTEP, "worker"), "temporal_unreachable"),
    "web": ((*LOCKSTEP, "web"), ""),
    "sandbox": ((sys.executable, "-m", "sandbox"), '"simulated": true'),
}


@pytest.fixture
def home(tmp_path) -> Path:
    text = templates.settings_text(
        tenant="acme",
        keyring=KEYRING,
        secret=SECRET,
        systems='[systems.badge]\nconnector = "manual"\n',
        temporal_port=free_port(),
        web_port=free_port(),
        watch='["1h"]',
    )
    write_home(tmp_path, text)
    return tmp_path


def answers(port: int) -> None:
    """Return once somebody listens there."""
    deadline = time.monotonic() + BOUND_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).raise_for_status()
            return
        time.sleep(0.05)
    raise AssertionError("it does not listen")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_server_in_the_background_ends_when_it_is_told(home, name, number):
    """With SIGINT and SIGTERM inherited as ignored, both end it, and no traceback is said."""
    argv, words = PROGRAMS[name]
    with child(
        [*IN_BACKGROUND, *argv],
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        said = [""]
        while words and words not in said[-1]:
            said.append(process.stdout.readline())
            assert said[-1], f"it ended: {said}"
        if not words:
            answers(load_settings(home / "lockstep.toml").web.port)
        process.send_signal(number)
        rest = process.stdout.read()

        assert process.wait(timeout=60) in {0, -number, 128 + number}
    assert "Traceback" not in rest
    assert "Aborted" not in rest
