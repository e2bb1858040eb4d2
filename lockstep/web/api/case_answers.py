"""Answers about cases and about acts on them, as they are sent and as OpenAPI describes them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, PlainSerializer

from lockstep.control.board.filters import LONGEST, write_place
from lockstep.control.board.now import BoardPage, Door, Line
from lockstep.control.cases.picking import pick_seen
from lockstep.control.cases.seen import CaseSeen
from lockstep.domain.cases.clocks import time_to_revocation
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.cases.outcomes import CaseStatus, EvidenceGrade, Outcome, RevocationState
from lockstep.domain.rights import Principal
from lockstep.domain.systems.access import Category
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.finding import Reason
from lockstep.evidence.format.canonical import instant_text
from lockstep.storage.board.file import CaseFile
from lockstep.storage.board.filter import BoardState
from lockstep.storage.board.now import MOST_ROWS
from lockstep.storage.cases.acts import ActKind
from lockstep.storage.cases.candidates import Candidate
from lockstep.storage.people.requests import MOST_ROWS as MOST_REQUESTS
from lockstep.storage.people.requests import RequestRow, RequestState
from lockstep.storage.records import RevocationRow
from lockstep.web.api.answers import (
    ActId,
    Answer,
    CaseId,
    Count,
    Kind,
    Milliseconds,
    Name,
    Prose,
    RequestId,
    Slug,
    TierName,
    UserId,
    ZonedInstant,
    one_of,
    text,
    zoned,
)
from lockstep.web.api.answers import Instant as InstantText

Instant = Annotated[
    datetime, PlainSerializer(instant_text, return_type=str), InstantText.__metadata__[0]
]
Status = Annotated[str, one_of(status for status in CaseStatus if status != "needs_person")]
"""As stored; that a system waits for a person is told by the systems and ``needs_person``."""
AskedKind = Annotated[
    str,
    one_of(
        [
            *(ActKind.ATTEST, ActKind.WAIVE, ActKind.PICK),
            *(ActKind.RESCHEDULE, ActKind.RESCIND, ActKind.REHIRE, ActKind.WITHDRAW_KEY),
        ]
    ),
]
OutcomeName = Annotated[str, one_of(Outcome)]
_SEEN = "for whoever may not act, and in lists, null."


class HeldKeyDocument(Answer):
    """One identity key that the vendor itself holds of an account."""

    kind: Annotated[str, one_of(KeyKind)]
    value: Prose = Field(repr=False)


class CandidateDocument(Answer):
    """An account of which a person says whose it is; everything is the vendor's own word."""

    account_id: Annotated[str, text(most=512)] = Field(repr=False)
    in_doubt: bool = Field(description="Or else set aside: somebody else's, by `why`.")
    why: Annotated[str, one_of(Reason)]
    found_by: Annotated[str, one_of(KeyKind)]
    name: Prose | None = Field(repr=False)
    held: list[HeldKeyDocument] = Field(repr=False, max_length=200)
    created_at: Instant | None
    last_used_at: Instant | None
    signs_in: bool | None = Field(description="Null where it is not known.")

    @classmethod
    def of(cls, one: Candidate) -> Self:
        return cls(
            account_id=one.account_id,
            in_doubt=one.in_doubt,
            why=one.why,
            found_by=one.found_by,
            name=one.name or None,
            held=[HeldKeyDocument(kind=kind, value=value) for kind, value in one.held],
            created_at=one.created_at,
            last_used_at=one.last_used_at,
            signs_in=one.signs_in,
        )


class SystemDocument(Answer):
    """One system of a case."""

    system: Slug
    connector: Slug
    category: Annotated[str, one_of(Category)] = Field(description="What kind of door it is.")
    tier: TierName = Field(description="How much hangs on it; decides the SLA.")
    required: bool
    state: Annotated[str, one_of(RevocationState)]
    due_at: Instant = Field(description="When its SLA ends.")
    is_late: bool
    access_is_back: bool = Field(
        description="A later look found access: it came back, or no look had seen it before."
    )
    paused_until: Instant | None = Field(description="Maintenance; the clock runs on.")
    waits_for_second: AskedKind | None = Field(description="What was asked for.")
    reason: Prose = Field(description="Why it is as it is, in plain words.")
    suggestion: Prose = Field(description="What to do about it.")
    fault: Annotated[str, one_of(FaultCategory)] | None = Field(
        description="The fault's category; a stable word."
    )
    fault_text: Prose | None = Field(description="The connector's own words.")
    attempts: Count
    outcome: OutcomeName | None = Field(description="Null while it is open.")
    grade: Annotated[str, one_of(EvidenceGrade)] | None = Field(
        description="Of the evidence, A to D."
    )
    residual_s: Count = Field(description="What runs out by itself does so within (seconds).")
    residual_unknown: bool = Field(
        description="Whether something outlives the revocation for a time that nobody has stated."
    )
    first_attempt_at: Instant | None
    contained_at: Instant | None = Field(
        description="Since when nobody signs in, as a look confirmed; other access may stand."
    )
    revoked_at: Instant | None = Field(description="When access was gone.")
    confirmed_at: Instant | None = Field(description="When the read-back proved it.")
    time_to_revocation_ms: Milliseconds | None = Field(
        description="From the cutoff to `revoked_at` (ms); 0 if it was gone before."
    )
    seen: Annotated[str, text(pattern=r"^[0-9]+\.[0-9]+$")] | None = Field(
        description=f"Give it as `seen` with what you decide about this system; {_SEEN}"
    )
    candidates: list[CandidateDocument] | None = Field(
        repr=False,
        description="Accounts in doubt, and what was set aside with them. Null in lists and for "
        "a token that may not see names.",
    )
    pick_seen: Annotated[str, text(most=60)] | None = Field(
        description="Give it as `seen` when you pick; null where nothing is in doubt."
    )

    @classmethod
    def of(
        cls, line: Line, door: Door, seen: str | None = None, shown: CaseFile | None = None
    ) -> Self:
        row = door.row
        off = row.revoked_at
        return cls(
            **{name: getattr(row, name) for name in _AS_STORED},
            is_late=door.is_late,
            access_is_back=door.is_back,
            paused_until=door.paused_until,
            waits_for_second=door.waiting.kind if door.waiting else None,
            reason=door.reason,
            suggestion=door.suggestion,
            time_to_revocation_ms=time_to_revocation(line.case.cutoff_at, off) if off else None,
            seen=seen,
            candidates=[CandidateDocument.of(one) for one in shown.candidates.get(row.system, ())]
            if shown
            else None,
            pick_seen=(pick_seen(shown, row.system) or None) if shown else None,
        )


_AS_STORED = sorted(set(SystemDocument.model_fields) & set(RevocationRow.__dataclass_fields__))


class StalledDocument(Answer):
    """The case's workflow fails at every try: nothing is done, and no decision carried out."""

    since: Instant = Field(description="When it was first seen so.")
    reason: Prose
    suggestion: Prose = Field(description="What to do about it.")


class CaseDocument(Answer):
    """One case. ``leaver`` and ``worker_id`` are null for a token that may not see names."""

    case_id: CaseId
    status: Status
    kind: Kind
    source: Slug = Field(description="Who reported it; `cli` is a person here.")
    partner: Name
    site: Name
    zone: Name = Field(description="IANA zone in which HR's dates are meant.")
    leaver: Name | None = Field(repr=False)
    worker_id: Name | None = Field(repr=False)
    recorded_at: Instant = Field(description="When HR recorded it.")
    received_at: Instant
    opened_at: Instant
    cutoff_at: Instant = Field(description="When access must end.")
    begun_at: Instant | None = Field(description="When revocation began.")
    closed_at: Instant | None
    due_at: Instant | None = Field(description="Of the first system that is open.")
    is_late: bool
    needs_person: bool
    stalled: StalledDocument | None = Field(
        description="Why the case cannot go on; null where nothing says so."
    )
    stalled_known: bool = Field(
        description="Whether a worker has looked within a minute; else null `stalled` says nothing."
    )
    assigned_to: UserId | None = Field(description="User id of whoever has taken it.")
    dates_seen: Annotated[str, text(most=400)] | None = Field(
        description=f"Give it as `seen` when you move the cutoff or call the case off; {_SEEN}"
    )
    assignment_seen: Annotated[str, text(most=200)] | None = Field(
        description=f"Give it as `seen` when you give the case to somebody; {_SEEN}"
    )
    systems: list[SystemDocument]

    @classmethod
    def of(
        cls,
        line: Line,
        me: Principal,
        seen: CaseSeen | None = None,
        shown: CaseFile | None = None,
    ) -> Self:
        case = line.case
        positions = seen.systems if seen else {}
        stored = set(cls.model_fields) & set(case.__dataclass_fields__)
        return cls(
            **{name: getattr(case, name) for name in stored},
            leaver=line.leaver if me.sees_names else None,
            worker_id=line.worker_id if me.sees_names else None,
            due_at=line.due_at,
            is_late=line.is_late,
            needs_person=line.needs_person,
            stalled=line.stalled
            and StalledDocument(
                since=line.stalled.since,
                reason=line.stalled.fault.reason,
                suggestion=line.stalled.fault.suggestion,
            ),
            stalled_known=line.goes_on_known,
            assigned_to=line.assigned_to or None,
            dates_seen=seen.dates if seen else None,
            assignment_seen=seen.assignment if seen else None,
            systems=[
                SystemDocument.of(line, door, positions.get(door.row.system), shown)
                for door in line.systems
            ],
        )


class HeldDocument(Answer):
    """People who wait at a brake: no case is open for them yet, and their clocks run."""

    count: Count
    past_cutoff: Count = Field(description="Those whose access should have ended by now.")
    first_cutoff_at: Instant | None


class CasesDocument(Answer):
    """One page of a list. ``next``: give it as ``after`` for the next page; null at the end."""

    cases: list[CaseDocument] = Field(max_length=MOST_ROWS)
    counts: dict[BoardState, Count] = Field(
        description="Cases of each state, under the same filters; who is `held` has none yet."
    )
    held: HeldDocument
    next: Annotated[str, text(most=LONGEST)] | None

    @classmethod
    def of(cls, page: BoardPage, me: Principal) -> Self:
        return cls(
            cases=[CaseDocument.of(line, me) for line in page.lines],
            counts=dict(page.counts),
            held=HeldDocument(
                count=page.held.count,
                past_cutoff=page.held.past_cutoff,
                first_cutoff_at=page.held.first_cutoff_at,
            ),
            next=write_place(page.more) or None,
        )


class DoneDocument(Answer):
    """An act that was carried out."""

    act_id: ActId
    outcome: OutcomeName | None = Field(
        description="What stands of the system after an attestation or a waiver; else null."
    )


class AskedDocument(Answer):
    """It waits for a second person."""

    request_id: RequestId
    expires_at: ZonedInstant = Field(description="Undecided until then, it expires.")


class RequestDocument(Answer):
    """Something that was asked for; nothing of why, which may name people."""

    request_id: RequestId
    case_id: CaseId
    system: Slug | None = Field(description="null where it is about the dates of the whole case.")
    kind: AskedKind
    state: Annotated[str, one_of(RequestState)]
    asked_by: UserId
    asked_at: ZonedInstant
    expires_at: ZonedInstant
    until: ZonedInstant | None = Field(description="The end of a waiver; else null.")

    @classmethod
    def of(cls, row: RequestRow) -> Self:
        return cls(
            request_id=row.request_id,
            case_id=row.case_id,
            system=row.system or None,
            kind=row.kind,
            state=row.state,
            asked_by=row.asked_by,
            asked_at=zoned(row.asked_at),
            expires_at=zoned(row.expires_at),
            until=zoned(row.until) if row.until else None,
        )


class RequestsDocument(Answer):
    """What waits for a second person, the first to expire first."""

    requests: list[RequestDocument] = Field(max_length=MOST_REQUESTS)
