"""What made access last longer than was first said, by whom: told at the case, from its entries."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lockstep.control.cases.words import instant_words
from lockstep.domain.systems.faults import FaultCategory

_AT_ONCE = timedelta(minutes=5)
"""An event that opened its case within this was not held up by anything worth telling."""


@dataclass(frozen=True, slots=True)
class Prolonging:
    """One thing that did. ``by``: how many people, or that HR's system said so; "" is not known."""

    at: datetime
    what: str
    by: str


def prolongings(entries: Iterable[bytes]) -> list[Prolonging]:
    """In the order of a case's entries; a pause once for each system that it held up."""
    found: list[Prolonging] = []
    paused: set[str] = set()
    for raw in entries:
        entry: Mapping[str, Any] = json.loads(raw)
        data = entry["data"]
        match entry["kind"]:
            case "case:opened":
                found += _held_before(entry, data)
            case "case:amended":
                found += _moved(entry, data)
            case "revocation:fault" if data.get("category") == FaultCategory.PAUSED:
                if entry["system"] not in paused:
                    paused.add(entry["system"])
                    what = f"a pause held up {entry['system']}"
                    found.append(Prolonging(_at(entry), what, ""))
            case _:
                pass
    return found


def _held_before(entry: Mapping[str, Any], data: Mapping[str, Any]) -> list[Prolonging]:
    received = datetime.fromisoformat(data["received_at"])
    if _at(entry) - received < _AT_ONCE:
        return []
    what = (
        f"the report of {instant_words(received)} waited until {instant_words(_at(entry))} before"
        " the case opened, at a brake or because nothing ran"
    )
    return [Prolonging(_at(entry), what, "")]


def _moved(entry: Mapping[str, Any], data: Mapping[str, Any]) -> list[Prolonging]:
    before = data.get("before", {}).get("cutoff_at")
    if before is None:
        return []
    was, becomes = datetime.fromisoformat(before), datetime.fromisoformat(data["cutoff_at"])
    if becomes <= was:
        return []
    what = f"the cutoff moved from {instant_words(was)} to {instant_words(becomes)}"
    if entry.get("actor", {}).get("type") != "person":
        return [Prolonging(_at(entry), what, "by HR's system")]
    return [
        Prolonging(_at(entry), what, "by two people" if data.get("second_person") else "by one")
    ]


def _at(entry: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(entry["recorded_at"])
