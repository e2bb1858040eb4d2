"""Names that other processes, histories and dashboards rely on: never rename, only retire."""

from __future__ import annotations

from temporalio.common import SearchAttributeKey

CASE_WORKFLOW = "Case"
CASE_QUEUE = "lockstep-cases"
TERMINATION_CHANGED = "termination_changed"
REHIRED = "rehired"
DECIDE = "decide"

STATUS = SearchAttributeKey.for_keyword("LockstepStatus")
PARTNER = SearchAttributeKey.for_keyword("LockstepPartner")
DUE_TIME = SearchAttributeKey.for_datetime("LockstepDueTime")
SEARCH_ATTRIBUTES = (STATUS, PARTNER, DUE_TIME)
"""Not encrypted by the codec, so: no personal data, and nothing before the cutoff."""


def system_queue(system: str) -> str:
    """The task queue of one system: its own rate limit, bulkhead and credential.

    Never the workflow's queue: activities there may run eagerly and skip the rate limit.
    """
    return f"lockstep-system-{system}"
