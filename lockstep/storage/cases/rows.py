"""The rows and entries of a case that opens, or about which a person speaks."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, insert, update

from lockstep.contracts.payloads import DecisionInput
from lockstep.domain.cases.clocks import whole_ms
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.outcomes import CaseStatus, EvidenceGrade, Outcome, RevocationState
from lockstep.domain.cases.terminations import Termination
from lockstep.domain.policy import Policy, SystemPolicy, Tier
from lockstep.domain.systems.faults import Recovery
from lockstep.domain.systems.finding import Picks
from lockstep.evidence.format.canonical import canonical_bytes, instant_text, reference
from lockstep.evidence.ledger.entries import Actor, Entry, EntryKind, picks_data
from lockstep.storage.cases.candidates import picked, seal_picks
from lockstep.storage.cases.revocation_writes import PICKED, PICKED_OPEN, WOKEN
from lockstep.storage.cases.writes import RESOLVE_DOUBT
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.keys.subjects import Subject
from lockstep.storage.ledger.append import Append, Change
from lockstep.storage.records import CaseRow
from lockstep.storage.tables.case import revocations
from lockstep.storage.tables.casework import decisions

_DECIDED = insert(decisions)
_DECIDED_RETRY = (
    update(revocations)
    .where(revocations.c.case_id == bindparam("k_case"))
    .where(revocations.c.system == bindparam("k_system"))
    .where(revocations.c.state != RevocationState.SETTLED.value)
    .values(
        state=RevocationState.REVOKING.value,
        needs_person_since=None,
        retry_at=None,
        updated_at=func.now(),
    )
)
_DECIDED_OUTCOME = (
    update(revocations)
    .where(revocations.c.case_id == bindparam("k_case"))
    .where(revocations.c.system == bindparam("k_system"))
    .where(revocations.c.state != RevocationState.SETTLED.value)
    .values(
        state=RevocationState.SETTLED.value,
        outcome=bindparam("n_outcome"),
        grade=bindparam("n_grade"),
        revoked_at=bindparam("n_at"),
        confirmed_at=bindparam("n_at"),
        needs_person_since=None,
        retry_at=None,
        updated_at=func.now(),
    )
)


@dataclass(frozen=True, slots=True)
class PinnedPolicy:
    """A policy and the digest under which cases refer to it."""

    policy: Policy
    digest: str


def pin(policy: Policy) -> PinnedPolicy:
    """Digest a policy: SHA-256 of its RFC 8785 bytes, in hex."""
    return PinnedPolicy(policy, hashlib.sha256(canonical_bytes(policy.as_document())).hexdigest())


@dataclass(frozen=True, slots=True)
class Said:
    """Who of our own people asked for a change, why, and who agreed; kept encrypted."""

    actor: str
    reason: str = field(repr=False)
    second: str = ""


@dataclass(frozen=True, slots=True)
class Opening:
    """One termination that opens a case.

    Args:
        tombstone: remembers a rescission that came first.
        employment: which employment under its spell, from 1.
        peers: sources that number the same people; what one of them has opened is not opened again.
        inbox_id: the event; 0 where it did not come through the inbox.
    """

    termination: Termination
    received_at: datetime
    cutoff: datetime
    tombstone: bool = False
    said: Said | None = None
    employment: int = 1
    peers: tuple[str, ...] = ()
    inbox_id: int = 0

    def exact(self) -> Opening:
        """The same with its instants in whole milliseconds, as the ledger will tell them."""
        said = self.termination
        return replace(
            self,
            termination=replace(said, recorded_at=whole_ms(said.recorded_at)),
            received_at=whole_ms(self.received_at),
            cutoff=whole_ms(self.cutoff),
        )


def new_case_id() -> str:
    """A random id that people can read out: ``c`` and 12 characters, 60 bits."""
    return "c" + base64.b32encode(secrets.token_bytes(8)).decode().lower()[:12]


@dataclass(frozen=True, slots=True)
class NewRows:
    subject: dict[str, Any]
    case: dict[str, Any]
    revocations: list[dict[str, Any]]
    entry: Entry
    changes: tuple[Change, ...]


def new_rows(
    opening: Opening,
    pinned: PinnedPolicy,
    ring: Keyring,
    *,
    indexes: Mapping[str, bytes],
    now: datetime,
    waits: bool = False,
) -> NewRows:
    """Everything that opening one case writes. ``indexes`` are its blind indexes by column.

    ``now`` is in whole milliseconds, like every instant that is written here. ``waits``: it does
    not begin with its opening, although its cutoff may have come.
    """
    opening = opening.exact()
    termination = opening.termination
    subject = Subject.new(termination.keys, termination.display_name, termination.spell)
    case_id = new_case_id()
    is_due = opening.cutoff <= now and not waits
    status = CaseStatus.REVOKING if is_due else CaseStatus.SCHEDULED
    if opening.tombstone:
        status = CaseStatus.RESCINDED
    row = _case_row(case_id, subject, status, opening, pinned, indexes=indexes, now=now)
    doors = [
        _door_row(case_id, system, pinned.policy, opening)
        for system in pinned.policy.systems
        if not opening.tombstone
    ]
    said = opening.said
    actor = Actor()
    changes: tuple[Change, ...] = ()
    if said is not None:
        actor = Actor("person", reference(subject.salt, "person", said.actor))
        kind = EntryKind.CASE_OPENED
        number = short_key(termination.event_id)
        changes = (spoken(case_id, kind, number, said=said, subject=subject),)
    return NewRows(
        subject={
            "subject_id": subject.subject_id,
            "tenant": termination.tenant,
            "wrapped_key": subject.wrapped_key(ring),
            "private": subject.private(),
            "created_at": now,
        },
        case=row,
        revocations=doors,
        entry=_opened_entry(row, opening, [door["system"] for door in doors], subject, actor),
        changes=changes,
    )


def _case_row(
    case_id: str,
    subject: Subject,
    status: CaseStatus,
    opening: Opening,
    pinned: PinnedPolicy,
    *,
    indexes: Mapping[str, bytes],
    now: datetime,
) -> dict[str, Any]:
    termination = opening.termination
    return {
        "case_id": case_id,
        "tenant": termination.tenant,
        "subject_id": subject.subject_id,
        **indexes,
        "status": status.value,
        "kind": termination.kind.value,
        "source": termination.source,
        "partner": termination.partner,
        "site": termination.site,
        "zone": termination.dates.zone,
        "policy": pinned.digest,
        "revision": termination.revision,
        "last_event_id": termination.event_id,
        "recorded_at": termination.recorded_at,
        "cutoff_at": opening.cutoff,
        "received_at": opening.received_at,
        "opened_at": now,
        "begun_at": now if status is CaseStatus.REVOKING else None,
        "closed_at": None,
        "closings": 0,
        "numbered_by": termination.whose_number,
        "employment": opening.employment,
        "unwatched_at": None,
    }


def short_key(event_id: str) -> str:
    """An event's id as part of a ledger key: a sender may put anything into it."""
    return hashlib.sha256(event_id.encode()).hexdigest()[:16]


def spoken(case_id: str, kind: EntryKind, number: str, *, said: Said, subject: Subject) -> Change:
    """The row that keeps who said what about a whole case."""
    decision_id = f"{case_id}:{kind.value}:{number}"
    private = subject.encrypt(
        {"actor": said.actor, "second_person": said.second, "reason": said.reason},
        context=decision_id,
    )
    row = {
        "decision_id": decision_id,
        "case_id": case_id,
        "system": "",
        "kind": kind.value,
        "decided_at": whole_ms(datetime.now(UTC)),
        "until": None,
        "artefact_digest": "",
        "private": private,
    }
    return Change(_DECIDED, row)


def decision_append(
    given: DecisionInput, case: CaseRow, subject: Subject, before: Picks | None = None
) -> Append:
    """A person's decision: its entry, its row, and the outcome that it gives the system.

    ``before``: what people have said of accounts in doubt until now.
    """
    choice = given.decision
    now = whole_ms(datetime.now(UTC))
    if choice.recovery:
        return _woken(given, case, now)
    grade = None
    if choice.kind is DecisionKind.ATTEST:
        strong = choice.artefact_digest and choice.second_person
        grade = EvidenceGrade.C if strong else EvidenceGrade.D
    private = subject.encrypt(
        {"actor": choice.actor, "second_person": choice.second_person, "reason": choice.reason},
        context=choice.decision_id,
    )
    row = {
        "decision_id": choice.decision_id,
        "case_id": given.case_id,
        "system": choice.system,
        "kind": choice.kind.value,
        "decided_at": now,
        "until": whole_ms(choice.until) if choice.until else None,
        "artefact_digest": choice.artefact_digest,
        "private": private,
    }
    changes = [Change(_DECIDED, row)]
    if choice.kind is DecisionKind.PICK:
        changes += _pick_changes(given, subject, before or Picks(), now)
    elif (outcome := _outcome_of(choice.kind)) is not None:
        settled = {
            "k_case": given.case_id,
            "k_system": choice.system,
            "n_outcome": outcome.value,
            "n_grade": grade.value if grade else None,
            "n_at": now if choice.kind is DecisionKind.ATTEST else None,
        }
        changes.append(Change(_DECIDED_OUTCOME, settled))
    else:  # now, whatever the vendor's waiting time was
        changes.append(Change(_DECIDED_RETRY, {"k_case": given.case_id, "k_system": choice.system}))
    return Append(_decision_entry(given, case, subject, grade, now), tuple(changes))


def _woken(given: DecisionInput, case: CaseRow, now: datetime) -> Append:
    """Nobody decided: the trouble of the system is over, and Lockstep tries again."""
    choice = given.decision
    entry = Entry(
        kind=EntryKind.REVOCATION_WOKEN,
        key=f"{given.case_id}:{choice.system}:woken:{choice.decision_id}",
        tenant=case.tenant,
        occurred_at=now,
        recorded_at=now,
        case_id=case.case_id,
        subject=str(case.subject_id),
        system=choice.system,
        policy=case.policy,
        data={
            "round": given.round,
            "waking": choice.decision_id,
            "why": Recovery(choice.recovery).value,
        },
    )
    return Append(entry, (Change(WOKEN, {"k_case": given.case_id, "k_system": choice.system}),))


def _pick_changes(
    given: DecisionInput, subject: Subject, before: Picks, now: datetime
) -> list[Change]:
    choice = given.decision
    key = {"k_case": given.case_id, "k_system": choice.system}
    picks = picked(before, accounts=choice.accounts, others=choice.others)
    sealed = seal_picks(picks, subject, case_id=given.case_id, system=choice.system)
    return [
        Change(PICKED, {**key, "n_picks": sealed}),
        Change(PICKED_OPEN, key),
        Change(RESOLVE_DOUBT, {**key, "n_at": now}),
    ]


def _decision_entry(
    given: DecisionInput,
    case: CaseRow,
    subject: Subject,
    grade: EvidenceGrade | None,
    now: datetime,
) -> Entry:
    choice = given.decision
    data: dict[str, object] = {"round": given.round, "decision": choice.decision_id}
    if grade:
        data["grade"] = grade.value
    if choice.artefact_digest:
        data["artefact_sha256"] = choice.artefact_digest
    if choice.second_person:
        data["second_person"] = reference(subject.salt, "person", choice.second_person)
    if choice.until:
        data["until"] = instant_text(choice.until)
    if choice.kind is DecisionKind.PICK:
        data |= picks_data(
            subject.salt, choice.system, accounts=choice.accounts, others=choice.others
        )
    return Entry(
        kind=EntryKind(f"decision:{choice.kind.value}"),
        key=f"{given.case_id}:{choice.system}:decision:{choice.decision_id}",
        tenant=case.tenant,
        occurred_at=now,
        recorded_at=now,
        case_id=case.case_id,
        subject=str(case.subject_id),
        system=choice.system,
        policy=case.policy,
        actor=Actor("person", reference(subject.salt, "person", choice.actor)),
        data=data,
    )


def _outcome_of(kind: DecisionKind) -> Outcome | None:
    """The outcome that a decision gives a system; None where the machine goes on."""
    match kind:
        case DecisionKind.ATTEST:
            return Outcome.ATTESTED
        case DecisionKind.WAIVE:
            return Outcome.WAIVED
        case DecisionKind.RETRY | DecisionKind.PICK:
            return None


def _door_row(
    case_id: str, system: SystemPolicy, policy: Policy, opening: Opening
) -> dict[str, Any]:
    sla = policy.sla_for(opening.termination.kind, system.tier)
    manual = system.tier is Tier.MANUAL
    return {
        "case_id": case_id,
        "system": system.system,
        "connector": system.connector,
        "category": system.category.value,
        "tier": system.tier.value,
        "required": system.required,
        "accept_single_key": system.accept_single_key,
        "state": RevocationState.SCHEDULED.value,
        "warn_at": opening.cutoff + (timedelta(0) if manual else sla * policy.warn_at),
        "due_at": opening.cutoff + sla,
    }


def _opened_entry(
    row: Mapping[str, Any],
    opening: Opening,
    systems: Sequence[str],
    subject: Subject,
    actor: Actor,
) -> Entry:
    termination = opening.termination
    kind = EntryKind.CASE_RESCINDED if opening.tombstone else EntryKind.CASE_OPENED
    return Entry(
        kind=kind,
        key=f"{row['case_id']}:{kind.value}",
        tenant=row["tenant"],
        occurred_at=opening.received_at,
        recorded_at=row["opened_at"],
        case_id=row["case_id"],
        subject=str(row["subject_id"]),
        policy=row["policy"],
        actor=actor,
        data={
            "termination": termination.kind.value,
            "source": termination.source,
            "partner": termination.partner,
            "site": termination.site,
            "revision": termination.revision,
            "zone": termination.dates.zone,
            "hr_recorded_at": instant_text(termination.recorded_at),
            "received_at": instant_text(opening.received_at),
            "cutoff_at": instant_text(opening.cutoff),
            "systems": sorted(systems),
            "identity": subject.commitment(),
            **({"waits": True} if _waits(row) else {}),
        },
    )


def with_earlier(entry: Entry, earlier: Sequence[str]) -> Entry:
    """The entry that opens a case, with the person's earlier cases; a tombstone needs none."""
    if not earlier or entry.kind is not EntryKind.CASE_OPENED:
        return entry
    return replace(entry, data={**entry.data, "earlier": list(earlier)})


def _waits(row: Mapping[str, Any]) -> bool:
    """Whether it does not begin with its opening, although its cutoff has come."""
    is_due: bool = row["cutoff_at"] <= row["opened_at"]
    return is_due and row["status"] == CaseStatus.SCHEDULED
