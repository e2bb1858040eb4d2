"""docs/evidence.md names commands, options, routes and files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from lockstep.cli.main import app
from lockstep.evidence.pack import layout
from lockstep.evidence.pack.layout import MAX_SAMPLE, OCSF_VERSIONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "evidence.md").read_text()


def test_every_option_exists():
    """Each `--option` on the page is one of `evidence export` or `evidence verify`."""
    group = typer.main.get_command(app).commands["evidence"].commands
    known = {
        name for command in group.values() for option in command.params for name in option.opts
    }
    named = set(re.findall(r"--[a-z]+", PAGE))
    assert named <= known
    assert {option for option in known if option.startswith("--")} - named <= {
        *("--config", "--json", "--limit", "--tsa-root", "--witness"),
    }
    assert {"--from", "--to", "--sample", "--previous", "--identified"} <= named


def test_every_file_of_a_pack_exists():
    """And every page that it points to."""
    files = {value for value in vars(layout).values() if isinstance(value, str)}
    for name in re.findall(r"`((?:population|ledger|identified)/[\w./]+)`", PAGE):
        assert name in files
    for name in re.findall(r"\]\(([\w-]+\.md)\)", PAGE):
        assert (ROOT / "docs" / name).is_file()
    assert f"{MAX_SAMPLE} at most" in PAGE
    for version in re.findall(r"--ocsf ([\d.]+)", PAGE):
        assert version in OCSF_VERSIONS


def test_every_route_exists():
    """As the application has it."""
    source = (ROOT / "lockstep" / "web" / "api" / "evidence.py").read_text()
    for method, path in re.findall(r"`(GET|POST) (/[\w/]+)`", PAGE):
        assert path.split("/ID")[0] in source
        assert f"@routes.{method.lower()}(" in source
