"""`lockstep web` under a keyring that is not this database's."""

from __future__ import annotations

import asyncio
from pathlib import Path

from structlog.testing import capture_logs
from typer.testing import CliRunner

from lockstep.cli.main import app
from lockstep.storage.keys.check import check_keyring
from lockstep.storage.keys.keyring import Keyring

SETTINGS = """
tenant = "acme"
keyring = "file:keyring.json"
data_dir = "."

[database]
mode = "external"
url = "file:db"

[sources.hr]
secrets = ["file:hook"]

[systems.badge]
connector = "manual"
"""


async def test_it_does_not_start(tmp_path: Path, database, work) -> None:
    """It would acknowledge events that no worker can read."""
    await check_keyring(work.engine, work.ring)
    Keyring.generate().save(tmp_path / "keyring.json")
    (tmp_path / "db").write_text(database.app_url)
    (tmp_path / "hook").write_text("whsec_" + "A" * 43 + "=")
    (tmp_path / "lockstep.toml").write_text(SETTINGS)
    with capture_logs():
        given = ["web", "--config", str(tmp_path / "lockstep.toml")]
        done = await asyncio.to_thread(CliRunner().invoke, app, given)

    assert done.exit_code != 0
    assert "keyring: it does not open this database's data" in done.stderr
