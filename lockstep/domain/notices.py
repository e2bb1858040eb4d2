"""What people are told, by which route, and when a route keeps quiet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo


class NoticeKind(StrEnum):
    """What happened. Public: route settings name these."""

    STUCK = "stuck"
    """A revocation needs a person."""
    NEAR = "breach_near"
    """A revocation is past its warning time and not done."""
    BREACHED = "breached"
    """A revocation is past its SLA and not done."""
    RETURNED = "access_back"
    """A later look found access: it came back, or no look had seen it before."""
    BRAKE = "brake_on"
    """Terminations wait for an approver."""
    ANCHOR = "anchor_failing"
    """A copy of the ledger's heads cannot be kept outside."""
    SILENT = "hr_silent"
    """A source of HR has not been heard for too long."""
    STALLED = "case_stalled"
    """A case cannot go on: its workflow fails."""
    LOST = "workflow_lost"
    """A case's workflow was lost, or is of no case."""
    EVENT = "event_not_done"
    """An event of HR was not carried out, or not in full."""
    LEDGER = "ledger_not_in_order"
    """Entries wait for their place: no head is signed, no score follows."""
    CLOCK = "clock_differs"
    """A worker's clock, or Temporal's, is not the database's."""
    EXPORT = "export_failed"
    OUTAGE = "system_outage"
    """A system's own fault holds up many leavers."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that people should know, once.

    Args:
        key: the same fact has the same key, whoever finds it and how often.
        system: where; or the source, the anchor, the export that it is about.
        tier: of the system; "" where it is about no system.
        at: since when, or by when (a due time) it matters (UTC).
        covered_by: the fact that tells of it too, together with many others; "" where none does.
    """

    key: str
    kind: NoticeKind
    at: datetime
    case_id: str = ""
    system: str = ""
    partner: str = ""
    tier: str = ""
    covered_by: str = ""


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours in which a route keeps notices back; they are sent when the hours end.

    Args:
        begins, ends: civil times in ``zone``; over midnight where ``ends`` is not the later.
        except_kinds: what is told all the same.
    """

    begins: time
    ends: time
    zone: str
    except_kinds: frozenset[NoticeKind] = frozenset()

    def until(self, now: datetime, kind: NoticeKind) -> datetime | None:
        """When the quiet that holds ``kind`` back now ends (UTC); None if nothing does.

        A civil time that a change of clocks skips or repeats is read as PEP 495 does, fold 0.
        """
        if kind in self.except_kinds:
            return None
        zone = ZoneInfo(self.zone)
        today = now.astimezone(zone).date()
        for day in (today - timedelta(days=1), today):
            last = day if self.begins < self.ends else day + timedelta(days=1)
            begins = datetime.combine(day, self.begins, zone).astimezone(UTC)
            ends = datetime.combine(last, self.ends, zone).astimezone(UTC)
            if begins <= now < ends:
                return ends
        return None


@dataclass(frozen=True, slots=True)
class Route:
    """Where notices go, and which.

    Args:
        partners, tiers: None is all of them. What is about no partner or tier goes to every route
            that takes its kind, unless the route is for some partners only.
        names: whether leavers may be named there.
        escalate_to: the route that is told when nobody has taken it ``after`` so long.
    """

    name: str
    kinds: frozenset[NoticeKind]
    partners: frozenset[str] | None = None
    tiers: frozenset[str] | None = None
    quiet: Quiet | None = None
    names: bool = False
    escalate_to: str = ""
    after: timedelta = timedelta(minutes=30)

    def wants(self, fact: Fact) -> bool:
        if fact.kind not in self.kinds:
            return False
        if self.partners is not None and fact.partner not in self.partners:
            return False
        return self.tiers is None or not fact.tier or fact.tier in self.tiers
