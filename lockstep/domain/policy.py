"""The versioned policy, pinned in a case when it opens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time, timedelta
from enum import StrEnum
from typing import Any

from lockstep.domain.cases.clocks import VENDOR_CLOCK_TOLERANCE
from lockstep.domain.cases.cutoff import CutoffRule
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.systems.access import Category


class Tier(StrEnum):
    """How much hangs on a system; decides the SLA (design, "Policy")."""

    ZERO = "0"
    ONE = "1"
    MANUAL = "manual"


_DAY = timedelta(hours=24)
DEFAULT_SLA: Mapping[tuple[TerminationKind, Tier], timedelta] = {
    (TerminationKind.INVOLUNTARY, Tier.ZERO): timedelta(hours=1),
    (TerminationKind.INVOLUNTARY, Tier.ONE): timedelta(hours=4),
    (TerminationKind.INVOLUNTARY, Tier.MANUAL): _DAY,
    (TerminationKind.VOLUNTARY, Tier.ZERO): timedelta(hours=4),
    (TerminationKind.VOLUNTARY, Tier.ONE): _DAY,
    (TerminationKind.VOLUNTARY, Tier.MANUAL): _DAY,
    (TerminationKind.CONTRACT_END, Tier.ZERO): timedelta(hours=4),
    (TerminationKind.CONTRACT_END, Tier.ONE): _DAY,
    (TerminationKind.CONTRACT_END, Tier.MANUAL): _DAY,
}
"""Elapsed calendar hours, never business hours."""

_TOLERANCE = "vendor_clock_tolerance_s"

DEFAULT_WATCH = (timedelta(hours=1), timedelta(days=1), timedelta(days=7), timedelta(days=30))
"""One sync cycle, a day, a week, a month after closing."""


@dataclass(frozen=True, slots=True)
class SystemPolicy:
    """One system in scope.

    Args:
        accept_single_key: settle ``not_found`` although only one kind of key can be searched.
        start_to_close: bound on one attempt; a stuck vendor call ends here.
    """

    system: str
    connector: str
    category: Category
    tier: Tier
    required: bool = True
    accept_single_key: bool = False
    start_to_close: timedelta = timedelta(seconds=60)

    @property
    def is_manual(self) -> bool:
        return self.tier is Tier.MANUAL


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything about a case that policy decides.

    Args:
        warn_at: the part of a system's SLA after which operations are told that it is still open.
        vendor_clock_tolerance: how far a vendor's clock may be from ours before its own records of
            when access ended count for nothing.
        same_people: groups of sources that number the same people.
    """

    version: str
    systems: tuple[SystemPolicy, ...]
    cutoff: CutoffRule = field(default_factory=CutoffRule)
    sla: Mapping[tuple[TerminationKind, Tier], timedelta] = field(
        default_factory=lambda: dict(DEFAULT_SLA)
    )
    warn_at: float = 0.5
    watch: tuple[timedelta, ...] = DEFAULT_WATCH
    vendor_clock_tolerance: timedelta = VENDOR_CLOCK_TOLERANCE
    same_people: tuple[tuple[str, ...], ...] = ()

    def sla_for(self, kind: TerminationKind, tier: Tier) -> timedelta:
        return self.sla.get((kind, tier), DEFAULT_SLA[(kind, tier)])

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Policy:
        """Read what `as_document` wrote, for cases that an older policy is pinned in."""
        return cls(
            version=document["version"],
            systems=tuple(
                SystemPolicy(
                    system=row["system"],
                    connector=row["connector"],
                    category=Category(row["category"]),
                    tier=Tier(row["tier"]),
                    required=row["required"],
                    accept_single_key=row["accept_single_key"],
                    start_to_close=timedelta(seconds=row["start_to_close_s"]),
                )
                for row in document["systems"]
            ),
            cutoff=CutoffRule(
                end_of_day=time.fromisoformat(document["cutoff"]["end_of_day"]),
                involuntary_at_notice=document["cutoff"]["involuntary_at_notice"],
            ),
            sla={
                (TerminationKind(kind), Tier(tier)): timedelta(seconds=seconds)
                for name, seconds in document["sla_s"].items()
                for kind, _, tier in [name.partition(".")]
            },
            warn_at=document["warn_at_percent"] / 100,
            watch=tuple(timedelta(seconds=seconds) for seconds in document["watch_s"]),
            vendor_clock_tolerance=timedelta(seconds=document[_TOLERANCE])
            if _TOLERANCE in document
            else VENDOR_CLOCK_TOLERANCE,
            same_people=tuple(tuple(group) for group in document.get("same_people", ())),
        )

    def as_document(self) -> dict[str, object]:
        """The policy as plain data for hashing and storage: whole seconds, sorted, no secrets.

        The tolerance stands there only where it is not the usual one: documents without it are
        pinned in cases already, and keep their digests.
        """
        is_usual = self.vendor_clock_tolerance == VENDOR_CLOCK_TOLERANCE
        tolerance = int(self.vendor_clock_tolerance.total_seconds())
        return {
            "version": self.version,
            "systems": [
                {
                    "system": row.system,
                    "connector": row.connector,
                    "category": row.category.value,
                    "tier": row.tier.value,
                    "required": row.required,
                    "accept_single_key": row.accept_single_key,
                    "start_to_close_s": int(row.start_to_close.total_seconds()),
                }
                for row in sorted(self.systems, key=lambda row: row.system)
            ],
            "cutoff": {
                "end_of_day": _time_text(self.cutoff.end_of_day),
                "involuntary_at_notice": self.cutoff.involuntary_at_notice,
            },
            "sla_s": {
                f"{kind.value}.{tier.value}": int(self.sla_for(kind, tier).total_seconds())
                for kind in TerminationKind
                for tier in Tier
            },
            "warn_at_percent": round(self.warn_at * 100),
            "watch_s": [int(delay.total_seconds()) for delay in self.watch],
            **({} if is_usual else {_TOLERANCE: tolerance}),
            # Only where there are any: the digest of every other policy stays as it was.
            **({"same_people": _groups(self.same_people)} if self.same_people else {}),
        }


def _time_text(at: time) -> str:
    """To the minute where that is exact: the text is part of every pinned digest."""
    return at.isoformat("seconds" if at.second else "minutes")


def _groups(groups: tuple[tuple[str, ...], ...]) -> list[list[str]]:
    return sorted(sorted(group) for group in groups)
