"""`make digests` pins every image that compose starts, and overwrites nothing."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
import yaml

from tests.deploy.compose_file import ROOT, load

DOCKER = """#!/bin/sh
# Stands for the registry: a digest that hangs on the name.
[ "$1 $2 $3" = "buildx imagetools inspect" ] || exit 9
printf 'sha256:%s' "$(printf %s "$6" | sha256sum | cut -d' ' -f1)"
"""


@pytest.fixture
def checkout(tmp_path):
    for name in ("docker-compose.yml", "Dockerfile"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(DOCKER)
    (tmp_path / "bin" / "docker").chmod(0o755)
    return tmp_path


def run(checkout):
    return subprocess.run(
        ["sh", ROOT / "scripts/digests.sh"],
        cwd=checkout,
        env={**os.environ, "PATH": f"{checkout / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_every_image_but_ours_is_pinned(checkout):
    """Under the tag that docker-compose.yml names; of our own image the base is told."""
    done = run(checkout)
    made = yaml.safe_load((checkout / "docker-compose.override.yml").read_text())["services"]

    assert done.returncode == 0, done.stderr
    wanted = {
        name: each.image
        for name, each in load().services.items()
        if not each.image.startswith("lockstep:")
    }
    assert {name: each["image"].partition("@")[0] for name, each in made.items()} == wanted
    assert all("@sha256:" in each["image"] for each in made.values())
    assert "python:3.11" in done.stdout
    assert "@sha256:" in done.stdout


def test_what_is_pinned_already_stays(checkout):
    """It may have been compared with what another network gave."""
    (checkout / "docker-compose.override.yml").write_text("mine")

    assert run(checkout).returncode == 1
    assert (checkout / "docker-compose.override.yml").read_text() == "mine"


def test_without_a_registry_nothing_is_written(checkout):
    """Half a file would pin half of the images."""
    (checkout / "bin" / "docker").write_text("#!/bin/sh\nexit 1\n")

    assert run(checkout).returncode != 0
    assert not (checkout / "docker-compose.override.yml").exists()
