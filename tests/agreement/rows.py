"""What the database's own rows say of every case, and the rules by which the ledger tells it.

Nothing here reads an entry, a fact or a line of `lockstep.scorecard`: rows of cases, revocations,
decisions, findings and policies, and the stage's diary for what no row holds. Where row and ledger
differ on purpose, the rule stands here:

- A cutoff that was moved later, too late or by one of our people alone, is worked by and shown
  (``cases.cutoff_at``), and does not count for the score.
- A statement that set a cutoff which does not count is the one that the row's lag goes by.
- A correction to a kind with more time, too late or by one of our people alone, is shown as the
  kind and gives no more time.
- A rehearsal writes down how many accounts it saw; the ledger knows only what a try has seen.
- A person's word settles a system at once; its row has that instant as the look's too, but nobody
  has looked: there is no read-back.
- A waiver that does not count settles the row like one that does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from lockstep.storage.records import CaseView, RevocationRow
from tests.agreement.stage import Diary, Stage, ms

Document = dict[str, Any]

_PROVED = {"revoked", "already_absent", "not_found"}


@dataclass(frozen=True, slots=True)
class Rows:
    """Everything read at once.

    Args:
        decisions: instant and end of each decision by its id.
        opened: leaf and hash (hex) of the entry that each case begins with.
        policies: documents by digest.
        findings: as the metric takes them.
    """

    views: Mapping[str, CaseView]
    decisions: Mapping[str, tuple[datetime, datetime | None]]
    opened: Mapping[str, tuple[int, str]]
    policies: Mapping[str, Document]
    findings: list[Document]


async def read_rows(stage: Stage) -> Rows:
    """The rows as they stand now."""
    opened = "select distinct on (e.case_id) e.case_id, l.leaf_index, encode(e.leaf_hash, 'hex')"
    source = "from ledger_entries e join ledger_leaves l on l.entry_id = e.id"
    queries = {
        "decisions": "select decision_id, decided_at, until from decisions",
        "opened": f"{opened} {source} where e.case_id is not null order by e.case_id, l.leaf_index",
        "policies": "select digest, document from policies",
        "findings": "select kind, raised_at, resolved_at, case_id, system from findings"
        " order by raised_at, finding_id",
    }
    async with stage.engine.connect() as connection:
        found = {
            name: (await connection.execute(text(query))).all() for name, query in queries.items()
        }
    return Rows(
        views={case_id: await stage.view(case_id) for case_id in stage.diary},
        decisions={row[0]: (row[1], row[2]) for row in found["decisions"]},
        opened={row[0]: (row[1], row[2]) for row in found["opened"]},
        policies={row[0]: row[1] for row in found["policies"]},
        findings=[
            {
                "kind": row.kind,
                "raised_at": ms(row.raised_at),
                "resolved_at": _ms(row.resolved_at),
                "case_id": row.case_id,
                "system": row.system,
            }
            for row in found["findings"]
        ],
    )


def facts_of(rows: Rows, case_id: str, diary: Diary) -> Document:
    """One case as its rows and the diary tell it, in the form of the ledger's facts."""
    view = rows.views[case_id]
    case = view.case
    return {
        "case_id": case.case_id,
        "subject": str(case.subject_id),
        "kind": case.kind,
        "source": case.source,
        "partner": case.partner,
        "site": case.site,
        "zone": case.zone,
        "recorded_at": diary.recorded,
        "cutoff_at": diary.counts_from,
        "shown_cutoff_at": ms(case.cutoff_at),
        "received_at": ms(case.received_at),
        "opened_at": ms(case.opened_at),
        "policy": case.policy,
        "first_leaf": rows.opened[case_id][0],
        "items": [_item(rows, view, row, diary) for row in view.revocations],
        "begun_at": _ms(case.begun_at),
        "closed_at": _ms(case.closed_at),
        "rescinded": case.status == "rescinded",
        "called_off_at": diary.called_off,
        "first_cutoff_at": diary.first,
        "earlier": sorted(diary.earlier),
    }


def _item(rows: Rows, view: CaseView, row: RevocationRow, diary: Diary) -> Document:
    sla_ms, shown = diary.allowed[row.system], diary.shown[row.system]
    assert ms(row.due_at) == ms(view.case.cutoff_at) + shown, "due_at is not cutoff and SLA"
    until, in_vain = _waivers(rows, row.system, diary, diary.counts_from + sla_ms)
    return {
        "system": row.system,
        "category": row.category,
        "tier": row.tier,
        "required": row.required,
        "sla_ms": sla_ms,
        "accounts": row.accounts if row.system in diary.looked else 0,
        "outcome": row.outcome or "",
        "grade": row.grade or "",
        "off_at": _ms(row.revoked_at),
        "read_back_at": _ms(row.confirmed_at) if row.outcome in _PROVED else None,
        "first_attempt_at": _ms(row.first_attempt_at),
        "waived_until": until,
        "waived_in_vain": in_vain,
        "openings": row.opening,
    }


def _waivers(rows: Rows, system: str, diary: Diary, due_at: int) -> tuple[int | None, bool]:
    """The end of the last waiver that counts, and whether there was one that does not."""
    until, in_vain = None, False
    for decision_id, by_two in diary.waived.get(system, ()):
        decided_at, ends_at = rows.decisions[decision_id]
        if by_two and ends_at is not None and ms(decided_at) < due_at:
            until = ms(ends_at)
        else:
            in_vain = True
    return until, in_vain


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else ms(moment)
