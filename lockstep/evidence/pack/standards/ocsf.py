"""A case as OCSF events (https://schema.ocsf.io): what was closed, and whether it was in time.

One line per kind of access and system where the class takes a list, else one line per thing that
was closed; one Compliance Finding per case. Plain numbers and text: no library is needed, and
every line is the same for the same entries.

The profile ``record_integrity`` of 1.9.0 is left out: its fingerprint is of the event itself, and
what the ledger vouches for is the entry. ``raw_data_hash`` holds that entry's leaf hash instead.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lockstep.evidence.format.plain import instant_ms, instant_text
from lockstep.evidence.pack import layout
from lockstep.evidence.pack.cases.story import Leaf
from lockstep.evidence.pack.model import CaseLine
from lockstep.evidence.pack.standards.ocsf_classes import CATEGORIES, Shape, shapes_for
from lockstep.evidence.pack.standards.ocsf_finding import compliance_finding

Json = dict[str, Any]

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://lockstep.invalid/ns/ocsf")
_OUTCOME = "revocation:outcome"


@dataclass(frozen=True, slots=True)
class _Span:
    """When the vendor accepted: the first and the last time, in milliseconds."""

    first: int
    last: int


def ocsf_events(
    line: CaseLine, entries: Sequence[Leaf], *, version: str, tenant: str
) -> Iterator[dict[str, Any]]:
    """The events of one case: of its outcomes, in the order of the ledger, then the finding.

    Without ``entries`` there is the finding alone.

    Args:
        line: the case and its result.
        entries: the case's entries with their indexes.
        version: "1.9.0" or "1.8.0"; 1.9.0 has retired two classes that 1.8.0 needs.
        tenant: whose ledger it is.

    Raises:
        ValueError: for another version.
    """
    if version not in layout.OCSF_VERSIONS.values():
        raise ValueError(f"no mapping to OCSF {version[:20]}")
    for leaf in entries:
        if leaf.entry["kind"] == _OUTCOME:
            yield from _closed(line, leaf, version=version, tenant=tenant)
    yield _finding(line, version=version, tenant=tenant)


def _closed(line: CaseLine, leaf: Leaf, *, version: str, tenant: str) -> Iterator[Json]:
    """One system's outcome: everything that stood before and no longer stands."""
    entry = leaf.entry
    data = entry["data"]
    removed: dict[str, list[str]] = {}
    for item in data["removed"]:
        removed.setdefault(item["kind"], []).append(item["ref"])
    user = _user(line, entry)
    for kind, refs in removed.items():
        shape = shapes_for(version)[kind]
        span = _span(kind, data)
        groups = [refs] if shape.takes_list else [[ref] for ref in refs]
        for number, group in enumerate(groups):
            event = _frame(shape, _when(span, group, shape), version)
            event |= _timed(span, group)
            event["message"] = f"{shape.says} in {entry['system']}; read back."
            event |= {"status_id": 1, "status": "Success", "status_code": data["outcome"]}
            event["actor"] = {"app_name": "Lockstep"}
            event |= shape.members(user, group, entry["system"])
            event["raw_data_hash"] = _fingerprint(leaf.digest)
            event["unmapped"] = _unmapped(kind, group, entry)
            name = (entry["case"], str(leaf.place), kind, str(number))
            event["metadata"] |= _about(line, leaf.place, tenant, name)
            event["metadata"] |= {
                "event_code": _OUTCOME,
                "original_time": instant_text(event["time"]),
                "logged_time": instant_ms(entry["recorded_at"]),
            }
            yield event


def _span(kind: str, data: Mapping[str, Any]) -> _Span:
    """Of the calls that closed this kind; of R where the entry holds none.

    The entry does not say which call closed which thing of a kind.
    """
    times = [instant_ms(one["at"]) for one in data["accepted"] if one["kind"] == kind]
    off = instant_ms(data["revoked_at"])
    return _Span(min(times, default=off), max(times, default=off))


def _when(span: _Span, group: Sequence[str], shape: Shape) -> int:
    """The first time of an aggregate, as OCSF asks; else the last: closed not later than that."""
    return span.first if shape.takes_list and len(group) > 1 else span.last


def _timed(span: _Span, group: Sequence[str]) -> Json:
    if len(group) == 1:
        return {}
    return {"count": len(group), "start_time": span.first, "end_time": span.last}


def _frame(shape: Shape, at: int, version: str) -> Json:
    """What every event has: its class, its time, and by whom it is told."""
    category = shape.class_uid // 1000
    return {
        "activity_id": shape.activity_id,
        "activity_name": shape.activity,
        "category_uid": category,
        "category_name": CATEGORIES[category],
        "class_uid": shape.class_uid,
        "class_name": shape.class_name,
        "type_uid": shape.class_uid * 100 + shape.activity_id,
        "type_name": f"{shape.class_name}: {shape.activity}",
        "severity_id": 1,
        "severity": "Informational",
        "time": at,
        "timezone_offset": 0,
        "metadata": {
            "version": version,
            "product": {"name": "Lockstep", "vendor_name": "Lockstep"},
            "log_name": layout.ENTRIES,
        },
    }


def _about(line: CaseLine, leaf: int, tenant: str, name: Sequence[str]) -> Json:
    return {
        "uid": str(uuid.uuid5(_NAMESPACE, "\n".join((tenant, *name)))),
        "correlation_uid": line.facts.case_id,
        "sequence": leaf,
        "tenant_uid": tenant,
    }


def _user(line: CaseLine, entry: Mapping[str, Any]) -> Json:
    """The leaver by the pseudonym; the account, where there is one, by its commitment."""
    accounts = entry["data"]["accounts"]
    user: Json = {"uid": line.facts.subject, "type_id": 1, "type": "User"}
    user["domain"] = entry["system"]
    return user | ({"account": {"uid": accounts[0]}} if len(accounts) == 1 else {})


def _unmapped(kind: str, refs: Sequence[str], entry: Mapping[str, Any]) -> Json:
    """Ours, for the way back to the entry: how it was closed, and all commitments."""
    data = entry["data"]
    calls = [one for one in data["accepted"] if one["kind"] == kind]
    return {
        "system": entry["system"],
        "access": kind,
        "refs": list(refs),
        "operations": sorted({one["op"] for one in calls}),
        "request_ids": [one["request_id"] for one in calls if "request_id" in one],
        "grade": data["grade"],
        "confirmed_at": data["confirmed_at"],
    }


def _fingerprint(leaf_hash: str) -> Json:
    return {
        "algorithm_id": 99,
        "algorithm": "SHA-256 of 0x00 and the entry (RFC 6962 leaf hash)",
        "value": leaf_hash,
    }


def _finding(line: CaseLine, *, version: str, tenant: str) -> Json:
    shape, at, members = compliance_finding(line)
    event = _frame(shape, at, version) | members
    event["raw_data_hash"] = _fingerprint(line.leaf_hash)
    name = (line.facts.case_id, "finding")
    event["metadata"] |= _about(line, line.facts.first_leaf, tenant, name)
    return event
