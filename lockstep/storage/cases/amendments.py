"""What an amendment writes: the case's row, its systems' times, and its entry's words."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from lockstep.contracts.payloads import SystemTimes
from lockstep.domain.cases.amendments import Standing, time_allowed
from lockstep.domain.cases.terminations import Termination, TerminationKind
from lockstep.domain.policy import Policy, Tier
from lockstep.evidence.format.canonical import instant_text
from lockstep.storage.records import CaseRow
from lockstep.storage.tables.case import cases, revocations

_TIMES = (
    update(revocations)
    .where(revocations.c.case_id == bindparam("k_case"))
    .where(revocations.c.system == bindparam("k_system"))
    .values(due_at=bindparam("n_due"), warn_at=bindparam("n_warn"))
)


def standing_of(case: CaseRow) -> Standing:
    """What is in force of a case as stored."""
    return Standing(
        kind=TerminationKind(case.kind),
        partner=case.partner,
        site=case.site,
        zone=case.zone,
        recorded_at=case.recorded_at,
        cutoff_at=case.cutoff_at,
    )


def amendment_data(before: Standing, after: Standing) -> dict[str, object]:
    """What a ``case:amended`` entry says is in force, and what was before, where it differs."""
    old, new = _said(before), _said(after)
    changed = {name: value for name, value in old.items() if value != new[name]}
    return {**new, **({"before": changed} if changed else {})}


async def amend_rows(
    connection: AsyncConnection,
    case: CaseRow,
    after: Standing,
    said: Termination,
    *,
    policy: Policy,
    counts: bool,
) -> None:
    """Write what is in force now. ``counts``: whether more time than before may be taken."""
    turns = after.kind is TerminationKind.INVOLUNTARY and case.kind != after.kind
    await connection.execute(
        update(cases)
        .where(cases.c.case_id == case.case_id)
        .values(
            revision=said.revision,
            last_event_id=said.event_id,
            kind=after.kind.value,
            partner=after.partner,
            site=after.site,
            zone=after.zone,
            recorded_at=after.recorded_at,
            cutoff_at=after.cutoff_at,
            updated_at=func.now(),
            **({"dismissed_at": func.now()} if turns else {}),
        )
    )
    query = select(revocations.c.system, revocations.c.tier, revocations.c.due_at).where(
        revocations.c.case_id == case.case_id
    )
    rows = [
        {
            "k_case": case.case_id,
            "k_system": row.system,
            **_times(Tier(row.tier), row.due_at - case.cutoff_at, after, policy, counts=counts),
        }
        for row in await connection.execute(query)
    ]
    if rows:
        await connection.execute(_TIMES, rows)


async def system_times(connection: AsyncConnection, case: CaseRow) -> list[SystemTimes]:
    """What the workflow's timers go by from now on."""
    query = select(revocations.c.system, revocations.c.warn_at, revocations.c.due_at).where(
        revocations.c.case_id == case.case_id
    )
    return [
        SystemTimes(
            row.system,
            warn_s=int((row.warn_at - case.cutoff_at).total_seconds()),
            due_s=int((row.due_at - case.cutoff_at).total_seconds()),
        )
        for row in await connection.execute(query.order_by(revocations.c.system))
    ]


def _times(
    tier: Tier, before: timedelta, after: Standing, policy: Policy, *, counts: bool
) -> dict[str, datetime]:
    """When a system that had ``before`` from the cutoff is due, and when operations are told."""
    sla = policy.sla_for(after.kind, tier)
    allowed = time_allowed(before, sla, counts=counts)
    warn = timedelta(0) if tier is Tier.MANUAL else allowed * policy.warn_at
    return {"n_due": after.cutoff_at + allowed, "n_warn": after.cutoff_at + warn}


def _said(standing: Standing) -> dict[str, str]:
    return {
        "termination": standing.kind.value,
        "partner": standing.partner,
        "site": standing.site,
        "zone": standing.zone,
        "cutoff_at": instant_text(standing.cutoff_at),
    }
