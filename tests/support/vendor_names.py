"""Where a vendor's name stands outside what is its own, found by the words of every text file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from connectors.registry import PLACES

ROOT: Final = Path(__file__).parents[2]
OURS: Final = frozenset({"recipe", "program"})
"""Kinds of connector that speak to a customer's own system: no vendor's name."""
PLAIN: Final = frozenset({"instant", "github"})
"""Names that are also words of every day, or stand in addresses of documents.

Only as a value, a module or a class they name a vendor.
"""
STANDARDS: Final = frozenset({"active_directory", "ldap", "scim", "wireguard"})
"""Names of a standard as well: what another vendor says of it is the other vendor's own."""
FOR_THE_BENCH: Final = frozenset({"instant"})
"""What there is to be measured against, and nothing else: the bench is a folder of it."""
VENDORS: Final = tuple(kind for kind in PLACES if kind not in OURS)

_NO_CODE: Final = {"docs", "locks", "tests", "CHANGELOG.md", "README.md"}
_LEFT_OUT: Final = {"__pycache__", "build", "dist"}
_NO_TEXT: Final = {".md", ".png", ".ttf", ".zip", ".pyc", ".vkey"}
_LETTERS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_PLAIN: Final = (
    r"""["'`]{kind}["'`]|\b(?:connectors|vendors)[./]{kind}\b|\b{kind}[_-](?:port|token|sandbox)\b"""
    r"""|\b{title}(?:Connector|Harness)?\("""
)


def names(kind: str, line: str) -> bool:
    """Whether ``line`` names the vendor: as a word of its own, also within an identifier."""
    if kind in PLAIN:
        return bool(re.search(_PLAIN.format(kind=kind, title=kind.title()), line))
    words = kind.replace("_", " ")
    return kind in line.lower() and f" {words} " in f" {' '.join(_LETTERS.findall(line)).lower()} "


def in_text(path: str, text: str) -> Iterator[tuple[str, int]]:
    """Each vendor that a file names which is not the vendor's own, with the line."""
    for kind in VENDORS:
        if is_own(kind, path):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if names(kind, line) and not _is_row(kind, path, line):
                yield kind, number


def is_own(kind: str, path: str) -> bool:
    """Whether the file belongs to the vendor.

    The folders of its connector, simulator and tests, and what is called after it in them.
    """
    folder = r"(?:connectors|sandbox/vendors)"
    if kind in STANDARDS and re.match(rf"(?:tests/)?{folder}/(?!kit/)\w+/", path):
        return True
    if kind in FOR_THE_BENCH and path.startswith("bench/"):
        return True
    own = rf"{folder}/{kind}/|tests/connectors/{kind}/|tests/sandbox/test_sandbox_{kind}\.py"
    channel = rf"connectors/kit/{kind}/|tests/connectors/(?:kit/test_{kind}|{kind}_faults)\.py"
    if kind in STANDARDS and re.match(channel, path):  # the kit speaks it, to whoever does
        return True
    return re.match(own, path) is not None


def _is_row(kind: str, path: str, line: str) -> bool:
    """The one line by which a registry knows the vendor."""
    is_registry = path in {"connectors/registry.py", "sandbox/vendors/registry.py"}
    return (
        is_registry and re.fullmatch(rf'\s+"{kind}": "[a-z_.]+\.{kind}\.[a-z]+",', line) is not None
    )


def code(root: Path = ROOT) -> Iterator[Path]:
    """Every text of the product that is no page: code, templates, settings, scripts, compose."""
    for top in sorted(root.iterdir()):
        is_ours = not top.name.startswith(".") or top.name in {".ci", ".env.example"}
        if is_ours and top.name not in _NO_CODE:
            yield from texts(top)


def texts(top: Path) -> Iterator[Path]:
    """Every text file below ``top``, or itself."""
    for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
        inner = path.relative_to(top.parent)
        is_left_out = set(inner.parts) & _LEFT_OUT or "static/vendor/" in inner.as_posix()
        if path.is_file() and path.suffix not in _NO_TEXT and not is_left_out:
            yield path


def found(paths: Iterator[Path], root: Path = ROOT) -> Mapping[str, dict[str, list[int]]]:
    """By file, each vendor that it names and should not, with the lines."""
    told: dict[str, dict[str, list[int]]] = {}
    for path in paths:
        name = path.relative_to(root).as_posix()
        for kind, number in in_text(name, path.read_text("utf-8")):
            told.setdefault(name, {}).setdefault(kind, []).append(number)
    return told
