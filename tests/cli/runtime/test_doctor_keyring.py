"""What `doctor` says of a keyring."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lockstep.cli.runtime.doctor import keyring_checks
from lockstep.settings import Settings
from lockstep.storage.keys.keyring import Keyring


@pytest.mark.parametrize("is_old", [True, False])
def test_a_keyring_that_reads_payloads_of_anywhere_is_named(
    tmp_path: Path, ring: Keyring, *, is_old: bool
) -> None:
    """Until its owner ends it, somebody could repeat one leaver's old result in another's case."""
    place = tmp_path / "keyring.json"
    dataclasses.replace(ring, unbound=frozenset(ring.keys if is_old else ())).save(place)
    settings = Settings.model_construct(keyring=f"file:{place}", base=tmp_path)
    [check] = keyring_checks(settings)
    assert check.level == ("warning" if is_old else "ok")
    assert ('"unbound": []' in check.fix) is is_old


def test_a_keyring_that_cannot_be_read_is_said_elsewhere(tmp_path: Path) -> None:
    """It is a problem of the settings, which doctor tells first."""
    settings = Settings.model_construct(keyring=f"file:{tmp_path / 'none'}", base=tmp_path)
    assert keyring_checks(settings) == []
