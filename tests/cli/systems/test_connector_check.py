"""`lockstep connector check` against a system that is there, as its operator runs it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lockstep.evidence.format.notes import FileSigner
from lockstep.storage.keys.keyring import Keyring
from tests.connectors.desk import TOKEN, DeskHarness
from tests.connectors.program.harness import EXAMPLES
from tests.support.ready import loaded_once

SETTINGS = """
tenant = "acme"
keyring = "file:keyring.json"

[ledger]
key = "file:ledger.key"

[systems.by-file]
connector = "recipe"
recipe = "desk.toml"
base_url = "{url}"
token = "env:DESK_TOKEN"

[systems.by-program]
connector = "program"
program = "{home}/desk.py"
base_url = "{url}"
token = "env:DESK_TOKEN"
residuals = {{ session = "unknown" }}

[systems.by-hand]
connector = "manual"
"""


class Office:
    """A folder with settings, and a desk that they name."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.desk = DeskHarness("desk")

    async def check(self, *words: str, token: str = TOKEN, said: str = "") -> tuple[int, str, str]:
        """Exit code, output and errors of the command."""
        command = await asyncio.create_subprocess_exec(
            *loaded_once(), "connector", "check", *words, "--config", self.home / "lockstep.toml",
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), "DESK_TOKEN": token},
            stdin=-1, stdout=-1, stderr=-1,
        )  # fmt: skip
        async with asyncio.timeout(120):
            told, errors = await command.communicate(said.encode())
        return command.returncode or 0, told.decode(), errors.decode()


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    made = Office(tmp_path)
    for name in ("desk.toml", "desk.py"):
        shutil.copy(EXAMPLES / name, tmp_path / name)
    (tmp_path / "desk.py").chmod(0o755)
    Keyring.generate().save(tmp_path / "keyring.json")
    (tmp_path / "ledger.key").write_text(FileSigner.generate("acme/lockstep-ledger").to_text())
    async with made.desk.served() as url:
        text = SETTINGS.format(url=url, home=tmp_path)
        (tmp_path / "lockstep.toml").write_text(text)
        yield made


@pytest.mark.parametrize("system", ["by-file", "by-program"])
async def test_a_leaver_is_closed_and_each_question_is_answered(office: Office, system: str):
    """Found, contained, stripped, read back, and once more; the system's own truth agrees."""
    await office.desk.hire("somebody")
    keys = await office.desk.hire("pat")
    code, told, errors = await office.check(
        system, "--leaver", "email=pat@example.test", "--yes", "--json"
    )
    answers = {row["question"]: row["verdict"] for row in json.loads(told)}

    assert code == 3, told + errors  # the desk states no time
    assert {name for name, verdict in answers.items() if verdict != "holds"} <= {"clock", "paging"}
    assert {"health", "nobody", "locate", "look", "contain", "strip", "again"} <= set(answers)
    assert not await office.desk.still_in(keys)
    assert "ok  contain: " in errors  # told as it comes


async def test_nothing_is_closed_without_a_word(office: Office):
    """Reads alone, or a question that is answered with no, change nothing."""
    keys = await office.desk.hire("pat")
    reads, told, _ = await office.check("by-file", "--known", "email=pat@example.test")
    refused, _, errors = await office.check(
        "by-file", "--leaver", "email=pat@example.test", said="n\n"
    )

    assert reads == 3
    assert "ok  read_back: read the account and every list of what it holds: sign_in: 1" in told
    assert refused == 2
    assert "closes the account pat@example.test in by-file, for good" in errors
    assert "not confirmed: nothing was changed" in errors
    assert await office.desk.still_in(keys)
    assert office.desk.script.effects == []


async def test_exit_codes_are_told_apart(office: Office):
    """What fails, and what could not begin."""
    await office.desk.hire("pat")
    bad, told, _ = await office.check("by-file", token="another")
    none, _, missing = await office.check("nowhere")
    hand, _, by_hand = await office.check("by-hand")
    keys, _, wrong = await office.check("by-file", "--known", "mail=x")
    absent, nobody, _ = await office.check("by-file", "--leaver", "email=x@y.test", "--yes")

    assert (bad, none, hand, keys, absent) == (1, 2, 2, 2, 1)
    assert "problem  health: " in told
    assert "known are by-file, by-hand, by-program" in missing
    assert "there is no connector to check" in by_hand
    assert "--known: write kind=value" in wrong
    assert "problem  locate: " in nobody
    assert TOKEN not in told


async def test_a_recipe_that_is_wrong_is_told_with_its_line(office: Office):
    """The command says what `doctor` says."""
    recipe = office.home / "desk.toml"
    recipe.write_text(recipe.read_text().replace('title = "Desk"', "titel = 1"))
    code, _, errors = await office.check("by-file")

    assert code == 2
    assert "desk.toml:2: titel: unknown key" in errors
