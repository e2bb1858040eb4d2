"""What the documents tell people to type exists, and every command can explain itself."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.testing import CliRunner

from lockstep.cli.main import app
from tests.e2e.installation import COMMAND, lockstep
from tests.e2e.processes import ROOT

pytestmark = pytest.mark.e2e

TREE = typer.main.get_command(app)
MAKEFILE = (ROOT / "Makefile").read_text()
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^```[a-z]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:lockstep|make) [^`\n]+)`")
_OURS = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?(lockstep|make)\s")


def commands_in(text: str) -> Iterator[str]:
    """Every `lockstep …` and `make …` that a document shows, in a block or in a line."""
    for block in _FENCE.findall(text):
        for line in block.splitlines():
            if _OURS.match(line):
                yield line.removeprefix("$ ").removeprefix(".venv/bin/")
    yield from _INLINE.findall(_FENCE.sub("", text))


def problem_of(command: str) -> str:
    """Why a command cannot be typed as shown; empty when it can."""
    words = shlex.split(command, comments=True)
    return _make_problem(words[1:]) if words[0] == "make" else _lockstep_problem(words[1:])


def _make_problem(words: list[str]) -> str:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    for word in words:
        name, is_variable, _ = word.partition("=")
        if is_variable and f"$({name})" not in MAKEFILE:
            return f"make has no variable {name}"
        if not is_variable and word not in targets:
            return f"make has no target {word}"
    return ""


def _lockstep_problem(words: list[str]) -> str:
    command: TyperGroup | TyperCommand = TREE
    is_value = False
    for word in words:
        if is_value:  # of the option before it
            is_value = False
            continue
        if isinstance(command, TyperGroup) and not word.startswith("-"):
            if word not in command.commands:
                return f"{command.name} has no command {word}"
            command = command.commands[word]
            continue
        option = word.partition("=")[0]
        known = {"--help", *(o for p in command.params for o in (*p.opts, *p.secondary_opts))}
        if word.startswith("-") and option not in known:
            return f"{command.name} has no option {option}"
        flags = {o for p in command.params if getattr(p, "is_flag", False) for o in p.opts}
        is_value = word.startswith("-") and "=" not in word and option not in {*flags, "--help"}
    return ""


def all_commands(
    command: TyperGroup | TyperCommand, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, TyperGroup):
        for name, each in command.commands.items():
            yield from all_commands(each, (*path, name))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_shown_exists(document: Path) -> None:
    """Commands, options, targets and variables in a document are real."""
    shown = list(commands_in(document.read_text()))

    assert [f"{each}: {why}" for each in shown if (why := problem_of(each))] == []


def test_the_readme_shows_commands() -> None:
    """The check above looks at something: the first two commands are there."""
    shown = list(commands_in((ROOT / "README.md").read_text()))

    assert {"make demo", "make test"} <= set(shown)
    assert sum(each.startswith("lockstep ") for each in shown) >= 5


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("lockstep fire --worker W-1", "has no command fire"),
        ("lockstep case hide x", "has no command hide"),
        ("lockstep terminate --worker W-1 --now", "has no option --now"),
        ("make everything", "no target everything"),
        ("make demo TWICE=1", "no variable TWICE"),
    ],
)
def test_a_command_that_is_not_there_is_noticed(command: str, why: str) -> None:
    """The guard can fail: an invented command in a document is reported."""
    [shown] = commands_in(f"Type this:\n\n```\n{command}   # a remark\n```\n")

    assert why in problem_of(shown)


@pytest.mark.parametrize("path", list(all_commands(TREE)), ids=lambda path: " ".join(path) or "-")
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    """`--help` ends with 0, says what the command does, and each option has a text."""
    result = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    command: TyperGroup | TyperCommand = TREE
    for name in path:
        assert isinstance(command, TyperGroup)
        command = command.commands[name]

    assert result.exit_code == 0
    assert (command.help or "").strip()
    assert (command.help or "").split("\n")[0] in result.output
    silent = [p.opts for p in command.params if isinstance(p, TyperOption) and not p.help]
    assert [opts for opts in silent if opts != ["--version"]] == []


async def test_the_installed_command_helps() -> None:
    """The real program lists its commands, and says what is wrong with an unknown one."""
    said = await lockstep("--help", command=COMMAND)
    unknown = await lockstep("fire", command=COMMAND)

    assert said.code == 0
    for name in TREE.commands:  # type: ignore[attr-defined] # the root is a group
        assert name in said.out
    assert unknown.code == 2
    assert "No such command 'fire'" in unknown.err
