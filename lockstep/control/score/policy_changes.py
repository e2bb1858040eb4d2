"""What differs between two adopted policies, place by place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ABSENT = "–"
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """One place that differs. ``before`` or ``after`` is `ABSENT` where the place was not there."""

    place: str
    before: str
    after: str


def span_text(seconds: int) -> str:
    """A duration for people: 93600 s are 1 d 2 h."""
    left, parts = seconds, []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts) or "0 s"


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[PolicyChange]:
    """Places that differ, by name; documents as `Policy.as_document` writes them."""
    before, after = _flat(old), _flat(new)
    return [
        PolicyChange(place, before.get(place, ABSENT), after.get(place, ABSENT))
        for place in sorted(before.keys() | after.keys())
        if before.get(place) != after.get(place)
    ]


def _flat(document: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in document.items():
        _put(found, name, value)
    return found


def _put(found: dict[str, str], place: str, value: object) -> None:
    if isinstance(value, Mapping):
        for name, part in value.items():
            _put(found, _joined(place, str(name)), part)
        return
    if isinstance(value, list) and value and all(isinstance(part, Mapping) for part in value):
        for part in value:  # the systems: known by their names, wherever in the list they are
            rest = {name: each for name, each in part.items() if name != "system"}
            _put(found, _joined(place, str(part.get("system", "?"))), rest)
        return
    seconds = place.endswith("_s") or place.startswith("sla_s")
    parts = value if isinstance(value, list) else [value]
    found[_plain(place)] = ", ".join(_text(part, seconds=seconds) for part in parts) or ABSENT


def _joined(place: str, name: str) -> str:
    return f"{place}, {name}"


def _plain(place: str) -> str:
    """A place for people: without the suffix that names the unit."""
    parts = [part.removesuffix("_s").replace("_", " ") for part in place.split(", ")]
    return ", ".join(parts)


def _text(value: object, *, seconds: bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if seconds and isinstance(value, int):
        return span_text(value)
    return str(value)
