"""What is installed is what the lock names, whatever was released after it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

from tests.deploy.compose_file import ROOT
from tests.deploy.stub_index import LATER, Pin, StubIndex, pins_of, requirements_of, unmet

LOCKS = {"dev": ("embedded", "peers", "dev", "build"), "runtime": ("build",)}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Of every lock that is installed somewhere: Linux and macOS, each Python that set-up looks for.
MACHINES = [
    {**default_environment(), "sys_platform": platform, "platform_system": system}
    | {"python_version": python, "python_full_version": f"{python}.1"}
    for platform, system in (("linux", "Linux"), ("darwin", "Darwin"))
    for python in ("3.11", "3.12", "3.13")
]
# Builds with nothing but itself, so that the stubs of a lock are all that is installed.
STUB_PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
STUB_BACKEND = """
import shutil

def build_wheel(folder, config_settings=None, metadata_directory=None):
    return shutil.copy("lockstep-0.1.0-py3-none-any.whl", folder).rpartition("/")[2]

build_editable = build_wheel
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """An environment without anything but pip: making one takes seconds, a copy of it does not."""
    folder = tmp_path_factory.mktemp("bare") / ".venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
    return folder


@pytest.fixture
def checkout(tmp_path, bare):
    """A folder that looks like ours to an installer, and an index of stubs."""

    class Checkout:
        folder = tmp_path / "checkout"
        index = StubIndex(tmp_path / "index")
        python = folder / ".venv" / "bin" / "python"

        def holds(self, name: str, text: str) -> None:
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

        def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
            """Run a program that finds the stubs, and no setting of this machine's pip."""
            environment = {n: v for n, v in os.environ.items() if not n.startswith("PIP_")}
            environment |= {
                "PATH": f"{self.python.parent}:{Path(sys.executable).parent}:{os.defpath}",
                "PIP_CONFIG_FILE": os.devnull,
                "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": str(self.index.folder),
            }
            return subprocess.run(
                argv, cwd=self.folder, env=environment, check=False, capture_output=True,
                text=True, timeout=240,
            )  # fmt: skip

        def installed(self) -> dict[str, str]:
            said = self.run(str(self.python), "-m", "pip", "list", "--format", "json")
            rows = {row["name"]: row["version"] for row in json.loads(said.stdout)}
            return {name: rows[name] for name in rows.keys() - {"pip", "setuptools"}}

    made = Checkout()
    made.index.folder.mkdir()
    made.holds("pyproject.toml", STUB_PROJECT)
    shutil.copytree(bare, made.folder / ".venv", symlinks=True)
    made.holds(".venv/bin/pip", '#!/bin/sh\nexec python -m pip "$@"\n')  # the copy's, not bare's
    made.holds("backend.py", STUB_BACKEND)
    StubIndex(made.folder).offer("lockstep", "0.1.0")
    made.holds("scripts/setup.sh", (ROOT / "scripts" / "setup.sh").read_text())
    return made


def stubs(checkout, lock: str) -> dict[str, str]:
    """The lock's own releases and a later one of each are offered; returns what must come of it."""
    pins = pins_of(ROOT / "locks" / f"{lock}.txt")
    asked = {pin.name: requirements_of(pin.name) for pin in pins}
    checkout.holds(f"locks/{lock}.txt", checkout.index.lock(pins, asked))
    here = [p for p in pins if not p.marker or Requirement(f"x;{p.marker}").marker.evaluate()]
    return {pin.name: pin.version for pin in here}


def a_lock_with_an_extra(checkout) -> None:
    """`user` asks for `asked[more]`, as FastAPI's friends ask for `pydantic[email]`."""
    requires = {"user": ["asked[more]>=1"], "asked": ["extra ; extra == 'more'"], "extra": []}
    pins = [Pin("user", "1"), Pin("asked", "1"), Pin("extra", "1")]
    checkout.holds("locks/dev.txt", checkout.index.lock(pins, requires))


def test_setup_takes_the_releases_of_the_lock(checkout):
    """With a newer release of every locked package on offer, set-up installs the locked ones."""
    expected = stubs(checkout, "dev")

    said = checkout.run("sh", "scripts/setup.sh", ".venv")

    assert said.returncode == 0, said.stderr
    assert checkout.installed() == {**expected, "lockstep": "0.1.0"}
    assert said.stdout == "Setting up .venv (a minute or two the first time)\n"
    assert said.stderr == ""


def test_the_image_takes_the_releases_of_its_lock(checkout):
    """The Dockerfile's own commands do so too, and end by checking what they installed."""
    expected = stubs(checkout, "runtime")
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    commands = re.findall(r"^RUN (pip .+)$", text, re.MULTILINE)

    said = [checkout.run("sh", "-c", command) for command in commands]

    assert [each.returncode for each in said] == [0] * len(commands), said
    assert checkout.installed() == {**expected, "lockstep": "0.1.0"}
    assert "No broken requirements" in said[-1].stdout


def test_setup_takes_the_releases_of_a_lock_with_an_extra(checkout):
    """A dependency that is asked for with an extra is not looked for anew."""
    a_lock_with_an_extra(checkout)

    said = checkout.run("sh", "scripts/setup.sh", ".venv")

    assert said.returncode == 0, said.stderr
    assert checkout.installed() == {"user": "1", "asked": "1", "extra": "1", "lockstep": "0.1.0"}


def test_a_setup_that_resolves_is_noticed(checkout):
    """The guard can fail: without --no-deps, pip wants the later release and stops."""
    a_lock_with_an_extra(checkout)
    script = checkout.folder / "scripts" / "setup.sh"
    script.write_text(script.read_text().replace("--require-hashes --no-deps", "--require-hashes"))

    said = checkout.run("sh", "scripts/setup.sh", ".venv")

    assert said.returncode == 1
    assert f"asked-{LATER}" in said.stderr
    assert "could not be installed" in said.stderr


def test_an_incomplete_lock_fails_the_setup(checkout):
    """What is installed is checked, and the message says what to do."""
    digest = checkout.index.offer("user", "1", ["absent>=1"])
    checkout.holds("locks/dev.txt", f"user==1 --hash=sha256:{digest}\n")

    said = checkout.run("sh", "scripts/setup.sh", ".venv")

    assert said.returncode == 1
    assert "user 1 requires absent, which is not installed." in said.stderr
    assert "'make lock' writes it" in said.stderr


def test_a_broken_environment_is_made_anew(checkout):
    """A folder that an interrupted set-up left behind without pip does not stop the next one."""
    checkout.holds("locks/dev.txt", "")
    checkout.holds(".venv/lib/left-over", "")
    checkout.python.unlink()
    checkout.holds(".venv/bin/python", "#!/bin/sh\nexit 1\n")
    checkout.python.chmod(0o755)

    said = checkout.run("sh", "scripts/setup.sh", ".venv")

    assert said.returncode == 0, said.stderr
    assert not (checkout.folder / ".venv/lib/left-over").exists()


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: m["sys_platform"] + m["python_version"])
@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_all_that_is_asked_for(lock, machine):
    """Every requirement of every locked release, extras included, is met by the lock itself."""
    pins, roots = what_is_asked_for(lock)
    requires = {pin.name: requirements_of(pin.name) for pin in pins}

    assert unmet(roots, pins, requires, machine) == []


@pytest.mark.parametrize("absent", ["email-validator", "greenlet", "editables"])
def test_what_a_lock_lacks_is_noticed(absent):
    """The guard can fail: behind an extra, behind a dependency, and of our own."""
    pins, roots = what_is_asked_for("dev")
    requires = {pin.name: requirements_of(pin.name) for pin in pins}
    fewer = [pin for pin in pins if pin.name != absent]
    older = [Pin(p.name, "0.0.1") if p.name == absent else p for p in pins]

    assert len(fewer) == len(pins) - 1
    assert any(absent in each for each in unmet(roots, fewer, requires, MACHINES[0]))
    assert unmet(roots, older, requires, MACHINES[0])


def what_is_asked_for(lock: str) -> tuple[list[Pin], list[Requirement]]:
    optional = PROJECT["optional-dependencies"]
    asked = [*PROJECT["dependencies"], *(row for extra in LOCKS[lock] for row in optional[extra])]
    return pins_of(ROOT / "locks" / f"{lock}.txt"), [Requirement(each) for each in asked]


def test_nothing_installs_from_a_lock_by_resolving():
    """Every command anywhere that installs from a lock takes it as it stands, by hash."""
    said = subprocess.run(
        [shutil.which("git") or "git", "grep", "-IhE", "-e", r"-r locks/", "--", ".", ":!tests"],
        cwd=ROOT, check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    commands = [line for line in said.stdout.splitlines() if "install" in line]

    assert len(commands) >= 2
    assert [c for c in commands if "--no-deps" not in c or "--require-hashes" not in c] == []
