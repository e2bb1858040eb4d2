"""`lockstep connector new`: the files of a connector that is still to be filled in."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Annotated, Final

import typer

from connectors.registry import MANUAL, PLACES
from lockstep.cli.context import UNUSABLE, die, out
from sandbox.vendors.registry import descriptions

_SKELETON: Final = Path(__file__).with_name("skeleton")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{1,39}")
_IMPORTS: Final = re.compile(r"(?:^from .*\n){2,}", re.MULTILINE)
FILES: Final[Mapping[str, str]] = {
    "connectors/{name}/__init__.py": "",
    "connectors/{name}/spec.py": "spec.txt",
    "sandbox/vendors/{name}/__init__.py": "package.txt",
    "sandbox/vendors/{name}/simulator.py": "simulator.txt",
    "sandbox/vendors/{name}/description.py": "description.txt",
    "tests/connectors/{name}/__init__.py": "",
    "tests/connectors/{name}/harness.py": "harness.txt",
    "tests/connectors/{name}/test_{name}.py": "test.txt",
}
LINES: Final[Mapping[str, str]] = {
    "connectors/registry.py": '    "{name}": "connectors.{name}.spec",',
    "sandbox/vendors/registry.py": '    "{name}": "sandbox.vendors.{name}.description",',
}
"""What is added by hand, because these tables are read from top to bottom by people."""


def new(
    name: Annotated[str, typer.Argument(help="Name of the connector, such as desk.")],
    title: Annotated[str, typer.Option("--title", help="The product, for people.")] = "",
    into: Annotated[
        Path, typer.Option("--into", help="A copy of Lockstep's repository \\[default: here].")
    ] = Path(),
) -> None:
    """Write a connector, its simulator and its tests, to be filled in; overwrites nothing."""
    if not (into / "connectors" / "registry.py").is_file():
        die(f"{into}: there is no connectors/registry.py: run it in a copy of the repository",
            code=UNUSABLE)  # fmt: skip
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        die(f"{name}: small letters, digits and _, a letter first, two at least", code=UNUSABLE)
    if name in PLACES or name == MANUAL:
        die(f"{name}: there is such a connector already", code=UNUSABLE)
    words = _words(name, title)
    made = {into / path.format(name=name): _filled(file, words) for path, file in FILES.items()}
    if there := [str(path) for path in made if path.exists()]:
        die("\n".join(f"{path}: is there already: nothing was written" for path in there),
            code=UNUSABLE)  # fmt: skip
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        out.print(f"wrote {path.relative_to(into)}", markup=False, soft_wrap=True)
    out.print(_next(words), markup=False, soft_wrap=True)


def _words(name: str, title: str) -> dict[str, str]:
    port = max(each.port for each in descriptions().values()) + 1
    spoken = name.replace("_", " ")
    return {
        "name": name,
        "upper": name.upper(),
        "title": re.sub(r'["\\{}$]', "", title) or spoken.title(),
        "class_name": spoken.title().replace(" ", ""),
        "port": str(port),
    }


def _filled(file: str, words: Mapping[str, str]) -> str:
    if not file:
        return ""
    text = Template((_SKELETON / file).read_text("utf-8")).substitute(words)
    return _IMPORTS.sub(lambda found: _sorted(found[0]), text)


def _sorted(imports: str) -> str:
    """Where the new package stands among the others depends on its name."""
    lines = imports.splitlines(keepends=True)
    return "".join(sorted(lines, key=lambda line: line.split()[1]))


def _next(words: Mapping[str, str]) -> str:
    name = words["name"]
    lines = [f"  {path}:  {line.format(**words).strip()}" for path, line in LINES.items()]
    return "\n".join(
        (
            "",
            "Next:",
            "1. Add a line to each of these tables:",
            *lines,
            f"2. Fill in connectors/{name}/spec.py, by the example in docs/connectors.md.",
            f"3. Make sandbox/vendors/{name}/simulator.py answer as the vendor does.",
            "4. Add a line to the table of services in sandbox/README.md: what is accepted",
            f"   there by default, and SANDBOX_{words['upper']}_TOKEN, which changes it.",
            f"5. Run: .venv/bin/python -m pytest tests/connectors tests/sandbox -k {name}",
            "   Until all is filled in it is red, and says what is missing.",
            "6. Run: .venv/bin/python -m tests.connectors.connector_docs",
            "   and: .venv/bin/python scripts/connector_cost.py --write",
            "   Then `make check`, and `make connector NAME=" + name + "` whenever it changes.",
        )
    )
