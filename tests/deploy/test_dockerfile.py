"""The image: pinned, minimal, not root, and healthy when the web answers."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from lockstep.settings import load_settings
from lockstep.storage.keys.keyring import Keyring
from lockstep.web.app import build_app
from tests.deploy.compose_file import ROOT


def instructions():
    """Instructions of the Dockerfile as (name, rest), continued lines joined."""
    text = (ROOT / "Dockerfile").read_text()
    lines = re.sub(r"\\\n(\s*#.*\n)*", " ", text).splitlines()
    rows = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return [(row.split()[0], row.partition(" ")[2].strip()) for row in rows]


@pytest.fixture(scope="module")
def dockerfile():
    return instructions()


def of(dockerfile, name):
    return [rest for kind, rest in dockerfile if kind == name]


def test_both_stages_use_one_pinned_image(dockerfile):
    """Build and run happen on the same patch release, of the Python that we support."""
    tags = {rest.split()[0] for rest in of(dockerfile, "FROM")}
    assert len(of(dockerfile, "FROM")) == 2
    [tag] = tags
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", tag)


def test_installation_is_locked(dockerfile):
    """Packages come by hash from the lock only, and from no address of ours."""
    pips = [rest for rest in of(dockerfile, "RUN") if "pip" in rest]
    assert pips == [
        "pip install --require-hashes --no-deps -r locks/runtime.txt",
        "pip install --no-deps --no-build-isolation . && pip check",
    ]
    text = (ROOT / "Dockerfile").read_text()
    assert not re.search(r"index-url|trusted-host|https?://(?!127\.0\.0\.1)|\nADD", text)


def test_everything_that_is_copied_exists_and_nothing_is_forgotten(dockerfile):
    """The build sees each package of the wheel, and the context lets exactly that through."""
    copied = {
        source
        for rest in of(dockerfile, "COPY")
        if not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert all((ROOT / source).exists() for source in copied)
    assert {*packages, "pyproject.toml", project["project"]["readme"]} <= copied
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    assert allowed == copied


def test_it_does_not_run_as_root(dockerfile):
    """The last user is a number other than 0, so that orchestrators can check it."""
    assert of(dockerfile, "USER") == ["10001:10001"]
    names = [kind for kind, _ in dockerfile]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert names.index("USER") > max(i for i, kind in enumerate(names) if kind in {"RUN", "COPY"})


def test_it_starts_our_command(dockerfile):
    """The entry point is the script that pyproject.toml installs."""
    [entrypoint] = of(dockerfile, "ENTRYPOINT")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert json.loads(entrypoint)[0] in project["project"]["scripts"]


def test_the_health_check_asks_a_route_that_exists(dockerfile, tmp_path, monkeypatch):
    """Port and path of the health check are served by `lockstep web` under our settings."""
    monkeypatch.setenv("LOCKSTEP_TENANT", "acme")
    (tmp_path / "secret").write_text("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3")
    text = (ROOT / "deploy/lockstep.compose.toml").read_text()
    file = tmp_path / "lockstep.toml"
    file.write_text(text.replace("/run/secrets/hr_webhook_secret", str(tmp_path / "secret")))
    settings = load_settings(file)
    app = build_app(settings, "postgresql://nobody@127.0.0.1:1/none", Keyring.generate())
    [check] = of(dockerfile, "HEALTHCHECK")
    port, path = re.search(r"http://127\.0\.0\.1:(\d+)(/\w+)", check).groups()
    assert int(port) == settings.web.port
    assert app.url_path_for("readyz") == path
    assert of(dockerfile, "EXPOSE") == [port]
