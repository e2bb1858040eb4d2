"""docker-compose.yml says what our code and the mounted files really offer."""

from __future__ import annotations

import re
import subprocess

import pytest
import typer
import yaml
from pydantic import ValidationError

import lockstep
from lockstep.cli.main import app
from lockstep.embedded import postgres as embedded_postgres
from lockstep.embedded import temporal as embedded_temporal
from lockstep.embedded.temporal import find_temporal_binary
from tests.deploy.compose_file import COMPOSE, ENVIRONMENT, ROOT, load, parse

OURS = ("migrate", "worker", "web")
JOBS = {"temporal-schema", "temporal-namespace", "migrate"}
SERVICES = sorted(load().services)


@pytest.fixture(scope="module")
def compose():
    return load()


def command_of(arguments):
    """Parse a command line as the installed program would; the program is not run."""
    group = typer.main.get_command(app)
    context = group.make_context("lockstep", list(arguments))
    name, command, rest = group.resolve_command(context, [*arguments])
    return command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("wrong", ["helthcheck: {}", "port: ['80:80']", "healthcheck: [CMD]"])
def test_a_misspelt_key_is_noticed(wrong):
    """A key or a type that the specification does not have is refused."""
    text = COMPOSE.read_text().replace("  web:\n", f"  web:\n    {wrong}\n")
    with pytest.raises((ValidationError, yaml.YAMLError)):
        parse(text, ENVIRONMENT)


@pytest.mark.parametrize("missing", sorted(ENVIRONMENT))
def test_what_must_be_set_has_no_default(missing):
    """Without the place of the secrets, or without a tenant, nothing starts."""
    rest = {name: value for name, value in ENVIRONMENT.items() if name != missing}
    with pytest.raises(KeyError, match=r"\.env"):
        parse(COMPOSE.read_text(), rest)


def test_the_example_environment_names_what_must_be_set():
    """.env.example has a line for every variable that the file demands."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert set(ENVIRONMENT) == {line.partition("=")[0] for line in lines if line[:1].isalpha()}


@pytest.mark.parametrize("name", OURS)
def test_commands_exist(compose, name):
    """Each of our services runs a registered command with options that it takes."""
    service = compose.services[name]
    context = command_of(service.command)
    assert context.info_name == name
    assert str(context.params["config"]) == "/etc/lockstep/lockstep.toml"
    assert any(volume.split(":")[1] == str(context.params["config"]) for volume in service.volumes)


def test_a_wrong_command_is_noticed():
    """The check above can fail."""
    with pytest.raises(Exception, match=r"No such (command|option)"):
        command_of(["worker", "--conf", "/etc/lockstep/lockstep.toml"])
    with pytest.raises(Exception, match=r"No such (command|option)"):
        command_of(["wroker"])


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hemmed_in(compose, name):
    """No new privileges, no capabilities, bounded resources, bounded logs, a restart policy."""
    service = compose.services[name]
    limits = service.deploy.resources.limits
    assert service.security_opt == ["no-new-privileges:true"]
    assert service.cap_drop == ["ALL"]
    assert float(limits.cpus) > 0
    assert limits.pids > 0
    assert re.fullmatch(r"\d+[mg]", limits.memory)
    assert service.logging["options"]["max-size"]
    assert service.restart == ("on-failure:5" if name in JOBS else "unless-stopped")


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(compose, name):
    """Every image has a full version as its tag."""
    assert re.fullmatch(r"[a-z/-]+:\d+\.\d+(\.\d+)?(-trixie)?", compose.services[name].image)


@pytest.mark.parametrize("name", SERVICES)
def test_no_password_is_in_an_environment(compose, name):
    """Environments hold paths of secrets at most, because `docker inspect` shows them."""
    for key, value in compose.services[name].environment.items():
        if re.search(r"PASS|PWD|SECRET|TOKEN|KEY", key):
            assert value.startswith("/run/secrets"), key


def test_ports_are_published_on_loopback_only(compose):
    """Nothing can be reached from another machine, and only web at all.

    Temporal's user interface answers to any Host header, so that a page of elsewhere could read it
    by a name of its own that leads to loopback; it is not here.
    """
    published = {name: each.ports for name, each in compose.services.items() if each.ports}
    assert {"web"} == set(published)
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_networks_are_as_narrow_as_can_be(compose):
    """Databases and Temporal have no way out; only the worker leads to vendors."""
    members = {
        network: {name for name, each in compose.services.items() if network in each.networks}
        for network in compose.networks
    }
    assert {"database", "temporal"} == {n for n, each in compose.networks.items() if each.internal}
    assert {"worker"} == members["vendors"]
    assert {"web"} == members["edge"]
    assert compose.services["postgres"].networks == ["database"]
    assert "temporal-namespace" not in members["database"]


def test_everything_named_is_defined(compose):
    """Networks, secrets, volumes and dependencies are defined, and every definition is used."""
    used = {"networks": set(), "secrets": set(), "volumes": set()}
    for service in compose.services.values():
        used["networks"].update(service.networks)
        used["secrets"].update(service.secrets)
        sources = [volume.split(":")[0] for volume in service.volumes]
        used["volumes"].update(source for source in sources if not source.startswith("."))
        assert set(service.depends_on) <= set(compose.services)
    assert used["networks"] == set(compose.networks)
    assert used["secrets"] == set(compose.secrets)
    assert used["volumes"] == set(compose.volumes)


def test_mounted_files_exist(compose):
    """Every file or folder that is mounted, and every script run from one, is in the repository."""
    for service in compose.services.values():
        mounts = {v.split(":")[1]: ROOT / v.split(":")[0] for v in service.volumes if v[0] == "."}
        for volume in service.volumes:
            if volume.startswith("."):
                assert volume.endswith(":ro"), volume
        assert all(path.exists() for path in mounts.values())
        for argument in (*service.command, *service.environment.values()):
            if argument.startswith("/deploy/"):
                assert (mounts["/deploy"] / argument.removeprefix("/deploy/")).is_file()


def test_servers_wait_for_what_they_need(compose):
    """Jobs are waited for until they succeed; the web does not wait for Temporal."""
    for service in compose.services.values():
        for name, each in service.depends_on.items():
            expected = "service_completed_successfully" if name in JOBS else "service_healthy"
            assert each.condition == expected
            if each.condition == "service_healthy":
                assert compose.services[name].healthcheck.test
    assert {"migrate"} == set(compose.services["web"].depends_on)
    assert {"migrate", "temporal-namespace"} == set(compose.services["worker"].depends_on)


def test_the_worker_makes_the_file_that_its_health_check_looks_for(compose):
    """Health of the worker is the file that `lockstep worker` makes when it is ready."""
    from lockstep.cli.runtime.servers import READY_VARIABLE  # noqa: PLC0415 - only this test needs it

    worker = compose.services["worker"]
    assert worker.healthcheck.test == ["CMD", "test", "-e", worker.environment[READY_VARIABLE]]
    assert worker.environment[READY_VARIABLE].startswith(worker.tmpfs[0].split(":")[0] + "/")


def test_our_containers_write_nowhere_else(compose):
    """Our services have a read-only root, a small /tmp and one volume."""
    for name in OURS:
        service = compose.services[name]
        assert service.read_only
        assert [v for v in service.volumes if not v.endswith(":ro")] == [
            "lockstep-data:/var/lib/lockstep"
        ]


def test_versions_are_those_we_run_everywhere_else(compose):
    """Image tags equal the versions of the embedded servers and of this release."""
    services = compose.services
    says = subprocess.run(
        [find_temporal_binary(), "--version"],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    [server] = re.search(r"Server ([\d.]+), UI", says).groups()
    assert services["temporal"].image == f"temporalio/server:{server}"
    assert services["temporal-schema"].image == f"temporalio/admin-tools:{server}"
    assert services["temporal-namespace"].image == f"temporalio/admin-tools:{server}"
    assert services["postgres"].image.startswith(f"postgres:{embedded_postgres._MAJOR}.")
    assert {services[name].image for name in OURS} == {f"lockstep:{lockstep.__version__}"}


def test_the_dynamic_configuration_is_the_tuned_one():
    """The server is tuned by the very keys that the embedded server runs with, never faster."""
    text = (ROOT / "deploy/temporal/dynamic-config.yaml").read_text()
    given = {key: [entry["value"]] for key, [entry] in yaml.safe_load(text).items()}
    embedded = {}
    for setting in embedded_temporal._DYNAMIC_CONFIG:
        key, _, value = setting.partition("=")
        embedded[key] = yaml.safe_load(value)
    assert set(given) == set(embedded)
    for key, [value] in given.items():
        if isinstance(value, int):
            assert 0 < value <= embedded[key]
        else:
            assert value == embedded[key]
