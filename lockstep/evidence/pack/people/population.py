"""The population: who is in it, and the rows of its files.

The writer of a pack and the verifier both call what stands here, so a figure in a pack and the
same figure recomputed from the entries can differ only if the entries say something else. Only
the standard library. Columns and rules are repeated for strangers in docs/evidence-format.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from lockstep.evidence.ledger.history import History
from lockstep.evidence.pack.model import CaseLine, PackScope
from lockstep.evidence.pack.people.columns import EXCEPTION_COLUMNS, EXCLUSIONS, REASONS
from lockstep.evidence.pack.text_files import Row
from lockstep.scorecard.counting import CALLED_OFF, Counting
from lockstep.scorecard.definition import Definition
from lockstep.scorecard.facts import CaseFacts, ItemFacts
from lockstep.scorecard.judging import ItemResult
from lockstep.scorecard.numbers import decimal_text, instant_text

# --- who is in ----------------------------------------------------------------------------------


def in_scope(facts: CaseFacts, scope: PackScope) -> bool:
    """Whether a pack speaks of this case at all: its partner's, or the one asked for."""
    if scope.case_id is not None:
        return facts.case_id == scope.case_id
    return scope.partner is None or facts.partner == scope.partner


def counting_of(history: History, definition: Definition, scope: PackScope) -> Counting:
    """Counts the cases of a pack; a clock runs on among those that it speaks of, and no others."""
    return Counting(definition, (row for row in history.cases.values() if in_scope(row, scope)))


def exclusion(line: CaseLine, scope: PackScope) -> str:
    """Why a case in scope is not in the population, one of `EXCLUSIONS`; "" where it is."""
    if line.facts.rescinded:
        return "rescinded"
    if not scope.start <= line.facts.shown_cutoff_at < scope.end:
        return "outside_period"
    if line.facts.shown_cutoff_at > scope.as_of:
        return "future"
    return line.result.state if line.result.state in {"no_access", "untouched"} else ""


def in_population(line: CaseLine, scope: PackScope) -> bool:
    """Whether a case in scope is one of the leavers of the period."""
    return not exclusion(line, scope)


def touches_period(facts: CaseFacts, scope: PackScope) -> bool:
    """Whether the period has to do with a case: some cutoff, or our hearing of it, lies in it."""
    moments = (facts.shown_cutoff_at, facts.cutoff_at, facts.received_at)
    return any(scope.start <= moment < scope.end for moment in moments)


@dataclass(frozen=True, slots=True)
class CaseRows:
    """What one case puts into the files: a leaver with systems and exceptions, or an exclusion."""

    leaver: Row | None = None
    systems: tuple[Row, ...] = ()
    exceptions: tuple[Row, ...] = ()
    excluded: Row | None = None


def case_rows(line: CaseLine, scope: PackScope) -> CaseRows:
    """All rows of one case in scope. The files hold cases in the order of ``first_leaf``."""
    reason = exclusion(line, scope)
    if not reason:
        return CaseRows(leaver_row(line), tuple(system_rows(line)), tuple(exception_rows(line)))
    if not touches_period(line.facts, scope):
        return CaseRows()
    return CaseRows(excluded=excluded_row(line, reason))


# --- rows ---------------------------------------------------------------------------------------


def leaver_row(line: CaseLine) -> Row:
    """One leaver of the population."""
    facts, result = line.facts, line.result
    attempts = [item.first_attempt_at for item in facts.items if item.first_attempt_at is not None]
    looks = [item.read_back_at for item in facts.items if item.read_back_at is not None]
    return {
        "case_id": facts.case_id,
        **_who(facts),
        "worker_tz": facts.zone,
        "policy": facts.policy,
        "sla_class": _sla_class(facts),
        "received_at": instant_text(facts.received_at),
        "first_action_utc": _instant(min(attempts, default=None)),
        "last_verified_utc": _instant(max(looks, default=None)),
        "state": result.state,
        "worst_ratio": ratio_text(result.ratio),
        "within_sla": "pending" if not result.scored else _yes(value=result.within_sla),
        "late_seconds": -(-result.late_ms // 1000),
        "time_to_revocation_ms": result.ttr_ms,
        "hr_lag_ms": result.hr_lag_ms,
        "operational_ms": result.operational_ms,
        "exposure_account_ms": result.exposure_ms,
        "open_items": result.open_items,
        "evidence_grade_min": result.grade,
        "ledger_index": facts.first_leaf,
        "leaf_hash": line.leaf_hash,
    }


def system_rows(line: CaseLine) -> Iterator[Row]:
    """One row for each system of a leaver, in the order in which the case names them."""
    for result in line.result.items:
        item = result.facts
        yield {
            "case_id": line.facts.case_id,
            "system": item.system,
            "category": item.category,
            "tier": item.tier,
            "required": _yes(value=item.required),
            "sla_ms": item.sla_ms,
            "due_at": instant_text(result.due_at),
            "accounts": item.accounts,
            "outcome": item.outcome,
            "grade": item.grade,
            "first_attempt_at": _instant(item.first_attempt_at),
            "off_at": _instant(item.off_at),
            "read_back_at": _instant(item.read_back_at),
            "time_to_revocation_ms": result.ttr_ms,
            "late_ms": result.late_ms,
            "within_sla": "pending" if result.within_sla is None else _yes(value=result.within_sla),
            "openings": item.openings,
            "waived_until": _instant(item.waived_until),
        }


def exception_rows(line: CaseLine) -> Iterator[Row]:
    """Everything about a leaver that an auditor wants to ask about, a row for each reason."""
    facts = line.facts
    if facts.counts_from is not None:
        yield _exception(line, "first_cutoff_counts", None)
    elif facts.shown_cutoff_at > facts.cutoff_at:
        yield _exception(line, "later_cutoff_not_counted", None)
    for result in line.result.items:
        for reason in item_exceptions(result):
            yield _exception(line, reason, result)


def item_exceptions(result: ItemResult) -> Iterator[str]:
    """The reasons, of `REASONS`, for which one system of a case is an exception."""
    item: ItemFacts = result.facts
    if result.is_open:
        yield "open_overdue" if result.late_ms else "open"
    elif result.late_ms:
        yield "late"
    if item.waived_until is not None:
        yield "waived"
    if item.waived_in_vain:
        yield "waived_in_vain"
    if item.outcome in {"attested", CALLED_OFF}:
        yield item.outcome
    if item.openings > 1:
        yield "reopened"


def excluded_row(line: CaseLine, reason: str) -> Row:
    """One case that has to do with the period and is not in its population."""
    return {
        "case_id": line.facts.case_id,
        **_who(line.facts),
        "received_at": instant_text(line.facts.received_at),
        "reason": reason,
        "explanation": EXCLUSIONS[reason],
        "ledger_index": line.facts.first_leaf,
        "leaf_hash": line.leaf_hash,
    }


def policy_system_rows(digest: str, policy: Mapping[str, Any]) -> Iterator[Row]:
    """The systems that one pinned policy has in scope. The file holds policies by digest."""
    for row in sorted(policy["systems"], key=lambda row: str(row["system"])):
        sla = {
            f"sla_{kind}_s": policy["sla_s"][f"{kind}.{row['tier']}"]
            for kind in ("involuntary", "voluntary", "contract_end")
        }
        yield {
            "policy": digest,
            "policy_version": policy["version"],
            "system": row["system"],
            "connector": row["connector"],
            "category": row["category"],
            "tier": row["tier"],
            "required": _yes(value=row["required"]),
            **sla,
        }


def _who(facts: CaseFacts) -> Row:
    return {
        "worker_ref": facts.subject,
        "separation_type": facts.kind,
        "partner": facts.partner,
        "site": facts.site,
        "hr_source": facts.source,
        "hr_recorded_at": instant_text(facts.recorded_at),
        "effective_end_utc": instant_text(facts.shown_cutoff_at),
        "scored_cutoff_utc": instant_text(facts.cutoff_at),
    }


def _exception(line: CaseLine, reason: str, result: ItemResult | None) -> Row:
    row: Row = dict.fromkeys(EXCEPTION_COLUMNS, "")
    row |= {
        "case_id": line.facts.case_id,
        "reason": reason,
        "explanation": REASONS[reason],
    }
    if result is None:
        return row
    item = result.facts
    return row | {
        "system": item.system,
        "required": _yes(value=item.required),
        "due_at": instant_text(result.due_at),
        "off_at": _instant(item.off_at),
        "late_ms": result.late_ms,
        "grade": item.grade,
        "openings": item.openings,
        "waived_until": _instant(item.waived_until),
    }


def _sla_class(facts: CaseFacts) -> str:
    """The kind of leaver and the tiers that decide, such as ``voluntary:0+1``."""
    tiers = {item.tier for item in facts.items if item.required}
    tiers = tiers or {item.tier for item in facts.items}
    return f"{facts.kind}:{'+'.join(sorted(tiers))}"


def _instant(moment: int | None) -> str:
    return "" if moment is None else instant_text(moment)


def _yes(*, value: bool | None) -> str:
    return "yes" if value else "no"


def ratio_text(ratio: Fraction) -> str:
    """A ratio with four decimals, rounded half to even."""
    return decimal_text(ratio, 4)
