"""A disk that becomes full, and gets room again, under the real `lockstep up`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.processes import ROOT
from tests.support.homes import server_home

pytestmark = pytest.mark.e2e

_PATIENCE_S = 600
_SIZE = "260m"
_MOUNT = 'mount -t tmpfs -o size="$1" none "$2" && chmod 755 "$2" && shift 2 && exec "$@"'


def mounted(folder: Path, *command: str) -> list[str]:
    """A command that sees a small file system of its own on a folder; it ends with the command."""
    return ["unshare", "-m", "sh", "-c", _MOUNT, "sh", _SIZE, str(folder), *command]


def may_mount(folder: Path) -> bool:
    """Whether this machine lets us: root of a container often may not."""
    if os.geteuid() != 0:
        return False
    try:
        done = subprocess.run(mounted(folder, "true"), check=False, capture_output=True, timeout=60)
    except OSError:
        return False
    return done.returncode == 0


@pytest.mark.parametrize("mode", ["real", "pretended"])
def test_what_was_acknowledged_is_carried_out_and_nothing_else_is_acknowledged(mode: str) -> None:
    """HR reads 503 and when to come again; what waited is dispatched by itself once there is room.

    Where nobody may mount a small file system, `real` is played as `pretended` is: by the SQLSTATE
    of a full disk, and logs that cannot be written.
    """
    with server_home() as home:
        played = mode if may_mount(home) else "pretended"
        command = [sys.executable, "-m", "tests.e2e.small_disk", str(home), played]
        if played == "real":
            command = mounted(home, *command)
        done = subprocess.run(
            command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=_PATIENCE_S
        )
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout)

    assert set(found["statuses"]) <= {202, 503, 0}, found
    assert 503 in found["statuses"]
    assert found["retry_after"] == ["30"]
    assert len(found["safe"]) > 3, found
    assert found["waited"] != 0, found
    assert found["done"] == found["safe"]
    assert found["after"] == 202
    assert found["restarts"] == {"worker": 0, "web": 0}
