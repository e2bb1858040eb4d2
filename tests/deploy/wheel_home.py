"""An environment that holds our wheel and what it asks for, and nothing of the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = ("embedded", "peers")
_PATIENCE_S = 120


def build_wheel(folder: Path) -> Path:
    """Our wheel, built as an installer builds it."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=_PATIENCE_S)
    [wheel] = folder.glob("*.whl")
    return wheel


def asked_for(wheel_requires: list[str]) -> list[metadata.Distribution]:
    """Every distribution that ``lockstep[embedded,peers]`` needs, from those installed here."""
    found: dict[str, metadata.Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(Requirement(each), extra) for each in wheel_requires for extra in ("", *EXTRAS)]
    while waiting:
        wanted, extra = waiting.pop()
        if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(wanted.name)
        found[name] = metadata.distribution(name)
        for part in ("", *wanted.extras):
            if (name, part) not in seen:
                seen.add((name, part))
                waiting += [(Requirement(each), part) for each in found[name].requires or []]
    return list(found.values())


def install(wheel: Path, environment: Path) -> Path:
    """Make ``environment`` with the wheel and links to what it asks for; return its programs."""
    venv.create(environment, symlinks=True)
    programs = environment / "bin"
    [site] = environment.glob("lib/python*/site-packages")
    pip = (sys.executable, "-m", "pip", "--python", str(programs / "python"))
    options = ("--quiet", "--no-deps", "--no-index", "--no-compile")
    command = [*pip, "install", *options, str(wheel)]
    subprocess.run(command, check=True, capture_output=True, timeout=_PATIENCE_S)
    [ours] = metadata.distributions(name="lockstep", path=[str(site)])
    for distribution in asked_for(ours.requires or []):
        for file in distribution.files or []:
            _link(file, Path(str(distribution.locate_file(file))), site, programs)
    return programs


def _link(file: metadata.PackagePath, source: Path, site: Path, programs: Path) -> None:
    if file.parts[0] != "..":  # a folder or a module of the distribution
        place = site / file.parts[0]
        if not place.exists():
            place.symlink_to(source.parents[len(file.parts) - 2] if file.parts[1:] else source)
    elif file.parent.name == "bin" and source.exists():
        _program(source, programs / file.name, programs / "python")


def _program(source: Path, place: Path, python: Path) -> None:
    if place.exists():
        return
    raw = source.read_bytes()[:200]
    if raw.startswith(b"#!") and b"python" in raw.splitlines()[0]:
        place.write_text(f"#!{python}\n" + source.read_text().partition("\n")[2])
        place.chmod(0o755)
    else:
        place.symlink_to(source)


def plain_environment(home: Path, programs: Path) -> dict[str, str]:
    """What somebody has who has just installed it: none of our variables, none of our paths."""
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    return {**kept, "HOME": str(home), "PATH": f"{programs}:{os.defpath}", "COLUMNS": "160"}
