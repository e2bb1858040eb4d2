"""What a command prints is what it means to say: brackets stay, and only our styles are styles."""

from __future__ import annotations

import ast
import io
import json
import re
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from rich.console import RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from lockstep.cli import context
from lockstep.cli.console import STYLES, PlainConsole
from lockstep.cli.main import app
from lockstep.domain.visible import visible

CLI = Path(context.__file__).parent
_TAGS = re.compile(r"(?<!\\)\[([a-z]+(?: [a-z]+)*)\]")
# What people write may be in these: names, reasons, settings, a vendor's or a server's words.
_PEOPLES = re.compile(
    r"(leaver|display_name|partner|site|zone|reason|fault_text|placed_by|requested_by|says|fix"
    r"|summary|problem|label|username|asked_by|source|strerror)$"
)


def shown(*what: object, **options: object) -> str:
    console = PlainConsole(file=io.StringIO(), width=200, highlight=False)
    console.print(*what, **options)
    return console.file.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "pip install 'lockstep[embedded]'",
        "pip install 'lockstep[embedded,peers]'",
        "[systems.okta-prod] token",
        "a [/] b [/bold] c [link=https://x] d [@click=x] e [#ff0000]",
        r"\\[x] [[y]] [",
        "at :100: percent :warning:",
    ],
)
def test_what_is_no_style_of_ours_is_printed_as_it_stands(text):
    """In a line and in a cell, plain or not."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row(text)

    assert shown(text) == text + "\n"
    assert shown(text, markup=False) == text + "\n"
    assert shown(table).rstrip() == text


@given(st.text(alphabet="[]/abold rednm@#=.:1"))
def test_any_text_that_is_escaped_is_printed_as_it_stands(text):
    """Whatever a name looks like, inside of a style or not; nothing stops the command."""
    said = shown(f"[bold]{escape(text)}[/]|{escape(text)}!", soft_wrap=True)

    assert said == f"{text}|{text}!\n"
    shown(text)


def test_our_styles_are_styles():
    """And leave no brackets."""
    assert shown("[bold red]x[/] [dim]y[/]") == "x y\n"


STEERING = ["\x1b", "\x07", "\r", "\x7f", "\x9b", "\u061c", "\u200f", "\u2028", "\u202e", "\u2066"]


def made_of(text: str) -> list[RenderableType]:
    """The same text in everything that commands print."""
    table = Table(text)
    table.add_row(Text(text), title := Panel(Text(text), title=Text(text)))
    return [Text(text), Text.assemble(("x", "bold"), text), table, title, Padding(text, 1)]


@pytest.mark.parametrize("character", STEERING)
def test_nothing_that_is_printed_steers_a_terminal(character):
    """Whatever it is made of, a name in it cannot; nor one in JSON, which stays the same JSON."""
    for renderable in made_of(f"Ana{character}[31m"):
        file = io.StringIO()
        PlainConsole(file=file, width=200, highlight=False).print(renderable)
        assert character not in file.getvalue()
        if character not in "\x07\r":  # rich drops these from a `Text` by itself
            assert f"<U+{ord(character):04X}>" in file.getvalue()


@pytest.mark.parametrize("character", STEERING)
def test_json_steers_no_terminal_and_says_the_same(character, capsys):
    """It is printed for scripts, and read by people."""
    context.print_json({f"a{character}": f"Ana{character}é"})
    said = capsys.readouterr().out

    assert character not in said
    assert "é" in said
    assert json.loads(said) == {f"a{character}": f"Ana{character}é"}


@pytest.mark.parametrize("character", ["\x1b", "\x07", "\r", "\x9b", "\u202e"])
def test_what_steers_a_terminal_is_shown_and_not_sent(character):
    """A name cannot clear the screen, rename the window or write backwards."""
    said = shown(f"Ana{character}[31m")

    assert character not in said
    assert f"<U+{ord(character):04X}>" in said


def test_an_error_is_printed_as_it_stands(capsys):
    """Also where it looks like one of our styles."""
    with pytest.raises(typer.Exit):
        context.die("set [bold] in [systems.x], then pip install 'lockstep[peers]'\x1b[2J")

    said = capsys.readouterr().err
    assert "set [bold] in [systems.x], then pip install 'lockstep[peers]'<U+001B>[2J" in said


def sources() -> list[tuple[str, ast.Module]]:
    return [(path.name, ast.parse(path.read_text())) for path in sorted(CLI.rglob("*.py"))]


def test_every_style_that_commands_use_is_one():
    """A misspelt style would be printed, brackets and all."""
    used = {
        tag
        for _, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for tag in _TAGS.findall(node.value)
        if f"[{tag}]" in node.value and ("[/]" in node.value or tag in STYLES)
    }

    assert used - STYLES <= {"embedded", "ledger", "peers", "web", "oidc", "brake"}
    assert {"bold", "dim", "bold red"} <= used


def unescaped(tree: ast.Module) -> list[str]:
    """Interpolations of what people wrote into text with markup, that do not escape it."""
    found = []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr not in {"print", "add_row"} or any(
            word.arg == "markup" for word in node.keywords
        ):
            continue
        for argument in node.args:
            values = [
                part.value for part in ast.walk(argument) if isinstance(part, ast.FormattedValue)
            ] or [argument]
            found += [
                f"{node.lineno}: {ast.unparse(value)}"
                for value in values
                if isinstance(value, ast.Attribute) and _PEOPLES.search(value.attr)
            ]
    return found


def test_what_people_wrote_is_escaped():
    """A leaver may be called "[bold]"; whoever prints a name says that it is one."""
    assert {name: found for name, tree in sources() if (found := unescaped(tree))} == {}


@pytest.mark.parametrize(
    "planted",
    ["out.print(f'x {view.leaver}')", "table.add_row(row.reason)", "out.print(check.says)"],
)
def test_a_name_that_is_not_escaped_is_noticed(planted):
    """The guard can fail."""
    assert len(unescaped(ast.parse(planted))) == 1


def test_help_loses_no_brackets():
    """Typer reads markup too: every option's and command's text is shown whole."""
    waiting, texts = [typer.main.get_command(app)], []
    while waiting:
        command = waiting.pop()
        texts += [command.help or "", *(getattr(p, "help", "") or "" for p in command.params)]
        waiting += command.commands.values() if isinstance(command, TyperGroup) else []

    lost = [text for text in texts if Text.from_markup(text).plain != text.replace("\\[", "[")]

    assert lost == []
    assert any("[" in text for text in texts)
    assert visible("x") == "x"
