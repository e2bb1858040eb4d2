"""`lockstep ledger anchors`: what each anchor holds, and a check that fails if one does."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.ledger.anchorings import Anchorings
from tests.connectors.anchors.peers import HOOK_SECRET, SECRET, HttpPeer, free_port
from tests.support.heads import rows, sign

COMMAND = "import typer; from lockstep.cli.ledger.anchors import anchors; typer.run(anchors)"
SETTINGS = """
tenant = "acme"
keyring = "file:keyring.json"

[database]
mode = "external"
url = "env:TEST_DATABASE_URL"

[systems.badge]
connector = "manual"
"""
FILES = '\n[ledger.anchors.files]\nkind = "file"\npath = "copies"\n'


@pytest.fixture
def home(tmp_path, database, monkeypatch) -> Path:
    Keyring.generate().save(tmp_path / "keyring.json")
    (tmp_path / "copies").mkdir()
    monkeypatch.setenv("TEST_DATABASE_URL", database.app_url)
    monkeypatch.setenv("TEST_SECRET", HOOK_SECRET)
    (tmp_path / "lockstep.toml").write_text(SETTINGS + FILES)
    return tmp_path


def add_hook(home: Path, port: int) -> None:
    with (home / "lockstep.toml").open("a") as file:
        file.write(
            f'\n[ledger.anchors.hook]\nkind = "webhook"\nsecret = "env:TEST_SECRET"\n'
            f'url = "http://127.0.0.1:{port}/?key={SECRET}"\n'
        )


async def command(home: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", COMMAND, "--config", str(home / "lockstep.toml"), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


async def test_the_table_tells_how_each_anchor_stands(home, engine):
    """Size, age, what is missing, state; looking changes nothing."""
    await sign(engine, 9)
    await Anchorings(engine).done("files", 9, receipt=b"r", now=datetime.now(UTC))
    await sign(engine, 12)
    before = await rows(engine)
    code, output, _ = await command(home)
    [head, line] = output.splitlines()

    assert code == 0
    assert head.split() == ["anchor", "kind", "size", "age", "behind", "state", "error"]
    assert line.split()[:3] == ["files", "file", "9"]
    assert line.split()[-2:] == ["3", "behind"]
    assert await rows(engine) == before


async def test_a_check_publishes_everywhere_now(home, engine):
    """And says so; what it did is recorded, so that the worker need not repeat it."""
    await sign(engine, 9)
    with HttpPeer() as peer:
        add_hook(home, peer.port)
        code, output, _ = await command(home, "--check")

    assert code == 0
    assert "checkpoint of 9 leaves: files holds it" in output
    assert "checkpoint of 9 leaves: hook holds it" in output
    assert (home / "copies" / "9.txt").exists()
    assert len(peer.asked) == 1
    assert await rows(engine) == {
        ("files", 9): ("done", 0, None),
        ("hook", 9): ("done", 0, None),
    }


async def test_a_check_fails_if_one_anchor_does(home, engine):
    """The others are published all the same; neither secret nor address is shown."""
    await sign(engine, 9)
    add_hook(home, free_port())
    code, output, errors = await command(home, "--check", "--json")
    files, hook = json.loads(output)

    assert code == 1
    assert (files["anchor"], files["state"], files["check"]["fault"]) == ("files", "current", "")
    assert (hook["anchor"], hook["state"], hook["behind"]) == ("hook", "behind", 9)
    assert hook["check"] == {"size": 9, "fault": "ConnectError", "needs_person": False}
    assert SECRET not in output + errors


async def test_a_conflict_is_recorded(home, engine):
    """What the check found stays shown."""
    await sign(engine, 9)
    (home / "copies" / "9.txt").write_text("another head")
    code, output, _ = await command(home, "--check")
    assert code == 1
    assert "somebody must act" in output
    code, output, _ = await command(home)

    assert code == 0
    assert "conflict" in output
    assert "it holds another checkpoint of 9 leaves" in output


async def test_a_check_needs_a_checkpoint(home):
    """Before the first one there is nothing to publish."""
    code, _, errors = await command(home, "--check")

    assert code == 1
    assert "no checkpoint yet" in errors


async def test_without_anchors_it_says_what_that_means(home):
    """The ledger's heads are nowhere else."""
    (home / "lockstep.toml").write_text(SETTINGS)
    code, output, _ = await command(home)

    assert code == 0
    assert "in the database only" in output


async def test_a_wrong_setting_is_unusable(home, engine):
    """Exit 2 with the line that names it."""
    await sign(engine, 9)
    with (home / "lockstep.toml").open("a") as file:
        file.write('\n[ledger.anchors.more]\nkind = "file"\npaht = "x"\n')
    code, _, errors = await command(home, "--check")

    assert code == 2
    assert "ledger.anchors.more.paht: file has no such option" in errors
