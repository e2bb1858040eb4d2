"""`lockstep sandbox`: whom a newcomer can let leave, and that nobody is reported by mistake."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from sandbox import company
from tests.support.ports import free_port
from tests.support.ready import loaded_once


def lockstep(folder: Path, *words: str) -> tuple[int, str]:
    """Exit code, and what the command said."""
    told = subprocess.run(
        [*loaded_once(), *words],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        env={
            "PATH": os.environ["PATH"], "HOME": str(folder),
            "LOCKSTEP_WEB__PORT": str(free_port()),  # the usual one may be somebody's
        },
    )  # fmt: skip
    return told.returncode, told.stdout + told.stderr


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sandbox")
    lockstep(folder, "init", "--sandbox")
    return folder


def test_people_are_listed_with_their_accounts(home: Path):
    """The same people as the sandbox begins with, and where each has an account."""
    code, told = lockstep(home, "sandbox", "people", "--limit", "3", "--json")

    assert code == 0, told
    listed = json.loads(told)
    assert [row["worker_id"] for row in listed] == [each.worker_id for each in company(3)]
    assert all(row["systems"] for row in listed)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("people", "--partner", "Nobody & Sons"), 2, "Tasman Back Office"),
        (("leave",), 2, "name somebody"),
        (("leave", "XX-1"), 2, "nobody of the company"),
        (("leave", "--any", "900"), 2, "only 500"),
        (("leave", "NC-00001"), 1, "0 of 1 were reported"),
    ],
)
def test_what_cannot_be_is_named(home: Path, words: tuple[str, ...], code: int, said: str):
    """A typing mistake, and a server that does not run, each by its reason."""
    found, told = lockstep(home, "sandbox", *words)

    assert (found, said in told) == (code, True), told


def test_made_up_people_are_not_reported_to_real_systems(home: Path, tmp_path: Path):
    """Settings without [sandbox] are somebody's own: nothing is posted there."""
    text = (home / "lockstep.toml").read_text()
    head, _, _ = text.partition("[sandbox]")
    (tmp_path / "lockstep.toml").write_text(f'{head}[systems.safe]\nconnector = "manual"\n')

    code, told = lockstep(tmp_path, "sandbox", "leave", "NC-00001")

    assert code == 2
    assert "no [sandbox]" in told
