"""deploy/lockstep.compose.toml fits docker-compose.yml, make-secrets.sh and our own validation."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from lockstep.settings import Part, SettingsError, check_settings, load_settings
from tests.deploy.compose_file import ROOT, load

SETTINGS = ROOT / "deploy" / "lockstep.compose.toml"


@pytest.fixture
def secrets(tmp_path):
    """What deploy/make-secrets.sh makes."""
    folder = tmp_path / "made"
    subprocess.run(
        ["sh", ROOT / "deploy/make-secrets.sh", folder],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return folder


@pytest.fixture
def as_in(tmp_path, secrets, monkeypatch):
    """The settings as one service sees them: its environment, and its secrets only."""
    compose = load()

    def see(name):
        service = compose.services[name]
        mounted = tmp_path / name
        mounted.mkdir()
        for secret in service.secrets:
            source = secrets / Path(compose.secrets[secret].file).name
            (mounted / secret).write_text(source.read_text())
        for variable, value in service.environment.items():
            monkeypatch.setenv(variable, value)
        text = SETTINGS.read_text()
        assert "/run/secrets" in text
        file = tmp_path / f"{name}.toml"
        file.write_text(text.replace("/run/secrets", str(mounted)))
        return load_settings(file)

    return see


@pytest.mark.parametrize("name", ["worker", "web"])
def test_servers_find_every_secret_they_check(as_in, name):
    """Worker and web pass the check that they make when they start."""
    assert check_settings(as_in(name), Part(name)) == []


@pytest.mark.parametrize(
    ("name", "secret"),
    [(name, secret) for name in ("worker", "web") for secret in load().services[name].secrets],
)
def test_no_server_is_given_a_secret_that_it_does_not_need(as_in, tmp_path, name, secret):
    """Without any one of those that Compose hands it, a server refuses to start, naming it."""
    settings = as_in(name)
    (tmp_path / name / secret).unlink()

    [problem] = check_settings(settings, Part(name))
    assert secret in problem


def test_migrate_is_the_only_one_with_the_owner(as_in):
    """`lockstep migrate` can read the owner's URL; worker and web cannot."""
    owner = make_url(as_in("migrate").database_url(owner=True))
    assert owner.username == "lockstep_owner"
    for name in ("worker", "web"):
        settings = as_in(name)
        assert make_url(settings.database_url()).username == "lockstep_service"
        with pytest.raises(SettingsError, match="cannot read"):
            settings.database_url(owner=True)


def test_addresses_are_those_of_the_services(as_in):
    """Hosts, ports and namespace in the settings are the ones that Compose makes."""
    compose = load()
    settings = as_in("worker")
    database = make_url(settings.database_url())
    assert compose.services[database.host].image.startswith("postgres:")
    assert database.port == 5432
    assert database.database == "lockstep"
    host, _, port = settings.temporal.address.partition(":")
    assert compose.services[host].healthcheck.test[-1] == port
    assert (
        compose.services["temporal-namespace"].environment["TEMPORAL_ADDRESS"] == f"{host}:{port}"
    )
    namespace = compose.services["temporal-namespace"].environment["NAMESPACE"]
    assert namespace == settings.temporal.namespace


def test_the_published_port_is_the_one_that_web_listens_on(as_in):
    """The container's side of the published port is web.port, on all of its interfaces."""
    settings = as_in("web")
    [port] = load().services["web"].ports
    assert port.rpartition(":")[2] == str(settings.web.port)
    assert settings.web.bind == "0.0.0.0"


def test_data_goes_to_the_volume(as_in):
    """What is written to data_dir is on the volume, not in the container."""
    settings = as_in("web")
    assert str(settings.path(settings.data_dir)) in [
        volume.partition(":")[2] for volume in load().services["web"].volumes
    ]
