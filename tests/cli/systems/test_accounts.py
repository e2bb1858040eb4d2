"""`lockstep system accounts` and `lockstep connectors`: who can sign in, and what is offered."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from typer.testing import CliRunner

from connectors.registry import MANIFESTS
from lockstep.cli.main import app
from lockstep.storage.keys.keyring import Keyring
from sandbox.running import start_in_thread
from sandbox.vendors.instant.description import DESCRIPTION
from tests.connectors.program.harness import EXAMPLES

SETTINGS = """
tenant = "acme"
keyring = "file:keyring.json"

[database]
mode = "external"
url = "file:db"

[systems.robots]
connector = "instant"
base_url = "{instant}"
token = "file:token"

[systems.down]
connector = "instant"
base_url = "http://127.0.0.1:9"
token = "file:token"

[systems.by-file]
connector = "recipe"
recipe = "desk.toml"
base_url = "http://127.0.0.1:9"
token = "file:token"

[systems.half-set]
connector = "aws"

[systems.by-hand]
connector = "manual"
"""


@pytest.fixture
def home(tmp_path, database, ring: Keyring, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    ring.save(tmp_path / "keyring.json")
    (tmp_path / "db").write_text(database.app_url)
    shutil.copy(EXAMPLES / "desk.toml", tmp_path)
    (tmp_path / "token").write_text(DESCRIPTION.usual["token"])
    monkeypatch.chdir(tmp_path)
    with start_in_thread() as urls:
        Path("lockstep.toml").write_text(SETTINGS.format(instant=urls["instant"]))
        people = [{"worker_id": f"w{number}"} for number in range(120)]
        seeded = httpx.post(f"{urls['instant']}/sandbox/seed", json={"people": people})
        seeded.raise_for_status()
        yield urls["instant"]


def said(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["system", "accounts", *words])
    return done.exit_code, done.output


def test_everybody_who_can_sign_in_is_listed_to_the_end(home) -> None:
    """Every page is printed, and the last line says that the list is complete."""
    code, text = said("robots")

    assert code == 0, text
    assert text.count("worker_id w") == 120
    assert "120 accounts can sign in, of 120 listed. The list is complete." in text


def test_a_script_reads_one_object_a_line(home) -> None:
    """Each account with its keys, and at the end whether that was all."""
    code, text = said("robots", "--json")
    *accounts, end = map(json.loads, text.splitlines())

    assert code == 0
    assert len(accounts) == 120
    assert accounts[0]["keys"] == [{"kind": "worker_id", "value": "w0"}]
    assert end == {"complete": True, "accounts": 120, "looked_at": 120, "gaps": []}


def test_a_list_that_is_not_whole_says_so_and_fails(home) -> None:
    """A system that does not answer is not one without accounts."""
    code, text = said("down")
    as_json = said("down", "--json")

    assert code == 1
    assert "That these are all is not proved: accounts were not all read: unreachable" in text
    assert as_json[0] == 1
    assert json.loads(as_json[1])["complete"] is False


@pytest.mark.parametrize(
    ("system", "words"),
    [
        ("by-file", "does not list accounts"),
        ("half-set", "systems.half-set: "),
        ("by-hand", "people work this system by hand"),
        ("nowhere", "no such system"),
    ],
)
def test_a_system_without_a_list_is_refused(home, system: str, words: str) -> None:
    """Who asks is told why there is no list, and not shown an empty one."""
    code, text = said(system)

    assert code == 2
    assert words in text


def test_the_index_names_every_connector() -> None:
    """`lockstep connectors` says of each what its manifest says."""
    done = CliRunner().invoke(app, ["connectors", "--json"])
    shown = {one["kind"]: one for one in json.loads(done.output)}

    assert set(shown) == set(MANIFESTS)
    for kind, manifest in MANIFESTS.items():
        assert set(shown[kind]["abilities"]) == set(manifest.abilities)
        assert shown[kind]["residuals"] == dict(manifest.residual_s)
        assert shown[kind]["grade"] == manifest.grade
        assert shown[kind]["enforced_at"]["places"]
    assert CliRunner().invoke(app, ["connectors"]).output.count("takes hold") >= len(shown) - 1


def test_looking_at_everybody_stands_in_the_ledger(home, database) -> None:
    """One act for each look, with the system, also where the list then breaks off."""
    said("robots")
    said("down")
    with psycopg.connect(database.app_url.replace("+asyncpg", "").replace("+psycopg", "")) as own:
        rows = own.execute("select convert_from(body, 'UTF8') from ledger_entries").fetchall()
    acts = [body for (text,) in rows if (body := json.loads(text))["kind"] == "access:acted"]

    assert [(one["data"], one["system"]) for one in acts] == [
        ({"act": "system.accounts", "user": "cli"}, "robots"),
        ({"act": "system.accounts", "user": "cli"}, "down"),
    ]
