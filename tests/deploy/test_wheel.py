"""The wheel by itself: installed elsewhere, without the checkout, everything works."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep.cli.runtime.stand_ins import usual_ports
from tests.deploy.wheel_home import ROOT, build_wheel, install, plain_environment
from tests.support.children import child
from tests.support.homes import server_home
from tests.support.ports import free_port

pytestmark = pytest.mark.e2e
PACKAGES = ("lockstep", "workflows", "activities", "connectors", "migrations", "sandbox")


@pytest.fixture(scope="module")
def programs() -> Iterator[Path]:
    """The `bin` of an environment with the wheel, where the database's own user can pass too."""
    with server_home() as folder:
        yield install(build_wheel(folder), folder / "environment")


@pytest.fixture
def home():
    with server_home() as folder:
        yield folder


@pytest.fixture
def run(programs, home):
    """Run a command in the new home, to its end."""

    def command(*argv: str, within_s: float = 240) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [programs / argv[0], *argv[1:]], cwd=home, env=plain_environment(home, programs),
            check=False, capture_output=True, text=True, timeout=within_s,
        )  # fmt: skip

    return command


def test_our_packages_come_from_the_wheel(run, programs):
    """None of them from the checkout, or what follows would prove nothing; nothing is missing."""
    code = f"import {', '.join(PACKAGES)}; print(*(m.__file__ for m in ({', '.join(PACKAGES)})))"
    places = run("python", "-c", code)

    assert places.returncode == 0, places.stderr
    assert len(places.stdout.split()) == len(PACKAGES)
    for place in places.stdout.split():
        assert Path(place).is_relative_to(programs.parent)
    assert run("python", "-c", "import pytest").returncode != 0
    assert str(ROOT) not in run("python", "-c", "import sys; print(sys.path)").stdout


def test_what_the_wheel_asks_for_is_there(programs):
    """Its metadata name everything; `pip check` finds nothing missing or too old."""
    said = subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(programs / "python"), "check"],
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip

    assert said.returncode == 0, said.stdout


def test_the_demo_works(run):
    """A sample leaver, from webhook to closed doors, on servers from the environment itself."""
    said = run("lockstep", "demo", "--once")

    assert said.returncode == 0, said.stdout + said.stderr
    assert "Every door is closed and read back." in said.stdout
    assert "prints a link into the console" in said.stdout


def test_a_new_home_works(run, programs, home):
    """`init`, `up` and `doctor` in an empty folder; the console's page comes with its styles."""
    begun = run("lockstep", "init", "--sandbox")
    settings = home / "lockstep.toml"
    text = settings.read_text()
    for port in (*usual_ports().values(), 7233, 8080):  # others may have these
        text = text.replace(str(port), str(free_port()))
    settings.write_text(text)
    with child(
        [programs / "lockstep", "up", "--sandbox"], cwd=home, text=True, within_s=300,
        env=plain_environment(home, programs), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as up:  # fmt: skip
        said = []
        while not re.search(r"^  (http://\S+/console/sign-in/link\S+)", said[-1] if said else ""):
            said.append(up.stdout.readline())
            assert said[-1], "".join(said)
        link = said[-1].strip()
        page = run("python", "-c", f"import httpx; print(httpx.get({link!r}).text)").stdout
        style = re.search(r'href="(/console/static/[^"]+\.css[^"]*)"', page)[1]
        root = link.partition("/console")[0]
        shown = run("python", "-c", f"import httpx; print(httpx.get({root + style!r}).text)")
        doctor = run("lockstep", "doctor")
        up.terminate()
        up.stdout.read()

        assert up.wait(timeout=60) == 0
    assert begun.returncode == 0
    assert "Next: lockstep up --sandbox" in begun.stdout
    assert "{" in shown.stdout
    assert doctor.returncode == 0, doctor.stdout
    assert "Nothing to mend; " in doctor.stdout or "Everything is in order." in doctor.stdout
