"""What prolonged access is told from the entries of a case."""

from __future__ import annotations

import json

from lockstep.control.cases.prolonging import prolongings

HOUR_1, HOUR_2, HOUR_3 = (f"2026-11-30T0{hour}:00:00.000Z" for hour in (1, 2, 3))


def entry(kind: str, *, actor: str = "service", system: str = "", **data: object) -> bytes:
    return json.dumps(
        {
            "kind": kind,
            "recorded_at": HOUR_2,
            "actor": {"type": actor},
            "system": system,
            "data": data,
        }
    ).encode()


def moved(before: str, after: str, **more: object) -> dict[str, object]:
    return {"cutoff_at": after, "before": {"cutoff_at": before}, **more}


def test_each_delay_is_told_with_who_it_was() -> None:
    """A report that waited, later cutoffs by whom, and a pause once for each system."""
    told = prolongings(
        [
            entry("case:opened", received_at=HOUR_1),
            entry("case:amended", **moved(HOUR_1, HOUR_3)),
            entry("case:amended", actor="person", **moved(HOUR_1, HOUR_2)),
            entry("case:amended", actor="person", **moved(HOUR_1, HOUR_2, second_person="x")),
            entry("revocation:fault", system="okta", category="paused"),
            entry("revocation:fault", system="okta", category="paused"),
        ]
    )
    assert [(one.what.split(" from")[0].split(" of")[0], one.by) for one in told] == [
        ("the report", ""),
        ("the cutoff moved", "by HR's system"),
        ("the cutoff moved", "by one"),
        ("the cutoff moved", "by two people"),
        ("a pause held up okta", ""),
    ]


def test_what_delays_nobody_is_not_told() -> None:
    """An earlier cutoff, other corrections, faults of the vendor, a report that opened at once."""
    assert not prolongings(
        [
            entry("case:opened", received_at=HOUR_2),
            entry("case:amended", **moved(HOUR_3, HOUR_1)),
            entry("case:amended", cutoff_at=HOUR_3),
            entry("revocation:fault", system="okta", category="timeout"),
            entry("case:closed"),
        ]
    )
