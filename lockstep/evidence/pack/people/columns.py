"""What the population's files are made of: their columns, and what their reasons mean.

Repeated for strangers in docs/evidence-format.md. Only the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping

LEAVER_COLUMNS = (
    "case_id",
    "worker_ref",
    "separation_type",
    "partner",
    "site",
    "hr_source",
    "hr_recorded_at",
    "effective_end_utc",
    "scored_cutoff_utc",
    "worker_tz",
    "policy",
    "sla_class",
    "received_at",
    "first_action_utc",
    "last_verified_utc",
    "state",
    "worst_ratio",
    "within_sla",
    "late_seconds",
    "time_to_revocation_ms",
    "hr_lag_ms",
    "operational_ms",
    "exposure_account_ms",
    "open_items",
    "evidence_grade_min",
    "ledger_index",
    "leaf_hash",
)
SYSTEM_COLUMNS = (
    "case_id",
    "system",
    "category",
    "tier",
    "required",
    "sla_ms",
    "due_at",
    "accounts",
    "outcome",
    "grade",
    "first_attempt_at",
    "off_at",
    "read_back_at",
    "time_to_revocation_ms",
    "late_ms",
    "within_sla",
    "openings",
    "waived_until",
)
EXCEPTION_COLUMNS = (
    "case_id",
    "system",
    "reason",
    "explanation",
    "required",
    "due_at",
    "off_at",
    "late_ms",
    "grade",
    "openings",
    "waived_until",
)
EXCLUDED_COLUMNS = (
    "case_id",
    "worker_ref",
    "separation_type",
    "partner",
    "site",
    "hr_source",
    "hr_recorded_at",
    "effective_end_utc",
    "scored_cutoff_utc",
    "received_at",
    "reason",
    "explanation",
    "ledger_index",
    "leaf_hash",
)
POLICY_SYSTEM_COLUMNS = (
    "policy",
    "policy_version",
    "system",
    "connector",
    "category",
    "tier",
    "required",
    "sla_involuntary_s",
    "sla_voluntary_s",
    "sla_contract_end_s",
)
SAMPLE_COLUMNS = ("position", "case_id", "draw_hash", "n", "seed")
PEOPLE_COLUMNS = (
    "case_id",
    "subject",
    "name",
    "worker_id",
    "employee_numbers",
    "emails",
    "usernames",
    "other_keys",
    "spell",
    "state",
)
ACTOR_COLUMNS = ("case_id", "at", "what", "system", "by", "second_person", "decision")
MAPPING_COLUMNS = ("framework", "control", "what it asks (our words)", "answered by", "limits")
COMMITMENT_COLUMNS = ("case_id", "subject", "identity", "opening", "state")

REASONS: Mapping[str, str] = {
    "late": "Access was proved gone only after the time allowed.",
    "open_overdue": "Access is not proved gone, and the time allowed has passed.",
    "open": "Access is not proved gone; the time allowed has not passed yet.",
    "waived": "Two people waived it before the deadline; until then it is not late.",
    "waived_in_vain": "It was waived too late, by one person alone or without an end: not counted.",
    "attested": "A person said that access is gone; no system was read back.",
    "called_off": "HR took it back after its cutoff had come; nothing was revoked until then.",
    "reopened": "Access had returned after it was proved gone; the first clock runs on.",
    "later_cutoff_not_counted": "The cutoff was moved back too late or by one person alone: the"
    " first one counts for the score.",
    "first_cutoff_counts": "A dismissal was put off, or the case goes on from one that was called"
    " off: the first cutoff counts for the score.",
}
"""Why an item, or a whole case, stands among the exceptions."""

EXCLUSIONS: Mapping[str, str] = {
    "rescinded": "HR took the termination back before anything was revoked.",
    "future": "The cutoff had not come when the pack was made.",
    "outside_period": "Heard of in the period, or first meant for it; its cutoff lies outside.",
    "no_access": "No system in scope knew the leaver.",
    "untouched": "No system had an account, or all access was gone before HR told us.",
}
"""Why a case of the period is not in the population."""
