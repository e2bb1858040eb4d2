"""What a checkout keeps to itself, and what it says of its licence."""

from __future__ import annotations

import subprocess
import tomllib

import pytest

from tests.deploy.compose_file import ROOT


def is_ignored(name: str) -> bool:
    asked = ["git", "check-ignore", "--quiet", "--no-index", name]
    return subprocess.run(asked, cwd=ROOT, check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("name", [".env", ".lockstep/keyring.json", "deploy/secrets/keyring.json"])
def test_secrets_are_not_committed(name):
    """Settings of this machine and its secrets are ignored by git."""
    assert is_ignored(name)


def test_the_example_environment_is_committed():
    """The guard above can fail, and the example is no secret."""
    assert not is_ignored(".env.example")
    assert (ROOT / ".env.example").is_file()


def test_the_licence_is_open_or_it_is_there():
    """Without a LICENSE file the package claims no licence, and no index takes it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    if (ROOT / "LICENSE").exists():
        assert "license" in project
        return

    assert "license" not in project
    assert "Private :: Do Not Upload" in project["classifiers"]
    assert "no licence is granted" in (ROOT / "README.md").read_text()
