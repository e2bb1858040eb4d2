"""The statements that write one system's part of a case.

Each takes ``k_case`` and ``k_system``, which name the row, and what it writes as ``n_...``.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    DateTime,
    LargeBinary,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    text,
    update,
)

from lockstep.domain.cases.outcomes import Outcome, RevocationState
from lockstep.domain.systems.faults import FaultCategory
from lockstep.storage.ledger.append import ArrayUpdate
from lockstep.storage.tables.case import cases, revocations


def _touch(**values: object) -> Any:
    return (
        update(revocations)
        .where(revocations.c.case_id == bindparam("k_case"))
        .where(revocations.c.system == bindparam("k_system"))
        .values(updated_at=func.now(), **values)
    )


def _unless_asked(state: RevocationState) -> Any:
    """``state``, unless a person has been asked, or has settled it while we were at work."""
    # Not `in_`: group commit runs this for many rows at once, which its expanding bind refuses.
    kept = or_(
        revocations.c.state == RevocationState.NEEDS_PERSON.value,
        revocations.c.state == RevocationState.SETTLED.value,
    )
    return case((kept, revocations.c.state), else_=state.value)


REOPEN = _touch(
    opening=bindparam("n_opening"),
    state=RevocationState.REVOKING.value,
    outcome=None,
    grade=None,
    accepted_at=None,
    revoked_at=None,
    confirmed_at=None,
    contained_at=None,
    candidates=None,
)


def _by_arrays(assignments: str, **types: str) -> ArrayUpdate:
    """An update of revocations; ``types`` are the PostgreSQL types of its parameters."""
    columns = {"k_case": "text", "k_system": "text", **types}
    arrays = ", ".join(f"cast(:{name} as {kind}[])" for name, kind in columns.items())
    statement = text(
        f"update revocations r set {assignments}, updated_at = now()"  # noqa: S608 - ours alone
        f" from unnest({arrays}) as v({', '.join(columns)})"
        " where r.case_id = v.k_case and r.system = v.k_system"
    )
    return ArrayUpdate(statement, ("k_case", "k_system"))


# The two that every revocation writes go by arrays; the rare ones stay readable.
ATTEMPT = _by_arrays(
    """
    state = case when r.state in ('needs_person', 'settled') then r.state else 'revoking' end,
    attempts = r.attempts + 1,
    round = case when r.state = 'needs_person' then r.round else v.n_round end,
    accounts = v.n_accounts, private = v.n_private,
    first_attempt_at = coalesce(r.first_attempt_at, v.n_at)
    """,
    n_round="int",
    n_accounts="int",
    n_private="bytea",
    n_at="timestamptz",
)
FAULT = _touch(
    state=_unless_asked(RevocationState.RETRYING),
    fault=bindparam("n_fault"),
    fault_text=bindparam("n_text"),
    fault_at=bindparam("n_at"),
    retry_at=bindparam("n_retry_at"),
    # What an attempt has found stays, also where the next one fails before it finds anything.
    private=func.coalesce(bindparam("n_private", type_=LargeBinary), revocations.c.private),
    contained_at=func.coalesce(
        bindparam("n_contained", type_=DateTime(timezone=True)), revocations.c.contained_at
    ),
    candidates=func.coalesce(
        bindparam("n_candidates", type_=LargeBinary), revocations.c.candidates
    ),
)
SAW = _touch(accounts=bindparam("n_accounts"), private=bindparam("n_private"))
SETTLE = _by_arrays(
    """
    state = 'settled', outcome = v.n_outcome, grade = v.n_grade, accounts = v.n_accounts,
    actions = v.n_actions, residual_s = v.n_residual,
    residual_unknown = v.n_residual_unknown, accepted_at = v.n_accepted,
    revoked_at = v.n_revoked, confirmed_at = v.n_confirmed, private = v.n_private,
    contained_at = coalesce(v.n_contained, r.contained_at), candidates = null,
    fault = null, fault_text = null, retry_at = null, needs_person_since = null,
    key_edition = v.n_edition, seats = greatest(r.seats, v.n_seats)
    """,
    n_outcome="text",
    n_grade="text",
    n_accounts="int",
    n_actions="int",
    n_residual="int",
    n_residual_unknown="boolean",
    n_accepted="timestamptz",
    n_revoked="timestamptz",
    n_confirmed="timestamptz",
    n_private="bytea",
    n_contained="timestamptz",
    n_edition="int",
    n_seats="int",
)
SEARCHED = _touch(key_edition=bindparam("n_edition"))
"""A look at a settled system searched by the newest keys, and found nothing standing."""
NEEDS_PERSON = _touch(
    state=RevocationState.NEEDS_PERSON.value,
    outcome=None,
    fault=bindparam("n_fault"),
    needs_person_since=func.coalesce(revocations.c.needs_person_since, bindparam("n_at")),
).where(revocations.c.state != RevocationState.SETTLED.value)
"""A late question must not undo what a person or a proof has settled meanwhile."""
DOUBTS = _touch(candidates=bindparam("n_candidates", type_=LargeBinary))
"""Whose accounts are in doubt after a look at a settled system; None where none is."""
WOKEN = _touch(retry_at=None).where(revocations.c.state != RevocationState.SETTLED.value)
"""It is tried again now, and waits as before, for the same person and since then, if in vain."""
PICKED = _touch(picks=bindparam("n_picks", type_=LargeBinary), candidates=None)
PICKED_OPEN = _touch(
    state=RevocationState.REVOKING.value, needs_person_since=None, retry_at=None
).where(revocations.c.state != RevocationState.SETTLED.value)
"""A system that is open is tried again now; one that is settled stays so until it is looked at."""
BY_US = (Outcome.REVOKED.value, Outcome.ALREADY_ABSENT.value, Outcome.NOT_FOUND.value)
"""Outcomes that a connector found, not a person: only such are looked at again."""
FOR_KEYS = (FaultCategory.UNKNOWN_WORKER.value, FaultCategory.AMBIGUOUS_MATCH.value)
"""What more keys of the leaver may mend."""
FOR_NEW_KEYS = (
    select(revocations.c.system, revocations.c.state)
    .join(cases, cases.c.case_id == revocations.c.case_id)
    .where(revocations.c.case_id == bindparam("k_case"))
    .where(
        or_(
            and_(
                revocations.c.state == RevocationState.RETRYING.value,
                revocations.c.fault.in_(FOR_KEYS),
            ),
            and_(
                revocations.c.state == RevocationState.SETTLED.value,
                revocations.c.outcome.in_(BY_US),
                revocations.c.key_edition < cases.c.key_edition,
            ),
        )
    )
    .order_by(revocations.c.system)
)
NEW_KEYS = (
    update(revocations)
    .where(revocations.c.case_id == bindparam("k_case"))
    .where(revocations.c.state == RevocationState.NEEDS_PERSON.value)
    .where(revocations.c.fault.in_(FOR_KEYS))
    .values(state=RevocationState.RETRYING.value, needs_person_since=None, updated_at=func.now())
)
SEEN_STANDING = _touch(private=bindparam("n_private"))
REHEARSED = _touch(
    rehearsed_at=bindparam("n_at"),
    accounts=bindparam("n_accounts"),
    rehearsal_problems=bindparam("n_problems", type_=revocations.c.rehearsal_problems.type),
)
