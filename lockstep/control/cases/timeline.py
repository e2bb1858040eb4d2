"""What the ledger's entries of one case tell, as instants in lanes: one lane per system."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from lockstep.evidence.format.plain import instant_ms
from lockstep.evidence.ledger.fold import ACCOUNT_IN_DOUBT, RETURNED_BEFORE_REHIRE


class Mark(StrEnum):
    """What happened at one instant."""

    ATTEMPT = "attempt"
    FAULT = "fault"
    ACTION = "action"
    OFF = "off"
    READ_BACK = "read_back"
    LOOK = "look"
    LOOK_FAILED = "look_failed"
    RETURNED = "returned"
    REHIRED = "rehired"
    """Access that stood when HR said that they work here again: it is theirs from then on."""
    DOUBT = "doubt"
    """An account that may be the leaver's: whose it is, is not known."""
    APPEARED = "appeared"
    """Access where none had been found before: nothing came back."""
    ASKED = "asked"
    DECISION = "decision"
    WOKEN = "woken"


_NAMES = {
    Mark.ATTEMPT: "Attempt begun",
    Mark.FAULT: "Fault",
    Mark.ACTION: "Vendor accepted",
    Mark.OFF: "Access off",
    Mark.READ_BACK: "Read-back confirmed",
    Mark.LOOK: "Watch: still gone",
    Mark.LOOK_FAILED: "Watch: no look could be had",
    Mark.RETURNED: "Access came back",
    Mark.REHIRED: "Access had come back before HR said that they work here again",
    Mark.DOUBT: "An account in doubt was found",
    Mark.APPEARED: "Access found where none had been",
    Mark.ASKED: "A person was asked",
    Mark.DECISION: "A person decided",
    Mark.WOKEN: "Tried again by itself: the system's trouble was over",
}


_WHYS = {
    "revocation:needs_person": (Mark.ASKED, "category"),
    "revocation:woken": (Mark.WOKEN, "why"),
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; ``at`` in milliseconds since the epoch, ``leaf`` in the ledger."""

    at: int
    mark: Mark
    detail: str
    leaf: int | None

    @property
    def name(self) -> str:
        return _NAMES[self.mark]


@dataclass(frozen=True, slots=True)
class Span:
    """From ``start`` to ``end`` (None is now) access stood; or, not ``seen``, may have stood."""

    start: int
    end: int | None
    seen: bool = True


@dataclass(slots=True)
class Told:
    """One system.

    Args:
        residuals: what runs down, and when at the latest, in milliseconds; None where nobody has
            stated a bound.
        stands: whether a look in this opening saw access; None before any look.
        had: whether access was ever seen here.
    """

    events: list[Event] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    residuals: list[tuple[str, int | None]] = field(default_factory=list)
    removed: dict[str, int] = field(default_factory=dict)
    open_since: int | None = None
    stands: bool | None = None
    had: bool = False
    unread: list[tuple[str, str]] = field(default_factory=list)
    """Lists that the last attempt could not read: kind, and the category of the fault or ""."""
    searches: list[tuple[str, str]] = field(default_factory=list)
    """By which kinds of key the last attempt searched, and how each search is proved."""
    listed: int | None = None
    skew_ms: int = 0
    """By how much the vendor's clock lay behind (negative) or ahead of ours, at worst."""


@dataclass(frozen=True, slots=True)
class EntryLine:
    """One entry as a table shows it; ``by_user``: who, of an act in the console."""

    id: int
    leaf: int | None
    kind: str
    system: str
    occurred_at: str
    digest: str
    what: str


def told(
    entries: Iterable[tuple[int | None, bytes]], systems: Sequence[str], *, cutoff: int
) -> dict[str, Told]:
    """Lanes by system, from entries in the order in which they were written.

    Access of a system counts as standing from the cutoff until it is off, and again from when it
    was seen to be back; where no look ever saw any, none stood.
    """
    lanes = {system: Told(open_since=cutoff) for system in systems}
    for leaf, body in entries:
        entry = json.loads(body)
        lane = lanes.get(entry.get("system", ""))
        if lane is not None:
            data = entry.get("data", {})
            lane.skew_ms = max(lane.skew_ms, worst_skew(data), key=abs)
            _tell(lane, entry, data, leaf)
    for lane in lanes.values():
        if lane.open_since is not None:
            lane.spans.append(Span(lane.open_since, None, lane.stands is True))
        lane.events.sort(key=lambda event: event.at)
    return lanes


def worst_skew(data: Mapping[str, Any]) -> int:
    """Of the calls of an entry, in milliseconds; 0 where each Date lay within its call."""
    return max((call.get("skew_ms", 0) for call in data.get("calls", ())), key=abs, default=0)


def _tell(lane: Told, entry: Mapping[str, Any], data: Mapping[str, Any], leaf: int | None) -> None:
    at = instant_ms(entry["occurred_at"])

    def add(mark: Mark, detail: str = "", moment: int = at) -> None:
        lane.events.append(Event(moment, mark, detail, leaf))

    match entry["kind"]:
        case "revocation:attempt":
            add(Mark.ATTEMPT, f"attempt {data['attempt']} of round {data['round']}")
            _tell_searches(lane, data)
            lane.stands = lane.stands or bool(data.get("standing"))
            lane.had = lane.had or lane.stands
        case "revocation:fault":
            add(Mark.FAULT, data["category"])
            lane.unread = [(row["kind"], row.get("category", "")) for row in data.get("unread", ())]
            _tell_searches(lane, data)
        case "revocation:outcome":
            _tell_outcome(lane, data, at, leaf)
        case "revocation:needs_person" | "revocation:woken" as kind:
            mark, why = _WHYS[kind]
            add(mark, data[why])
        case "decision:retry" | "decision:attest" | "decision:waive" | "decision:pick":
            kind = entry["kind"].partition(":")[2]
            add(Mark.DECISION, kind)
            if kind == "attest":
                _close(lane, at, seen=lane.stands is True)
        case "watch:look":
            add(Mark.LOOK_FAILED if "category" in data else Mark.LOOK, data.get("category", ""))
        case "finding:raised":
            _tell_finding(lane, data, at, leaf)
        case _:
            pass


def _tell_finding(lane: Told, data: Mapping[str, Any], at: int, leaf: int | None) -> None:
    if data.get("finding") == RETURNED_BEFORE_REHIRE:
        lane.events.append(Event(at, Mark.REHIRED, "", leaf))
        return
    if data.get("finding") == ACCOUNT_IN_DOUBT:
        lane.events.append(Event(at, Mark.DOUBT, "", leaf))
        return
    mark = Mark.RETURNED if lane.had else Mark.APPEARED
    lane.events.append(Event(at, mark, data.get("finding", "") if lane.had else "", leaf))
    lane.had = lane.stands = True
    lane.open_since = lane.open_since or at
    lane.residuals = []


def _tell_searches(lane: Told, data: Mapping[str, Any]) -> None:
    if "searches" in data:
        lane.searches = [(row["by"], row["proof"]) for row in data["searches"]]
        lane.listed = data.get("listed")


def _tell_outcome(lane: Told, data: Mapping[str, Any], at: int, leaf: int | None) -> None:
    lane.unread = []
    _tell_searches(lane, data)
    off = instant_ms(data["revoked_at"])
    for action in data.get("accepted", ()):
        detail = action["kind"]
        lane.events.append(Event(instant_ms(action["at"]), Mark.ACTION, detail, leaf))
    did_end = bool(lane.stands or data.get("removed") or data["outcome"] == "revoked")
    if did_end:  # else nothing was there to be off
        lane.events.append(Event(off, Mark.OFF, data["outcome"], leaf))
    lane.events.append(Event(at, Mark.READ_BACK, f"grade {data['grade']}", leaf))
    lane.residuals = [
        (item["what"], off + bound * 1000 if (bound := item.get("bound_s")) is not None else None)
        for item in data.get("residuals", ())
    ]
    lane.removed = {}
    for item in data.get("removed", ()):
        lane.removed[item["kind"]] = lane.removed.get(item["kind"], 0) + 1
    if did_end:
        lane.had = True
        _close(lane, off, seen=True)
    else:  # a look found nothing: no access is known to have stood
        lane.open_since = lane.stands = None


def _close(lane: Told, at: int, *, seen: bool) -> None:
    if lane.open_since is not None and at > lane.open_since:
        lane.spans.append(Span(lane.open_since, at, seen))
    lane.open_since = lane.stands = None


def entry_line(number: int, leaf: int | None, body: bytes, digest: bytes) -> EntryLine:
    """An entry as a row of a table."""
    entry = json.loads(body)
    data = entry.get("data", {})
    what = str(data.get("act") or data.get("outcome") or data.get("category") or "")
    return EntryLine(
        number,
        leaf,
        entry["kind"],
        entry.get("system", ""),
        entry["occurred_at"],
        digest.hex(),
        what,
    )
