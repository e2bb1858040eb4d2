"""What each vendor costs in lines: connector, simulator, own tests.

``python scripts/connector_cost.py`` prints the table, with ``--write`` into docs/connectors.md; a
test compares it. Lines are counted as they stand, comments too, and rounded to tens. The page is
current while no number on it is off by more than a tenth: a line more is no news.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "connectors.md"
BEGIN = "<!-- measured: python scripts/connector_cost.py --write -->\n"
END = "<!-- end of what is measured -->"
_NUMBER = re.compile(r"[0-9][0-9,]*")
_NEAR = 20
NO_VENDORS = {"anchors", "kit", "openid", "program", "recipe"}
SHARED = {
    "the kit and what all share": ("connectors/kit", "connectors/*.py"),
    "systems of one's own": ("connectors/recipe", "connectors/program"),
    "the suite and its harness": (
        "tests/connectors/test_conformance*.py",
        "tests/connectors/*ness.py",
    ),
}


def vendors(root: Path = ROOT) -> list[str]:
    """Every folder of a vendor."""
    folders = (path.parent.name for path in (root / "connectors").glob("*/__init__.py"))
    return sorted(set(folders) - NO_VENDORS)


def lines(paths: Iterable[Path]) -> int:
    """Lines of these files, of the Python files below those that are folders."""
    files = {each for path in paths for each in (path.rglob("*.py") if path.is_dir() else [path])}
    return sum(len(path.read_text("utf-8").splitlines()) for path in files)


def cost(kind: str, root: Path = ROOT) -> tuple[int, int, int]:
    """Lines of one vendor's connector, simulator and own tests."""
    own = re.compile(rf"(?:^|_){kind}(?:_|$)")

    def named(folder: str) -> list[Path]:
        found = (root / folder).rglob("*.py")
        return [path for path in found if own.search(path.stem) or path.parent.name == kind]

    return (
        lines([root / "connectors" / kind]),
        lines(named("sandbox")),
        lines(named("tests/connectors")),
    )


def table(root: Path = ROOT) -> str:
    """The page's table."""
    rows = [
        "| vendor | connector | simulator | own tests | together |",
        "|---|---:|---:|---:|---:|",
    ]
    costs = sorted(((cost(kind, root), kind) for kind in vendors(root)), reverse=True)
    for each, kind in costs:
        rows.append(f"| `{kind}` | {' | '.join(map(_tens, each))} | {_tens(sum(each))} |")
    for what, places in SHARED.items():
        found = (path for place in places for path in root.glob(place))
        rows.append(f"| {what} | | | | {_tens(lines(found))} |")
    return "\n".join(rows) + "\n"


def is_current(text: str, page: str) -> bool:
    """Whether the page tells the cost: the same rows, and numbers that are near enough."""
    told = page.partition(BEGIN)[2].partition(END)[0]
    if _NUMBER.sub("", told) != _NUMBER.sub("", text):
        return False
    pairs = zip(_numbers(told), _numbers(text), strict=True)
    return all(abs(said - is_) <= max(_NEAR, is_ // 10) for said, is_ in pairs)


def page_with(text: str, page: str) -> str:
    """``page`` with ``text`` between the marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{text}{END}{after}"


def _numbers(text: str) -> list[int]:
    return [int(found.replace(",", "")) for found in _NUMBER.findall(text)]


def _tens(number: int) -> str:
    return f"{round(number, -1):,}" if number else "–"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page_with(table(), PAGE.read_text("utf-8")), "utf-8")
    sys.stdout.write(table())
