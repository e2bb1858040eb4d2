"""`lockstep connect`, as an operator who has a token in their hand runs it."""

from __future__ import annotations

import asyncio
import os
import pty
import shutil
import sys
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connectors.registry import MANIFESTS
from lockstep.evidence.format.notes import FileSigner
from lockstep.storage.keys.keyring import Keyring
from tests.connectors.desk import TOKEN, DeskHarness
from tests.connectors.program.harness import EXAMPLES
from tests.support.ready import loaded_once

LOCKSTEP = Path(sys.executable).parent / "lockstep"
SETTINGS = """\
# ours, do not touch
tenant = "acme"
keyring = "file:keyring.json"

[systems.by-hand]   # the safe
connector = "manual"

[ledger]
key = "file:ledger.key"
"""


class Office:
    """A folder with settings, and a desk that is not in them yet."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.file = home / "lockstep.toml"
        self.url = ""

    async def connect(self, *words: str, said: str = "") -> tuple[int, str]:
        """Exit code, and everything that the command said."""
        command = await asyncio.create_subprocess_exec(
            *loaded_once(), "connect", *words, "--config", self.file,
            stdin=-1, stdout=-1, stderr=-2,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home)},
        )  # fmt: skip
        async with asyncio.timeout(60):
            told, _ = await command.communicate(said.encode())
        return command.returncode or 0, told.decode()

    def systems(self) -> dict[str, dict[str, object]]:
        found: dict[str, dict[str, object]] = tomllib.loads(self.file.read_text())["systems"]
        return found

    def secrets(self) -> list[Path]:
        return sorted((self.home / ".lockstep").glob("*"))


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    made = Office(tmp_path)
    shutil.copy(EXAMPLES / "desk.toml", tmp_path / "desk.toml")
    Keyring.generate().save(tmp_path / "keyring.json")
    (tmp_path / "ledger.key").write_text(FileSigner.generate("acme/lockstep-ledger").to_text())
    made.file.write_text(SETTINGS)
    async with DeskHarness("desk").served() as url:
        made.url = url
        yield made


SECRET_TAKER = next(kind for kind, each in MANIFESTS.items() if not each.is_product)
"""A connector with one address and one token."""
DESK = ("desk", "--connector", "recipe", "--set", "recipe=desk.toml")


async def test_a_system_that_answers_is_written_and_the_rest_of_the_file_stays(office: Office):
    """What was asked stands in the file, comments stay, and the typed secret is in none of it."""
    code, told = await office.connect(*DESK, "--set", f"base_url={office.url}", said=f"{TOKEN}\n")

    assert code == 0, told
    (secret,) = office.secrets()
    assert office.systems()["desk"] == {
        "connector": "recipe",
        "tier": 1,
        "recipe": "desk.toml",
        "base_url": office.url,
        "token": f"file:.lockstep/{secret.name}",
    }
    written = iter(office.file.read_text().splitlines())
    assert all(line in written for line in SETTINGS.splitlines())  # each one, in this order
    assert secret.read_text().strip() == TOKEN
    assert secret.stat().st_mode & 0o077 == 0
    assert TOKEN not in told
    assert TOKEN not in office.file.read_text()


async def test_what_the_system_refuses_is_not_written(office: Office):
    """A wrong token leaves no trace, and the exit code says that nothing was written."""
    code, told = await office.connect(*DESK, "--set", f"base_url={office.url}", said="wrong\n")

    assert code == 1
    assert "nothing was written" in told
    assert office.file.read_text() == SETTINGS
    assert not office.secrets()
    assert {path.name for path in office.home.iterdir()} == {
        ".lockstep", "desk.toml", "keyring.json", "ledger.key", "lockstep.toml",
    }  # fmt: skip


async def test_a_secret_is_changed_without_losing_the_old_one(office: Office):
    """The new token is tried first; the old file stays until somebody deletes it."""
    address = ("--set", f"base_url={office.url}")
    await office.connect(*DESK, *address, said=f"{TOKEN}\n")
    before = office.systems()["desk"]

    code, _ = await office.connect("desk", "--secret", "token=-", said="wrong\n")
    assert code == 1
    assert office.systems()["desk"] == before

    code, told = await office.connect("desk", "--secret", "token=-", said=f"{TOKEN}\n")
    assert code == 0, told
    assert office.systems()["desk"] == before | {"token": "file:.lockstep/desk.token2.secret"}
    assert len(office.secrets()) == 2


async def test_what_somebody_wrote_meanwhile_is_kept(office: Office):
    """Asking takes minutes: what was written until then is not written over; a link stays one."""
    kept = office.file.rename(office.home / "kept.toml")
    office.file.symlink_to(kept)
    command = await asyncio.create_subprocess_exec(
        *loaded_once(), "connect", *DESK, "--set", f"base_url={office.url}",
        "--config", office.file, stdin=-1, stdout=-1, stderr=-2,
        env={"PATH": os.environ["PATH"], "HOME": str(office.home)},
    )  # fmt: skip
    assert command.stdout is not None
    async with asyncio.timeout(60):
        await command.stdout.readuntil(b"token (")
        kept.write_text(SETTINGS + "# mine\n")
        told, _ = await command.communicate(f"{TOKEN}\n".encode())
    assert command.returncode == 2
    assert b"changed it meanwhile" in told
    assert kept.read_text() == SETTINGS + "# mine\n"
    assert not office.secrets()

    code, said = await office.connect(*DESK, "--set", f"base_url={office.url}", said=f"{TOKEN}\n")
    assert code == 0, said
    assert office.file.is_symlink()
    assert "[systems.desk]" in kept.read_text()


@pytest.mark.parametrize(
    ("words", "said", "told"),
    [
        (("Desk",), "", "small letters"),
        (("desk", "--connector", "desc"), "", "there is none named so"),
        (
            ("desk", "--connector", SECRET_TAKER, "--set", "base=x"),
            "a\nb\n",
            "no such option: base",
        ),
        (
            ("desk", "--connector", SECRET_TAKER, "--secret", "token=abc"),
            "a\n",
            "env:NAME or file:PATH",
        ),
        (("desk", "--connector", SECRET_TAKER), "", "nobody answers"),
        (("by-hand", "--connector", SECRET_TAKER), "", "is a system of manual already"),
        (("desk", "--connector", SECRET_TAKER, "--set", "base_url"), "", "OPTION=VALUE"),
        (("desk", "--connector", "manual", "--tier", "7"), "", "tier"),
        ((*DESK[:-1], "recipe=none.toml"), "", "none.toml"),
    ],
)
async def test_what_cannot_be_used_is_named_and_nothing_is_written(
    office: Office, words: tuple[str, ...], said: str, told: str
):
    """Each mistake ends with 2 and its reason; a misplaced secret is not repeated."""
    code, answer = await office.connect(*words, said=said)

    assert code == 2, answer
    assert told in answer
    assert "abc" not in answer.replace("token=abc", "")
    assert office.file.read_text() == SETTINGS
    assert not office.secrets()


async def test_a_terminal_does_not_show_what_is_typed_for_a_secret(office: Office):
    """On a real terminal the secret is read without an echo."""
    ours, theirs = pty.openpty()
    command = await asyncio.create_subprocess_exec(
        LOCKSTEP, "connect", *DESK, "--set", f"base_url={office.url}", "--config", office.file,
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={"PATH": os.environ["PATH"], "HOME": str(office.home), "TERM": "dumb"},
    )  # fmt: skip
    os.close(theirs)
    shown = ""
    async with asyncio.timeout(60):
        while "token (" not in shown:
            shown += (await asyncio.to_thread(os.read, ours, 4096)).decode()
        await asyncio.sleep(0.2)  # getpass switches the echo off after it has asked
        os.write(ours, f"{TOKEN}\n".encode())
        while "Wrote" not in shown:
            shown += (await asyncio.to_thread(os.read, ours, 4096)).decode()
        assert await command.wait() == 0
    os.close(ours)
    assert TOKEN not in shown
