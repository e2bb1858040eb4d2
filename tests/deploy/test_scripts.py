"""The scripts of deploy/: their arguments, their failures, their effect on a real server."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
from pathlib import Path

import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from lockstep.contracts.names import SEARCH_ATTRIBUTES
from lockstep.embedded.temporal import find_temporal_binary
from lockstep.storage.keys.keyring import Keyring
from lockstep.web.hooks.signatures import Verifier
from tests.conftest import search_attribute_types
from tests.deploy.compose_file import ROOT, load

SCRIPTS = sorted((ROOT / "deploy").rglob("*.sh"))
TEMPORAL = ROOT / "deploy" / "temporal"


@pytest.fixture
def programs(tmp_path):
    """A folder for fake programs; each call of one becomes a line in `calls`."""

    class Programs:
        calls_file = tmp_path / "calls"
        folder = tmp_path / "bin"

        def fake(self, name, body=""):
            self.folder.mkdir(exist_ok=True)
            file = self.folder / name
            file.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.calls_file}"\n{body}\n')
            file.chmod(0o755)

        def run(self, script, **environment):
            """Run a script that finds our fakes first, and nothing of our own environment."""
            return subprocess.run(
                ["sh", str(script)],
                check=False,
                capture_output=True,
                text=True,
                timeout=120,
                env={"PATH": f"{self.folder}:{os.defpath}", **environment},
            )

        @property
        def calls(self):
            return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []

    return Programs()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_valid_and_stop_at_errors(script):
    """Each script parses, stops at the first error and at unset variables, and is executable."""
    subprocess.run(["sh", "-n", script], check=True, timeout=120)
    assert script.read_text().startswith("#!/bin/sh\n")
    assert "\nset -eu\n" in script.read_text()
    assert script.stat().st_mode & stat.S_IXUSR


def environment_of(name, **replaced):
    return {**load().services[name].environment, **replaced}


NAMESPACE = environment_of("temporal-namespace", TRIES="3", PAUSE="0")
CREATE = "temporal operator namespace create --namespace lockstep --retention 720h"


def test_namespace_and_attributes_are_made_where_missing(programs):
    """On an empty server the job makes the namespace and every search attribute of ours."""
    programs.fake("temporal", 'case "$*" in *describe*) exit 1;; esac')
    done = programs.run(TEMPORAL / "namespace.sh", **NAMESPACE)
    assert done.returncode == 0, done.stderr
    assert CREATE in programs.calls
    made = [call for call in programs.calls if "search-attribute create" in call]
    assert sorted(made) == sorted(
        "temporal operator search-attribute create --namespace lockstep"
        f" --name {name} --type {kind}"
        for name, kind in search_attribute_types().items()
    )


def test_what_exists_is_kept(programs):
    """On a server that has everything the job changes nothing, and a part of a name is no match."""
    listed = "echo LockstepStatus Keyword; echo LockstepPartnerOld Keyword; "
    listed += "echo LockstepDueTime Datetime"
    programs.fake("temporal", f'case "$*" in *"search-attribute list"*) {listed};; esac')
    done = programs.run(TEMPORAL / "namespace.sh", **NAMESPACE)
    assert done.returncode == 0, done.stderr
    assert CREATE not in programs.calls
    made = [call for call in programs.calls if "search-attribute create" in call]
    assert [call.split("--name ")[1] for call in made] == ["LockstepPartner --type Keyword"]


@pytest.mark.parametrize("failing", ["cluster health", "search-attribute list"])
def test_a_server_that_never_answers_ends_the_job(programs, failing):
    """After its tries the job fails, so that Compose shows it and starts no worker."""
    programs.fake("temporal", f'case "$*" in *"{failing}"*) exit 1;; esac')
    done = programs.run(TEMPORAL / "namespace.sh", **NAMESPACE)
    assert done.returncode == 1
    assert "3 tries" in done.stderr
    assert sum(failing in call for call in programs.calls) == 3


def test_a_failing_creation_fails_the_job(programs):
    """A search attribute that cannot be made is an error, not a line in a log."""
    programs.fake("temporal", 'case "$*" in *"search-attribute create"*) exit 7;; esac')
    assert programs.run(TEMPORAL / "namespace.sh", **NAMESPACE).returncode == 7


async def test_on_a_real_server_the_job_may_run_twice(temporal):
    """The real program accepts our arguments; namespace, retention and attributes are there."""
    variables = {**NAMESPACE, "TEMPORAL_ADDRESS": temporal.address, "TRIES": "60", "PAUSE": "0.2"}
    path = f"{find_temporal_binary().parent}:{os.defpath}"
    for _ in range(2):
        done = await asyncio.to_thread(
            subprocess.run,
            ["sh", TEMPORAL / "namespace.sh"],
            check=False,
            capture_output=True,
            text=True,
            timeout=180,
            env={"PATH": path, "HOME": "/nonexistent", **variables},
        )
        assert done.returncode == 0, done.stderr
    client = await Client.connect(temporal.address, namespace="lockstep")
    described = await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace="lockstep")
    )
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace="lockstep")
    )
    assert described.config.workflow_execution_retention_ttl.seconds == 720 * 3600
    assert {key.name: key.indexed_value_type for key in SEARCH_ATTRIBUTES}.items() <= dict(
        listed.custom_attributes
    ).items()


def schema_environment(tmp_path):
    secret = tmp_path / "password"
    secret.write_text("s3cret")
    return environment_of("temporal-schema", SQL_PASSWORD_FILE=str(secret))


def test_both_schemas_are_set_up_and_updated(programs, tmp_path):
    """Both databases are brought up to date, with the password in no argument."""
    programs.fake("temporal-sql-tool", f'env >>"{tmp_path}/env"')
    done = programs.run(TEMPORAL / "schema.sh", **schema_environment(tmp_path))
    assert done.returncode == 0, done.stderr
    v12 = "/etc/temporal/schema/postgresql/v12"
    assert programs.calls == [
        "temporal-sql-tool --db temporal setup-schema -v 0.0",
        f"temporal-sql-tool --db temporal update-schema -d {v12}/temporal/versioned",
        "temporal-sql-tool --db temporal_visibility setup-schema -v 0.0",
        f"temporal-sql-tool --db temporal_visibility update-schema -d {v12}/visibility/versioned",
    ]
    seen = set((tmp_path / "env").read_text().splitlines())
    assert {
        "SQL_PLUGIN=postgres12",
        "SQL_HOST=postgres",
        "SQL_PORT=5432",
        "SQL_USER=temporal",
        "SQL_PASSWORD=s3cret",
    } <= seen


def test_the_databases_of_the_schema_job_are_made_by_the_roles_script():
    """The job makes no database, because its role may not: each one is made beforehand."""
    sql = (ROOT / "deploy/postgres/10-roles.sql").read_text()
    server = load().services["temporal"].environment
    for database in ("temporal", "temporal_visibility"):
        assert f"create database {database} owner temporal;" in sql
        assert database in {server["DBNAME"], server["VISIBILITY_DBNAME"]}
        assert f"{database}:" in (TEMPORAL / "schema.sh").read_text()


def test_a_failing_update_fails_the_job(programs, tmp_path):
    """The server is not started on a schema that is half there."""
    programs.fake("temporal-sql-tool", 'case "$*" in *update-schema*) exit 1;; esac')
    assert programs.run(TEMPORAL / "schema.sh", **schema_environment(tmp_path)).returncode == 1
    assert len(programs.calls) == 2


def test_the_server_gets_its_password_from_the_file(programs, tmp_path):
    """The server's own entry point runs, with the password in its environment only."""
    secret = tmp_path / "password"
    secret.write_text("s3cret")
    programs.fake("entrypoint.sh", f'env >>"{tmp_path}/env"')
    variables = environment_of("temporal", POSTGRES_PWD_FILE=str(secret))
    entrypoint = str(programs.folder / "entrypoint.sh")
    done = programs.run(TEMPORAL / "start.sh", **variables, ENTRYPOINT=entrypoint)
    assert done.returncode == 0, done.stderr
    assert "POSTGRES_PWD=s3cret" in (tmp_path / "env").read_text().splitlines()
    missing = environment_of("temporal", POSTGRES_PWD_FILE=str(tmp_path / "none"))
    assert programs.run(TEMPORAL / "start.sh", **missing, ENTRYPOINT=entrypoint).returncode != 0


def make_secrets(folder):
    return subprocess.run(
        ["sh", ROOT / "deploy/make-secrets.sh", folder],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_every_secret_is_made_and_usable(tmp_path):
    """All files that Compose mounts are made, and our code reads keyring and webhook secret."""
    folder = tmp_path / "secrets"
    make_secrets(folder)
    assert {Path(each.file).name for each in load().secrets.values()} == {
        path.name for path in folder.iterdir()
    }
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}
    ring = Keyring.parse((folder / "keyring.json").read_text())
    assert ring.decrypt(ring.encrypt(b"x", context=b"c"), context=b"c") == b"x"
    Verifier([(folder / "hr_webhook_secret").read_text()])


def test_secrets_are_never_overwritten_and_never_equal(tmp_path):
    """A second run keeps every file; another folder gets other values."""
    first, second = tmp_path / "a", tmp_path / "b"
    make_secrets(first)
    before = {path.name: path.read_bytes() for path in first.iterdir()}
    assert "made" not in make_secrets(first).stdout
    make_secrets(second)
    assert before == {path.name: path.read_bytes() for path in first.iterdir()}
    assert all((second / name).read_bytes() != value for name, value in before.items())
    assert len(set(before.values())) == len(before)


def test_git_never_sees_the_default_folder():
    """The folder that secrets go to by default is ignored."""
    assert "secrets/" in (ROOT / "deploy/.gitignore").read_text().splitlines()
