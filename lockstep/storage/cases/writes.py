"""The statements that close a case, and that reopen it with a finding.

Each takes ``k_case``, which names the case, and what it writes as ``n_...``; `FINDING` takes a row.
"""

from __future__ import annotations

from sqlalchemy import bindparam, func, update
from sqlalchemy.dialects.postgresql import insert

from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.evidence.ledger.fold import ACCOUNT_IN_DOUBT
from lockstep.storage.tables.case import cases, findings

CLOSE = (
    update(cases)
    .where(cases.c.case_id == bindparam("k_case"))
    .values(
        status=CaseStatus.CLOSED.value,
        closed_at=bindparam("n_at"),
        closings=bindparam("n_closing"),
        updated_at=func.now(),
    )
)
RESOLVE = (
    update(findings)
    .where(findings.c.case_id == bindparam("k_case"), findings.c.resolved_at.is_(None))
    .where(findings.c.kind != ACCOUNT_IN_DOUBT)
    .values(resolved_at=bindparam("n_at"))
)
RESOLVE_DOUBT = (
    update(findings)
    .where(findings.c.case_id == bindparam("k_case"), findings.c.system == bindparam("k_system"))
    .where(findings.c.kind == ACCOUNT_IN_DOUBT, findings.c.resolved_at.is_(None))
    .values(resolved_at=bindparam("n_at"))
)
"""A person has picked, or nothing is in doubt any more. Takes ``k_system`` too."""
FINDING = insert(findings).on_conflict_do_nothing()
NEW_EDITION = (
    update(cases)
    .where(cases.c.case_id == bindparam("k_case"))
    .values(key_edition=cases.c.key_edition + 1)
)
"""The leaver's keys have grown: no case closes before each of its systems was searched by them."""
REOPEN_CASE = (
    update(cases)
    .where(cases.c.case_id == bindparam("k_case"))
    .values(status=CaseStatus.REVOKING.value, closed_at=None, updated_at=func.now())
)
