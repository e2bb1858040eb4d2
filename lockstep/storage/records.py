"""Rows of a case as immutable values, for control, command line and pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class CaseRow:
    """A case as stored; no personal data.

    Args:
        numbered_by: the source whose number the worker's id is.
        employment: which employment under its spell, from 1.
        unwatched_at: when HR said that they work here again: nothing is taken any more.
    """

    case_id: str
    tenant: str
    subject_id: UUID
    status: str
    kind: str
    source: str
    partner: str
    site: str
    zone: str
    policy: str
    revision: int
    last_event_id: str
    recorded_at: datetime
    cutoff_at: datetime
    received_at: datetime
    opened_at: datetime
    begun_at: datetime | None
    closed_at: datetime | None
    closings: int
    numbered_by: str = ""
    employment: int = 1
    unwatched_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RevocationRow:
    """One system of a case as stored; no personal data."""

    case_id: str
    system: str
    connector: str
    category: str
    tier: str
    required: bool
    state: str
    warn_at: datetime
    due_at: datetime
    opening: int
    round: int
    attempts: int
    accounts: int
    actions: int
    outcome: str | None
    grade: str | None
    residual_s: int
    residual_unknown: bool
    needs_person_since: datetime | None
    fault: str | None
    fault_text: str | None
    fault_at: datetime | None
    retry_at: datetime | None
    first_attempt_at: datetime | None
    accepted_at: datetime | None
    revoked_at: datetime | None
    confirmed_at: datetime | None
    rehearsed_at: datetime | None
    rehearsal_problems: list[dict[str, str]] | None
    contained_at: datetime | None = None
    """Since when nobody signs in with its accounts, as a look confirmed; no more is claimed."""


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case with its systems, and the leaver's name where it may be shown."""

    case: CaseRow
    revocations: tuple[RevocationRow, ...]
    leaver: str = field(repr=False, default="")
    worker_id: str = field(repr=False, default="")
