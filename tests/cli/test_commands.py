"""Commands are loaded when they are typed, and each one is there."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from lockstep.cli.commands import COMMANDS, loaded
from lockstep.cli.main import app

_LOADED = (
    "import sys\n"
    "from lockstep.cli.main import app\n"
    "try: app(['cases', '--help'])\n"
    "except SystemExit: pass\n"
    "print(*sorted(name for name in sys.modules if name.startswith('lockstep.cli.')))"
)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_row_leads_to_a_command(name: str) -> None:
    """It bears its own name, and says in help what it does."""
    command = loaded(name)
    said = CliRunner().invoke(app, [name, "--help"])

    assert command.name == name
    assert command.help
    assert said.exit_code == 0, said.output
    assert all(each in said.output for each in set(COMMANDS[name].more) - COMMANDS[name].hidden)


def test_help_lists_them_all() -> None:
    """With what each does, in the order of the table."""
    said = CliRunner().invoke(app, ["--help"]).output
    lines = [line.strip("│ ").split() for line in said.splitlines()]
    shown = [words[0] for words in lines if words and words[0] in COMMANDS]

    assert sorted(shown) == sorted(COMMANDS)


def test_one_command_loads_no_other() -> None:
    """Whoever lists cases does not wait for what makes packs."""
    done = subprocess.run(
        [sys.executable, "-c", _LOADED], check=True, capture_output=True, text=True, timeout=60
    )
    there = done.stdout.splitlines()[-1].split()

    assert "lockstep.cli.cases.list" in there
    assert not [
        name
        for name in there
        if name.startswith(("lockstep.cli.packs", "lockstep.cli.r"))
        and name != "lockstep.cli.render"
    ]


def test_a_typing_mistake_is_answered_with_what_may_be_meant() -> None:
    """Names are compared, and nothing is loaded for it."""
    said = CliRunner().invoke(app, ["caes"])

    assert said.exit_code != 0
    assert "Did you mean 'cases'" in said.output
