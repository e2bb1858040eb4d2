"""A folder of empty wheels: of what an index offers, as little as an installer reads."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

LATER = "9999"
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)(?: ; (.+?))? ?\\?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Pin:
    """One line of a lock: this release, where the marker holds."""

    name: str
    version: str
    marker: str = ""

    def __str__(self) -> str:
        return f"{self.name}=={self.version}" + (f" ; {self.marker}" if self.marker else "")


def pins_of(lock: Path) -> list[Pin]:
    """Every release that a lock names, in its order."""
    return [Pin(*found) for found in _PIN.findall(lock.read_text())]


def requirements_of(name: str) -> list[str]:
    """What the installed distribution asks for; nothing where this platform does not have it."""
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []


def _extras_in(requires: Iterable[str]) -> Iterator[str]:
    for each in requires:
        yield from re.findall(r"""extra\s*==\s*["']([^"']+)["']""", each)


@dataclass(frozen=True, slots=True)
class StubIndex:
    """Wheels without a line of code; `install` options and hashes are real."""

    folder: Path

    def offer(self, name: str, version: str, requires: Iterable[str] = ()) -> str:
        """Add one wheel and return its SHA-256."""
        requires = list(requires)
        plain = re.sub(r"[-_.]+", "_", name)
        version = str(Version(version))
        about = f"{plain}-{version}.dist-info"
        lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}"]
        lines += [f"Provides-Extra: {extra}" for extra in sorted(set(_extras_in(requires)))]
        lines += [f"Requires-Dist: {each}" for each in requires]
        tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        file = self.folder / f"{plain}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(file, "w") as wheel:
            wheel.writestr(f"{about}/METADATA", "\n".join(lines) + "\n")
            wheel.writestr(f"{about}/WHEEL", tags)
            wheel.writestr(
                f"{about}/RECORD", f"{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n"
            )
        return hashlib.sha256(file.read_bytes()).hexdigest()

    def lock(self, pins: Iterable[Pin], requires: dict[str, list[str]]) -> str:
        """Offer each pinned release and a later one of each; return the lock of the stubs."""
        lines = []
        for pin in pins:
            digest = self.offer(pin.name, pin.version, requires[pin.name])
            self.offer(pin.name, LATER, requires[pin.name])
            lines.append(f"{pin} \\\n    --hash=sha256:{digest}\n")
        return "".join(lines)


def unmet(
    roots: Iterable[Requirement],
    pins: Iterable[Pin],
    requires: dict[str, list[str]],
    environment: dict[str, str],
) -> list[str]:
    """What a lock lacks in an environment, extras included: ``who: what`` in order of discovery."""
    pinned = {canonicalize_name(p.name): p.version for p in pins if _holds(p.marker, environment)}
    seen: set[tuple[str, str]] = set()
    missing: list[str] = []
    waiting = [("lockstep", each, "") for each in roots]
    while waiting:
        who, wanted, extra = waiting.pop(0)
        if wanted.marker and not wanted.marker.evaluate({**environment, "extra": extra}):
            continue
        name = canonicalize_name(wanted.name)
        if not wanted.specifier.contains(pinned.get(name, "0.dev0"), prereleases=True) or (
            name not in pinned
        ):
            missing.append(f"{who}: {wanted}")
            continue
        for part in {"", *wanted.extras} - {e for n, e in seen if n == name}:
            seen.add((name, part))
            waiting += [(name, Requirement(r), part) for r in requires.get(name, [])]
    return missing


def _holds(marker: str, environment: dict[str, str]) -> bool:
    return not marker or bool(Requirement(f"x ; {marker}").marker.evaluate(environment))  # type: ignore[union-attr] # it has one
