"""docs/operations.md names commands, files and services that exist."""

from __future__ import annotations

import re

import typer

from lockstep.cli.main import app
from lockstep.contracts.names import CASE_QUEUE, SEARCH_ATTRIBUTES, system_queue
from tests.deploy.compose_file import ROOT, load

PAGE = (ROOT / "docs" / "operations.md").read_text()


def test_every_command_exists():
    """Each `lockstep ...` on the page is a registered command, down to sub-commands."""
    found = re.findall(r"(?<![\w/-])lockstep ([a-z][a-z-]*)(?: ([a-z]+))?", PAGE)
    group = typer.main.get_command(app)
    named = {(first, second) for first, second in found if first in group.commands}
    quoted = set(re.findall(r"`lockstep ([a-z-]+)", PAGE)) | set(
        re.findall(r"exec worker lockstep ([a-z-]+)", PAGE)
    )
    assert quoted <= {*group.commands}
    assert {"doctor", "migrate", "stuck", "worker", "web", "retry"} <= quoted
    assert ("case", "show") in named
    assert "show" in group.commands["case"].commands


def test_every_file_exists():
    """Each path of the repository on the page is there."""
    paths = set(re.findall(r"\bdeploy/[\w./-]*\w", PAGE)) | {".env.example", "docker-compose.yml"}
    assert len(paths) > 5
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_service_is_described():
    """The table of services is the one that Compose runs."""
    [rows] = re.findall(r"\| service \|.*?\n\n", PAGE, re.DOTALL)
    described = {
        name for line in rows.splitlines() for name in re.findall(r"`([a-z-]+)`", line[:60])
    }
    assert described == set(load().services)


def test_names_are_ours():
    """Search attributes, queues and roles are spelt as in the code."""
    assert all(f"`{key.name}`" in PAGE for key in SEARCH_ATTRIBUTES)
    assert f"`{CASE_QUEUE}`" in PAGE
    assert system_queue("okta-prod") in PAGE
    sql = (ROOT / "deploy/postgres/10-roles.sql").read_text()
    roles = re.findall(r"`(lockstep_\w+)` \|", PAGE)
    assert len(roles) == 3
    assert all(f"create role {role} " in sql for role in roles)
