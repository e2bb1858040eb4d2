"""Leavers to score, made from what a test says of them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from hypothesis import settings

from lockstep.scorecard.definition import DEFAULT
from lockstep.scorecard.facts import CaseFacts, Feed, Finding, ItemFacts
from lockstep.scorecard.metric import Score, official_window, score

HOUR = 3_600_000
DAY = 24 * HOUR
WEEK = 7 * DAY
NOW = 1_795_000_000_000
"""2026-11-18T11:06:40Z."""

patient = settings(deadline=None)
"""For properties: how long one example takes depends on who else uses the machine."""


def item(
    ratio: str | int = 0,
    *,
    system: str = "okta-prod",
    tier: str = "1",
    hours: int = 24,
    cutoff: int = NOW - 30 * DAY,
    **facts: object,
) -> ItemFacts:
    """One system, proved gone at ``ratio`` of its SLA after ``cutoff``."""
    sla = hours * HOUR
    settled: dict[str, object] = {
        "accounts": 1,
        "outcome": "revoked",
        "grade": "A",
        "off_at": cutoff + int(Fraction(ratio) * sla),
    }
    return ItemFacts(
        **{
            "system": system,
            "category": "identity",
            "tier": tier,
            "required": True,
            "sla_ms": sla,
            **settled,
            **facts,
        }
    )


def open_item(**facts: object) -> ItemFacts:
    """One system where access is not proved gone."""
    return item(**{"off_at": None, "outcome": "", "grade": "", **facts})


def feed(heard: int | None, *, source: str = "hr", expected: int = 100 * DAY) -> Feed:
    """A source that was heard so long ago, or never; expected for longer."""
    return Feed(source, NOW - expected, None if heard is None else NOW - heard)


def case(*items: ItemFacts, cutoff: int = NOW - 30 * DAY, **facts: object) -> CaseFacts:
    """One leaver with these systems; all times before the cutoff are the cutoff."""
    given: dict[str, object] = {
        "case_id": "c1",
        "subject": "s1",
        "kind": "voluntary",
        "source": "hr",
        "partner": "north",
        "site": "manila",
        "zone": "Asia/Manila",
        "recorded_at": cutoff,
        "cutoff_at": cutoff,
        "shown_cutoff_at": cutoff,
        "received_at": cutoff,
        "opened_at": cutoff,
        "policy": "p1",
        "first_leaf": 0,
        "items": items,
    }
    return CaseFacts(**{**given, **facts})


def leavers(count: int, ratio: str | int = "0.1", **facts: object) -> list[CaseFacts]:
    """So many leavers with one system each, all at ``ratio`` of their SLA."""
    return [numbered(case(item(ratio, **facts)), at) for at in range(count)]


def numbered(one: CaseFacts, at: int) -> CaseFacts:
    """The same case under an id of its own."""
    return replace(one, case_id=f"{one.case_id}-{at}")


def apart(*groups: list[CaseFacts]) -> list[CaseFacts]:
    """Groups as one population, each case with an id of its own."""
    everybody = [one for group in groups for one in group]
    return [replace(one, case_id=f"c{at:04}") for at, one in enumerate(everybody)]


def scored(cases: list[CaseFacts], *, as_of: int = NOW, **options: object) -> Score:
    """The official score at ``as_of``."""
    given = {"window": official_window(DEFAULT, as_of), "as_of": as_of, **options}
    return score(cases, DEFAULT, **given)


def value(cases: list[CaseFacts], **options: object) -> str | None:
    """The published value as text."""
    return scored(cases, **options).as_document()["value"]


def finding(kind: str, **facts: object) -> Finding:
    """A finding that was raised two days ago and stands."""
    return Finding(**{"kind": kind, "raised_at": NOW - 2 * DAY, **facts})
