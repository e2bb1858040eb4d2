"""What the entries of one case tell beyond its facts: tries, faults, calls, decisions, hashes."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lockstep.evidence.format.plain import instant_ms
from lockstep.evidence.ledger.fold import ACCESS_RETURNED

_LEAF = b"\x00"


class Leaf(NamedTuple):
    """An entry with its place in the ledger; ``digest`` is its leaf hash in hex."""

    place: int
    entry: Mapping[str, Any]
    digest: str


_WORDS_OF_PEOPLE = frozenset(
    {"case:amended", "case:rescinded", "case:rescind_refused", "case:rehired"}
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call to a vendor, as the vendor's own log shows it. All as recorded; "" where unknown."""

    system: str
    operation: str
    status: str
    at: str
    date: str
    request_id: str
    digest: str


@dataclass(frozen=True, slots=True)
class Decision:
    """A word of HR or of a person that changed the case. ``at`` in milliseconds."""

    at: int
    kind: str
    system: str
    by_person: bool
    second_person: bool
    until: str
    grade: str
    artefact: str


@dataclass(frozen=True, slots=True)
class EntryLine:
    """One entry of the ledger; ``leaf_hash`` in hex."""

    leaf: int
    kind: str
    system: str
    occurred_at: str
    recorded_at: str
    leaf_hash: str


@dataclass(slots=True)
class SystemStory:
    """One system of the case. Instants in milliseconds; ``removed`` counts kinds of access."""

    attempts: list[int] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)
    returned: list[int] = field(default_factory=list)
    decided: list[int] = field(default_factory=list)
    accepted_at: int | None = None
    removed: Counter[str] = field(default_factory=Counter)
    residuals: dict[str, int | None] = field(default_factory=dict)


@dataclass(slots=True)
class CaseStory:
    """The whole case, in the order of the ledger."""

    systems: dict[str, SystemStory] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    calls_dropped: int = 0
    lines: list[EntryLine] = field(default_factory=list)

    def of(self, system: str) -> SystemStory:
        return self.systems.setdefault(system, SystemStory())


def leaf_of(place: int, body: bytes) -> Leaf:
    """Read an entry; hashed from its stored bytes, because to serialise it again costs more."""
    return Leaf(place, json.loads(body), hashlib.sha256(_LEAF + body).hexdigest())


def told(entries: Sequence[Leaf]) -> CaseStory:
    """Read the entries of one case, given in the order of the ledger."""
    story = CaseStory()
    for leaf in entries:
        entry = leaf.entry
        story.lines.append(_line(leaf))
        data = entry.get("data", {})
        system = entry.get("system", "")
        story.calls.extend(_calls(system, data))
        story.calls_dropped += data.get("calls_dropped", 0)
        if entry["kind"].startswith("decision:") or entry["kind"] in _WORDS_OF_PEOPLE:
            story.decisions.append(_decision(entry, data))
        if system:
            _tell(story.of(system), entry, data)
    return story


def _tell(story: SystemStory, entry: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    at = instant_ms(entry["occurred_at"])
    match entry["kind"]:
        case "revocation:attempt":
            story.attempts.append(at)
        case "revocation:fault":
            story.faults.append((at, data["category"]))
        case "revocation:outcome":
            story.removed.update(item["kind"] for item in data["removed"])
            story.residuals = {item["what"]: item.get("bound_s") for item in data["residuals"]}
            accepted = data.get("accepted_at")
            story.accepted_at = instant_ms(accepted) if accepted else None
        case "finding:raised" if data.get("finding") == ACCESS_RETURNED:
            story.returned.append(at)
        case "decision:attest" | "decision:waive" | "decision:retry" | "decision:pick":
            story.decided.append(at)
        case _:
            pass


def _calls(system: str, data: Mapping[str, Any]) -> Iterator[Call]:
    for row in data.get("calls", ()):
        yield Call(
            system=system,
            operation=row["op"],
            status=str(row["status"]),
            at=row["at"],
            date=row.get("date", ""),
            request_id=row.get("request_id", ""),
            digest=row.get("sha256", ""),
        )


def _decision(entry: Mapping[str, Any], data: Mapping[str, Any]) -> Decision:
    return Decision(
        at=instant_ms(entry["occurred_at"]),
        kind=entry["kind"],
        system=entry.get("system", ""),
        by_person=entry["actor"]["type"] == "person",
        second_person=bool(data.get("second_person")),
        until=data.get("until", ""),
        grade=data.get("grade", ""),
        artefact=data.get("artefact_sha256", ""),
    )


def _line(leaf: Leaf) -> EntryLine:
    entry = leaf.entry
    return EntryLine(
        leaf=leaf.place,
        kind=entry["kind"],
        system=entry.get("system", ""),
        occurred_at=entry["occurred_at"],
        recorded_at=entry["recorded_at"],
        leaf_hash=leaf.digest,
    )
