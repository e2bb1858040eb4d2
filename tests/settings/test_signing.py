"""The ledger's signing key: read in two forms, refused in one line, never quoted."""

from __future__ import annotations

import base64

import pytest

from lockstep.evidence.format.notes import FileSigner
from lockstep.settings import Part, SettingsError, check_settings, load_settings
from lockstep.storage.keys.keyring import Keyring

SEED = bytes(range(32))
SETTINGS = """
tenant = "acme"
keyring = "file:keyring.json"
[database]
mode = "external"
url = "env:TEST_DATABASE_URL"
[ledger]
key = "file:ledger.key"
{more}
[systems.badge]
connector = "manual"
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_DATABASE_URL", "postgresql://localhost/x")
    Keyring.generate().save(tmp_path / "keyring.json")

    def made(key: str | None, more: str = ""):
        if key is not None:
            (tmp_path / "ledger.key").write_text(key)
        (tmp_path / "lockstep.toml").write_text(SETTINGS.format(more=more))
        return load_settings(tmp_path / "lockstep.toml")

    return made


def test_the_key_that_init_writes(load):
    """It is named by the ledger, and signs as itself."""
    key = FileSigner.generate("acme/lockstep-ledger")
    settings = load(key.to_text() + "\n")

    assert settings.ledger_origin == "acme/lockstep-ledger"
    assert settings.open_signer() == key
    assert check_settings(settings) == []


def test_bare_random_bytes(load):
    """What a shell script can make: 32 bytes in base64, named by the ledger they are used for."""
    settings = load(base64.b64encode(SEED).decode(), 'origin = "acme.example/log"')

    assert settings.open_signer() == FileSigner("acme.example/log", SEED)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (None, "(No such file or directory): create it, or make one with `lockstep ledger key"),
        ("", "is empty"),
        ("whatever", "this is no signing key"),
        (base64.b64encode(SEED[1:]).decode(), "this is no signing key"),
        (FileSigner("acme/another", SEED).to_text(), "the key is named acme/another, but the"),
        (FileSigner("acme/lockstep-ledger", SEED).verifier.to_text(), "this is no signing key"),
        (FileSigner("acme/lockstep-ledger", SEED).to_text()[:-4] + "AAAA", "copied wrongly"),
    ],
)
def test_a_key_that_cannot_be_used(load, key, words):
    """One line says which setting, what is wrong and what to do, and quotes nothing of the key."""
    settings = load(key)
    with pytest.raises(SettingsError) as caught:
        settings.open_signer()
    [problem] = caught.value.problems

    assert problem.startswith("ledger.key: ")
    assert words in problem
    assert base64.b64encode(SEED).decode()[10:20] not in problem
    assert check_settings(settings, Part.WORKER) == [problem]
    assert check_settings(settings, Part.WEB) == []
